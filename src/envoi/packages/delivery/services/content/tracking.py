"""Links of a delivery become rows when its content is frozen, and tags in its templates (delivery.md §4)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from django.db import connection

from envoi.packages.delivery.models import Delivery, TrackingUrl, UrlType
from envoi.packages.delivery.services.content import links
from envoi.packages.delivery.services.content.addresses import PAGES
from envoi.packages.delivery.services.redirection import tags

_PIXEL = '<img src="{{ _open()|safe }}" width="1" height="1" border="0" alt="">'
_OWN = re.compile(rf"\{{\{{-?\s*message\.({'|'.join(PAGES)})\s*-?\}}\}}")


@dataclass
class Tracked:
    """Templates with their links replaced. `links`: the number of each in the order that templates count;
    `own`: those of the pages that are ours. `untracked`: personal beyond their parameters.
    """

    sources: dict[str, str]
    links: list[int] = field(default_factory=list[int])
    own: dict[str, int] = field(default_factory=dict[str, int])
    untracked: list[str] = field(default_factory=list[str])


def own_pages(sources: Mapping[str, str]) -> dict[str, str]:
    """Return templates in which addresses of our own pages are not escaped twice."""
    made = dict(sources)
    for name, part in _bodies(sources):
        call = r"{{ _html_page('\1')|safe }}" if part == "html" else r"{{ _text_page('\1') }}"
        made[name] = _OWN.sub(call, made[name])
    return made


def track(delivery: Delivery, sources: Mapping[str, str], *, opens: bool, now: datetime) -> Tracked:
    """Make the links of HTML and text tracked ones, in the caller's transaction."""
    made = Tracked(dict(sources))
    found: list[links.Target] = []
    places: dict[str, int] = {}

    def call(link: links.Link) -> str:
        target = links.target(link)
        if target is None:
            made.untracked.append(link.address)
            return ""
        if target.url not in places:
            places[target.url] = len(found)
            found.append(target)
        return f"({places[target.url]}{''.join(f', ({each})' for each in target.params)})"

    def in_html(link: links.Link) -> str | None:
        return f"{{{{ _html{called}|safe }}}}" if (called := call(link)) else None

    def in_text(link: links.Link) -> str | None:
        return f"{{{{ _text{called} }}}}" if (called := call(link)) else None

    for name, part in _bodies(sources):
        text = made.sources[name]
        if part == "html":
            made.sources[name] = links.replaced(text, links.in_html(text), in_html)
        else:
            made.sources[name] = links.replaced(text, links.in_text(text), in_text)
    rows = [(UrlType.CLICK, each.url, each.label) for each in found]
    numbers = _rows(delivery, [*rows, (UrlType.OPT_OUT, "", ""), (UrlType.MIRROR, "", "")], now)
    made.links = numbers[: len(found)]
    made.own = {"unsubscribeUrl": numbers[-2], "mirrorUrl": numbers[-1]}
    for name, part in _bodies(sources):
        if opens and part == "html" and made.sources[name]:
            made.sources[name] = links.before_end(made.sources[name], _PIXEL)
    return made


def _bodies(sources: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the names of HTML and text, also of variants (`fr/html`), and which of both each is."""
    named = [(name, name.rpartition("/")[2]) for name in sources]
    return [each for each in named if each[1] in ("html", "text")]


def plant(now: datetime) -> None:
    """Plant the link that stands for opens."""
    TrackingUrl.objects.get_or_create(
        tracking_url_id=tags.OPEN,
        defaults={"type": UrlType.OPEN, "url": "", "digest": _digest(""), "label": "Open", "created_at": now},
    )


def _rows(delivery: Delivery, wanted: list[tuple[UrlType, str, str]], now: datetime) -> list[int]:
    """Find or make the row of each link; returns their numbers in the same order."""
    keys = [(int(kind), _digest(url)) for kind, url, _label in wanted]
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO nms_tracking_url (delivery_id, type, url, digest, label, category, created_at)
               SELECT %s, kind, url, digest, label, '', %s
               FROM unnest(%s::smallint[], %s::text[], %s::text[], %s::text[]) AS l (kind, url, digest, label)
               ON CONFLICT (delivery_id, type, digest) DO UPDATE SET digest = EXCLUDED.digest
               RETURNING type, digest, tracking_url_id""",
            [
                delivery.pk,
                now,
                [kind for kind, _digest in keys],
                [url for _kind, url, _label in wanted],
                [digest for _kind, digest in keys],
                [label for _kind, _url, label in wanted],
            ],
        )
        found = {(kind, digest): number for kind, digest, number in cursor.fetchall()}
    return [found[key] for key in keys]


def _digest(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()[:32]
