"""Answers that are kept for a while, so that a page that is watched costs little however much there is."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeVar, cast

from django.db import connection

SHARE = 50
"""An answer stands for so many times what it took to find: watching costs at most 2 % of one core."""
CHEAP = 0.02
"""Seconds: what takes less is asked anew as soon as its version has changed."""
MOST = 256
"""Answers kept in a process."""
Answer = TypeVar("Answer")
_lock = threading.Lock()
_kept: "OrderedDict[Hashable, tuple[Hashable, float, object]]" = OrderedDict()


def remembered(key: Hashable, version: Hashable, find: Callable[[], Answer]) -> Answer:
    """Return what `find` gives, or what it gave before: for the same version, or while it may still stand."""
    whole = (connection.settings_dict["NAME"], key)
    with _lock:
        known = _kept.get(whole)
        if known is not None and (known[0] == version or time.monotonic() < known[1]):
            _kept.move_to_end(whole)
            return cast("Answer", known[2])
    began = time.monotonic()
    answer = find()
    took = time.monotonic() - began
    until = time.monotonic() + took * SHARE if took > CHEAP else 0.0
    with _lock:
        _kept[whole] = (version, until, answer)
        while len(_kept) > MOST:
            _kept.popitem(last=False)
    return answer


def forget() -> None:
    """Forget all answers."""
    with _lock:
        _kept.clear()
