"""Files for providers: what a delivery by direct mail, telephone or fax becomes (delivery.md §2.16).

The analysis ends at *extraction pending*. A worker makes the file, somebody approves it where that is wanted,
the delivery is ready. Once it is confirmed and its date has come, the file is handed over, and the delivery
is finished.
"""

from envoi.packages.delivery.services.extractions.definition import Extraction, read
from envoi.packages.delivery.services.extractions.handing import again, hand
from envoi.packages.delivery.services.extractions.making import begin, made, make, path_of, preview, reject
from envoi.packages.delivery.services.extractions.purging import purge

__all__ = [
    "Extraction",
    "again",
    "begin",
    "hand",
    "made",
    "make",
    "path_of",
    "preview",
    "purge",
    "read",
    "reject",
]
