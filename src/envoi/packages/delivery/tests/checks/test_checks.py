"""What is said about a content before it is analysed: each finding with its place."""

import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from django.test import Client

from envoi.kernel.config import NetworkConfig
from envoi.kernel.errors import Conflict
from envoi.kernel.testing import admin_actor, make_operator
from envoi.packages.delivery.models import Delivery, DeliveryAttachment, JobLevel, JobLog, Recipient
from envoi.packages.delivery.services import analysis, deliveries
from envoi.packages.delivery.services.content import (
    attachments,
    checking,
    contrast,
    emptiness,
    reaching,
    spotting,
)
from envoi.packages.delivery.testing import make_delivery, make_recipients

GOOD = """<div style="display:none">The news of May</div><h1>Good day</h1>
<p style="color:#333;background:#fff">{{ recipient.firstName }}, these are the news of this month,
written for you alone.</p><img src="https://shop.example/a.png" alt="Shoes">
<a href="https://shop.example/?c={{ recipient.lastName }}">Look</a>
<a href="https://shop.example/unsubscribe">Leave</a>"""


def titles(found: Any) -> dict[str, int]:
    return {each.title: each.line for each in found if each.weight}


@pytest.mark.django_db
def test_a_good_message_has_no_findings() -> None:
    delivery = make_delivery(subject="News of May", html_source=GOOD)
    assert titles(checking.check(delivery, actor=admin_actor())) == {}


@pytest.mark.parametrize(
    ("html", "title", "line"),
    [
        ("\n<a href='#'>x</a>", "A link leads nowhere", 2),
        ("\n\n<a href='http://{{ recipient.text1 }}'>x</a>", "The host of a link is personal", 3),
        ("<a href='https://shop..example/'>x</a>", "A link is malformed", 1),
        ("<a href='https://shop .example/'>x</a>", "A link is malformed", 1),
        ("<a href='https://shop/x'>x</a>", "A link is malformed", 1),
        ("<a href='https://shop.example/{{ recipient.text1 }}'>x</a>", "A link cannot be tracked", 1),
        (
            "<a href='https://shop.example/a'>\nhttps://shop.example/</a>",
            "The text of a link is an address",
            1,
        ),
    ],
)
def test_links(html: str, title: str, line: int) -> None:
    assert titles(spotting.in_links(html)) == {title: line}


def test_pictures_words_and_shape() -> None:
    assert titles(spotting.in_pictures("\n<img src='https://a.example/x.png'>")) == {
        "1 image has no text alternative": 2,
        "The message is pictures only": 2,
    }
    assert "1 image has no complete address" in titles(spotting.in_pictures("<img alt='' src='x.png'>"))
    assert "A picture stands in the HTML itself" in titles(
        spotting.in_pictures("<img alt='' src='data:image/png,'>")
    )
    shouted = titles(spotting.in_words("ACT NOW AND BUY!!!", "<p>Risk free</p>", ""))
    assert set(shouted) == {
        "Words that filters look for", "The subject is in capitals", "There are many exclamation marks",
    }  # fmt: skip
    assert "Words that filters look for" in titles(
        spotting.in_words("", "<p>Cliquez ici, c’est gratuit</p>", "")
    )
    # Of a word within another nothing is said.
    assert titles(spotting.in_words("Prizewinning gratuités, cheaper", "<p>urgently</p>", "")) == {}
    assert set(titles(spotting.in_subject("x" * 71, "<p>x</p>"))) == {
        "The subject is long",
        "There is no preheader",
    }
    assert set(titles(spotting.in_parts("<p>x</p>", "", 200_000))) == {
        "The HTML is long", "There is no text part", "No way to unsubscribe",
    }  # fmt: skip


