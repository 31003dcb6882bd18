"""Rows of a file, a batch at a time, with the place at which reading can go on after any crash."""

from __future__ import annotations

import csv
import io
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from operator import methodcaller

from django.utils.translation import gettext as _

from envoi.engine.files import sheets
from envoi.engine.files.format import LONGEST_CELL, LONGEST_LINE, Encoding, Format, Kind, Source
from envoi.engine.files.stream import chunks
from envoi.kernel.errors import Conflict, Invalid

BATCH_BYTES = 8 << 20
"""About so much of a file is one batch."""
SHORT = 200
"""Characters of a value that are kept of a row that is not taken."""


@dataclass(frozen=True)
class Position:
    """A place between two rows: bytes behind the start (unpacked), and lines before it."""

    offset: int = 0
    line: int = 0


@dataclass(frozen=True)
class Bad:
    """A row that cannot be taken: the line it begins in, why, and the beginning of what was there."""

    line: int
    reason: str
    value: str = ""
    column: str = ""


@dataclass(frozen=True)
class Batch:
    """Rows that follow one another. Either `raw` holds them as they are (UTF-8, one line a row, no quotes,
    as many delimiters as must be, the first in line `line`), or `rows` holds (line, cells).
    """

    end: Position
    line: int
    count: int
    raw: bytes | None = None
    rows: tuple[tuple[int, tuple[str, ...]], ...] = ()
    bad: tuple[Bad, ...] = field(default=())
    blanks: bool = True
    """False when no cell has a blank before or behind it, so that none needs to be looked for."""


def batches(source: Source, form: Format, start: Position | None = None) -> Generator[Batch]:
    """Yield what lies behind `start` (None: the first row, behind the header).

    Memory is bounded by `BATCH_BYTES` and the longest line. Raises Invalid when the file cannot be read as
    the format says (naming the line), Conflict when it is not the file any more that `source` saw.
    """
    form.check()
    if Source.of(source.path) != source:
        raise Conflict(_("%(path)s has changed since. Load it anew.") % {"path": source.path.name})
    if form.kind is Kind.XLSX:
        yield from _sheet(source, form, start)
        return
    if start is None:
        start = _behind_header(source, form)
    for block in _blocks(source, form, start):
        yield _parsed(block, form)


def first_rows(
    source: Source, form: Format, count: int
) -> tuple[list[tuple[int, tuple[str, ...]]], list[Bad]]:
    """Return the first `count` rows as (line, cells), and what is wrong before the last of them."""
    rows: list[tuple[int, tuple[str, ...]]] = []
    bad: list[Bad] = []
    for batch in batches(source, form):
        rows += cells_of(batch, form)
        bad += batch.bad
        if len(rows) >= count:
            break
    rows = rows[:count]
    last = rows[-1][0] if len(rows) == count else None
    return rows, [each for each in bad if last is None or each.line < last]


