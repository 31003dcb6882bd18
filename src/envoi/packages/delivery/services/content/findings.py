"""What checks of a content say: how much it matters, where it is, what to do."""

from dataclasses import dataclass
from enum import IntEnum


class Weight(IntEnum):
    """How much a finding matters."""

    GOOD = 0
    LOOK = 1
    STOPS = 2


@dataclass(frozen=True)
class Finding:
    """One line: what it is, what that means or what to do, and where: the part and its line, from 1."""

    weight: Weight
    title: str
    text: str = ""
    part: str = ""
    line: int = 0


def line_of(source: str, place: int) -> int:
    """Return the line of a place in a source."""
    return source.count("\n", 0, place) + 1
