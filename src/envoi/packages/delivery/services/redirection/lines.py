"""Lines of segments (delivery.md §4.3): one a hit, fields split by tabs.

    log id · time · broad log · delivery · link · kind · requester · HTML or text · params · user agent ·
    address · extra · segment

A line is what COPY in the text format of PostgreSQL reads, so that loading is one statement: the three
numbers are hexadecimal with `0x` before them, the requester is a UUID or `\\N`, HTML is 1 and text 0, and a
backslash, which begins an escape there, is written twice. Nothing else needs one: what is not printable
becomes a blank first.
"""

from datetime import datetime
from typing import Final

COLUMNS: Final = (
    "tracking_inbox_id", "received_at", "broad_log_id", "delivery_id", "url_id", "kind", "source_id", "html",
    "params", "user_agent", "address", "extra", "segment",
)  # fmt: skip
"""Of the table of hits, in the order of a line."""
LONGEST_PARAMS: Final = 4096
LONGEST_AGENT: Final = 512
LONGEST_ADDRESS: Final = 64
LONGEST_EXTRA: Final = 2048


def line(
    log_id: int,
    received: datetime,
    kind: int,
    *,
    segment: str,
    broad_log: int = 0,
    delivery: int = 0,
    link: int = 0,
    html: bool = True,
    requester: str = "",
    params: str = "",
    agent: str = "",
    address: str = "",
    extra: str = "",
) -> bytes:
    """Return the line of a hit. `requester` is a UUID or empty; other texts may hold anything."""
    return (
        f"{log_id}\t{received.isoformat()}\t0x{broad_log:x}\t0x{delivery:x}\t0x{link:x}\t{kind}\t"
        f"{requester or chr(92) + 'N'}\t{html:d}\t{plain(params, LONGEST_PARAMS)}\t"
        f"{plain(agent, LONGEST_AGENT)}\t{plain(address, LONGEST_ADDRESS)}\t{plain(extra, LONGEST_EXTRA)}\t"
        f"{segment}\n"
    ).encode("utf-8", "replace")


def plain(text: str, longest: int) -> str:
    """Return a text as it stands in a line: cut, printable, backslashes doubled."""
    if len(text) > longest:
        text = text[:longest]
    if not text.isprintable():
        text = "".join(letter if letter.isprintable() else " " for letter in text)
    return text.replace("\\", "\\\\") if "\\" in text else text