def cells_of(batch: Batch, form: Format) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield the rows of a batch as (line, cells), whichever way it holds them."""
    if batch.raw is None:
        yield from batch.rows
        return
    for number, line in enumerate(batch.raw.decode().removesuffix("\n").split("\n"), batch.line):
        yield number, tuple(line.split(form.delimiter))


@dataclass(frozen=True)
class _Block:
    """Whole rows as bytes; `before` is the place where they begin."""

    raw: bytes
    before: Position


def _behind_header(source: Source, form: Format) -> Position:
    """Return where the rows begin: behind the mark, the lines to leave out, and the header."""
    position = Position(form.bom, 0)
    wanted = form.skip + (1 if form.header else 0)
    for number in range(wanted):
        quoted = form.header and number == wanted - 1
        block = next(_blocks(source, form, position, one=True, quoted=quoted), None)
        if block is None:
            return position
        position = Position(position.offset + len(block.raw), position.line + _newlines(block.raw, form))
    return position


def _blocks(
    source: Source, form: Format, start: Position, *, one: bool = False, quoted: bool = True
) -> Generator[_Block]:
    """Cut the file between rows. With `one` each block is one row."""
    held, at = b"", start
    size = 1 if one else BATCH_BYTES
    pieces = chunks(source.path, gzip=form.gzip, offset=start.offset)
    for piece in pieces:
        held += piece
        while len(held) >= size:
            cut = _cut(held, form, first=one, quoted=quoted)
            if not cut:
                break
            yield _Block(held[:cut], at)
            at = Position(at.offset + cut, at.line + _newlines(held[:cut], form))
            held = held[cut:]
        if len(held) > LONGEST_LINE + BATCH_BYTES:
            raise Invalid(
                _("Line %(line)d is longer than %(mb)d MB, or a quotation mark in it is never closed.")
                % {"line": at.line + 1, "mb": LONGEST_LINE >> 20}
            )
    if held:
        yield _Block(held, at)


def _newline(form: Format) -> bytes:
    return {Encoding.UTF_16_LE: b"\n\0", Encoding.UTF_16_BE: b"\0\n"}.get(form.encoding, b"\n")


def _newlines(raw: bytes, form: Format) -> int:
    mark = _newline(form)
    if len(mark) == 1:
        return raw.count(b"\n")
    return raw.decode(form.encoding.value, "replace").count("\n")


def _cut(raw: bytes, form: Format, *, first: bool, quoted: bool) -> int:
    """Return how many bytes are whole rows: up to the last line break outside of quotes (the first,
    if asked), 0 for none.
    """
    mark = _newline(form)
    width = len(mark)
    quote = form.quote.encode(form.encoding.value) if form.kind is Kind.CSV and quoted and form.quote else b""
    at = 0 if first else len(raw)
    total = raw.count(quote) if quote and not first else 0
    inside = 0
    while True:
        found = raw.find(mark, at) if first else raw.rfind(mark, 0, at)
        if found < 0:
            return 0
        if found % width:
            at = found + 1 if first else found + width - 1
            continue
        end = found + width
        if not quote:
            return end
        if first:
            inside += raw.count(quote, at, end)
            if inside % 2 == 0:
                return end
            at = end
        else:
            total -= raw.count(quote, end, at)
            if total % 2 == 0:
                return end
            # The mark itself holds no quote, so counting may go on from its start.
            at = found


def _parsed(block: _Block, form: Format) -> Batch:
    """Read a block, quickly where nothing in it is special."""
    raw, line = block.raw, block.before.line + 1
    end = Position(block.before.offset + len(raw), block.before.line + _newlines(raw, form))
    text = _decoded(raw, form, line)
    if form.encoding is not Encoding.UTF_8 or "�" in text:
        raw = text.encode()
    if form.kind is Kind.FIXED:
        return _fixed(text, line, end, form)
    if (plain := _plain(raw, form)) is not None:
        count = plain.count(b"\n")
        return Batch(end, line, count, raw=plain, blanks=_has_blanks(plain, form))
    return _separated(text, line, end, form)


def _decoded(raw: bytes, form: Format, line: int) -> str:
    try:
        return raw.decode(form.encoding.value, "replace" if form.replace else "strict")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode(form.encoding.value, "replace").count("\n")
        raise Invalid(
            _(
                "Line %(line)d is not written in %(encoding)s (byte %(byte)s). Choose another encoding, or"
                " have such characters replaced."
            )
            % {"line": line + before, "encoding": form.encoding.value, "byte": f"{raw[error.start]:#04x}"}
        ) from error


def _plain(raw: bytes, form: Format) -> bytes | None:
    """Return a block that a database can read as it is, or None when a row of it needs a closer look."""
    delimiter = form.delimiter.encode()
    if len(delimiter) != 1 or b"\0" in raw or b"\x01" in raw or b"\\." in raw:
        return None
    if form.quote and form.quote.encode() in raw:
        return None
    if b"\r" in raw:
        raw = raw.replace(b"\r\n", b"\n")
        if b"\r" in raw:
            return None
    if not raw.endswith(b"\n"):
        raw += b"\n"
    lines = raw[:-1].split(b"\n")
    if set(map(methodcaller("count", delimiter), lines)) != {len(form.columns) - 1}:
        return None
    if max(map(len, lines)) > LONGEST_CELL or not all(lines):
        return None
    return raw


def _has_blanks(raw: bytes, form: Format) -> bool:
    """Return whether a cell of a plain block may begin or end with a blank."""
    delimiter = form.delimiter.encode()
    around = (b" " + delimiter, delimiter + b" ", b" \n", b"\n ")
    tabs = delimiter != b"\t" and b"\t" in raw
    # One byte is looked for much faster than several.
    wide = any(sign[:1] in raw and sign in raw for sign in (b"\xc2\xa0", b"\xe3\x80\x80"))
    return tabs or wide or raw.startswith(b" ") or any(sign in raw for sign in around)


def _separated(text: str, line: int, end: Position, form: Format) -> Batch:
    csv.field_size_limit(LONGEST_LINE * 2)
    rows: list[tuple[int, tuple[str, ...]]] = []
    bad: list[Bad] = []
    # "\r" alone would end a row for the reader that did not end one for the cutter.
    lines = io.StringIO(text.replace("\r\n", "\n"), newline="\n")
    reader = csv.reader(
        lines,
        delimiter=form.delimiter,
        quotechar=form.quote or None,
        quoting=csv.QUOTE_MINIMAL if form.quote else csv.QUOTE_NONE,
    )
    before = 0
    while True:
        number = line + before
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            bad.append(Bad(number, _("it cannot be read as CSV (%(reason)s)") % {"reason": error}))
            before = reader.line_num
            continue
        before = reader.line_num
        if cells:
            _sort_in(number, tuple(cells), form, rows, bad)
    return Batch(end, line, len(rows), rows=tuple(rows), bad=tuple(bad))


def _sort_in(
    number: int,
    cells: tuple[str, ...],
    form: Format,
    rows: list[tuple[int, tuple[str, ...]]],
    bad: list[Bad],
) -> None:
    """Take a row, or say why not."""
    wanted = len(form.columns)
    if len(cells) != wanted:
        reason = _("it has %(count)d columns instead of %(wanted)d") % {"count": len(cells), "wanted": wanted}
        bad.append(Bad(number, reason, form.delimiter.join(cells)[:SHORT].replace("\0", "�")))
        return
    for name, cell in zip(form.columns, cells, strict=True):
        if "\0" in cell:
            bad.append(Bad(number, _("it holds a NUL byte"), cell[:SHORT].replace("\0", "�"), name))
            return
        if len(cell) > LONGEST_CELL:
            reason = _("it is longer than %(most)d characters") % {"most": LONGEST_CELL}
            bad.append(Bad(number, reason, cell[:SHORT], name))
            return
    rows.append((number, cells))


def _fixed(text: str, line: int, end: Position, form: Format) -> Batch:
    rows: list[tuple[int, tuple[str, ...]]] = []
    bad: list[Bad] = []
    edges: list[tuple[int, int]] = []
    at = 0
    for width in form.widths:
        edges.append((at, at + width))
        at += width
    for number, each in enumerate(text.removesuffix("\n").split("\n"), line):
        row = each.removesuffix("\r")
        if not row:
            continue
        if len(row) > at and row[at:].strip():
            reason = _("it is longer than its columns (%(count)d characters)") % {"count": len(row)}
            bad.append(Bad(number, reason, row[:SHORT]))
            continue
        _sort_in(number, tuple(row[a:b].rstrip() for a, b in edges), form, rows, bad)
    return Batch(end, line, len(rows), rows=tuple(rows), bad=tuple(bad))


def _sheet(source: Source, form: Format, start: Position | None) -> Generator[Batch]:
    first = (form.skip + (1 if form.header else 0)) if start is None else start.line
    rows: list[tuple[int, tuple[str, ...]]] = []
    bad: list[Bad] = []
    size, number = 0, first
    wanted = len(form.columns)
    for number, cells in sheets.rows(source.path, form.sheet, first + 1):
        if any(cells):
            # A sheet leaves empty cells at the end of a row out, and may have used more once.
            cells = (*cells, *[""] * (wanted - len(cells)))
            if not any(cells[wanted:]):
                cells = cells[:wanted]
            size += sum(map(len, cells))
            _sort_in(number, cells, form, rows, bad)
        if size > BATCH_BYTES or len(rows) >= 50_000:
            yield Batch(
                Position(0, number), rows[0][0] if rows else number, len(rows), None, tuple(rows), tuple(bad)
            )
            rows, bad, size = [], [], 0
    if rows or bad:
        yield Batch(
            Position(0, number), rows[0][0] if rows else number, len(rows), None, tuple(rows), tuple(bad)
        )
