"""Links of a delivery become rows when its content is frozen, and tags in its templates (delivery.md §4)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection

from envoi.packages.delivery.models import Delivery, TrackingUrl, UrlType
from envoi.packages.delivery.services.content import link_settings, links
from envoi.packages.delivery.services.content.addresses import PAGES
from envoi.packages.delivery.services.redirection import tags

_PIXEL = '<img src="{{ _open()|safe }}" width="1" height="1" border="0" alt="">'
_NOTHING = link_settings.Said()
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


def with_parameters(sources: Mapping[str, str], params: str) -> dict[str, str]:
    """Return templates whose links have further parameters."""
    made = dict(sources)
    for name, part in _bodies(sources):
        made[name] = link_settings.with_parameters(made[name], params, html=part == "html")
    return made


def written(sources: Mapping[str, str]) -> list[links.Target]:
    """Return where the links of templates lead that can be tracked, each once."""
    found: dict[str, links.Target] = {}
    for name, part in _bodies(sources):
        for link in links.in_html(sources[name]) if part == "html" else links.in_text(sources[name]):
            if (target := links.target(link)) is not None:
                found.setdefault(target.url, target)
    return list(found.values())


def track(
    delivery: Delivery,
    sources: Mapping[str, str],
    *,
    opens: bool,
    now: datetime,
    said: Mapping[str, Mapping[str, Any]] | None = None,
    params: str = "",
) -> Tracked:
    """Make the links of HTML and text tracked ones, in the caller's transaction. `said` is what the content
    says of single ones, by their address without the `params` that were added.
    """
    made = Tracked(dict(sources))
    wishes = link_settings.of([link_settings.bare(each.url, params) for each in written(sources)], said or {})
    found: list[links.Target] = []
    places: dict[str, int] = {}

    def wished(target: links.Target) -> link_settings.Said:
        return wishes.get(link_settings.bare(target.url, params), _NOTHING)

    def call(link: links.Link) -> str:
        target = links.target(link)
        if target is None:
            made.untracked.append(link.address)
            return ""
        if not wished(target).tracked:
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
    rows = [
        (UrlType.CLICK, each.url, wished(each).label or each.label, wished(each).category) for each in found
    ]
    numbers = _rows(delivery, [*rows, (UrlType.OPT_OUT, "", "", ""), (UrlType.MIRROR, "", "", "")], now)
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


def _rows(delivery: Delivery, wanted: list[tuple[UrlType, str, str, str]], now: datetime) -> list[int]:
    """Find or make the row of each link; returns their numbers in the same order."""
    keys = [(int(kind), _digest(url)) for kind, url, _label, _category in wanted]
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO nms_tracking_url (delivery_id, type, url, digest, label, category, created_at)
               SELECT %s, kind, url, digest, label, category, %s
               FROM unnest(%s::smallint[], %s::text[], %s::text[], %s::text[], %s::text[])
                 AS l (kind, url, digest, label, category)
               ON CONFLICT (delivery_id, type, digest) DO UPDATE SET
                 label = coalesce(nullif(EXCLUDED.label, ''), nms_tracking_url.label),
                 category = coalesce(nullif(EXCLUDED.category, ''), nms_tracking_url.category)
               RETURNING type, digest, tracking_url_id""",
            [
                delivery.pk,
                now,
                [kind for kind, _digest in keys],
                [url for _kind, url, _label, _category in wanted],
                [digest for _kind, digest in keys],
                [label for _kind, _url, label, _category in wanted],
                [category for _kind, _url, _label, category in wanted],
            ],
        )
        found = {(kind, digest): number for kind, digest, number in cursor.fetchall()}
    return [found[key] for key in keys]


def _digest(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()[:32]
