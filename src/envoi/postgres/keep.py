"""The keeper: parent of the server of one instance. `python -m envoi.postgres.keep HOME`.

It starts the server, starts it again when it dies, and stops it a few seconds after the last command that
held HOME/run/postgres.lock is gone. It outlives the command that started it and needs only the standard
library, so that it starts quickly and stays small.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from envoi.postgres import leftovers
from envoi.postgres.children import adopt_orphans, runnable
from envoi.postgres.cluster import ensure_cluster, majors
from envoi.postgres.errors import NoPostgres, PostgresRefused, ServerFailed
from envoi.postgres.files import instance_home, make_home, write_json
from envoi.postgres.find import PgBin, find_pg_bin
from envoi.postgres.locks import KEEPER, USERS, open_lock, try_lock, unlock, wait_lock
from envoi.postgres.logfile import LogFile, last_lines
from envoi.postgres.passwords import ensure_passwords, password_file
from envoi.postgres.place import Place, settle
from envoi.postgres.postmaster import Postmaster, reap_adopted, was_blocked
from envoi.postgres.settings import server_settings

LINGER = 3.0
ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
WAITED_FOR = (*ENDING, signal.SIGCHLD, signal.SIGALRM)
POLL_STARTING = 0.01
POLL_READY = 0.25
BEAT = 0.5
BLOCKED_FOR = 30.0
LONGEST_PAUSE = 10.0
STABLE_AFTER = 60.0

Report = Callable[[str, str, str], None]
"""Called with a state ("starting", "ready", "busy", "refused"), a class of errors.py or "", and a message."""


class Keeper:
    """State of one keeper that holds the keeper's lock."""

    def __init__(
        self, home: Path, *, linger: float, settings: Mapping[str, str], report: Report, log: LogFile
    ) -> None:
        self.home = home
        self.linger = linger
        self.report = report
        self.log = log
        self.users = open_lock(home, USERS)
        self.quiet_since: float | None = None
        self.last_touch = 0
        self.place = settle(home)
        for major in majors(self.place):
            leftovers.clear(self.place.data(major), log.say)
        self.pg = choose_programs(self.place)
        self.data = ensure_cluster(self.place, self.pg, ensure_passwords(home))
        self.passwords_seen = self._passwords_mark()
        self.settings = server_settings(self.pg, self.place.socket, settings)
        self.postmaster: Postmaster | None = None
        self.was_ready = False
        self.announced = False
        self.failures = 0
        self.log_offset = 0
        self.first_try = time.monotonic()
        self.started = self.next_start = self.first_try

    def run(self) -> None:
        """Keep the server until it is not needed any more, or SIGTERM, SIGINT or SIGHUP comes.

        Raises ServerFailed when it never became ready and trying again is useless.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, WAITED_FOR)
        try:
            while self._step():
                pass
        finally:
            self._stop()

    def _step(self) -> bool:
        if self.postmaster is None and time.monotonic() >= self.next_start:
            self._start()
        received = _wait(POLL_READY if self.announced else POLL_STARTING)
        if received in ENDING:
            self.log.say(f"stopping: signal {received} received")
            return False
        if received == signal.SIGALRM:
            self.report("starting", "", "")
        reap_adopted(self.postmaster.pid if self.postmaster else None)
        self._look()
        self.log.turn_over()
        return not self._unused()

    def _start(self) -> None:
        not_a_server = leftovers.clear(self.data, self.log.say)
        self.log_offset = self.log.size()
        self.postmaster = Postmaster(
            self.place, self.pg, self.data, self.settings, self.log.handle, not_a_server
        )
        self.started = time.monotonic()

    def _look(self) -> None:
        """See what became of the server since the last look."""
        if self.postmaster is None:
            return
        code = self.postmaster.ended()
        if code is not None:
            self._ended(code)
        elif not self.announced and self.postmaster.ready():
            self._announce(self.postmaster.pid)
        elif self.announced and self._passwords_mark() not in (self.passwords_seen, None):
            self._take_new_passwords()
        elif self.announced and time.monotonic() - self.started > STABLE_AFTER:
            self.failures = 0

    def _announce(self, postmaster: int) -> None:
        self.was_ready = self.announced = True
        document: dict[str, object] = {
            "keeper": os.getpid(),
            "postmaster": postmaster,
            "provider": self.pg.provider,
            "version": self.pg.version,
            "programs": str(self.pg.bin),
            "since": time.time(),
        }
        write_json(self.home, running_file(self.home), document)
        signal.setitimer(signal.ITIMER_REAL, 0)
        self.report("ready", "", "")

    def _ended(self, code: int) -> None:
        self.postmaster = None
        self.announced = False
        output = self.log.since(self.log_offset)
        now = time.monotonic()
        if not self.was_ready and not (was_blocked(output) and now - self.first_try < BLOCKED_FOR):
            raise ServerFailed(
                f"{self.data}: PostgreSQL {self.pg.version} ended with code {code} while starting. "
                f"{self.log.path} says:\n{last_lines(output)}"
            )
        pause = min(LONGEST_PAUSE, 0.1 * 2**self.failures) if self.failures or not self.was_ready else 0.0
        self.failures += 1
        self.next_start = now + pause
        self.log.say(f"the server ended with code {code}; starting it again in {pause:.1f} s")

    def _take_new_passwords(self) -> None:
        """Secrets were put back from a backup, say: a restart sets the cluster's passwords to them."""
        seen = self._passwords_mark()
        try:
            passwords = ensure_passwords(self.home)
        except PostgresRefused:
            return  # half written; the next look will find it whole
        self.passwords_seen = seen
        self.log.say("the file of passwords changed; starting the server again with them")
        self._stop()
        self.postmaster = None
        self.announced = False
        ensure_cluster(self.place, self.pg, passwords)

    def _passwords_mark(self) -> tuple[int, int] | None:
        try:
            found = password_file(self.home).stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    def _unused(self) -> bool:
        """Whether nobody held the users' lock for `linger` seconds; then we hold it, against newcomers."""
        touched = os.fstat(self.users)
        try:
            replaced = (self.home / "run" / USERS).stat().st_ino != touched.st_ino
        except OSError:
            replaced = True
        if replaced:
            self.log.say("stopping: the folder of the instance was removed")
            return True
        if not try_lock(self.users, exclusive=True):
            self.quiet_since = None
            return False
        now = time.monotonic()
        if self.quiet_since is None or touched.st_mtime_ns != self.last_touch:
            self.quiet_since, self.last_touch = now, touched.st_mtime_ns
        if now - self.quiet_since < self.linger:
            unlock(self.users)
            return False
        self.log.say("stopping: no command uses the database")
        return True

    def _stop(self) -> None:
        running_file(self.home).unlink(missing_ok=True)
        if self.postmaster is not None:
            self.postmaster.stop()


