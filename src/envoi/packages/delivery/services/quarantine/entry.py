"""How an address gets into quarantine, and how success clears it (delivery.md §3.4).

All in the caller's transaction, a few statements a batch. Rows are locked in the order of their addresses, so
that two who write of the same addresses wait for each other and never lock up.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import connection

from envoi.kernel import options
from envoi.kernel.rights import INTERNAL, Actor
from envoi.packages.delivery.models import AddressStatus, Channel, FailureType

FORGOTTEN: Final = timedelta(days=10)
"""After so long without an error the count begins anew."""
LONGEST_TEXT: Final = 4_000
_READER: Final = Actor(0, INTERNAL)
"""Options are read by all: no need to look the operator up for each batch."""
_SHUT: Final = (AddressStatus.QUARANTINE, AddressStatus.DENYLISTED)
_ANEW: Final = (AddressStatus.UNKNOWN, AddressStatus.VALID)


@dataclass(frozen=True, slots=True)
class Failure:
    """A message that failed. `failure_type` is what its qualified text says (`FailureType`), `complaint` that
    the person called it spam or replied STOP; `delivery_id` is None where the message is not known.
    """

    address: str
    channel: int
    delivery_id: int | None
    failure_type: int
    failure_reason: int
    text: str
    at: datetime
    complaint: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """When soft errors are too many: `most` of them, each `apart` from the one that counted before."""

    most: int = 5
    apart: timedelta = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of an address, as a row of `nms_address` has it."""

    status: int = AddressStatus.UNKNOWN
    count: int = 0
    last_error: datetime | None = None
    last_counted: datetime | None = None
    reason: int = 0
    text: str = field(default="", repr=False)
    delivery_id: int | None = None


def after(standing: Standing, failure: Failure, limits: Limits) -> Standing:
    """Return how an address stands after a failure: the entry algorithm, without a database."""
    if standing.status == int(AddressStatus.ALLOWLISTED) or not _counts(failure):
        return standing
    if standing.status in _ANEW:
        standing = replace(standing, count=0, last_error=None, last_counted=None)
    count, counted = standing.count, standing.last_counted
    status = int(standing.status)
    if failure.failure_type == int(FailureType.HARD) or failure.complaint:
        count += 1
        counted = _later(counted, failure.at)
        if failure.complaint:
            status = int(AddressStatus.DENYLISTED)
        elif status != int(AddressStatus.DENYLISTED):
            status = int(AddressStatus.QUARANTINE)
    else:
        if status not in _SHUT:
            status = int(AddressStatus.ERRORS)
            if standing.last_error and failure.at - standing.last_error > FORGOTTEN:
                count, counted = 0, None
        if counted is None or failure.at - counted >= limits.apart:
            count, counted = count + 1, failure.at
        if status == int(AddressStatus.ERRORS) and count >= limits.most:
            status = int(AddressStatus.QUARANTINE)
    return Standing(
        status,
        count,
        _later(standing.last_error, failure.at),
        counted,
        failure.failure_reason,
        failure.text[:LONGEST_TEXT].replace("\x00", ""),
        failure.delivery_id or standing.delivery_id,
    )


def note(failures: Sequence[Failure], *, now: datetime) -> dict[int, int]:
    """Let addresses bear their failures; return how many each delivery has brought into quarantine.

    Failures that say nothing about an address (ignored, not defined) may be among them.
    """
    bearing = sorted((each for each in failures if _counts(each) and each.address), key=lambda each: each.at)
    if not bearing:
        return {}
    known = _locked({(each.address, each.channel) for each in bearing}, now)
    limits = {channel: _limits(channel) for channel in {each.channel for each in bearing}}
    changed: dict[tuple[str, int], Standing] = {}
    new: Counter[int] = Counter()
    for each in bearing:
        key = (each.address, each.channel)
        number, before = known[key]
        found = after(before, each, limits[each.channel])
        if found is before:
            continue
        if found.status in _SHUT and before.status not in _SHUT and each.delivery_id:
            new[each.delivery_id] += 1
        known[key] = number, found
        changed[key] = found
    _write([(known[key][0], standing) for key, standing in changed.items()], now)
    return dict(new)


