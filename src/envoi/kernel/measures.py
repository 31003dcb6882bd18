"""What an indicator is: a number, its limits, and the face that follows from them (engine.md §8.3)."""

from dataclasses import dataclass
from enum import StrEnum

WARNING_SHARE, ALERT_SHARE = 0.8, 0.9
"""Shares of a maximum from which there is a warning, or an alert."""


class Face(StrEnum):
    """How an indicator looks."""

    OK = "ok"
    UNKNOWN = "unknown"
    """It could not be measured."""
    WARNING = "warning"
    ALERT = "alert"

    @property
    def severity(self) -> int:
        """0 for what needs nobody, growing with urgency."""
        return {Face.OK: 0, Face.UNKNOWN: 1, Face.WARNING: 2, Face.ALERT: 3}[self]


@dataclass(frozen=True)
class Indicator:
    """One number. `label` is a message id, or a text of an administrator's own when `custom`.

    The limits are in the unit of the value: reached, they count. `unit` "B" is bytes, "s" seconds, "" a plain
    number.
    """

    name: str
    label: str
    value: float | None
    unit: str = ""
    warning: float | None = None
    alert: float | None = None
    maximum: float | None = None
    custom: bool = False
    problem: str = ""
    """Why there is no value."""

    @property
    def face(self) -> Face:
        """How it looks."""
        if self.value is None:
            return Face.UNKNOWN
        if self.alert is not None and self.value >= self.alert:
            return Face.ALERT
        if self.warning is not None and self.value >= self.warning:
            return Face.WARNING
        return Face.OK

    @property
    def share(self) -> float | None:
        """The part of the maximum that is reached, 0 to 1; None where there is none."""
        if self.value is None or not self.maximum:
            return None
        return min(1.0, max(0.0, self.value / self.maximum))


def bounded(name: str, label: str, value: float, unit: str, maximum: float) -> Indicator:
    """Return an indicator that warns at 80 % of its maximum and alerts at 90 %."""
    return Indicator(name, label, value, unit, WARNING_SHARE * maximum, ALERT_SHARE * maximum, maximum)


def below(name: str, label: str, value: float, warning: float, alert: float) -> Indicator:
    """Return a count that should stay below its limits; the alert is the maximum that is shown."""
    return Indicator(name, label, float(value), "", float(warning), float(alert), float(alert))
