"""What a report is made of: blocks with figures, a chart, a table. One template draws them all, and the same
rows go out as CSV.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from babel.dates import format_date
from babel.numbers import format_decimal
from django.utils import timezone
from django.utils.translation import gettext as _

from envoi.console import words
from envoi.console.records.export import harmless
from envoi.packages.delivery.console import charts, delivery_dashboard

SHOWN = 100
"""Rows of a table on the page."""


@dataclass(frozen=True)
class Share:
    """A part of a whole; of nothing there is no share."""

    part: float
    whole: float


Cell = str | int | float | Share | datetime | date | timedelta | None
"""Text, whole number, number with decimals, share, moment, day, duration; None does not apply."""


@dataclass(frozen=True)
class Column:
    """A column of a table; `definition` names what its numbers mean. The first one names the rows."""

    label: str
    definition: str = ""
    bar: str = ""
    """Class of the bar that is drawn beside each value, the longest for the greatest."""


@dataclass(frozen=True)
class Row:
    """A row of a table. `address`: where its name leads; `below`: a second line under its name."""

    cells: Sequence[Cell]
    address: str = ""
    below: str = ""
    bad: frozenset[int] = frozenset()
    """Columns whose value is worse than it should be."""
    total: bool = False


@dataclass(frozen=True)
class Figure:
    """One number with its name. `beside`: what stands smaller behind it."""

    label: str
    value: Cell
    definition: str = ""
    beside: Cell = None


@dataclass(frozen=True)
class Drawing:
    """A chart, what it shows in a sentence, and the names of its lines by their classes."""

    chart: charts.Chart
    text: str
    names: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Choice:
    """One way to see a block: its name, its address, whether it is the present one."""

    label: str
    address: str
    current: bool


@dataclass(frozen=True)
class Block:
    """One part of a report. `name` names it in addresses and files."""

    name: str
    title: str
    figures: Sequence[Figure] = ()
    drawing: Drawing | None = None
    columns: Sequence[Column] = ()
    rows: Sequence[Row] = ()
    note: str = ""
    """What has to be known about the numbers, in a sentence."""
    empty: str = ""
    """What is said when there are no rows and no figures: why, and when there will be."""
    folded: bool = False
    """Whether the table is shown only when it is asked for: the chart says the same."""
    choices: Sequence[Choice] = field(default_factory=tuple[Choice, ...])

    @property
    def filled(self) -> bool:
        """Whether there is anything to show."""
        return bool(self.rows or self.figures or self.drawing)


def text(value: Cell) -> str:
    """Return a value as the reader writes it."""
    match value:
        case None:
            return words.NONE
        case str():
            return value
        case bool() | int():
            return words.number(value)
        case float():
            return format_decimal(round(value, 2), locale=words.locale())
        case Share():
            return delivery_dashboard.percent(round(value.part), round(value.whole))
        case datetime():
            return words.moment(value)
        case date():
            return format_date(value, "medium", locale=words.locale())
        case timedelta():
            return words.duration(value.total_seconds())


def plain(value: Cell) -> str:
    """Return a value as a file holds it: shares in per cent, durations in seconds, moments in ISO form."""
    match value:
        case None:
            return ""
        case str():
            return harmless(value)
        case Share():
            return "" if not value.whole else f"{Decimal(100 * value.part / value.whole):.4f}"
        case datetime():
            return value.astimezone(timezone.get_current_timezone()).isoformat(timespec="seconds")
        case date():
            return value.isoformat()
        case timedelta():
            return f"{value.total_seconds():.0f}"
        case float():
            return f"{value:.4f}"
        case _:
            return str(value)


def as_csv(block: Block) -> bytes:
    """Return the table of a block as a file, or its figures where it has no table."""
    buffer = io.StringIO()
    # The mark at its start tells spreadsheets that it is UTF-8.
    buffer.write("\ufeff")
    writer = csv.writer(buffer)
    if block.columns:
        shares = {at for row in block.rows for at, cell in enumerate(row.cells) if isinstance(cell, Share)}
        writer.writerow(
            [harmless(each.label + (" (%)" if at in shares else "")) for at, each in enumerate(block.columns)]
        )
        writer.writerows([[plain(cell) for cell in row.cells] for row in block.rows])
    else:
        for each in block.figures:
            unit = " (%)" if isinstance(each.value, Share) else ""
            behind = [plain(each.beside)] if each.beside is not None else []
            writer.writerow([harmless(each.label + unit), plain(each.value), *behind])
    return buffer.getvalue().encode()


def drawn(block: Block) -> dict[str, Any]:
    """Return a block as its template draws it."""
    most = [
        max((_size(row.cells[at]) for row in block.rows if not row.total), default=0.0)
        for at in range(len(block.columns))
    ]
    plain_rows = [row for row in block.rows if not row.total]
    shown = [*plain_rows[:SHOWN], *(row for row in block.rows if row.total)]
    return {
        "block": block,
        "cut": _("The first %(shown)s of %(all)s rows are shown; the file has them all.")
        % {"shown": words.number(SHOWN), "all": words.number(len(plain_rows))}
        if len(plain_rows) > SHOWN
        else "",
        "figures": [
            (each, text(each.value), "" if each.beside is None else text(each.beside))
            for each in block.figures
        ],
        "rows": [
            {
                "row": row,
                "head": text(row.cells[0]),
                "cells": [
                    (
                        text(cell),
                        at in row.bad,
                        not isinstance(cell, str),
                        block.columns[at].bar,
                        0 if row.total or not most[at] else round(100 * _size(cell) / most[at], 1),
                    )
                    for at, cell in enumerate(row.cells)
                    if at
                ],
            }
            for row in shown
        ],
    }


def _size(cell: Cell) -> float:
    match cell:
        case Share():
            return cell.part / cell.whole if cell.whole else 0.0
        case timedelta():
            return cell.total_seconds()
        case int() | float():
            return float(cell)
        case _:
            return 0.0
