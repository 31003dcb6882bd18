"""Indicators of host, database and instance as the monitoring page shows them: the worst first."""

from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import pgettext_lazy

from envoi.console import words
from envoi.kernel import indicators
from envoi.kernel.measures import Face, Indicator
from envoi.kernel.rights import Actor

STEPS = (
    pgettext_lazy("bytes", "B"),
    pgettext_lazy("bytes", "kB"),
    pgettext_lazy("bytes", "MB"),
    pgettext_lazy("bytes", "GB"),
    pgettext_lazy("bytes", "TB"),
)
FACES = {
    Face.OK: ("ok", "ok"),
    Face.UNKNOWN: ("draft", "info"),
    Face.WARNING: ("warn", "warn"),
    Face.ALERT: ("bad", "bad"),
}


@dataclass(frozen=True)
class Gauge:
    """One indicator, written."""

    name: str
    label: str
    value: str
    of: str
    css: str
    icon: str
    word: str
    share: int | None
    """Hundredths of the maximum; None where there is none."""
    note: str


def gauges(actor: Actor) -> list[Gauge]:
    """Measure and return all indicators that the actor may see."""
    found = indicators.measure(actor=actor)
    return [gauge(each) for each in sorted(found, key=lambda each: -each.face.severity)]


def amount(value: float | None, unit: str) -> str:
    """Write a value in its unit: bytes in steps of 1,000, seconds as a duration, else a plain number."""
    if value is None:
        return words.NONE
    if unit == "s":
        return words.duration(value)
    if unit == "B":
        step = 0
        while value >= 1000 and step < len(STEPS) - 1:
            value, step = value / 1000, step + 1
        return f"{words.number(round(value, 1) if value < 10 and step else round(value))}\u202f{STEPS[step]}"
    written = words.number(round(value, 2) if value < 10 and value != int(value) else round(value))
    return f"{written}\u202f{unit}" if unit else written


def gauge(found: Indicator) -> Gauge:
    """Write one indicator in the active language."""
    css, icon = FACES[found.face]
    spoken = {
        Face.OK: _("Well"),
        Face.UNKNOWN: _("Unknown"),
        Face.WARNING: _("Warning"),
        Face.ALERT: _("Alert"),
    }
    limits = [
        text % {"value": amount(limit, found.unit)}
        for text, limit in (
            (_("warns from %(value)s"), found.warning),
            (_("alerts from %(value)s"), found.alert),
        )
        if limit is not None
    ]
    return Gauge(
        name=found.name,
        label=found.label if found.custom else _(found.label),
        value=amount(found.value, found.unit),
        of=amount(found.maximum, found.unit) if found.maximum else "",
        css=css,
        icon=icon,
        word=spoken[found.face],
        share=None if found.share is None else round(found.share * 100),
        note=found.problem or ", ".join(limits),
    )
