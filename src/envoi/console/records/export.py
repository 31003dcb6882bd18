"""Export of a list: CSV row by row from a cursor in the server, or a spreadsheet."""

import csv
import io
import re
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from django.db import connection, transaction
from django.http import FileResponse, HttpRequest, StreamingHttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell

from envoi.console.records import asked as asking_for
from envoi.console.records import columns
from envoi.console.records.asked import Asked
from envoi.kernel import audit, clock, query, registry
from envoi.kernel.errors import Invalid, NotFound
from envoi.kernel.query import to_json
from envoi.kernel.registry import Type
from envoi.kernel.rights import Right

CHUNK = 2_000
"""Rows that the server sends at once."""
MOST_OF_SHEET = 1_048_575
"""Rows of a spreadsheet below its head."""
FORMATS = {"csv": "text/csv; charset=utf-8"} | {
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
}
ALL = 2**62
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"^[+-]?[0-9]+([.,][0-9]+)?$")
_ILLEGAL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


@require_GET
def export(request: HttpRequest, namespace: str, name: str, format: str) -> StreamingHttpResponse:
    """Send all rows of a list with its columns. Takes the right EXPORT; the audit trail keeps what went."""
    schema = registry.find(f"{namespace}:{name}")
    asked = asking_for.read(request, schema)
    asked.actor.require(Right.EXPORT, to=_("export a list"))
    if format not in FORMATS:
        raise NotFound(_("Lists are exported as %(known)s.") % {"known": ", ".join(FORMATS)})
    raw = request.GET.get("raw") == "1"
    rows = _rows(asked)
    if format == "xlsx":
        answer: StreamingHttpResponse = FileResponse(_sheet(asked, rows, raw), content_type=FORMATS[format])
    else:
        answer = StreamingHttpResponse(_csv(asked, rows, raw), content_type=FORMATS[format])
    file = f"{schema.local_name}-{clock.now():%Y-%m-%d}.{format}"
    answer["Content-Disposition"] = f'attachment; filename="{file}"'
    detail = {
        "format": format,
        "columns": [each.expr for each in asked.columns],
        "filter": to_json(asked.definition()).get("where", {}),
    }
    audit.record(asked.actor, schema.name, "", "Export", None, detail)
    return answer


def _rows(asked: Asked) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a list, a few at a time. A wrong query raises at once."""
    definition = replace(asked.definition(), line_count=ALL)
    compiled = query.compile(definition, actor=asked.actor, zone=asked.zone)

    def read() -> Iterator[tuple[Any, ...]]:
        with transaction.atomic(), connection.chunked_cursor() as cursor:
            cursor.execute(compiled.sql, dict(compiled.params))
            while rows := cursor.fetchmany(CHUNK):
                yield from (row[1:] for row in rows)

    return read()


def _csv(asked: Asked, rows: Iterator[tuple[Any, ...]], raw: bool) -> Iterator[bytes]:
    """Yield the file in pieces; the mark at its start tells spreadsheets that it is UTF-8."""
    here = timezone.get_current_timezone()
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    buffer.write("\ufeff")
    writer.writerow([harmless(each.label) for each in asked.columns])
    for count, row in enumerate(rows, 1):
        writer.writerow(
            [_text(column, value, raw, here) for column, value in zip(asked.columns, row, strict=True)]
        )
        if count % CHUNK == 0:
            yield buffer.getvalue().encode()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue().encode()


def _sheet(asked: Asked, rows: Iterator[tuple[Any, ...]], raw: bool) -> Any:
    """Return a file with one sheet, that goes when closed. Raises Invalid for more rows than it takes."""
    here = timezone.get_current_timezone()
    book = Workbook(write_only=True)
    sheet = book.create_sheet(asked.schema.local_name[:31])

    def cell(value: Any) -> Any:
        made = WriteOnlyCell(sheet, value=_ILLEGAL.sub("", value) if isinstance(value, str) else value)
        if isinstance(value, str):
            # A text stays a text, also one that reads like a formula.
            made.data_type = "s"
        return made

    sheet.append([cell(each.label) for each in asked.columns])
    for count, row in enumerate(rows):
        if count >= MOST_OF_SHEET:
            raise Invalid(_("A spreadsheet holds %(most)s rows; export as CSV.") % {"most": MOST_OF_SHEET})
        sheet.append(
            [cell(_value(column, value, raw, here)) for column, value in zip(asked.columns, row, strict=True)]
        )
    file = tempfile.TemporaryFile()  # noqa: SIM115 the answer closes it
    book.save(file)
    file.seek(0)
    return file


def _value(column: columns.Column, value: Any, raw: bool, here: Any) -> Any:
    """Return a value as a sheet holds it: numbers and dates as such, enumerations by label unless `raw`."""
    found = column.attribute
    if value is None or isinstance(value, bool):
        return "" if value is None else columns.plain(None, value)
    if isinstance(value, datetime):
        return value.astimezone(here).replace(tzinfo=None)
    if found is not None and found.enumeration is not None and not raw:
        return columns.plain(found, value)
    if isinstance(value, (date, int, float)):
        return value
    return str(value)[:32_767]


def _text(column: columns.Column, value: Any, raw: bool, here: Any) -> str:
    """Return a value as a CSV file holds it; times in ISO form with their zone."""
    found = column.attribute
    if value is None:
        return ""
    if isinstance(value, bool):
        return ("1" if value else "0") if raw else columns.plain(None, value)
    if isinstance(value, datetime):
        return value.astimezone(here).isoformat(timespec="seconds")
    if isinstance(value, date):
        return value.isoformat()
    if found is not None and found.enumeration is not None and not raw:
        return harmless(columns.plain(found, value))
    if isinstance(value, (int, float)) or (found is not None and found.type is Type.UUID):
        return str(value)
    return harmless(str(value))


def harmless(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula; plain numbers are none."""
    return f"'{text}" if text.startswith(_FORMULA) and not _NUMBER.match(text) else text
