"""Files with rows: CSV, fixed width and XLSX, plain or gzipped, read in bounded memory and from any place on.

`detect` proposes a format, `batches` reads what lies behind a checkpoint, `copy` brings a
batch into a table, `CsvWriter` writes. What a file does wrong is told with its line; a file that cannot be
trusted is refused.
"""

from envoi.engine.files.copying import columns, copy, copy_rows
from envoi.engine.files.format import Encoding, Format, Kind, Source
from envoi.engine.files.reading import Bad, Batch, Position, batches, first_rows
from envoi.engine.files.sniffing import detect
from envoi.engine.files.writing import CsvWriter, harmless

__all__ = [
    "Bad",
    "Batch",
    "CsvWriter",
    "Encoding",
    "Format",
    "Kind",
    "Position",
    "Source",
    "batches",
    "columns",
    "copy",
    "copy_rows",
    "detect",
    "first_rows",
    "harmless",
]