def running_file(home: Path) -> Path:
    """What the keeper tells about the running server; removed when it stops."""
    return home / "run" / "postgres.json"


def choose_programs(place: Place) -> PgBin:
    """The programs for an instance: those of its data's major version, when some provider has them.

    So data made by one provider stay usable after another one is installed; `upgrade` moves them on.
    """
    present = majors(place)
    try:
        preferred = find_pg_bin()
        if present and preferred.major not in present:
            preferred = find_pg_bin(major=present[0])
    except NoPostgres:
        if not present:
            raise
        # Let ensure_cluster say what is missing, with the version of the data.
        preferred = find_pg_bin()
    return runnable(place, preferred)


def keep(
    home: Path,
    *,
    linger: float | None = None,
    settings: Mapping[str, str] | None = None,
    report: Report | None = None,
    foreground: bool = False,
) -> int:
    """Keep the server of HOME; return the exit code of the process (0 stopped or not needed, 3 refused).

    linger: seconds to go on after the last lock (default ENVOI_PG_LINGER or 3). settings: server settings
    that win over ours. In the foreground the server stays until a signal comes; when another keeper is at
    work, this one waits and takes over once that one is gone.
    """
    tell = report or _tell_nobody
    os.umask(0o022)
    signal.pthread_sigmask(signal.SIG_BLOCK, (*ENDING, signal.SIGCHLD))
    try:
        make_home(home)
        users = open_lock(home, USERS) if foreground else None
        if users is not None:
            # A shared lock of our own: the server is in use as long as this process is there.
            wait_lock(users, exclusive=False, seconds=float("inf"))
        lock = open_lock(home, KEEPER)
        if not _become_keeper(home, lock, foreground, tell):
            return 0
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        adopt_orphans()
        # initdb, the end of an orphan and crash recovery take as long as they take: whoever waits for us is
        # told each second that it goes on.
        signal.signal(signal.SIGALRM, lambda number, frame: tell("starting", "", ""))
        signal.setitimer(signal.ITIMER_REAL, BEAT, BEAT)
        log = LogFile(home)
        pause = float(os.environ.get("ENVOI_PG_LINGER") or LINGER) if linger is None else linger
        Keeper(home, linger=pause, settings=settings or {}, report=tell, log=log).run()
        # First the keeper's lock, then (by the end of the process) the users' lock that newcomers wait for.
        os.close(lock)
    except PostgresRefused as error:
        tell("refused", type(error).__name__, str(error))
        return 3
    except Exception as error:  # noqa: BLE001 - the starter must hear of any fault
        tell("refused", "ServerFailed", f"{home}: the keeper of the database failed: {error!r}")
        traceback.print_exc()
        return 1
    return 0


