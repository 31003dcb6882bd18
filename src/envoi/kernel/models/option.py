"""Options of the product, under their product names (`NmsCleanup_…`); type codes as in soap-api.md §8."""

import re
from datetime import UTC, date, datetime, time
from typing import cast

from django.db import models

from envoi.kernel.errors import Invalid
from envoi.kernel.models.operator import Operator
from envoi.kernel.registry import Declaration

OptionValue = int | float | str | bool | datetime | date | None
_SPAN = re.compile(r"^\s*(-?\d+)\s*(s|m|h|d)?\s*$")
_UNITS = {None: 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


class DataType(models.IntegerChoices):
    """Codes of an option's type, as clients of the product read them."""

    BYTE = 1, "byte"
    SHORT = 2, "short"
    LONG = 3, "long"
    FLOAT = 4, "float"
    DOUBLE = 5, "double"
    STRING = 6, "string"
    DATETIME = 7, "datetime"
    DATE = 10, "date"
    MEMO = 12, "memo"
    TIMESPAN = 14, "timespan"
    BOOLEAN = 15, "boolean"


_RANGES = {DataType.BYTE: 7, DataType.SHORT: 15, DataType.LONG: 63, DataType.TIMESPAN: 63}
_WHOLE = (DataType.BYTE, DataType.SHORT, DataType.LONG, DataType.TIMESPAN, DataType.BOOLEAN)


class Option(models.Model):
    """One option; the value stands in the column that its type names, the others are empty."""

    option_id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=128, unique=True)
    data_type = models.SmallIntegerField(choices=DataType.choices)
    string_value = models.CharField(max_length=512, blank=True, default="")
    long_value = models.BigIntegerField(default=0)
    double_value = models.FloatField(default=0)
    time_stamp_value = models.DateTimeField(null=True)
    memo_value = models.TextField(blank=True, default="")
    description = models.TextField(blank=True, default="")
    package = models.CharField(max_length=64, blank=True, default="")
    modified_at = models.DateTimeField()
    modified_by = models.ForeignKey(Operator, null=True, on_delete=models.SET_NULL, related_name="+")

    SCHEMA = Declaration(
        "xtk:option",
        label="Options",
        singular="Option",
        reading="ADMINISTRATION",
    )

    class Meta:
        db_table = "xtk_option"
        ordering = ("name",)

    @property
    def value(self) -> OptionValue:
        """The value in the Python type of its option: a time span is a whole number of seconds.

        None only for a date or a time that was never set.
        """
        kind = DataType(self.data_type)
        if kind is DataType.BOOLEAN:
            return bool(self.long_value)
        if kind in _WHOLE:
            return self.long_value
        if kind in (DataType.FLOAT, DataType.DOUBLE):
            return self.double_value
        if kind is DataType.MEMO:
            return self.memo_value
        if kind is DataType.STRING:
            return self.string_value
        stamp = self.time_stamp_value
        return stamp.date() if stamp is not None and kind is DataType.DATE else stamp

    def put(self, value: object) -> None:
        """Set the value, from its Python type or from a text; does not save.

        Time spans are seconds, or a text with a unit ("180 d", "12 h"). Raises Invalid when it does not fit
        the type.
        """
        kind = DataType(self.data_type)
        self.string_value, self.memo_value, self.long_value, self.double_value = "", "", 0, 0.0
        self.time_stamp_value = None
        try:
            if kind in _WHOLE:
                self.long_value = _whole(kind, value)
            elif kind in (DataType.FLOAT, DataType.DOUBLE):
                self.double_value = _real(value)
            elif kind in (DataType.DATETIME, DataType.DATE):
                self.time_stamp_value = _moment(kind, value)
            elif kind is DataType.MEMO:
                self.memo_value = _text(value, None)
            else:
                self.string_value = _text(value, 512)
        except (ValueError, OverflowError) as error:
            raise Invalid(
                f"Option {self.name} is a {kind.label}: {value!r} does not fit ({error})."
            ) from error


def _whole(kind: DataType, value: object) -> int:
    if kind is DataType.BOOLEAN:
        if isinstance(value, bool) or value in (0, 1):
            return int(cast("int", value))
        words = {"true": 1, "yes": 1, "on": 1, "1": 1, "false": 0, "no": 0, "off": 0, "0": 0, "": 0}
        word = str(value).strip().lower()
        if word not in words:
            raise ValueError("use true or false")
        return words[word]
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError("use a whole number")
    if kind is DataType.TIMESPAN and isinstance(value, str):
        match = _SPAN.match(value)
        if match is None:
            raise ValueError("use seconds, or a number with s, m, h or d behind it")
        number = int(match[1]) * _UNITS[match[2]]
    else:
        number = int(value)
    limit = 1 << _RANGES[kind]
    if not -limit <= number < limit:
        raise ValueError(f"it must lie between {-limit} and {limit - 1}")
    return number


def _real(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError("use a number")
    number = float(value)
    if number != number or number in (float("inf"), float("-inf")):
        raise ValueError("use a finite number")
    return number


def _moment(kind: DataType, value: object) -> datetime | None:
    if value is None or value == "":
        return None
    if isinstance(value, str):
        value = datetime.fromisoformat(value.strip())
        if kind is DataType.DATE:
            value = value.date()
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("a time needs its zone, such as 2026-11-24T09:00:00Z")
        value = value.astimezone(UTC)
        return value if kind is DataType.DATETIME else datetime.combine(value.date(), time(), UTC)
    if isinstance(value, date):
        return datetime.combine(value, time(), UTC)
    raise ValueError("use an ISO 8601 date or time")


def _text(value: object, longest: int | None) -> str:
    if not isinstance(value, str):
        raise ValueError("use a text")
    if "\0" in value:
        raise ValueError("it may not hold a NUL character")
    if longest is not None and len(value) > longest:
        raise ValueError(f"it has {len(value)} characters, {longest} are allowed")
    return value
