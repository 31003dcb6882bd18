"""What packages ship, and what operators made of it: nothing that an operator changed is overwritten.

For each shipped row the values last written are kept (`xtk_shipped`). When a new version ships other values,
the row as it stands is compared with them: unchanged rows follow the new version, changed ones stay and the
new values are noted as an offer, with the base that a three-way merge needs.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any

from envoi.kernel import clock
from envoi.kernel.models import ShippedRow


class Outcome(Enum):
    """What the caller has to do with its row."""

    CREATE = "create"
    UPDATE = "update"
    SAME = "same"
    KEPT = "kept"
    """Leave the row as it is and report it: an operator changed it, and the new version ships something else.
    """


def settle(
    entity: str, key: str, *, package: str, values: Mapping[str, Any], present: Mapping[str, Any] | None
) -> Outcome:
    """Compare what is shipped now with what was shipped before and with the row as it stands; note what was
    decided.

    `values` and `present` hold the same names with JSON values; `present` is None when there is no such row.
    The caller writes the row in the same transaction. Safe to repeat.
    """
    new, there = dict(values), None if present is None else dict(present)
    record = ShippedRow.objects.filter(entity=entity, key=key).first()
    if record is None:
        # A row that was there before us counts as changed unless it says just what we ship.
        outcome = Outcome.CREATE if there is None else Outcome.SAME if there == new else Outcome.KEPT
        ShippedRow.objects.create(
            entity=entity,
            key=key,
            package=package,
            values={} if outcome is Outcome.KEPT else new,
            offered=new if outcome is Outcome.KEPT else None,
            shipped_at=clock.now(),
        )
        return outcome
    if record.values == new:
        outcome = Outcome.SAME
    elif there == record.values:
        outcome = Outcome.UPDATE
    elif there == new:
        outcome = Outcome.SAME
    else:
        outcome = Outcome.KEPT
    accepted = record.values if outcome is Outcome.KEPT else new
    offered = new if outcome is Outcome.KEPT else None
    if (record.values, record.offered, record.package) != (accepted, offered, package):
        record.values, record.offered, record.package = accepted, offered, package
        record.shipped_at = clock.now()
        record.save()
    return outcome


def open_offers() -> list[tuple[str, str]]:
    """Return (entity, key) of every row whose newer shipped version waits for a decision."""
    return list(
        ShippedRow.objects.exclude(offered=None).order_by("entity", "key").values_list("entity", "key")
    )
