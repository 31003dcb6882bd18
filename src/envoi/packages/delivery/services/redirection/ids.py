"""Log ids: never given twice, in the order of time (ADR 0029).

From the left: 41 bits of milliseconds since 2020, 14 bits for the process, 8 bits that count. The number of a
process comes from a sequence of the database at its start, so two processes have the same one only 16,384
starts apart. Whoever counts beyond 256 in a millisecond takes from the next one: the clock is never waited
for, and that it is set back does no harm as long as the process lives.
"""

import time
from typing import Final

EPOCH_MS: Final = 1_577_836_800_000
PROCESSES: Final = 1 << 14
_COUNT_BITS, _PROCESS_BITS = 8, 14
_COUNT_MASK: Final = (1 << _COUNT_BITS) - 1


class Ids:
    """The ids of one process. Not for several threads at a time."""

    def __init__(self, process: int) -> None:
        self._process = (process % PROCESSES) << _COUNT_BITS
        self._tick = 0

    def take(self, count: int) -> list[int]:
        """Return the next ids, positive 63-bit numbers that rise."""
        # The clock of the machine, which tests that step the product's time do not move.
        now = (time.clock_gettime_ns(time.CLOCK_REALTIME) // 1_000_000 - EPOCH_MS) << _COUNT_BITS
        begin = max(now, self._tick + 1)
        self._tick = begin + count - 1
        return [
            (tick >> _COUNT_BITS << _COUNT_BITS + _PROCESS_BITS) | self._process | (tick & _COUNT_MASK)
            for tick in range(begin, begin + count)
        ]