def _wait(seconds: float) -> int | None:
    """The signal that came within the time. All that may come must be blocked: sigtimedwait of Python 3.11
    returns garbage when a handler interrupts it at the end of its time.
    """
    received = signal.sigtimedwait(WAITED_FOR, seconds)
    return received.si_signo if received else None


def _become_keeper(home: Path, lock: int, foreground: bool, tell: Report) -> bool:
    # A short patience: whoever tests for a keeper holds the lock for an instant.
    if wait_lock(lock, exclusive=True, seconds=0.3):
        return True
    tell("busy", "", f"{home}: process {keeper_pid(home)} keeps the server")
    while foreground:
        if _wait(POLL_READY) in ENDING:
            return False
        if try_lock(lock, exclusive=True):
            return True
    return False


def keeper_pid(home: Path) -> int | None:
    """Process id of the last keeper, as it wrote it into its lock file."""
    try:
        return int((home / "run" / KEEPER).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def report_to(handle: int) -> Report:
    """A report that writes one JSON object a line to a pipe; nobody at its other end is no error."""

    def write(state: str, kind: str, message: str) -> None:
        line = json.dumps({"state": state, "kind": kind, "message": message})
        with contextlib.suppress(OSError):
            os.write(handle, f"{line}\n".encode())

    return write


def _tell_nobody(state: str, kind: str, message: str) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line of the detached keeper; people use `envoi postgres`."""
    parser = argparse.ArgumentParser(prog="python -m envoi.postgres.keep", description=__doc__)
    parser.add_argument("home", type=Path)
    parser.add_argument("--detach", action="store_true", help="go on in a process without a parent")
    parser.add_argument("--report", type=int, help="file descriptor for reports, one JSON object a line")
    parser.add_argument("--linger", type=float, help="seconds to stay after the last lock")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="server setting")
    given = parser.parse_args(arguments)
    if given.detach and os.fork():
        os._exit(0)
    return keep(
        instance_home(given.home),
        linger=given.linger,
        settings=dict(each.partition("=")[::2] for each in given.set),
        report=report_to(given.report) if given.report is not None else None,
    )


if __name__ == "__main__":
    sys.exit(main())