def succeeded(addresses: Sequence[tuple[str, int]], *, now: datetime) -> int:
    """Make addresses that had errors valid again, as a message reached them; return how many.

    `addresses`: (address, channel). Quarantine and denylist stay: a mail that arrives is no reason to leave
    them. An address of which another is just noting a failure is passed over, so that nobody locks up.
    """
    if not addresses:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(
            """UPDATE nms_address SET status = %(valid)s, error_count = 0, last_significant_error = NULL,
                 modified_at = %(now)s
               WHERE address_id IN (
                 SELECT a.address_id FROM nms_address a
                 WHERE a.status = 1 AND (a.address, a.type) IN (
                   SELECT address, type FROM unnest(%(addresses)s::text[], %(types)s::smallint[])
                     AS reached (address, type))
                 FOR UPDATE SKIP LOCKED)
               AND status = 1""",
            {
                "valid": int(AddressStatus.VALID),
                "now": now,
                "addresses": [address for address, _channel in addresses],
                "types": [int(channel) for _address, channel in addresses],
            },
        )
        return cursor.rowcount


def _counts(failure: Failure) -> bool:
    return failure.complaint or failure.failure_type in (FailureType.SOFT, FailureType.HARD)


def _later(one: datetime | None, other: datetime) -> datetime:
    return other if one is None else max(one, other)


def _limits(channel: int) -> Limits:
    kind = "Email" if channel == int(Channel.EMAIL) else "Mobile"
    most: Any = options.get(f"NmsNPAI_{kind}MaxError", actor=_READER, default=5)
    apart: Any = options.get(f"NmsNPAI_{kind}SignificantErrorDelay", actor=_READER, default=86_400)
    return Limits(max(int(most or 5), 1), timedelta(seconds=int(apart or 0)))


def _locked(keys: set[tuple[str, int]], now: datetime) -> dict[tuple[str, int], tuple[int, Standing]]:
    """Make sure that there are rows for these addresses, lock them, and return them."""
    ordered = sorted(keys)
    given = {
        "addresses": [address for address, _channel in ordered],
        "types": [int(channel) for _address, channel in ordered],
        "unknown": int(AddressStatus.UNKNOWN),
        "now": now,
    }
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO nms_address (address, type, status, error_reason, created_at, modified_at)
               SELECT address, type, %(unknown)s, 0, %(now)s, %(now)s
               FROM unnest(%(addresses)s::text[], %(types)s::smallint[]) AS failed (address, type)
               ORDER BY address, type
               ON CONFLICT (address, type) DO NOTHING""",
            given,
        )
        cursor.execute(
            """SELECT a.address, a.type, a.address_id, a.status, a.error_count, a.last_error,
                 a.last_significant_error, a.error_reason, a.error_text, a.delivery_id
               FROM nms_address a
               WHERE (a.address, a.type) IN (
                 SELECT address, type FROM unnest(%(addresses)s::text[], %(types)s::smallint[])
                   AS failed (address, type))
               ORDER BY a.address, a.type FOR UPDATE""",
            given,
        )
        return {
            (address, channel): (number, Standing(*rest))
            for address, channel, number, *rest in cursor.fetchall()
        }


def _write(changed: list[tuple[int, Standing]], now: datetime) -> None:
    if not changed:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            """UPDATE nms_address a SET status = f.status, error_count = f.count, last_error = f.last_error,
                 last_significant_error = f.counted, error_reason = f.reason, error_text = f.text,
                 delivery_id = (SELECT d.delivery_id FROM nms_delivery d WHERE d.delivery_id = f.delivery),
                 modified_at = %s
               FROM unnest(%s::bigint[], %s::smallint[], %s::int[], %s::timestamptz[], %s::timestamptz[],
                 %s::smallint[], %s::text[], %s::bigint[])
                 AS f (id, status, count, last_error, counted, reason, text, delivery)
               WHERE a.address_id = f.id""",
            [
                now,
                [number for number, _standing in changed],
                [int(each.status) for _number, each in changed],
                [each.count for _number, each in changed],
                [each.last_error for _number, each in changed],
                [each.last_counted for _number, each in changed],
                [int(each.reason) for _number, each in changed],
                [each.text for _number, each in changed],
                [each.delivery_id for _number, each in changed],
            ],
        )
