"""The bytes of a file, unpacked if need be, from an offset on; a bomb is refused while it unfolds."""

from __future__ import annotations

import zlib
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

from django.utils.translation import gettext as _

from envoi.engine.files.format import FREE_BYTES, MOST_BYTES, MOST_RATIO
from envoi.kernel.errors import Invalid

CHUNK = 1 << 20


def chunks(path: Path, *, gzip: bool, offset: int = 0) -> Generator[bytes]:
    """Yield the bytes behind `offset` in pieces of at most `CHUNK`. Raises Invalid for a broken archive."""
    try:
        with path.open("rb") as file:
            if not gzip:
                file.seek(offset)
                while piece := file.read(CHUNK):
                    yield piece
                return
            with closing(_unpacked(file)) as unpacked:
                for piece in unpacked:
                    if offset >= len(piece):
                        offset -= len(piece)
                    else:
                        yield piece[offset:]
                        offset = 0
    except zlib.error as error:
        raise Invalid(_("%(path)s is damaged: it cannot be unpacked.") % {"path": path.name}) from error
    except OSError as error:
        given = {"path": path.name, "reason": error.strerror}
        raise Invalid(_("%(path)s cannot be read: %(reason)s.") % given) from error


def _unpacked(file: BinaryIO) -> Generator[bytes]:
    """Unpack one gzip member after the other, never more than `CHUNK` at a time."""
    engine = zlib.decompressobj(wbits=31)
    packed = unpacked = 0
    rest = b""
    while True:
        if not rest:
            rest = file.read(CHUNK // 4)
            packed += len(rest)
        if not rest:
            if not engine.eof:
                raise Invalid(_("The file ends in the middle: it was not packed or transferred to its end."))
            return
        if engine.eof:
            engine = zlib.decompressobj(wbits=31)
        piece = engine.decompress(rest, CHUNK)
        rest = engine.unconsumed_tail or engine.unused_data
        unpacked += len(piece)
        if unpacked > MOST_BYTES or unpacked > FREE_BYTES + packed * MOST_RATIO:
            raise Invalid(
                _("The file unfolds to far more than it says (over %(mb)d MB): it is refused as a bomb.")
                % {"mb": unpacked >> 20}
            )
        if piece:
            yield piece
