"""Pictures are taken in by what their bytes say, kept once, served for ever, not removed under a message."""

import pytest
from django.test import Client

from envoi.kernel.errors import Conflict, Invalid, NotAllowed
from envoi.kernel.rights import actor_of
from envoi.kernel.testing import admin_actor, make_operator
from envoi.packages.delivery.models import Image, IncludeView
from envoi.packages.delivery.services.content import images
from envoi.packages.delivery.testing import make_delivery
from envoi.packages.delivery.tests.editor.pictures import gif, jpeg, png, webp

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("content", "look"),
    [
        (png(4, 3), images.Look("image/png", 4, 3)),
        (gif(5, 2), images.Look("image/gif", 5, 2)),
        (jpeg(7, 6), images.Look("image/jpeg", 7, 6)),
        (webp(9, 8), images.Look("image/webp", 9, 8)),
        (png()[:-5], None),
        (jpeg()[:-2], None),
        (webp()[:-1], None),
        (b"\x89PNG\r\n\x1a\n", None),
        (b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', None),
        (b"<html>", None),
        (b"GIF89a<script>", None),
        (b"", None),
    ],
)
def test_a_picture_is_what_its_bytes_say(content: bytes, look: images.Look | None) -> None:
    assert images.recognised(content) == look


def test_the_same_picture_is_kept_once() -> None:
    first, new = images.add("a/b/Sea.png", png(), actor=admin_actor(), alt=" The sea ")
    assert new
    assert (first.label, first.alt, first.width, first.height) == ("Sea.png", "The sea", 4, 3)
    again, new = images.add("other.gif", png(), actor=admin_actor())
    assert (again.pk, new) == (first.pk, False)
    assert images.address(first) == f"http://127.0.0.1:8080/r/i/{first.digest}.png"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.svg", b"<svg/>", "no PNG"),
        ("a.png", b"<html><script>", "no PNG"),
        ("a.png", b"", "empty or larger"),
        ("a.png", b"\x89PNG" + b"x" * images.MOST, "empty or larger"),
        ("a.png", png(9000, 1), "9000"),
        ("a\x07.png", png(), "printable"),
    ],
)
def test_what_is_no_picture_is_refused(name: str, content: bytes, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        images.add(name, content, actor=admin_actor())
    assert not Image.objects.exists()


def test_who_may_not_prepare_deliveries_adds_no_picture() -> None:
    with pytest.raises(NotAllowed):
        images.add("a.png", png(), actor=actor_of(make_operator("reader")))


def test_readers_get_a_picture_without_signing_in_and_keep_it() -> None:
    image, _new = images.add("sea.png", png(), actor=admin_actor())
    answer = Client().get(images.path(image))
    assert (answer.status_code, answer.content, answer["Content-Type"]) == (200, png(), "image/png")
    assert answer["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "Set-Cookie" not in answer.headers
    assert not answer.cookies
    again = Client().get(images.path(image), headers={"If-None-Match": answer["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    head = Client().head(images.path(image))
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize(
    "name", ["0" * 32 + ".png", "x.png", "..%2f..%2fetc%2fpasswd", "0" * 32 + ".svg", "A" * 32 + ".png"]
)
def test_what_is_no_picture_is_not_found(name: str) -> None:
    image, _new = images.add("sea.png", png(), actor=admin_actor())
    assert Client().get(f"/r/i/{name}").status_code == 404
    assert Client().get(f"/r/i/{image.digest}.gif").status_code == 404
    assert Client().post(images.path(image)).status_code in (403, 405)


def test_a_picture_that_a_message_shows_stays() -> None:
    image, _new = images.add("sea.png", png(), actor=admin_actor())
    delivery = make_delivery(label="Spring", html_source=f'<img src="{images.address(image)}">')
    block = IncludeView.objects.get(name="footer")
    assert images.used_by(image) == ["Spring"]
    with pytest.raises(Conflict, match="Spring"):
        images.remove(image, actor=admin_actor())
    delivery.html_source = ""
    delivery.save()
    block.html_source += images.path(image)
    block.save()
    with pytest.raises(Conflict, match="footer"):
        images.remove(image, actor=admin_actor())
    block.html_source = ""
    block.save()
    images.remove(image, actor=admin_actor())
    assert Client().get(images.path(image)).status_code == 404
