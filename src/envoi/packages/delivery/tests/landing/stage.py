"""A message that was sent, with the addresses of our pages in it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from html import unescape
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client

from envoi.kernel.config import TrackingConfig
from envoi.kernel.testing import admin_actor
from envoi.packages.delivery.models import Delivery, DeliveryPart, DeliveryState, Recipient
from envoi.packages.delivery.services import analysis, content
from envoi.packages.delivery.services.content.frozen import Rendered
from envoi.packages.delivery.services.redirection import tags
from envoi.packages.delivery.testing import make_delivery, make_recipients

HTML = (
    "<html><body><p>Dear {{ recipient.firstName }}</p>"
    '<a href="https://shop.example/sale?who={{ recipient.lastName }}">sale</a>'
    '<a class="m" href="{{ message.mirrorUrl }}">browser</a>'
    '<a class="u" href="{{ message.unsubscribeUrl }}">leave</a>'
    '<a class="p" href="{{ message.preferencesUrl }}">prefer</a>'
    '<a class="f" href="{{ message.forwardUrl }}">a friend</a>'
    '<a class="s" href="{{ message.shareUrl }}">share</a>'
    '<a class="r" href="{{ message.registrationUrl }}">subscribe</a></body></html>'
)


@dataclass
class Mail:
    """One message with the paths of our pages, as `track` leads to them."""

    delivery: Delivery
    id: int
    made: Rendered
    unsubscribe: str
    mirror: str
    preferences: str
    forward: str
    shared: str
    registration: str


def track(monkeypatch: pytest.MonkeyPatch) -> tags.Tags:
    """Let the instance have an address for readers."""
    config = replace(settings.ENVOI.config, tracking=replace(TrackingConfig(), url="https://t.example"))
    monkeypatch.setattr(settings, "ENVOI", replace(settings.ENVOI, config=config))
    return tags.tags(config.home, "https://t.example")


def person() -> Recipient:
    """Make who gets it."""
    (number,) = make_recipients(
        1, first_name="Ann", last_name="Lee", email="ann@example.org", language="en", black_list=0,
        black_list_email=0, email_format=0,
    )  # fmt: skip
    return Recipient.objects.get(pk=number)


def mailed(tracked: tags.Tags, **values: Any) -> Mail:
    """Analyse a delivery, make its first message and say that it was sent."""
    given = {"html_source": HTML, "text_source": "Dear {{ recipient.firstName }}", **values}
    delivery = make_delivery(given.pop("targeting", None), **given)
    run = analysis.work(analysis.start(delivery, actor=admin_actor(), queue=False).pk, actor=admin_actor())
    part = DeliveryPart.objects.filter(run=run).order_by("first_id").first()
    assert part is not None
    loaded = content.load(run)
    row = loaded.rows(run.storage, part.first_id, part.last_id)[0]
    made = loaded.render(row)
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE nms_broad_log_{run.storage} SET status = 1 WHERE run_id = %s", [run.pk])
    Delivery.objects.filter(pk=delivery.pk).update(state=DeliveryState.FINISHED)
    delivery.refresh_from_db()

    def at(name: str, path: str) -> str:
        found = re.search(rf'class="{name}" href="([^"]*)"', made.html)
        tag = tracked.read(unescape(found[1]).removeprefix("https://t.example")) if found else None
        if tag is None:
            return ""
        numbers = (f"{tag.broad_log_id:x}", f"{tag.delivery_id:x}", f"{tag.link:x}")
        return tracked.make("h", *numbers, tag.params, path=path).removeprefix("https://t.example")

    return Mail(
        delivery, row.id, made, at("u", tags.UNSUBSCRIBE), at("m", tags.MIRROR_PAGE),
        at("p", tags.PREFERENCES), at("f", tags.FORWARD), at("s", tags.MIRROR_PAGE),
        at("r", tags.SUBSCRIBE),
    )  # fmt: skip


def text(answer: Any, code: int = 200) -> str:
    """Return the text of a page."""
    assert answer.status_code == code, answer.content.decode()[-600:]
    body = answer.content.decode()
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", body[body.find("<main>") :])))


def send(client: Client, address: str, **given: Any) -> Any:
    """Fill in the form of a page and send it, as a browser does."""
    page = client.get(address)
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.content.decode())
    assert token, page.content.decode()[-500:]
    return client.post(address, {**given, "csrfmiddlewaretoken": token[1]})
