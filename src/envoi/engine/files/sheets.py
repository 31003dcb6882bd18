"""Workbooks (XLSX): one sheet read row by row, after a look at the archive and without any XML entity."""

from __future__ import annotations

import math
import warnings
import zipfile
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from datetime import date, datetime, time
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from django.utils.translation import gettext as _

from envoi.kernel.errors import Invalid, NotFound

LOOK = 1 << 16
MOST_PARTS = 2000
MOST_UNPACKED = 4 << 30
MOST_RATIO = 120
"""What one packed byte of a part may stand for: long runs of like rows reach forty."""
FREE_BYTES = 16 << 20
MOST_STRINGS = 256 << 20
"""Bytes of the table of shared texts, which has to be held in memory."""


def names(path: Path) -> list[str]:
    """Return the names of the sheets. Raises Invalid for what is no workbook, or a dangerous one."""
    with _book(path) as book:
        return list(book.sheetnames)


def rows(path: Path, sheet: str, first: int = 1) -> Generator[tuple[int, tuple[str, ...]]]:
    """Yield (row number, texts of the cells) from row `first` on; of formulas the value that was kept.

    Dates are written as ISO 8601, whole numbers without a fraction. Raises Invalid, NotFound for the sheet.
    """
    with _book(path) as book:
        if sheet and sheet not in book.sheetnames:
            given = {"sheet": sheet, "names": ", ".join(book.sheetnames)}
            raise NotFound(_("There is no sheet %(sheet)s. There are: %(names)s.") % given)
        page = book[sheet or book.sheetnames[0]]
        if not hasattr(page, "iter_rows"):
            raise Invalid(_("The sheet %(sheet)s holds no rows.") % {"sheet": page.title})
        # What the file says of its size is not to be believed.
        page.reset_dimensions()
        for number, cells in enumerate(page.iter_rows(min_row=first, values_only=True), first):
            yield number, tuple(map(_text, cells))


@contextmanager
def _book(path: Path) -> Generator[Any]:
    import openpyxl
    from openpyxl.utils.exceptions import InvalidFileException

    _inspect(path)
    book: Any = None
    try:
        # A file instead of a name, which would have to end in ".xlsx".
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            book = openpyxl.load_workbook(file, read_only=True, data_only=True, keep_links=False)
            yield book
    except DefusedXmlException as error:
        reason = _("%(path)s declares XML entities, which no workbook needs: it is refused.")
        raise Invalid(reason % {"path": path.name}) from error
    except (InvalidFileException, zipfile.BadZipFile, ParseError, KeyError, ValueError, TypeError) as error:
        raise Invalid(_("%(path)s is not a workbook that can be read.") % {"path": path.name}) from error
    finally:
        if book is not None:
            book.close()


def _inspect(path: Path) -> None:
    """Raise Invalid for an archive that unfolds to more than a workbook does."""
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            declared = any(_declares(archive, part) for part in parts[:MOST_PARTS])
    except (zipfile.BadZipFile, OSError, RuntimeError, zlib.error) as error:
        raise Invalid(_("%(path)s is not a workbook that can be read.") % {"path": path.name}) from error
    if declared:
        reason = _("%(path)s declares XML entities, which no workbook needs: it is refused.")
        raise Invalid(reason % {"path": path.name})
    whole = sum(part.file_size for part in parts)
    suspicious = [
        part
        for part in parts
        if part.file_size > FREE_BYTES + part.compress_size * MOST_RATIO
        or (part.filename.lower().endswith("sharedstrings.xml") and part.file_size > MOST_STRINGS)
    ]
    if suspicious or len(parts) > MOST_PARTS or whole > MOST_UNPACKED:
        raise Invalid(
            _("%(path)s unfolds to %(mb)d MB in %(count)d parts: it is refused as a bomb.")
            % {"path": path.name, "mb": whole >> 20, "count": len(parts)}
        )


def _declares(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> bool:
    """Return whether a part begins with a document type, by which entities are declared."""
    if not part.filename.lower().endswith((".xml", ".rels", ".vml")):
        return False
    with archive.open(part) as file:
        head = file.read(LOOK).replace(b"\0", b"").upper()
    return b"<!DOCTYPE" in head or b"<!ENTITY" in head


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "1" if value else "0"
        case float() if math.isfinite(value) and value.is_integer() and abs(value) < 1e15:
            return str(int(value))
        case datetime():
            at_midnight = value.time() == time()
            return value.date().isoformat() if at_midnight else value.isoformat(sep=" ", timespec="seconds")
        case date() | time():
            return value.isoformat()
        case _:
            return str(value)
