"""CSV files, written row by row to a file that appears whole or not at all."""

from __future__ import annotations

import csv
import gzip
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""With these a spreadsheet takes a cell for a formula, and a formula may send data away."""
_NUMBERS = frozenset("0123456789.,- ")


def harmless(cell: str) -> str:
    """Return a text that a spreadsheet shows as it is: an apostrophe before what it would carry out.

    Negative numbers and phone numbers stay as they are.
    """
    if cell.startswith(FORMULA) and not (cell[0] in "+-" and len(cell) > 1 and _NUMBERS.issuperset(cell[1:])):
        return f"'{cell}"
    return cell


class CsvWriter:
    """Writes `path` by way of `path.part`, renamed at the end; leaving by an error leaves nothing."""

    def __init__(
        self,
        path: Path,
        *,
        delimiter: str = ",",
        encoding: str = "utf-8",
        packed: bool = False,
        escape: bool = True,
    ) -> None:
        self.path = path
        self.part = path.with_name(f"{path.name}.part")
        self.rows = 0
        self._escape = escape
        self._file = self.part.open("wb")
        os.fchmod(self._file.fileno(), 0o600)
        # No time and no name in the header: the same rows give the same bytes.
        packer = gzip.GzipFile("", "wb", 6, self._file, mtime=0) if packed else None
        self._packer = packer
        self._text = io.TextIOWrapper(
            packer or self._file,  # type: ignore[arg-type]
            encoding=encoding,
            newline="",
            errors="replace",
            write_through=False,
        )
        self._csv = csv.writer(self._text, delimiter=delimiter, lineterminator="\r\n")

    def row(self, cells: Sequence[str]) -> None:
        """Write one row."""
        self._csv.writerow([harmless(cell) for cell in cells] if self._escape else cells)
        self.rows += 1

    def all(self, rows: Iterable[Sequence[str]]) -> None:
        """Write rows."""
        for cells in rows:
            self.row(cells)

    def __enter__(self) -> CsvWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Bring the file to its name; or, after an error, leave none."""
        try:
            self._text.flush()
            self._text.detach()
            if self._packer is not None:
                self._packer.close()
            if kind is None:
                self._file.flush()
                os.fsync(self._file.fileno())
        finally:
            self._file.close()
        if kind is None:
            self.part.replace(self.path)
        else:
            self.part.unlink(missing_ok=True)
