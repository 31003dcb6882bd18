"""How far tracking has come, as options under the product's names. They are marks of a machine: no change of
them is written to the audit trail.
"""

from datetime import datetime
from typing import Final

from envoi.kernel.models import Option
from envoi.kernel.models.option import DataType

POINTER: Final = "NmsTracking_Pointer"
"""Highest log id that was taken from the inbox, and when: `<id> <ISO 8601>`."""
CONSOLIDATED: Final = "NmsTracking_LastConsolidation"
AGENTS_CONSOLIDATED: Final = "NmsUserAgentStats_LastConsolidation"


def point(last: int, *, now: datetime) -> None:
    """Advance the pointer and the date of consolidation, in the transaction of a batch."""
    before, _, _ = text(POINTER).partition(" ")
    highest = max(last, int(before) if before.isdigit() else 0)
    _put(POINTER, DataType.STRING, f"{highest} {now.isoformat(timespec='seconds')}", now)
    _put(CONSOLIDATED, DataType.DATETIME, now, now)


def agents_consolidated(*, now: datetime) -> None:
    """Write down that the statistics of browsers are up to date."""
    _put(AGENTS_CONSOLIDATED, DataType.DATETIME, now, now)


def text(name: str) -> str:
    """Return an option as a text, empty when there is none."""
    found = Option.objects.filter(name=name).first()
    return "" if found is None or found.value is None else str(found.value)


def _put(name: str, kind: DataType, value: object, now: datetime) -> None:
    found = Option.objects.filter(name=name).first() or Option(name=name, data_type=kind, package="delivery")
    found.put(value)
    found.modified_at = now
    found.save()
