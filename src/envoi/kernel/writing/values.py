"""Values as they are typed or sent, to what a column of their attribute holds."""

import hashlib
import json
import math
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from envoi.kernel.errors import Invalid
from envoi.kernel.registry import Attribute, Type

LONGEST_MEMO = 1_000_000
"""Characters of a memo or a document."""
_BOUNDS = {
    Type.BYTE: 1 << 7,
    Type.SHORT: 1 << 15,
    Type.LONG: 1 << 31,
    Type.INT64: 1 << 63,
    Type.TIMESPAN: 1 << 63,
}
_TRUTHS = {"1": True, "true": True, "on": True, "yes": True, "0": False, "false": False, "": False}
TEXTS = (Type.STRING, Type.MEMO)


def typed(attribute: Attribute, value: object, *, zone: str = "UTC") -> Any:
    """Return a value in the Python type of its attribute; None for an empty one that is no text.

    Texts are read as people and clients write them: ISO dates, `1` or `true`, the value or the name of an
    enumeration's value. A time without zone is one of `zone`. Raises Invalid, saying what is expected.
    """
    if attribute.enumeration is not None:
        return _chosen(attribute, value)
    if value is None or (isinstance(value, str) and not value.strip() and attribute.type not in TEXTS):
        return False if attribute.type is Type.BOOLEAN and value is not None else None
    return _READERS[attribute.type](attribute, value, zone)


def digest(value: object) -> str:
    """Return a short mark of a value, by which a later reader tells whether it is still the same."""
    return hashlib.blake2b(canonical(value).encode(), digest_size=6).hexdigest()


def canonical(value: object) -> str:
    """Return one text for equal values."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat() if value.tzinfo else value.isoformat()
    if isinstance(value, (dict, list)):
        return json.dumps(value, sort_keys=True, ensure_ascii=False)
    if isinstance(value, bool):
        return "1" if value else "0"
    return str(value)


def plain(value: object) -> Any:
    """Return a value as the audit trail keeps it: a JSON value, long texts cut."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    text = canonical(value)
    return text if len(text) <= 200 else f"{text[:199]}…"


def _chosen(attribute: Attribute, value: object) -> Any:
    enumeration = attribute.enumeration
    assert enumeration is not None  # noqa: S101 the caller has asked
    text = "" if value is None else str(value).strip()
    for each in enumeration.values:
        if value == each.value or text in (str(each.value), each.name):
            return each.value
    if text == "":
        return None
    known = ", ".join(each.name for each in enumeration.values[:10])
    raise Invalid(
        _("%(value)r is no value of this list; known are %(known)s.") % {"value": value, "known": known}
    )


def _text(attribute: Attribute, value: object, zone: str) -> str:
    text = canonical(value)
    longest = attribute.length or LONGEST_MEMO
    if len(text) > longest:
        raise Invalid(
            _("%(count)s characters are too many; %(most)s are allowed.")
            % {"count": len(text), "most": longest}
        )
    if "\0" in text:
        raise Invalid(_("A text cannot hold a null character."))
    if attribute.type is Type.STRING:
        text = text.strip()
        if any(character in text for character in "\r\n"):
            raise Invalid(_("This text has one line only."))
    return text


def _whole(attribute: Attribute, value: object, zone: str) -> int:
    text = str(int(value) if isinstance(value, (bool, float)) and value == int(value) else value).strip()
    digits = text.lstrip("+-")
    bound = _BOUNDS[attribute.type]
    if not (digits.isascii() and digits.isdigit() and len(digits) < 20) or len(text) - len(digits) > 1:
        raise Invalid(_("%(value)r is no whole number.") % {"value": text[:40]})
    number = int(text)
    if not -bound <= number < bound:
        raise Invalid(
            _("%(value)s is out of range: from %(least)s to %(most)s.")
            % {"value": number, "least": -bound, "most": bound - 1}
        )
    return number


def _number(attribute: Attribute, value: object, zone: str) -> float:
    try:
        number = float(str(value).strip().replace(",", ".")) if isinstance(value, str) else float(value)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise Invalid(_("%(value)r is no number.") % {"value": str(value)[:40]})
    return number


def _truth(attribute: Attribute, value: object, zone: str) -> bool:
    found = _TRUTHS.get(str(value).strip().lower())
    if found is None:
        raise Invalid(_("%(value)r is neither true nor false.") % {"value": str(value)[:40]})
    return found


def _moment(attribute: Attribute, value: object, zone: str) -> datetime:
    try:
        found = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).strip())
        return (found if found.tzinfo else found.replace(tzinfo=ZoneInfo(zone))).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Invalid(
            _("%(value)r is no time; write it as 2026-11-24 08:30.") % {"value": str(value)[:40]}
        ) from None


def _day(attribute: Attribute, value: object, zone: str) -> date:
    if isinstance(value, datetime):
        return value.date()
    try:
        return value if isinstance(value, date) else date.fromisoformat(str(value).strip()[:10])
    except ValueError:
        raise Invalid(
            _("%(value)r is no date; write it as 2026-11-24.") % {"value": str(value)[:40]}
        ) from None


def _uuid(attribute: Attribute, value: object, zone: str) -> uuid.UUID:
    try:
        return uuid.UUID(str(value).strip())
    except ValueError:
        raise Invalid(_("%(value)r is no UUID.") % {"value": str(value)[:40]}) from None


def _document(attribute: Attribute, value: object, zone: str) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value[:LONGEST_MEMO])
    except ValueError as error:
        raise Invalid(_("This is no JSON document: %(problem)s.") % {"problem": error}) from error


_READERS: dict[Type, Callable[[Attribute, object, str], Any]] = {
    Type.BYTE: _whole,
    Type.SHORT: _whole,
    Type.LONG: _whole,
    Type.INT64: _whole,
    Type.TIMESPAN: _whole,
    Type.FLOAT: _number,
    Type.DOUBLE: _number,
    Type.STRING: _text,
    Type.MEMO: _text,
    Type.DATETIME: _moment,
    Type.DATE: _day,
    Type.BOOLEAN: _truth,
    Type.UUID: _uuid,
    Type.JSON: _document,
}
