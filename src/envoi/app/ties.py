"""Tie a process to its parent: when the parent dies, by whatever cause, the child dies with it.

Linux only (prctl(2), PR_SET_PDEATHSIG). The signal is sent when the *thread* that started the child ends, so
children are started from the main thread.
"""

import ctypes
import os
import signal
from collections.abc import Callable
from pathlib import Path

PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """Have this process killed when process `parent`, which must be its parent, ends. Exits if it already
    has.
    """
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def tied_to_me() -> Callable[[], None]:
    """Return a function for `subprocess.Popen(preexec_fn=…)` that ties the child to this process."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def tie() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return tie


def lives(pid: int) -> bool:
    """Tell whether process `pid` of this host exists and is more than a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