def test_contrast_is_that_of_wcag() -> None:
    assert contrast.ratio((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    assert contrast.ratio((119, 119, 119), (255, 255, 255)) == pytest.approx(4.48, abs=0.01)
    html = """<div style="background:#222"><p style="color:#333">dark</p>
        <b style="color:white">light</b></div>
        <p style="color:#777">grey</p><p style="color:#767676">just enough</p>
        <h1 style="color:#949494">large</h1><td bgcolor="yellow">
        <font color="#fff">pale</font></td>
        <p style="color:#fff;display:none">hidden</p>
        <p style="background:url(x.png);color:#fff">on a picture</p>"""
    assert [each.text for each in contrast.weak(html)] == ["dark", "grey", "pale"]
    # What a class may change is not judged.
    styled = "<style>.a{color:#000}</style><p class='a'>x</p><div style='color:#eee'><p class='a'>y</p></div>"
    assert contrast.weak(styled) == []


@pytest.mark.django_db
def test_empty_fields_are_counted_in_the_target_with_rights() -> None:
    here = list(make_recipients(5, black_list=0, text1="here", first_name="Zoë", city=""))
    make_recipients(3, start=6, first_name="", text1="there")
    Recipient.objects.filter(pk__in=here[:2]).update(first_name="")
    names = ("recipient.firstName", "recipient.lastName", "recipient.location.city", "delivery.label")
    text = " ".join(f"{{{{ {name} }}}}" for name in names)
    delivery = make_delivery({"filter": "@text1 = 'here'"}, text_source=text)
    counted = emptiness.count(delivery, actor=admin_actor())
    assert counted == (5, {"recipient.firstName": 2, "recipient.location.city": 5})
    assert emptiness.count(make_delivery({"lists": ["x"]}), actor=admin_actor()) is None
    found = titles(checking.deeper(delivery, actor=admin_actor()))
    assert "recipient.firstName is empty for 2 of 5" in found


class _Pages(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_response({"/gone": 404, "/no-head": 405}.get(self.path, 200))
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


def test_links_are_asked_for_but_none_of_a_private_network(settings: Any) -> None:
    server = HTTPServer(("127.0.0.1", 0), _Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    at = f"http://127.0.0.1:{server.server_port}"
    try:
        html = "".join(f"<a href='{at}/{name}'>x</a>" for name in ("gone", "no-head", "x", "x"))
        asked = reaching.addresses(html, "https://shop.example/{{ recipient.text1 }}")
        assert asked == [f"{at}/gone", f"{at}/no-head", f"{at}/x"]
        private = reaching.dead(asked)
        assert [address for address, _why in private] == asked
        assert "private network" in private[0][1]
        settings.CONFIG = replace(settings.CONFIG, network=NetworkConfig(allow_private=("127.0.0.0/8",)))
        assert [address for address, _why in reaching.dead(asked)] == [f"{at}/gone"]
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.django_db
def test_files_that_are_many_or_gone() -> None:
    make_recipients(1, black_list=0)
    delivery = make_delivery()
    files = [attachments.add(delivery, f"{name}.txt", b"x", actor=admin_actor()) for name in "ab"]
    delivery.refresh_from_db()
    assert "2 files are attached" in titles(checking.check(delivery, actor=admin_actor()))
    run = analysis.work(analysis.start(delivery, actor=admin_actor(), queue=False).pk, actor=admin_actor())
    warned = [deliveries.text(each) for each in JobLog.objects.filter(run=run, level=JobLevel.WARNING)]
    assert "Many files go with each message: 2." in warned
    DeliveryAttachment.objects.filter(pk=files[0].pk).delete()
    with pytest.raises(Conflict, match=str(files[0].pk)):
        deliveries.create(delivery, actor=admin_actor(), label="copy")
    assert "An attached file is there no more" in titles(checking.check(delivery, actor=admin_actor()))
    delivery.refresh_from_db()
    run = analysis.work(analysis.start(delivery, actor=admin_actor(), queue=False).pk, actor=admin_actor())
    assert any(
        "there no more" in str(each.detail) for each in JobLog.objects.filter(run=run, level=JobLevel.ERROR)
    )


@pytest.mark.django_db
def test_the_page_shows_places_and_looks_deeper_when_asked() -> None:
    make_recipients(2, black_list=0, first_name="")
    delivery = make_delivery(
        html_source="<p>x</p>\n<a href='#'>y</a>{{ recipient.firstName }}", text_source="unsubscribe"
    )
    client = Client()
    client.force_login(
        make_operator("sofia", ("PREPARE DELIVERIES",)), "django.contrib.auth.backends.ModelBackend"
    )
    page = client.get(f"/deliveries/{delivery.pk}/content").content.decode()
    assert "A link leads nowhere" in page
    assert "line 2" in page
    answer = client.post(f"/deliveries/{delivery.pk}/content/checks").content.decode()
    assert "recipient.firstName is empty for" in answer
    assert Delivery.objects.get(pk=delivery.pk).html_source == delivery.html_source
