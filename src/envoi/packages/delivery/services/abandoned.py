"""Files that a process writes and holds locked (flock) as long as it lives: those of dead ones are found by
their locks. Knows nothing of Django: senders and `track` both use it.
"""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


def files(folder: Path, ending: str) -> Iterator[Path]:
    """Yield the files of dead processes in the order of their names, each locked while the caller deals with
    it.
    """
    for path in sorted(folder.glob(f"*{ending}")):
        try:
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Somebody may have moved and removed it between the two calls.
            if os.fstat(handle).st_nlink:
                yield path
        except BlockingIOError:
            continue
        finally:
            os.close(handle)
