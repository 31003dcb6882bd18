"""Values between a script and its host: what JSON has no form for is an object with one key that begins with
`$`.

Text, whole and other numbers, truth, nothing, dates (aware, UTC), lists and objects cross. A whole number
that a JavaScript number cannot hold exactly crosses as a BigInt, both ways. PostgreSQL keeps neither lone
surrogates nor the character zero; both arrive as U+FFFD.
"""

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import cast

from envoi.kernel.errors import Invalid

Scalar = None | bool | int | float | str | datetime
Value = Scalar | Sequence["Value"] | Mapping[str, "Value"]

_EXACT = 2**53
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNKEEPABLE = re.compile("[\x00\ud800-\udfff]")


def encode(value: object, place: str) -> object:
    """Return the JSON form of a value. Raises Invalid, naming `place`, for a type that cannot cross."""
    match value:
        case bool() | None | str():
            return value
        case int():
            return value if abs(value) <= _EXACT else {"$int": str(value)}
        case float():
            if math.isfinite(value):
                return value
            return {"$number": "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"}
        case datetime():
            if value.tzinfo is None:
                raise Invalid(f"{place} is a date without a zone ({value}). Give it one.")
            return {"$date": (value - _EPOCH) / timedelta(milliseconds=1)}
        case Mapping():
            entries = cast("Mapping[object, object]", value)
            return {"$map": {str(key): encode(each, f"{place}.{key}") for key, each in entries.items()}}
        case list() | tuple():
            items = cast("Sequence[object]", value)
            return [encode(each, f"{place}[{index}]") for index, each in enumerate(items)]
        case _:
            raise Invalid(f"{place} is a {type(value).__name__}, which a script cannot take.")


def decode(value: object) -> Value:
    """Undo `encode`. Raises ValueError for what no `encode` made."""
    match value:
        case str():
            return keepable(value)
        case bool() | None | float():
            return value
        case int():
            # A JavaScript number that large is a rounded one, whatever digits it is written with.
            return value if abs(value) <= _EXACT else float(value)
        case list():
            return [decode(each) for each in cast("list[object]", value)]
        case {"$date": int() | float() as milliseconds}:
            try:
                return _EPOCH + timedelta(milliseconds=milliseconds)
            except OverflowError:
                raise ValueError("a date outside of the years 1 to 9999") from None
        case {"$int": str() as digits}:
            return int(digits)
        case {"$number": str() as name}:
            return float(name)
        case {"$map": dict()}:
            members = cast("dict[str, dict[str, object]]", value)["$map"]
            return {keepable(key): decode(each) for key, each in members.items()}
        case _:
            raise ValueError(f"not a value: {value!r:.100}")


def keepable(text: str) -> str:
    """Return a text with what a database cannot keep replaced."""
    return _UNKEEPABLE.sub("\ufffd", text)
