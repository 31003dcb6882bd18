"""Messages made elsewhere: real ones stay as they are, hostile ones are refused."""

import io
import re
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from envoi.kernel.config import TrackingConfig
from envoi.kernel.errors import Conflict, Invalid
from envoi.kernel.testing import admin_actor, make_operator
from envoi.packages.delivery.models import Delivery, DeliveryPart, DeliveryState, Image
from envoi.packages.delivery.services import analysis, content
from envoi.packages.delivery.services.content import images, importing, links, preview
from envoi.packages.delivery.services.content.checking import Weight
from envoi.packages.delivery.testing import make_delivery, make_recipients
from envoi.packages.delivery.tests.editor.pictures import gif, png

pytestmark = pytest.mark.django_db
TEMPLATES = Path(__file__).parents[6] / "tests" / "data" / "email_templates"
REAL = sorted(path.name for path in TEMPLATES.glob("*.html"))
FOREIGN = {
    "konsav__general.html",
    "konsav__promotional.html",
    "sendgrid__newsletter-news-feed.html",
    "sendgrid__special-sale-special-sale.html",
    "wildbit__basic-full-receipt.html",
}
"""Messages with marks of another program, which cannot be carried out."""


def zipped(files: dict[str, bytes], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return made.getvalue()


def said(report: importing.Report, weight: Weight) -> str:
    return "\n".join(f"{line.title} {' '.join(line.items)}" for line in report.lines if line.weight is weight)


@pytest.mark.parametrize("name", REAL)
def test_a_real_message_is_kept_byte_for_byte(name: str) -> None:
    delivery = make_delivery(html_source="", text_source="")
    report = importing.imported(delivery, name, (TEMPLATES / name).read_bytes(), actor=admin_actor())
    delivery.refresh_from_db()
    assert delivery.html_source.encode() == (TEMPLATES / name).read_bytes()
    assert delivery.text_source
    assert not report.drawn
    assert ("mark" in said(report, Weight.STOPS)) == (name in FOREIGN)


@pytest.mark.parametrize("name", [each for each in REAL if each not in FOREIGN])
def test_a_real_message_differs_in_its_links_only_when_it_is_sent(name: str, monkeypatch: Any) -> None:
    config = replace(settings.ENVOI.config, tracking=TrackingConfig("https://t.example/"))
    monkeypatch.setattr(settings, "ENVOI", replace(settings.ENVOI, config=config))
    make_recipients(1, email="a@example.org", black_list=0, black_list_email=0, email_format=2)
    delivery = make_delivery(html_source="", text_source="")
    importing.imported(delivery, name, (TEMPLATES / name).read_bytes(), actor=admin_actor())
    actor = admin_actor()
    delivery.refresh_from_db()
    assert preview.preview(delivery, actor=actor).parts["html"] == delivery.html_source
    run = analysis.work(analysis.start(delivery, actor=actor, queue=False).pk, actor=actor)
    delivery.refresh_from_db()
    assert delivery.status is DeliveryState.READY
    loaded = content.load(run)
    part = DeliveryPart.objects.get(run=run)
    (row,) = loaded.rows(run.storage, part.first_id, part.last_id)
    sent = loaded.render(row).html
    # The pixel is put in before the end; each link is a tag; with both taken back nothing is left.
    sent = re.sub(
        r'<img src="https://t\.example/r/\?id=h[^"]*" width="1" height="1" border="0" alt="">', "", sent
    )
    source = delivery.html_source
    found = list(links.in_html(source))
    assert len(re.findall(r"https://t\.example/r/", sent)) == len(found)
    written = iter([source[each.start : each.end] for each in found])
    back = re.sub(r"https://t\.example/r/\?id=h[^\"' >]*", lambda _tag: next(written), sent)
    assert back.encode() == (TEMPLATES / name).read_bytes()


@pytest.mark.parametrize("name", sorted(FOREIGN))
def test_marks_of_other_programs_are_plain_text_if_asked(name: str) -> None:
    delivery = make_delivery(html_source="", text_source="", subject="News")
    page = (TEMPLATES / name).read_bytes()
    report = importing.imported(delivery, name, page, actor=admin_actor(), as_text=True)
    delivery.refresh_from_db()
    assert said(report, Weight.STOPS) == ""
    assert preview.preview(delivery, actor=admin_actor()).parts["html"].encode() == page


def test_pictures_of_an_archive_are_kept_and_the_page_changes_in_their_addresses_only() -> None:
    name = "colorlibhq__26.html"
    page = (TEMPLATES / name).read_text(encoding="utf-8")
    wanted = dict.fromkeys(re.findall(r"(?:src=\"|url\()([\w./-]+\.(?:png|jpg|gif))", page))
    assert len(wanted) > 2
    files = {f"mail/{path}": png(number + 1) for number, path in enumerate(wanted)}
    delivery = make_delivery(html_source="", text_source="")
    report = importing.imported(
        delivery, "mail.zip", zipped({"mail/index.html": page.encode(), **files}), actor=admin_actor()
    )
    delivery.refresh_from_db()
    assert said(report, Weight.STOPS) == ""
    back = delivery.html_source
    for path, data in zip(wanted, files.values(), strict=True):
        image, new = images.add("again", data, actor=admin_actor())
        assert not new
        assert images.address(image) in back
        back = back.replace(images.address(image), path)
    assert back == page


def test_an_archive_with_a_missing_and_a_broken_picture_says_so() -> None:
    page = (
        b'<html>\n<body background="bg.gif">\n<img src="no.png?x=1">\n<img src=\'bad.svg\'>'
        b'<td style="background:url(&quot;a b.png&quot;)">'
        b"<v:fill src='a%20b.png'><img src=https://elsewhere.example/x.png></html>"
    )
    delivery = make_delivery(html_source="", text_source="")
    report = importing.imported(
        delivery,
        "a.zip",
        zipped(
            {
                "page.html": page,
                "bg.gif": gif(),
                "a b.png": png(),
                "bad.svg": b"<svg/>",
                "page.txt": b"Hi <%= recipient.firstName %>",
            }
        ),
        actor=admin_actor(),
    )
    delivery.refresh_from_db()
    stops = said(report, Weight.STOPS)
    assert "line 3: no.png?x=1" in stops
    assert "bad.svg" in stops
    html = delivery.html_source
    assert html.count("/r/i/") == 3
    assert 'src="no.png?x=1"' in html
    assert "src=https://elsewhere.example/x.png" in html
    assert delivery.text_source == "Hi {{ recipient.firstName }}"
    assert Image.objects.count() == 2


def test_marks_of_the_product_are_translated_and_told_with_their_lines() -> None:
    page = (
        b"<html><body>\n<p>Hi <%= recipient.firstName %></p>\n"
        b"<% if (recipient.age > 18) { %>x<% } %>\n<% for (var i in x) { %>\n"
        b"<%@ include view='greetings' %>{{ nobody.name }}{{ recipient.nope }}</body></html>"
    )
    delivery = make_delivery(html_source="", text_source="")
    report = importing.imported(delivery, "a.html", page, actor=admin_actor())
    good, stops = said(report, Weight.GOOD), said(report, Weight.STOPS)
    assert "line 2: <%= recipient.firstName %> → {{ recipient.firstName }}" in good
    assert "line 3: <% if (recipient.age > 18) { %> → {% if recipient.age > 18 %}" in good
    assert "line 5: <%@ include view='greetings' %> → {% include \"greetings\" %}" in good
    assert "line 4: <% for (var i in x) { %>" in stops
    assert "line 5: {{ nobody.name }}" in stops


def test_mjml_is_imported_into_the_visual_editor() -> None:
    source = (
        b'<?xml version="1.0"?>\n<mjml><mj-body><mj-section><mj-column><mj-text>Hi <%= recipient.firstName %>'
        b'&nbsp;</mj-text><mj-image src="img/a.png" /></mj-column></mj-section></mj-body></mjml>'
    )
    delivery = make_delivery(html_source="", text_source="")
    report = importing.imported(
        delivery, "m.zip", zipped({"m.mjml": source, "img/a.png": png()}), actor=admin_actor()
    )
    delivery.refresh_from_db()
    assert report.drawn
    assert delivery.mjml_source.startswith("<mjml>")
    assert "{{ recipient.firstName }}" in delivery.html_source
    assert delivery.html_source.count("/r/i/") == 1


@pytest.mark.parametrize(
    ("encoding", "declared"), [("cp1252", b"windows-1252"), ("latin-1", b"iso-8859-1"), ("utf-16", b"")]
)
def test_a_page_is_read_in_its_own_encoding(encoding: str, declared: bytes) -> None:
    page = f'<html><meta charset="{declared.decode()}"><p>Élodie à Århus</p></html>'
    delivery = make_delivery(html_source="", text_source="")
    importing.imported(delivery, "a.htm", page.encode(encoding), actor=admin_actor())
    delivery.refresh_from_db()
    assert delivery.html_source == page


def _bomb() -> bytes:
    return zipped({"index.html": b"<html>", "big.png": b"\0" * 50_000_000})


def _lying() -> bytes:
    """An archive whose head says that a file is small."""
    made = bytearray(zipped({"index.html": b"<html>", "big.bin": b"\0" * 70_000_000}))
    place = made.rfind(b"PK\x01\x02")
    made[place + 24 : place + 28] = (1000).to_bytes(4, "little")
    return bytes(made)


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("a.zip", _bomb(), "grows to much more"),
        ("a.zip", _lying(), "damaged|grows|larger"),
        ("a.zip", zipped({"index.html": b"<html>", "../../etc/x.png": png()}), "leads out"),
        ("a.zip", zipped({"index.html": b"<html>", "/etc/x.png": png()}), "leads out"),
        ("a.zip", zipped({"index.html": b"<html>", "..\\..\\x.png": png()}), "leads out"),
        ("a.zip", zipped({"index.html": b"<html>", "C:\\x.png": png()}), "leads out"),
        ("a.zip", zipped({"index.html": b"<html>", **{f"{n}.png": b"x" for n in range(600)}}), "601 files"),
        ("a.zip", zipped({"a.png": png()}), "no HTML"),
        (
            "a.zip",
            zipped({"index.html": b"<html>" + b"x" * 2_100_000}, method=zipfile.ZIP_STORED),
            "larger than 2 MB",
        ),
        ("a.html", b"<html>" + b"x" * 2_100_000, "larger than 2 MB"),
        ("a.html", b"<html>" + b"{{" * 500_000, "without }}"),
        ("a.html", b"<html>" + b"<!--" * 400_000, "without -->"),
        ("a.html", b"<html>\0</html>", "no text"),
        ("a.html", b"", "empty"),
        ("a.html", b"just words", "no HTML"),
        ("a.pdf", b"%PDF-1.4", "cannot be imported"),
        ("a.mjml", b"<mjml><mj-body><mj-include path='/etc/passwd'/></mj-body></mjml>", "mj-include"),
        ("a.mjml", b"<mjml><mj-body>" + b"<mj-wrapper>" * 5000 + b"</mj-body></mjml>", "within each other"),
    ],
)
def test_hostile_files_are_refused_and_nothing_changes(name: str, data: bytes, why: str) -> None:
    delivery = make_delivery(html_source="<p>before</p>", text_source="before")
    with pytest.raises(Invalid, match=why):
        importing.imported(delivery, name, data, actor=admin_actor())
    delivery.refresh_from_db()
    assert (delivery.html_source, delivery.text_source) == ("<p>before</p>", "before")
    assert not Image.objects.exists()


def test_a_delivery_on_its_way_takes_nothing_in() -> None:
    delivery = make_delivery()
    Delivery.objects.filter(pk=delivery.pk).update(state=DeliveryState.IN_PROGRESS)
    delivery.refresh_from_db()
    with pytest.raises(Conflict):
        importing.imported(delivery, "a.html", b"<html><p>x</p></html>", actor=admin_actor())


def test_the_page_imports_and_shows_the_report() -> None:
    delivery = make_delivery(html_source="", text_source="")
    client = Client()
    client.force_login(
        make_operator("sofia", ("ADMINISTRATION",)), "django.contrib.auth.backends.ModelBackend"
    )
    address = f"/deliveries/{delivery.pk}/content/import"
    file = SimpleUploadedFile(
        "a.html", b"<html><body>\n<p><%= recipient.firstName %><% x(); %></p></body></html>"
    )
    page = client.post(address, {"do": "import", "file": file}).content.decode()
    assert "1 mark is translated." in page
    assert "line 2: &lt;% x(); %&gt;" in page
    refused = client.post(address, {"file": SimpleUploadedFile("a.pdf", b"%PDF")})
    assert refused.status_code == 400
    assert "cannot be imported" in refused.content.decode()
