"""Indicators of the monitoring page (engine.md §8.3): how the host, the database and the instance stand.

Each is a number with a limit for a warning and one for an alert. What the host says is read from /proc and is
about the host that asks. Other rooms add theirs by the hook `more_indicators`, administrators by
`custom_indicators`. Sizes are bytes, times seconds; `maximum` is None where there is none.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.db import connection
from django.utils.translation import gettext_noop as _

from envoi.kernel import custom_indicators, outbox
from envoi.kernel.hooks import Hook
from envoi.kernel.measures import Indicator, below, bounded
from envoi.kernel.rights import Actor, Right

PROC = Path("/proc")
LOAD_PER_CPU = 2.0
"""Load average of one processor that counts as its maximum: some waiting for the disk is no distress."""
MUCH_WAITING, TOO_MUCH_WAITING = 100, 400
MOST_CORES, MOST_ZOMBIES, MOST_SEGMENTS = 1, 2, 2

more_indicators: Hook[[Actor], list[Indicator]] = Hook("more_indicators")
"""`(actor)`: further indicators of a room or a package."""


def measure(*, actor: Actor) -> list[Indicator]:
    """Return all indicators: the host's, the database's, those of rooms and packages, then the custom ones.

    One that cannot be measured says why, and spoils none of the others. Raises NotAllowed without WORKFLOW.
    """
    actor.require(Right.WORKFLOW, to="see the indicators")
    return [
        *host(settings.ENVOI.home),
        *database(),
        *waiting_mail(),
        *(each for answer in more_indicators.ask(actor) for each in answer),
        *custom_indicators.measure_all(actor=actor),
    ]


def host(home: Path, proc: Path = PROC) -> list[Indicator]:
    """Return what `proc` and the file system of `home` say. What a system does not tell is left out."""
    readers = (
        lambda: _loads(proc),
        lambda: _memory(proc),
        lambda: [_disk(home)],
        lambda: [_handles(proc)],
        lambda: _processes(proc),
        lambda: [_cores(home)],
        lambda: [_segments(proc)],
    )
    found: list[Indicator] = []
    for read in readers:
        try:
            found += read()
        except (OSError, ValueError, IndexError, KeyError):
            continue  # not Linux as we know it, or not ours to read
    return found


def database() -> list[Indicator]:
    """Return size and connections of the database."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_database_size(current_database()),"
            " (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),"
            " current_setting('max_connections')::int"
            " - current_setting('superuser_reserved_connections')::int"
        )
        ((size, sessions, most),) = cursor.fetchall()
    return [
        Indicator("databaseSize", _("Size of the database"), float(size), "B"),
        bounded("databaseConnections", _("Connections to the database"), float(sessions), "", float(most)),
    ]


def waiting_mail() -> list[Indicator]:
    """Return how many items wait in the outbox, and how many have failed for good."""
    standing = outbox.standing()
    waiting, failed = sum(each.waiting for each in standing), sum(each.failed for each in standing)
    return [
        below("outboxWaiting", _("Waiting in the outbox"), waiting, MUCH_WAITING, TOO_MUCH_WAITING),
        below("outboxFailed", _("Failed in the outbox"), failed, 1, TOO_MUCH_WAITING),
    ]


def _loads(proc: Path) -> list[Indicator]:
    values = [float(each) for each in (proc / "loadavg").read_text().split()[:3]]
    most = LOAD_PER_CPU * (os.cpu_count() or 1)
    labels = (_("Load, 1 minute"), _("Load, 5 minutes"), _("Load, 15 minutes"))
    return [
        bounded(f"load{minutes}", label, value, "", most)
        for minutes, label, value in zip((1, 5, 15), labels, values, strict=True)
    ]


def _memory(proc: Path) -> list[Indicator]:
    lines = (line.split() for line in (proc / "meminfo").read_text().splitlines())
    size = {words[0].rstrip(":"): float(words[1]) * 1024 for words in lines}
    total, swap = size["MemTotal"], size["SwapTotal"]
    found = [bounded("memory", _("Memory"), total - size["MemAvailable"], "B", total)]
    if swap:
        found.append(bounded("swap", _("Swap"), swap - size["SwapFree"], "B", swap))
    return found


def _disk(home: Path) -> Indicator:
    system = os.statvfs(home)
    # What the system keeps for root is no room of ours.
    used = float(system.f_blocks - system.f_bfree) * system.f_frsize
    return bounded("disk", _("Disk"), used, "B", used + float(system.f_bavail) * system.f_frsize)


def _handles(proc: Path) -> Indicator:
    used, _free, most = (float(each) for each in (proc / "sys/fs/file-nr").read_text().split())
    return bounded("fileHandles", _("File handles"), used, "", most)


def _processes(proc: Path) -> list[Indicator]:
    most = float((proc / "sys/kernel/pid_max").read_text())
    states = list(_states(proc))
    return [
        bounded("processes", _("Processes"), float(len(states)), "", most),
        below("zombies", _("Zombies"), states.count("Z"), MOST_ZOMBIES - 1, MOST_ZOMBIES),
    ]


def _states(proc: Path) -> Iterator[str]:
    """Yield the state of every process; one that ends meanwhile is passed over."""
    for folder in proc.iterdir():
        if folder.name.isdigit():
            try:
                # The name, in brackets, may hold blanks and brackets itself.
                yield (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[0]
            except OSError:
                continue


def _cores(home: Path) -> Indicator:
    found = sum(1 for each in home.iterdir() if each.name == "core" or each.name.startswith("core."))
    return below("coreFiles", _("Core files"), found, MOST_CORES, MOST_CORES)


def _segments(proc: Path) -> Indicator:
    """Count segments of shared memory that nobody uses any more."""
    head, *lines = (line.split() for line in (proc / "sysvipc/shm").read_text().splitlines())
    users = head.index("nattch")
    orphans = sum(line[users] == "0" for line in lines)
    return below("sharedMemory", _("Shared memory left behind"), orphans, 1, MOST_SEGMENTS)
