"""What a file seems to be: its kind, encoding, delimiter, quotes and header, from its first bytes."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

from django.utils.translation import gettext as _

from envoi.engine.files import sheets
from envoi.engine.files.format import MOST_COLUMNS, Encoding, Format, Kind, Source
from envoi.engine.files.stream import chunks
from envoi.kernel.errors import Invalid

LOOK = 256 << 10
DELIMITERS = ";\t,|:"
_DATA = re.compile(r"^\s*$|\d{3}|@|^\d+([.,]\d+)?$")
_ENCODINGS = {
    "cp1252": Encoding.CP1252,
    "latin_1": Encoding.LATIN_1,
    "cp1250": Encoding.LATIN_2,
    "cp1251": Encoding.CYRILLIC,
    "cp932": Encoding.JAPANESE,
    "shift_jis": Encoding.JAPANESE,
    "cp949": Encoding.KOREAN,
    "euc_kr": Encoding.KOREAN,
    "big5": Encoding.CHINESE,
    "big5hkscs": Encoding.CHINESE,
}


def detect(source: Source, given: Format | None = None, **fixed: object) -> Format:
    """Return the format that a file seems to have, with the names of its columns.

    `fixed` are fields of the format that somebody has chosen; only the others are guessed. Raises Invalid for
    an empty file, a binary one, or one in which no columns can be seen.
    """
    form = given or Format()
    head = _first_bytes(source.path, gzip=False)
    if not head:
        raise Invalid(_("%(path)s is empty.") % {"path": source.path.name})
    gzip = bool(fixed.get("gzip", head.startswith(b"\x1f\x8b")))
    if head.startswith(b"PK\x03\x04") or fixed.get("kind") == Kind.XLSX:
        chosen = replace(form, **{"kind": Kind.XLSX, "header": True, **fixed})  # type: ignore[arg-type]
        return _sheet(source, chosen, said="header" in fixed)
    if gzip:
        head = _first_bytes(source.path, gzip=True)
        if not head:
            raise Invalid(_("%(path)s is empty.") % {"path": source.path.name})
    encoding, bom = _encoding(head, source.path.name)
    form = replace(form, kind=Kind.CSV, gzip=gzip, encoding=encoding, bom=bom)
    form = replace(form, **{k: v for k, v in fixed.items() if k not in ("header",)})  # type: ignore[arg-type]
    text = head[form.bom :].decode(form.encoding.value, "replace")
    whole = len(head) < LOOK
    lines = text.replace("\r\n", "\n").split("\n")
    if not whole:
        lines = lines[:-1] or lines
    lines = lines[form.skip :]
    if form.kind is Kind.FIXED:
        return _named_fixed(lines, form, fixed)
    if "delimiter" not in fixed:
        form = replace(form, delimiter=_delimiter(lines, form.quote))
    if "quote" not in fixed:
        form = replace(form, quote=_quote(text, form.delimiter))
    rows = list(
        csv.reader(
            io.StringIO("\n".join(lines[:200]).replace("\0", "")),
            delimiter=form.delimiter,
            quotechar=form.quote or None,
            quoting=csv.QUOTE_MINIMAL if form.quote else csv.QUOTE_NONE,
        )
    )
    rows = [row for row in rows if row]
    if not rows:
        raise Invalid(_("%(path)s holds no rows.") % {"path": source.path.name})
    if len(rows[0]) > MOST_COLUMNS:
        raise Invalid(_("The file has more than %(most)d columns.") % {"most": MOST_COLUMNS})
    header = bool(fixed["header"]) if "header" in fixed else _is_header(rows)
    made = replace(form, header=header, columns=named(rows[0] if header else [""] * len(rows[0])))
    made.check()
    return made


def named(cells: list[str]) -> tuple[str, ...]:
    """Return names for columns: what the header says, made different where it repeats itself."""
    taken: set[str] = set()
    found: list[str] = []
    for number, cell in enumerate(cells, 1):
        name = "".join(c if c.isprintable() else " " for c in cell).strip()[:100] or f"column {number}"
        base, count = name, 1
        while name.casefold() in taken:
            count += 1
            name = f"{base} {count}"
        taken.add(name.casefold())
        found.append(name)
    return tuple(found)


def _first_bytes(path: Path, *, gzip: bool) -> bytes:
    held = b""
    for piece in chunks(path, gzip=gzip):
        held += piece
        if len(held) >= LOOK:
            break
    return held[:LOOK]


def _encoding(head: bytes, name: str) -> tuple[Encoding, int]:
    for mark, encoding in (
        (codecs.BOM_UTF8, Encoding.UTF_8),
        (codecs.BOM_UTF16_LE, Encoding.UTF_16_LE),
        (codecs.BOM_UTF16_BE, Encoding.UTF_16_BE),
    ):
        if head.startswith(mark):
            return encoding, len(mark)
    sample = head[: len(head) // 2 * 2]
    zeros = sample.count(0)
    if zeros * 3 > len(sample):
        odd = sample[1::2].count(0)
        if odd * 10 > zeros * 9:
            return Encoding.UTF_16_LE, 0
        if odd * 10 < zeros:
            return Encoding.UTF_16_BE, 0
    controls = sum(head.count(bytes([code])) for code in (*range(1, 9), *range(14, 27), *range(28, 32)))
    if (zeros + controls) * 20 > len(head):
        raise Invalid(_("%(path)s is not a text: rows cannot be read from it.") % {"path": name})
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head, final=False)
    except UnicodeDecodeError:
        return _older_encoding(head), 0
    return Encoding.UTF_8, 0


def _older_encoding(head: bytes) -> Encoding:
    import charset_normalizer

    best = charset_normalizer.from_bytes(head[: 64 << 10], cp_isolation=sorted(_ENCODINGS)).best()
    return _ENCODINGS.get(best.encoding, Encoding.CP1252) if best is not None else Encoding.CP1252


def _delimiter(lines: list[str], quote: str) -> str:
    """Return the character that stands equally often in most lines, most often where several do."""
    best, best_score = ",", 0.0
    looked = [line for line in lines[:200] if line.strip()]
    for candidate in DELIMITERS:
        counts = Counter(_outside(line, quote).count(candidate) for line in looked)
        count, agreeing = max(((n, c) for n, c in counts.items() if n), key=lambda p: p[1], default=(0, 0))
        score = agreeing / max(1, len(looked)) * (1 + min(count, 20) / 100) if count else 0.0
        if score > best_score:
            best, best_score = candidate, score
    return best


def _outside(line: str, quote: str) -> str:
    return "".join(line.split(quote)[::2]) if quote else line


def _quote(text: str, delimiter: str) -> str:
    """Return a quotation mark when cells begin with one; marks inside of cells alone are characters."""
    at_start = rf"(?:^|[{re.escape(delimiter)}])"
    for mark in ('"', "'"):
        if re.search(rf"{at_start}{mark}[^\n]*?{mark}(?:[{re.escape(delimiter)}]|\r?$)", text, re.M):
            return mark
    return "" if re.search(r'[^\n]"', text) else '"'


def _is_header(rows: list[list[str]]) -> bool:
    """A header holds words only: each once, or above a row that holds more than words."""
    first = [cell.strip() for cell in rows[0]]
    if any(_DATA.search(cell) and cell for cell in first) or not any(first):
        return False
    if len({cell.casefold() for cell in first}) == len(first) or len(rows) == 1:
        return True
    return any(cell.strip() and _DATA.search(cell) for cell in rows[1])


def _named_fixed(lines: list[str], form: Format, fixed: dict[str, object]) -> Format:
    if not form.widths:
        raise Invalid(_("A file of fixed width needs the width of each column."))
    cells: list[str] = []
    at = 0
    for width in form.widths:
        cells.append(lines[0][at : at + width].strip() if lines else "")
        at += width
    header = bool(fixed["header"]) if "header" in fixed else _is_header([cells])
    made = replace(form, header=header, columns=named(cells if header else [""] * len(cells)))
    made.check()
    return made


def _sheet(source: Source, form: Format, *, said: bool) -> Format:
    rows: list[list[str]] = []
    for _number, cells in sheets.rows(source.path, form.sheet, form.skip + 1):
        rows.append(list(cells))
        if len(rows) == 20:
            break
    if not rows or not any(rows[0]):
        raise Invalid(_("%(path)s holds no rows.") % {"path": source.path.name})
    first = rows[0]
    while first and not first[-1]:
        first.pop()
    header = form.header and (said or _is_header([first, *rows[1:]]))
    width = len(first) if header else max(map(len, rows))
    made = replace(form, header=header, columns=named(first if header else [""] * width))
    made.check()
    return made
