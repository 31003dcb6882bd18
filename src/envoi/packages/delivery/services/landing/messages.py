"""The message that a signed address speaks of, and who reads it."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.db import connection

from envoi.kernel.query.scope import quoted
from envoi.packages.delivery.models import Delivery, DeliveryRun, Flag, OptOut, Recipient, Service, Visitor
from envoi.packages.delivery.services import log_tables
from envoi.packages.delivery.services.landing.optouts import RECIPIENTS, SUBSCRIPTIONS
from envoi.packages.delivery.services.redirection import tags
from envoi.packages.delivery.services.redirection.tags import Tag

VISITORS = "visitor"


@dataclass(frozen=True)
class Message:
    """A row of a delivery log with its reader; `recipient_id` is 0 where there is no profile.

    `service`: what its reader subscribes to, when the message went to subscribers.
    """

    id: int
    run_id: int
    storage: str
    target_id: int
    address: str
    flags: int
    delivery: Delivery
    recipient_id: int = 0
    service: Service | None = None
    language: str = ""

    @property
    def is_test(self) -> bool:
        """It went to a seed address or as a proof: who reads it is not the person it speaks of."""
        return bool(self.flags & Flag.SEED) or self.delivery.fcp

    def tag(self, path: str) -> str:
        """Return path and query of another of our pages about this message."""
        made = tags.tags(settings.ENVOI.config.home, "")
        return made.make("h", f"{self.id:x}", f"{self.delivery.pk:x}", "0", path=path)


def read(target: str, path: str) -> Tag | None:
    """Return what the target of a request (`/r/u/?id=…`) says; None unless we have signed it for `path`."""
    config = settings.ENVOI.config
    tag = tags.tags(config.home, config.web.address).read(target) if target.isascii() else None
    return tag if tag is not None and tag.path == path else None


def find(broad_log_id: int, delivery_id: int) -> Message | None:
    """Return a message; None for one that is not there any more. Its delivery may be deleted: who wants to
    leave can.
    """
    delivery = Delivery.objects.filter(pk=delivery_id).select_related("mapping", "folder").first()
    if delivery is None:
        return None
    storages = DeliveryRun.objects.filter(delivery=delivery).exclude(storage="")
    for storage in storages.order_by("storage").values_list("storage", flat=True).distinct():
        with connection.cursor() as cursor:
            cursor.execute(
                f"""SELECT l.run_id, l.target_id, l.address, l.flags FROM nms_delivery_run r
                    JOIN {quoted(log_tables.table("broad_log", storage))} l
                      ON l.run_id = r.run_id AND l.id = %s
                    WHERE r.delivery_id = %s AND r.storage = %s""",  # noqa: S608 quoted
                [broad_log_id, delivery_id, storage],
            )
            row = cursor.fetchone()
        if row is not None:
            run_id, target_id, address, flags = row
            who, service, language = _reader(storage, target_id, broad_log_id, address, flags)
            return Message(
                broad_log_id, run_id, storage, target_id, address, flags, delivery, who, service, language
            )
    return None


def _reader(
    storage: str, target: int, message: int, address: str, flags: int
) -> tuple[int, Service | None, str]:
    """Return profile, service and language of who gets a message."""
    if flags & Flag.SEED:
        return 0, None, ""
    if storage == VISITORS:
        return 0, None, Visitor.objects.filter(pk=target).values_list("language", flat=True).first() or ""
    recipient, service = 0, None
    if storage == RECIPIENTS:
        recipient = target
    elif storage == SUBSCRIPTIONS:
        recipient, service = _subscriber(target, message, address)
    language = Recipient.objects.filter(pk=recipient).values_list("language", flat=True).first()
    return (0, None, "") if language is None else (recipient, service, language)


def _subscriber(subscription: int, message: int, address: str) -> tuple[int, Service | None]:
    """Return who subscribes, or has done so until leaving by this very message; where the subscription has
    ended otherwise, the one profile with the address, which may leave all e-mail.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT recipient_id, service_id FROM nms_subscription WHERE subscription_id = %s", [subscription]
        )
        row = cursor.fetchone()
    if row is None:
        left = OptOut.objects.filter(broad_log_id=message, service__isnull=False).order_by("-date").first()
        row = (left.recipient_id, left.service_id) if left else None
    if row is None:
        found = Recipient.objects.filter(email=address).values_list("recipient_id", flat=True)[:2]
        return (found[0], None) if len(found) == 1 else (0, None)
    return int(row[0]), Service.objects.filter(pk=row[1]).first()
