"""Lines of segments (delivery.md §4.3): one a hit, fields split by tabs.

    log id · time · broad log · delivery · link · kind · requester · HTML or text · params · user agent ·
    address · extra · segment

A line is what COPY in the text format of PostgreSQL reads, so that loading is one statement: the three
numbers are hexadecimal with `0x` before them, the requester is a UUID or `\\N`, HTML is 1 and text 0, and a
backslash, which begins an escape there, is written twice. Nothing else needs one: what is not printable
becomes a blank first.
"""

from functools import lru_cache
from typing import Final

COLUMNS: Final = (
    "tracking_inbox_id", "received_at", "broad_log_id", "delivery_id", "url_id", "kind", "source_id", "html",
    "params", "user_agent", "address", "extra", "segment",
)  # fmt: skip
"""Of the table of hits, in the order of a line."""
LONGEST: Final = 2048
"""Letters of a text."""
LONGEST_AGENT: Final = 512
NOBODY: Final = "\\N"
"""The requester of a hit whose browser has no name."""


def plain(text: str, longest: int = LONGEST) -> str:
    """Return any text as it stands in a line: cut, printable, backslashes doubled."""
    text = text[:longest]
    if not text.isprintable():
        text = "".join(letter if letter.isprintable() else " " for letter in text)
    return text.replace("\\", "\\\\")


@lru_cache(4096)
def agent(text: str) -> str:
    """Return the name of a browser as it stands in a line."""
    return plain(text, LONGEST_AGENT)
