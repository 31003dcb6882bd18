"""Messages from an address: over https, of no private network, within limits, with the pictures they show."""

import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from envoi.kernel.config import NetworkConfig
from envoi.kernel.errors import Invalid
from envoi.kernel.testing import admin_actor, make_certificate, make_operator
from envoi.packages.delivery.models import Image
from envoi.packages.delivery.services.content import fetching, images, importing
from envoi.packages.delivery.testing import make_delivery
from envoi.packages.delivery.tests.editor.pictures import gif, png
from envoi.packages.delivery.tests.editor.test_importing import zipped

pytestmark = pytest.mark.django_db
PAGE = """<html><body background="/bg.gif"><a href="/shop?a=1&amp;b=2">Shop</a> <a href="#top">Up</a>
<a href="mailto:a@b.example">Write</a> {{ recipient.firstName }}
<img src="sea.png"><img src='sea.png'><img src="gone.png">
<img src="data:image/gif;base64,AA"></body></html>"""
MJML = (
    "<mjml><mj-body><mj-section><mj-column><mj-image src='../sea.png'/></mj-column></mj-section></mj-body>"
    "</mjml>"
)
HTML = "text/html; charset=iso-8859-1"
PLACES: dict[str, tuple[int, str, bytes]] = {
    "/news/": (200, HTML, f"<p>\xe9t\xe9</p>{PAGE}".encode("latin-1")),
    "/moved": (302, "/news/", b""),
    "/inside": (302, "https://10.1.2.3/", b""),
    "/plain": (302, "http://127.0.0.1:{port}/news/", b""),
    "/loop": (302, "/loop", b""),
    "/news/sea.png": (200, "image/png", png()),
    "/bg.gif": (200, "image/gif", gif()),
    "/sea.png": (200, "image/png", png()),
    "/mail/a.mjml": (200, "text/plain", MJML.encode()),
    "/all.zip": (
        200,
        "application/zip",
        zipped({"index.html": b"<html><img src='a.png'></html>", "a.png": png()}),
    ),
    "/half": (200, "text/html", b"<html><p>half"),
    "/a.pdf": (200, "application/pdf", b"%PDF"),
    "/large": (200, "text/html", b"x" * (importing.MOST + 1)),
}


class _Site(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, said, body = PLACES.get(self.path, (404, "text/html", b""))
        self.send_response(status)
        name = "Location" if status == 302 else "Content-Type"
        self.send_header(name, said.format(port=self.server.server_port))  # type: ignore[attr-defined]
        if self.path == "/half":
            self.send_header("Content-Length", str(2 * len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    certificate = make_certificate(tmp_path / "site.pem")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Site)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    try:
        yield f"https://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def reached(settings: Any) -> None:
    settings.CONFIG = replace(settings.CONFIG, network=NetworkConfig(allow_private=("127.0.0.0/8",)))


def titles(report: importing.Report) -> str:
    return " ".join(f"{each.title} {' '.join(each.items)}" for each in report.lines)


@pytest.mark.usefixtures("reached")
def test_a_page_comes_with_its_pictures(site: str) -> None:
    delivery = make_delivery(html_source="", text_source="")
    report = importing.imported_from(delivery, f"{site}/moved", actor=admin_actor())
    delivery.refresh_from_db()
    html = delivery.html_source
    assert "été" in html
    sea = Image.objects.get(label="sea.png")
    assert html.count(f'"{images.address(sea)}"') + html.count(f"'{images.address(sea)}'") == 2
    assert images.address(Image.objects.get(label="bg.gif")) in html
    assert f'href="{site}/shop?a=1&amp;b=2"' in html
    assert 'href="#top"' in html
    assert "mailto:a@b.example" in html
    assert "{{ recipient.firstName }}" in html
    assert f'src="{site}/news/gone.png"' in html
    assert "2 pictures are kept" in titles(report)
    assert f"{site}/news/gone.png (https://127.0.0.1 answers 404" in titles(report)


@pytest.mark.usefixtures("reached")
def test_pictures_may_stay_where_they_are(site: str) -> None:
    delivery = make_delivery(html_source="", text_source="")
    report = importing.imported_from(delivery, f"{site}/news/", actor=admin_actor(), pictures=False)
    delivery.refresh_from_db()
    assert delivery.html_source.count(f"{site}/news/sea.png") == 2
    assert not Image.objects.exists()
    assert "3 pictures stay where they are" in titles(report)


@pytest.mark.usefixtures("reached")
@pytest.mark.parametrize(("path", "drawn"), [("/all.zip", False), ("/mail/a.mjml", True)])
def test_archives_and_mjml_come_from_an_address_too(site: str, path: str, drawn: bool) -> None:
    delivery = make_delivery(html_source="", text_source="")
    report = importing.imported_from(delivery, f"{site}{path}", actor=admin_actor())
    delivery.refresh_from_db()
    assert report.drawn == drawn == bool(delivery.mjml_source)
    assert images.address(Image.objects.get()) in delivery.html_source


@pytest.mark.usefixtures("reached")
@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/inside", "10.1.2.3, an address of this machine or of a private network"),
        ("/plain", "127.0.0.1"),
        ("/loop", "more than 5 times"),
        ("/gone", "answers 404"),
        ("/half", "broke off after 13 of 26 bytes"),
        ("/a.pdf", "application/pdf"),
        ("/large", "more than 20 MB"),
    ],
)
def test_what_is_no_page_changes_nothing(site: str, path: str, why: str) -> None:
    delivery = make_delivery(html_source="<p>before</p>")
    with pytest.raises(Invalid, match=why):
        importing.imported_from(delivery, f"{site}{path}", actor=admin_actor())
    delivery.refresh_from_db()
    assert delivery.html_source == "<p>before</p>"


@pytest.mark.usefixtures("reached")
def test_a_server_that_takes_long_is_left(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "LONGEST", -1.0)
    with pytest.raises(Invalid, match="takes longer"):
        fetching.page(f"{site}/news/", most=importing.MOST)


def test_the_page_asks_for_an_address_and_tells_why_not(site: str) -> None:
    delivery = make_delivery(html_source="", text_source="")
    client = Client()
    client.force_login(
        make_operator("sofia", ("ADMINISTRATION",)), "django.contrib.auth.backends.ModelBackend"
    )
    address = f"/deliveries/{delivery.pk}/content/import"
    refused = client.post(address, {"do": "import", "address": f"{site}/news/", "pictures": "1"})
    assert refused.status_code == 400
    assert "private network" in refused.content.decode()
    assert f'value="{site}/news/"' in refused.content.decode()
    unsafe = client.post(address, {"do": "import", "address": "http://shop.example/"})
    assert "begins with https://" in unsafe.content.decode()
