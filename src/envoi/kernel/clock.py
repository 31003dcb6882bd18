"""The one clock of the product (architecture §2.7).

`now()` gives the product's time, timezone-aware in UTC. Tests freeze it in a process with `frozen`, or step
it for many processes through the file named by `ENVOI_CLOCK_FILE`, which holds one ISO 8601 time. Leases,
heartbeats and network time-outs use `monotonic()`, which no test ever moves.
"""

import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

_frozen: datetime | None = None


def now() -> datetime:
    """Return the product's present time, in UTC."""
    if _frozen is not None:
        return _frozen
    if path := os.environ.get("ENVOI_CLOCK_FILE"):
        return datetime.fromisoformat(Path(path).read_text(encoding="ascii").strip()).astimezone(UTC)
    return datetime.now(UTC)


def monotonic() -> float:
    """Return seconds of a clock that never goes back; for leases and time-outs only."""
    return time.monotonic()


class Frozen:
    """A stopped clock that a test moves by hand."""

    def move_to(self, moment: datetime) -> None:
        """Set the time; `moment` must carry a zone."""
        global _frozen
        if moment.tzinfo is None:
            raise ValueError("a frozen clock needs a time with its zone")
        _frozen = moment.astimezone(UTC)

    def step(self, **delta: float) -> None:
        """Move on by a timedelta given as keywords: `step(hours=1)`."""
        self.move_to(now() + timedelta(**delta))


@contextmanager
def frozen(moment: datetime) -> Generator[Frozen]:
    """Stop the clock of this process at `moment`, and let it go again on leaving."""
    global _frozen
    before = _frozen
    clock = Frozen()
    clock.move_to(moment)
    try:
        yield clock
    finally:
        _frozen = before
