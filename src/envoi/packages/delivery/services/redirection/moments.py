"""The present time, as lines and answers write it: what is the same for a second is worked out once."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime


class Moments:
    """`now`: the product's clock where it is stepped or stopped; None for the clock of the machine."""

    __slots__ = ("_begin", "_now", "_second", "date", "ms", "text")

    def __init__(self, now: Callable[[], datetime] | None = None) -> None:
        self._now = now
        self._second = -1
        self._begin = ""
        self.ms = 0
        """Milliseconds since 1970."""
        self.text = ""
        """As PostgreSQL reads it, in UTC."""
        self.date = ""
        """As HTTP has it."""

    def tick(self) -> int:
        """Look at the clock; all then speaks of that moment."""
        if self._now is None:
            self.ms = ms = time.clock_gettime_ns(time.CLOCK_REALTIME) // 1_000_000
        else:
            self.ms = ms = int(self._now().timestamp() * 1000)
        if ms // 1000 != self._second:
            self._second = ms // 1000
            moment = datetime.fromtimestamp(self._second, UTC)
            self._begin = moment.isoformat()[:19]
            self.date = format_datetime(moment, usegmt=True)
        self.text = f"{self._begin}.{ms % 1000:03d}+00"
        return ms
