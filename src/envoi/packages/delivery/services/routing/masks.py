"""Texts of operators that stand for many things: masks, ranges of numbers, days of a warm-up."""

import re
from datetime import date

from django.utils.translation import gettext as _

from envoi.kernel.errors import Invalid
from envoi.packages.delivery.services import normalise
from envoi.packages.delivery.services.sending.throttle import WarmUp

_MASK = re.compile(r"[a-z0-9_*?-]+(\.[a-z0-9_*?-]+)*")
_RANGE = re.compile(r"(\d{1,9})(?:\s*-\s*(\d{1,9}))?")


def mask(text: str) -> str:
    """Return a mask of host or domain names in its form. Raises Invalid."""
    found = text.strip().rstrip(".").lower()
    if len(found) > 255 or not _MASK.fullmatch(found):
        raise Invalid(
            _("%(text)r is no mask: write a name, with * for any letters and ? for one.") % {"text": text}
        )
    return found


def domain(text: str) -> str:
    """Return the name of a domain as DNS has it, in ASCII. Raises Invalid."""
    name = normalise.domain(text)
    try:
        return name.encode("idna").decode("ascii").lower()
    except UnicodeError as error:
        raise Invalid(_("%(text)r is no domain.") % {"text": text}) from error


def masks(text: str) -> tuple[str, ...]:
    """Return the masks in a text, between blanks, commas or semicolons. Raises Invalid."""
    return tuple(dict.fromkeys(mask(part) for part in re.split(r"[\s,;]+", text) if part))


def numbers(text: str) -> tuple[tuple[int, int], ...]:
    """Return the ranges in "3, 5-9", in order; none for an empty text. Raises Invalid."""
    found: list[tuple[int, int]] = []
    for part in re.split(r"[,;]", text):
        if not part.strip():
            continue
        match = _RANGE.fullmatch(part.strip())
        if match is None or int(match[2] or match[1]) < int(match[1]):
            raise Invalid(_("%(text)r is no range of identifiers: write 3, or 1-5.") % {"text": part.strip()})
        found.append((int(match[1]), int(match[2] or match[1])))
    return tuple(sorted(found))


def names(text: str) -> tuple[str, ...]:
    """Return the names of affinities in a text, between semicolons."""
    return tuple(dict.fromkeys(part.strip() for part in text.split(";") if part.strip()))


def warm_up(began: date | None, steps: str) -> WarmUp | None:
    """Return the warm-up that begins on a day; None without a day. Raises Invalid for steps that are none."""
    if began is None:
        return None
    found = [part for part in re.split(r"[\s,;]+", steps) if part]
    if not found or len(found) > 366 or not all(re.fullmatch(r"[0-9]{1,9}", part) for part in found):
        raise Invalid(_("A warm-up is a list of messages for each day, as 200, 500, 1000."))
    return WarmUp(began, tuple(int(part) for part in found))
