"""A person who wants no more mails says so by mail (RFC 2369): the profile refuses e-mail from then on."""

from collections.abc import Sequence
from datetime import datetime

from django.db import connection

from envoi.packages.delivery.models import Channel, FailureReason, FailureType
from envoi.packages.delivery.services.inbound.logs import SEED, Sent
from envoi.packages.delivery.services.quarantine import Failure

_PROFILES = {
    "rcp": "SELECT unnest(%s::bigint[])",
    "sub": "SELECT recipient_id FROM nms_subscription WHERE subscription_id = ANY(%s)",
}
"""Which profiles are behind the targets of a storage."""


def opt_out(messages: Sequence[Sent], *, now: datetime) -> list[Failure]:
    """Let the persons behind these messages refuse e-mail, in the caller's transaction.

    Returns what must be said of the addresses of those who have no profile that could refuse: nothing is
    sent to them either.
    """
    addresses: list[Failure] = []
    by_storage: dict[str, list[int]] = {}
    for each in messages:
        if each.flags & SEED:
            continue
        if each.storage in _PROFILES:
            by_storage.setdefault(each.storage, []).append(each.target_id)
        else:
            addresses.append(
                Failure(
                    each.address, Channel.EMAIL, each.delivery_id, FailureType.HARD,
                    FailureReason.DENYLISTED, "unsubscribe", now, complaint=True,
                )
            )  # fmt: skip
    for storage, targets in sorted(by_storage.items()):
        with connection.cursor() as cursor:
            cursor.execute(
                f"""UPDATE nms_recipient SET black_list_email = 1, modified_at = %s
                    WHERE recipient_id IN ({_PROFILES[storage]}) AND black_list_email <> 1""",  # noqa: S608 our own
                [now, sorted(targets)],
            )
    return addresses
