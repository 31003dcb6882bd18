"""Which processes an instance has on this host: one line each in the table below."""

import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from envoi.app.supervisor import Program
from envoi.kernel.config import Config
from envoi.kernel.errors import NotFound

HOUR = 3600.0


def programs(home: Path, config: Config, only: Sequence[str] = ()) -> tuple[Program, ...]:
    """Return the programs that `up` runs, in the order in which they are stopped; `only` names a choice of
    them.

    Raises NotFound for a name that is none.
    """
    envoi = (sys.executable, "-P", "-m", "envoi.cli", "--home", str(home))
    table = (
        Program("web", (*envoi, "web"), reload_signal=signal.SIGHUP),
        Program(
            "track",
            (*envoi, "track"),
            count=config.tracking.processes if config.tracking.url else 0,
            stop_seconds=10,
            # They share the port: a fresh one answers before the old one ends.
            overlap_seconds=10,
        ),
        # Brings what they have written into the database, so it is stopped after them.
        Program(
            "loader",
            (*envoi, "track", "--load"),
            count=min(config.tracking.processes, 1) if config.tracking.url else 0,
            stop_seconds=30,
        ),
        Program(
            "worker",
            (*envoi, "worker"),
            count=config.worker.processes,
            stop_seconds=30,
            recycle_seconds=config.worker.recycle_hours * HOUR,
            # What a worker is in the middle of may take hours; a fresh one does everything else meanwhile.
            overlap_seconds=24 * HOUR,
        ),
        Program("sender", (*envoi, "sender"), count=config.sending.processes, stop_seconds=60),
        Program("inmail", (*envoi, "inmail"), count=min(config.inbound.processes, 1), stop_seconds=30),
    )
    if config.instance.demo and config.sending.sink:
        table = (*table, Program("sink", (*envoi, "sink"), stop_seconds=5))
    known = [program.name for program in table]
    for name in only:
        if name not in known:
            raise NotFound(f"There is no process {name!r}; known are {', '.join(known)}.")
    return tuple(program for program in table if program.count > 0 and (not only or program.name in only))
