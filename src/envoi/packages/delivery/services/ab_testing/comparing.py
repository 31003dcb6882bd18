"""Which of several versions is better, and whether that may be chance: a two-proportion z test of the best
one against the next, its error shared among as many comparisons as there are (Bonferroni).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

SURE = 0.05
"""A difference that chance brings about less often is taken as one."""


class Verdict(StrEnum):
    """What the figures say."""

    SURE = "sure"
    CHANCE = "chance"
    """One is ahead, and it may be chance."""
    EQUAL = "equal"
    FEW = "few"
    """Too few messages to say anything."""
    UNTESTED = "untested"
    """One is ahead, and the ratio is none of proportions, so nothing is said about chance."""


@dataclass(frozen=True)
class Figure:
    """What one version has reached: `part` of `whole`."""

    delivery_id: int
    label: str
    part: int
    whole: int

    @property
    def ratio(self) -> float:
        """Return the share; 0 of nothing."""
        return self.part / self.whole if self.whole else 0.0


@dataclass(frozen=True)
class Compared:
    """The figures, the best first; `chance`: how often such a difference comes about by chance, 0 to 1."""

    ranked: tuple[Figure, ...]
    verdict: Verdict
    chance: float | None

    @property
    def best(self) -> Figure:
        """Return the one that is ahead, or the first of equals."""
        return self.ranked[0]


def compare(figures: Sequence[Figure], *, lower: bool = False, least: int = 0) -> Compared:
    """Compare versions in their order, at least one; `least` messages each are asked for."""
    ranked = tuple(sorted(figures, key=lambda each: each.ratio if lower else -each.ratio))
    if any(each.whole < max(least, 1) for each in figures):
        return Compared(ranked, Verdict.FEW, None)
    if len(ranked) < 2:
        return Compared(ranked, Verdict.SURE, None)
    first, second = ranked[:2]
    if first.ratio == second.ratio:
        return Compared(ranked, Verdict.EQUAL, 1.0)
    if any(each.part > each.whole for each in (first, second)):
        return Compared(ranked, Verdict.UNTESTED, None)
    chance = min(1.0, p_value(first, second) * (len(ranked) - 1))
    return Compared(ranked, Verdict.SURE if chance < SURE else Verdict.CHANCE, chance)


def p_value(one: Figure, other: Figure) -> float:
    """Return how often two shares that are the same in truth differ as much (two-sided z test, pooled)."""
    pooled = (one.part + other.part) / (one.whole + other.whole)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / one.whole + 1 / other.whole))
    return math.erfc(abs(one.ratio - other.ratio) / spread / math.sqrt(2)) if spread else 1.0
