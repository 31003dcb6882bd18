"""What has to be known to read a file of rows, and what no file may exceed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, cast

from django.utils.translation import gettext as _

from envoi.kernel.errors import Invalid

LONGEST_CELL = 1 << 20
"""Characters of one cell; a line with more in one is rejected."""
LONGEST_LINE = 32 << 20
"""Bytes of one line, quoted line breaks included; a file with a longer one is refused."""
MOST_COLUMNS = 500
MOST_BYTES = 64 << 30
"""Bytes of a file after its compression is undone."""
MOST_RATIO = 250
"""Bytes that one compressed byte may stand for, beyond the first `FREE_BYTES`: a bomb has a thousand."""
FREE_BYTES = 64 << 20


class Kind(StrEnum):
    """How rows lie in a file."""

    CSV = "csv"
    FIXED = "fixed"
    XLSX = "xlsx"


class Encoding(StrEnum):
    """Encodings that are read; the values are Python's names."""

    UTF_8 = "utf-8"
    UTF_16_LE = "utf-16-le"
    UTF_16_BE = "utf-16-be"
    CP1252 = "cp1252"
    LATIN_1 = "iso-8859-1"
    LATIN_9 = "iso-8859-15"
    LATIN_2 = "cp1250"
    CYRILLIC = "cp1251"
    JAPANESE = "cp932"
    KOREAN = "cp949"
    CHINESE = "big5"


@dataclass(frozen=True)
class Format:
    """How to read one file. `widths` (characters) are those of fixed width; `sheet` is a workbook's, the
    first when empty. `replace` reads what the encoding does not know as "�"; without it such a file is
    refused.
    """

    kind: Kind = Kind.CSV
    encoding: Encoding = Encoding.UTF_8
    bom: int = 0
    """Bytes of the byte order mark."""
    delimiter: str = ","
    quote: str = '"'
    header: bool = True
    gzip: bool = False
    replace: bool = False
    skip: int = 0
    """Lines before the header or the first row."""
    widths: tuple[int, ...] = ()
    sheet: str = ""
    columns: tuple[str, ...] = ()
    """Names of the columns, as the header has them."""

    def to_json(self) -> dict[str, Any]:
        """Return it as a document of plain values."""
        return asdict(self) | {"widths": list(self.widths), "columns": list(self.columns)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Format:
        """Undo `to_json`. Raises Invalid for what is no format."""
        try:
            given = dict(document)
            for name in ("widths", "columns"):
                given[name] = tuple(cast("Iterable[Any]", given.get(name) or ()))
            made = cls(**given)
            made = replace(made, kind=Kind(made.kind), encoding=Encoding(made.encoding))
        except (TypeError, ValueError) as error:
            raise Invalid(_("The format of the file is wrong: %(reason)s.") % {"reason": error}) from error
        made.check()
        return made

    def check(self) -> None:
        """Raise Invalid for a format that cannot be read."""
        if self.kind is Kind.CSV and (len(self.delimiter) != 1 or self.delimiter in "\r\n\0"):
            raise Invalid(_("A delimiter is one character, not %(text)r.") % {"text": self.delimiter})
        if self.kind is Kind.CSV and (
            len(self.quote) > 1 or self.quote in ("\r", "\n", "\0", self.delimiter)
        ):
            raise Invalid(
                _("A quotation mark is one character or none, not %(text)r.") % {"text": self.quote}
            )
        if self.kind is Kind.FIXED and (not self.widths or any(w < 1 for w in self.widths)):
            raise Invalid(_("A file of fixed width needs the width of each column."))
        if len(self.columns) > MOST_COLUMNS or len(self.widths) > MOST_COLUMNS:
            raise Invalid(_("The file has more than %(most)d columns.") % {"most": MOST_COLUMNS})


@dataclass(frozen=True)
class Source:
    """A file, and by what it is recognised as the same one later."""

    path: Path
    size: int
    changed_ns: int

    @classmethod
    def of(cls, path: Path) -> Source:
        """Look at a file. Raises Invalid when it is none, or cannot be read."""
        try:
            facts = path.stat()
        except OSError as error:
            reason = {"path": path.name, "reason": error.strerror}
            raise Invalid(_("%(path)s cannot be read: %(reason)s.") % reason) from error
        if not path.is_file():
            raise Invalid(_("%(path)s is not a file.") % {"path": path.name})
        return cls(path, facts.st_size, facts.st_mtime_ns)
