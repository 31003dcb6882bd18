"""Which content somebody has before them, and who has kept another one since (delivery.md §2.9).

A version is a digest of what the editors change: what else happens to a delivery makes no new one.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime

from envoi.kernel import audit
from envoi.kernel.models import AuditEntry
from envoi.packages.delivery.models import Delivery
from envoi.packages.delivery.services import variants
from envoi.packages.delivery.services.deliveries import records

_PARTS = (
    "subject", "from_name", "from_address", "reply_to", "html_source", "text_source", "mjml_source",
    "content_format", "content",
)  # fmt: skip


@dataclass(frozen=True)
class Change:
    """Who has kept a content, by the name of the operator, and when."""

    operator_name: str
    at: datetime


def version(delivery: Delivery) -> str:
    """Return the version of the content that a delivery, or the variant that it holds, has."""
    said = json.dumps([getattr(delivery, name) for name in _PARTS], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:24]


def latest(delivery: Delivery) -> Change:
    """Return the latest change of the content that the audit trail knows, else that of the delivery."""
    entry = (
        AuditEntry.objects.filter(
            entity=records.ENTITY,
            entity_id=delivery.pk,
            action=audit.MODIFIED,
            detail__changed__has_any_keys=sorted(records.CONTENT),
        )
        .order_by("-audit_id")
        .first()
    )
    if entry is not None:
        return Change(entry.operator_name, entry.at)
    made = delivery.created_by
    return Change(made.name if made else "", delivery.modified_at)


def newer(delivery: Delivery, seen: str) -> Change | None:
    """Return who has kept another content than the version that was seen; None when it is still that. In the
    caller's transaction the delivery waits for it, so that nobody comes between this and what follows.
    """
    now = Delivery.objects.select_for_update(of=("self",)).get(pk=delivery.pk)
    variants.enter(now, delivery.variant)
    return None if version(now) == seen else latest(now)
