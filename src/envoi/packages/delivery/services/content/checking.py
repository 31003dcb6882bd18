"""What is said about a content before anything is analysed: what stops it, what deserves a look."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from envoi.kernel.errors import Refused
from envoi.kernel.rights import Actor
from envoi.packages.delivery.models import Delivery
from envoi.packages.delivery.services.content import (
    attachments,
    emptiness,
    freezing,
    preview,
    reaching,
    settings,
    spotting,
    templates,
)
from envoi.packages.delivery.services.content.findings import Finding, Weight
from envoi.packages.delivery.services.content.spotting import CLIPPED

__all__ = ["CLIPPED", "Finding", "Weight", "check", "deeper"]


def check(delivery: Delivery, *, actor: Actor, reader: preview.Reader | None = None) -> list[Finding]:
    """Return what is found, the gravest first. A message is made for the reader, within its limit of time.

    An object that holds a variant is looked at as such.
    """
    said = settings.read(delivery.content)
    try:
        sources = freezing.expanded(delivery, said)
        freezing.complete(sources)
        shown = preview.preview(delivery, actor=actor, reader=reader, most=templates.UNASKED, chosen=False)
    except Refused as error:
        return [Finding(Weight.STOPS, _("It cannot be sent like this"), str(error))]
    html, text, subject = sources["html"], sources["text"], sources["subject"]
    found = [
        *spotting.in_links(html),
        *spotting.in_pictures(html),
        *spotting.in_colours(html),
        *spotting.in_words(subject, html, text),
        *spotting.in_subject(subject, html),
        *spotting.in_parts(html, text, shown.size),
        *attachments.findings(delivery),
        Finding(Weight.GOOD, _("Every field is known and a message can be made")),
    ]
    return sorted(found, key=lambda each: -each.weight)


def deeper(delivery: Delivery, *, actor: Actor) -> list[Finding]:
    """Return what takes a while to find: links that do not answer, fields that are empty for some."""
    try:
        sources = freezing.expanded(delivery, settings.read(delivery.content))
        counted = emptiness.count(delivery, actor=actor)
    except Refused as error:
        return [Finding(Weight.STOPS, _("It cannot be sent like this"), str(error))]
    asked = reaching.addresses(sources["html"], sources["text"])
    dead = reaching.dead(asked)
    found = [
        Finding(Weight.LOOK, _("A link does not answer"), f"{address}: {problem}")
        for address, problem in dead
    ]
    if asked and not dead:
        count = min(len(asked), reaching.MOST)
        title = ngettext("%(n)d link answers", "%(n)d links answer", count)
        found.append(Finding(Weight.GOOD, title % {"n": count}))
    if counted is None:
        return found
    whole, lacking = counted
    for path, quantity in sorted(lacking.items(), key=lambda each: -each[1]):
        title = ngettext(
            "%(path)s is empty for %(n)d of %(whole)d", "%(path)s is empty for %(n)d of %(whole)d", quantity
        )
        text = _("Give another word for them: {{ %(path)s or '…' }}, or put a condition around it.")
        found.append(
            Finding(
                Weight.LOOK,
                title % {"path": path, "n": quantity, "whole": whole},
                text % {"path": path},
            )
        )
    if not lacking:
        found.append(Finding(Weight.GOOD, _("Every field is filled for everybody")))
    return found
