"""Files that go with every message of a delivery (delivery.md §2.9)."""

import mimetypes
from collections.abc import Sequence
from datetime import timedelta

from django.db import connection, transaction
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from envoi.kernel import clock, options
from envoi.kernel.errors import Invalid, NotFound
from envoi.kernel.rights import Actor, Right, internal
from envoi.packages.delivery.models import Delivery, DeliveryAttachment
from envoi.packages.delivery.services.content import settings
from envoi.packages.delivery.services.content.findings import Finding, Weight
from envoi.packages.delivery.services.deliveries import records
from envoi.packages.delivery.services.sending.mime import Attachment, Skeleton

MOST = 10 * 1024 * 1024
"""Bytes of one file; mail servers refuse what is larger."""
RECOMMENDED = "NmsDelivery_MaxRecommendedAttachments"
_YOUNG = timedelta(days=1)
_BATCH = 100
_RUNS = (".exe", ".bat", ".cmd", ".com", ".js", ".scr", ".vbs", ".msi", ".jar", ".ps1")


def add(delivery: Delivery, name: str, content: bytes, *, actor: Actor) -> DeliveryAttachment:
    """Attach a file to a delivery that can be changed; one that was ready is analysed anew.

    Raises Invalid for a file that is empty, too large, or that mail servers refuse; NotAllowed, Conflict.
    """
    plain = name.replace("\\", "/").rpartition("/")[2].strip()
    if not plain or not plain.isprintable() or len(plain) > 128:
        raise Invalid(_("A file needs a name of at most 128 characters."))
    if plain.lower().endswith(_RUNS):
        raise Invalid(_("%(name)s is a program: mail servers refuse it.") % {"name": plain})
    if not 0 < len(content) <= MOST:
        raise Invalid(_("%(name)s is empty or larger than 10 MB.") % {"name": plain})
    kind = mimetypes.guess_type(plain)[0] or "application/octet-stream"
    # The frame of the message has the last word on names and types.
    Skeleton(text=True, html=False, attachments=(Attachment(plain, kind, b""),))
    with transaction.atomic():
        made = DeliveryAttachment.objects.create(
            delivery=delivery,
            name=plain,
            content_type=kind,
            size=len(content),
            content=content,
            created_at=clock.now(),
        )
        _change(delivery, (*settings.read(delivery.content).attachments, made.pk), actor)
    return made


def remove(delivery: Delivery, number: int, *, actor: Actor) -> None:
    """Take a file away again. Raises NotFound, NotAllowed, Conflict."""
    there = settings.read(delivery.content).attachments
    if number not in there:
        raise NotFound(_("This file is not attached any more."))
    _change(delivery, tuple(each for each in there if each != number), actor)


def of(delivery: Delivery) -> list[DeliveryAttachment]:
    """Return what is attached, without the bytes."""
    said = settings.read(delivery.content)
    found = DeliveryAttachment.objects.defer("content").in_bulk(said.attachments)
    return [found[each] for each in said.attachments if each in found]


def findings(delivery: Delivery) -> list[Finding]:
    """Return what is to be said about the files of a delivery."""
    said = settings.read(delivery.content).attachments
    found = of(delivery)
    made: list[Finding] = []
    if gone := [each for each in said if each not in {file.pk for file in found}]:
        text = _("Detach it, or attach it again: %(numbers)s.") % {"numbers": ", ".join(map(str, gone))}
        made.append(Finding(Weight.STOPS, _("An attached file is there no more"), text))
    most = int(str(options.get(RECOMMENDED, actor=internal(), default=1)))
    if len(said) > most:
        title = ngettext("%(n)d file is attached", "%(n)d files are attached", len(said)) % {"n": len(said)}
        text = _("More than %(most)d makes messages heavy and mistrusted: link to them instead.")
        made.append(Finding(Weight.LOOK, title, text % {"most": most}))
    return made


def carried(numbers: Sequence[int]) -> tuple[Attachment, ...]:
    """Return files as messages carry them."""
    found = DeliveryAttachment.objects.in_bulk(list(numbers))
    return tuple(
        Attachment(found[each].name, found[each].content_type, bytes(found[each].content))
        for each in numbers
        if each in found
    )


def purge_attachments(*, actor: Actor) -> int:
    """Delete files that no content names any more, of a delivery or of an analysis; returns how many.

    Called by the nightly cleanup, outside a transaction; safe to run at any time. What was attached or taken
    away in the last day stays, since a copy may be in the making. Raises NotAllowed without ADMINISTRATION.
    """
    actor.require(Right.ADMINISTRATION, to=_("clean up deliveries"))
    since, gone = clock.now() - _YOUNG, 0
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                """DELETE FROM nms_delivery_attachment WHERE delivery_attachment_id IN (
                     SELECT a.delivery_attachment_id FROM nms_delivery_attachment a
                     LEFT JOIN nms_delivery d ON d.delivery_id = a.delivery_id AND d.delete_status = 0
                     WHERE a.created_at < %(since)s AND coalesce(d.modified_at < %(since)s, true)
                       AND a.delivery_attachment_id NOT IN (
                         SELECT number::bigint FROM nms_delivery n CROSS JOIN LATERAL
                           jsonb_array_elements_text(n.content->'attachments') AS number
                         WHERE n.delete_status = 0 AND jsonb_typeof(n.content->'attachments') = 'array'
                         UNION ALL
                         SELECT number::bigint FROM nms_delivery_content c JOIN nms_delivery n
                           ON n.delivery_id = c.delivery_id AND n.delete_status = 0 CROSS JOIN LATERAL
                           jsonb_array_elements_text(c.settings->'said'->'attachments') AS number
                         WHERE jsonb_typeof(c.settings->'said'->'attachments') = 'array')
                     ORDER BY a.delivery_attachment_id LIMIT %(most)s)""",
                {"since": since, "most": _BATCH},
            )
            gone += cursor.rowcount
            if cursor.rowcount < _BATCH:
                return gone


def _change(delivery: Delivery, numbers: tuple[int, ...], actor: Actor) -> None:
    records.change(delivery, {"content": {**delivery.content, "attachments": list(numbers)}}, actor=actor)
