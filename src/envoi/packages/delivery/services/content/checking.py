"""What is said about a content before anything is analysed: what stops it, what deserves a look."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from envoi.kernel.errors import Refused
from envoi.kernel.rights import Actor
from envoi.packages.delivery.models import Delivery
from envoi.packages.delivery.services.content import blocks, freezing, links, preview, settings, templates

CLIPPED = 102 * 1024
"""Bytes of HTML above which Gmail cuts a message off."""
_IMAGE = re.compile(r"<img\b[^>]*>", re.I)
_ALT = re.compile(r"\balt\s*=", re.I)
_RELATIVE = re.compile(r"\bsrc\s*=\s*[\"'](?!https?:|cid:|data:|//|\{)[^\"']", re.I)
_EMPTY_LINK = re.compile(r"<a\b[^>]*\bhref\s*=\s*[\"']#?[\"']", re.I)


class Weight(IntEnum):
    """How much a finding matters."""

    GOOD = 0
    LOOK = 1
    STOPS = 2


@dataclass(frozen=True)
class Finding:
    """One line: what it is, and what that means."""

    weight: Weight
    title: str
    text: str = ""


def check(delivery: Delivery, *, actor: Actor, reader: preview.Reader | None = None) -> list[Finding]:
    """Return what is found, the gravest first. A message is made for the reader, within its limit of time."""
    said = settings.read(delivery.content)
    try:
        sources = blocks.expanded(freezing.parts(delivery, said))
        freezing.complete(sources)
        shown = preview.preview(delivery, actor=actor, reader=reader, most=templates.UNASKED)
    except Refused as error:
        return [Finding(Weight.STOPS, _("It cannot be sent like this"), str(error))]
    html, text = sources["html"], sources["text"]
    found = [*_html(html, shown.size), *_leaving(html, text)]
    if html.strip() and not text.strip():
        found.append(
            Finding(
                Weight.LOOK,
                _("There is no text part"),
                _("Readers without HTML see nothing, and filters distrust such mail. Make one of it."),
            )
        )
    untracked = [each.address for each in links.in_html(html) if links.target(each) is None]
    if untracked:
        found.append(
            Finding(
                Weight.LOOK,
                ngettext("%(n)d link cannot be tracked", "%(n)d links cannot be tracked", len(untracked))
                % {"n": len(untracked)},
                _("Only the parameters of an address may be personal: %(link)s") % {"link": untracked[0]},
            )
        )
    found.append(Finding(Weight.GOOD, _("Every field is known and a message can be made")))
    return sorted(found, key=lambda each: -each.weight)


def _html(html: str, size: int) -> list[Finding]:
    found: list[Finding] = []
    images = _IMAGE.findall(html)
    if silent := [each for each in images if not _ALT.search(each)]:
        found.append(
            Finding(
                Weight.LOOK,
                ngettext(
                    "%(n)d image has no text alternative",
                    "%(n)d images have no text alternative",
                    len(silent),
                )
                % {"n": len(silent)},
                _("People who block images see nothing there."),
            )
        )
    if local := [each for each in images if _RELATIVE.search(each)]:
        found.append(
            Finding(
                Weight.LOOK,
                ngettext(
                    "%(n)d image has no complete address", "%(n)d images have no complete address", len(local)
                )
                % {"n": len(local)},
                _("A mail program cannot find it: write it with https:// and the host."),
            )
        )
    if empty := len(_EMPTY_LINK.findall(html)):
        found.append(
            Finding(
                Weight.LOOK,
                ngettext("%(n)d link leads nowhere", "%(n)d links lead nowhere", empty) % {"n": empty},
                _("Its address is empty or only a #."),
            )
        )
    if size > CLIPPED:
        found.append(
            Finding(
                Weight.LOOK,
                _("The HTML is long"),
                _("Gmail cuts a message off after 102 KB; this one has %(size)d KB.")
                % {"size": size // 1024},
            )
        )
    return found


def _leaving(html: str, text: str) -> list[Finding]:
    without = [
        name
        for name, source in ((_("HTML content"), html), (_("Text content"), text))
        if source.strip() and not re.search(r"unsubscribe|d[ée]sinscri|opt-?out", source, re.I)
    ]
    if not without:
        return [Finding(Weight.GOOD, _("There is a way to unsubscribe"))]
    return [
        Finding(
            Weight.LOOK,
            _("No way to unsubscribe"),
            _("Put the block “Unsubscription link” into: %(parts)s.") % {"parts": ", ".join(without)},
        )
    ]
