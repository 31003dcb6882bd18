"""Start the processes of an instance, keep them running, stop them in order.

One thread, one loop: it waits for signals, for lines that children write to standard error, and for the next
moment at which something is due. Children are tied to it (`ties`): if it is killed, they end at once, and
every step of theirs is safe to run again. What it knows stands in HOME/run/processes.json, written as a
whole, for `status` and for people.
"""

import contextlib
import json
import logging
import math
import os
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from envoi.app import ties
from envoi.app.logs import PROCESS_VARIABLE, masked_text
from envoi.kernel import clock
from envoi.kernel.errors import Conflict
from envoi.postgres.locks import open_lock, try_lock, wait_lock

log = logging.getLogger(__name__)

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
HEALTHY_AFTER = 60.0
"""Seconds after which a start counts as good: the next crash waits the first pause again."""
SETTLE = 5.0
"""Seconds that a fresh process has run before the one that it replaces, or the next in a reload, is taken
away.
"""
STATE_FILE = "run/processes.json"
LOCK = "up.lock"
LINES_KEPT = 20
STDERR = 2


class State(StrEnum):
    """Where a process stands."""

    RUNNING = "running"
    WAITING = "waiting"
    """It ended by itself; the next start is at `due`."""
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Program:
    """One kind of process: what is run, how often, how it is stopped.

    command: the whole command line. count: how many of them. stop_seconds: how long it may take to end after
    SIGTERM before it is killed. recycle_seconds: age at which it is replaced by a fresh one, 0 for never.
    overlap_seconds: when not 0, a replacement is started first, and the old one has this long to finish.
    reload_signal: what makes it load everything anew by itself; without one it is stopped and started.
    Programs are stopped in the order of the table and started in the opposite one, so that what takes in
    work comes first to stop and last to start.
    """

    name: str
    command: tuple[str, ...]
    count: int = 1
    stop_seconds: float = 20.0
    recycle_seconds: float = 0.0
    overlap_seconds: float = 0.0
    reload_signal: signal.Signals | None = None

    def names(self) -> list[str]:
        """Return the name of each of its processes: `web`, or `worker-1`, `worker-2`."""
        return (
            [self.name] if self.count == 1 else [f"{self.name}-{number + 1}" for number in range(self.count)]
        )


@dataclass
class Child:
    """One process and its history. Times are of the monotonic clock, but for `since`."""

    name: str
    program: Program
    state: State = State.STOPPED
    popen: "subprocess.Popen[bytes] | None" = None
    started: float = 0.0
    since: str = ""
    due: float = 0.0
    """When it is to be started (WAITING), killed (STOPPING) or recycled (RUNNING)."""
    pause: float = FIRST_PAUSE
    restarts: int = 0
    reason: str = ""
    again: bool = False
    """Whether it is started once more when it has stopped."""
    successor: "Child | None" = None
    """Who has taken its place already; it is asked to end soon, and forgotten when it has."""
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=LINES_KEPT))
    partial: bytes = b""

    @property
    def pid(self) -> int | None:
        """Its process id while it has one."""
        return self.popen.pid if self.popen else None


class Supervisor:
    """Runs a table of programs until it is told to stop.

    home: the instance's folder, for the state file. environment: variables of the children beside our own.
    watch: asked every `watch_seconds`; when its answer changes, every process is reloaded.
    """

    def __init__(
        self,
        home: Path,
        programs: Sequence[Program],
        *,
        environment: Mapping[str, str] | None = None,
        watch: Callable[[], object] | None = None,
        watch_seconds: float = 10.0,
        pauses: tuple[float, float] = (FIRST_PAUSE, LONGEST_PAUSE),
        healthy_after: float = HEALTHY_AFTER,
        settle: float = SETTLE,
    ) -> None:
        self.home = home
        self.environment = dict(environment or {})
        self.children = [Child(name, program) for program in programs for name in program.names()]
        self.started_at = clock.now().isoformat()
        self._first_pause, self._longest_pause = pauses
        self._healthy_after = healthy_after
        self._settle = settle
        self._watch = watch
        self._watch_seconds = watch_seconds
        self._watch_due = 0.0
        self._seen: object = None
        self._selector = selectors.DefaultSelector()
        self._stopping = False
        self._at_terminal = os.isatty(STDERR)
        self._reloads: list[Child] = []

    # -- what others call

    def run(self) -> None:
        """Start everything and keep it running until SIGTERM or SIGINT; SIGHUP reloads one process after
        another.

        A second SIGTERM or SIGINT kills what has not ended yet.
        """
        with self._signals() as received:
            try:
                for child in reversed(self.children):
                    self._start(child)
                if self._watch:
                    self._seen, self._watch_due = self._watch(), clock.monotonic() + self._watch_seconds
                while not self._stopping:
                    self._turn(received)
                self._stop_all(received)
            finally:
                self._kill_all()
                self._publish()

    def stop(self) -> None:
        """Ask for the end, as SIGTERM does."""
        self._stopping = True

    def reload(self) -> None:
        """Load every process anew, one after another, as SIGHUP does."""
        self._reloads = [child for child in self.children if child not in self._reloads] + self._reloads

    def snapshot(self) -> dict[str, Any]:
        """Return what the state file says."""
        return {
            "pid": os.getpid(),
            "since": self.started_at,
            "processes": [
                {
                    "name": child.name,
                    "pid": child.pid,
                    "state": child.state.value,
                    "since": child.since,
                    "restarts": child.restarts,
                    "reason": child.reason,
                }
                for child in self.children
            ],
        }

    # -- the loop

    def _turn(self, received: "list[int]") -> None:
        """Wait for the next thing and deal with it."""
        for key, _ in self._selector.select(self._patience()):
            if isinstance(key.data, Child):
                self._read(key.data)
            else:
                with contextlib.suppress(BlockingIOError):
                    received.extend(os.read(key.fd, 4096))
        while received:
            number = received.pop(0)
            if number in (signal.SIGTERM, signal.SIGINT):
                if self._stopping:
                    self._kill_all()
                self._stopping = True
            elif number == signal.SIGHUP:
                # The same signal says that the terminal was closed, and then nobody wants us any more.
                if self._at_terminal and not os.isatty(STDERR):
                    self._stopping = True
                else:
                    self.reload()
        self._reap()
        if not self._stopping:
            self._act()

    def _patience(self) -> float | None:
        now = clock.monotonic()
        moments = [child.due - now for child in self.children if child.due]
        if self._reloads and (settled := self._settled_at()) < math.inf:
            moments.append(settled - now)
        if self._watch and not self._stopping:
            moments.append(self._watch_due - now)
        return max(0.0, min(moments)) if moments else None

    def _act(self) -> None:
        """Do what is due: start, kill, recycle, ask the watch, reload the next."""
        now = clock.monotonic()
        for child in list(self.children):
            if not child.due or child.due > now:
                continue
            if child.state is State.WAITING:
                self._start(child)
            elif child.state is State.STOPPING:
                self._kill(child)
            elif child.successor is not None:
                self._retire(child, child.successor)
            elif child.state is State.RUNNING:
                log.info(
                    "process is recycled", extra={"child": child.name, "age_s": round(now - child.started)}
                )
                self._replace(child)
        if self._watch and self._watch_due <= now:
            self._watch_due = now + self._watch_seconds
            seen = self._watch()
            if seen is not None and seen != self._seen:
                self._seen = seen
                log.info("the instance has changed; every process is reloaded")
                self.reload()
        # One at a time: while one is away, its fellows do the work.
        while self._reloads and self._settled_at() <= now:
            child = self._reloads.pop(0)
            if child.state is not State.RUNNING or child.popen is None or child.successor is not None:
                continue
            if child.program.reload_signal is not None:
                log.info("process is reloaded", extra={"child": child.name})
                child.popen.send_signal(child.program.reload_signal)
            else:
                self._replace(child)

    def _settled_at(self) -> float:
        """When everything will have run for a moment, so that the next may be taken away."""
        standing = [
            child
            for child in self.children
            # What crashes over and over must not keep the others from being reloaded.
            if child.successor is None and not (child.state is State.WAITING and child.reason)
        ]
        if any(child.state is not State.RUNNING for child in standing):
            return math.inf
        return max((child.started for child in standing), default=0.0) + self._settle

    # -- one child

    def _start(self, child: Child) -> None:
        environment = {**os.environ, **self.environment, PROCESS_VARIABLE: child.name}
        child.lines.clear()
        child.partial = b""
        try:
            child.popen = subprocess.Popen(
                child.program.command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=environment,
                # Its own group: Ctrl-C at the terminal reaches us alone, and we stop them in order.
                process_group=0,
                preexec_fn=ties.tied_to_me(),
            )
        except OSError as error:
            self._ended(child, f"could not be started: {error}")
            return
        if child.popen.stderr is not None:
            os.set_blocking(child.popen.stderr.fileno(), False)
            self._selector.register(child.popen.stderr, selectors.EVENT_READ, child)
        child.started = clock.monotonic()
        recycle = child.program.recycle_seconds
        child.due = child.started + recycle if recycle else 0.0
        child.again = False
        self._enter(child, State.RUNNING)
        log.info("process started", extra={"child": child.name, "pid": child.popen.pid})

    def _replace(self, child: Child) -> None:
        program = child.program
        if not program.overlap_seconds:
            child.again = True
            self._terminate(child, program.stop_seconds)
            return
        child.successor = Child(child.name, program, restarts=child.restarts)
        self.children.insert(self.children.index(child), child.successor)
        self._start(child.successor)
        child.due = clock.monotonic() + self._settle

    def _retire(self, child: Child, successor: Child) -> None:
        """Ask a child to end whose successor has run for a moment; otherwise look again later."""
        now = clock.monotonic()
        if successor.state is State.RUNNING and now - successor.started >= self._settle:
            self._terminate(child, child.program.overlap_seconds)
        else:
            child.due = now + self._settle

    def _terminate(self, child: Child, seconds: float) -> None:
        """Ask the child to end, and allow it `seconds`; a shorter allowance overrules a longer one."""
        if child.popen is None:
            return
        due = clock.monotonic() + seconds
        if child.state is State.STOPPING:
            child.due = min(child.due, due) if child.due else child.due
            return
        child.popen.terminate()
        child.due = due
        self._enter(child, State.STOPPING)

    def _kill(self, child: Child) -> None:
        child.due = 0.0
        if child.popen is not None:
            log.warning(
                "process did not stop in time and is killed",
                extra={"child": child.name, "pid": child.popen.pid},
            )
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.popen.pid, signal.SIGKILL)

    def _reap(self) -> None:
        for child in list(self.children):
            if child.popen is None or not _has_ended(child.popen.pid):
                continue
            self._read(child)
            self._close(child)
            # What it started and left behind shares its group, whose number is ours until we have waited for
            # it.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.popen.pid, signal.SIGKILL)
            code = child.popen.wait()
            child.popen = None
            if child.successor is not None:
                self.children.remove(child)
                self._publish()
                log.info("process stopped", extra={"child": child.name})
            elif child.state is State.STOPPING and not child.again:
                child.due = 0.0
                self._enter(child, State.STOPPED)
                log.info("process stopped", extra={"child": child.name})
            elif child.state is State.STOPPING or (code == 0 and self._was_healthy(child)):
                # Stopped in order to be started afresh, or a process that recycled itself.
                child.state = State.WAITING
                child.due = clock.monotonic()
                child.pause = self._first_pause
                child.reason = ""
            else:
                self._ended(child, _how_it_ended(code, child.lines))

    def _ended(self, child: Child, reason: str) -> None:
        """Note that a process ended against our will, and when it is tried again."""
        if self._was_healthy(child):
            child.pause = self._first_pause
        child.reason = reason
        child.restarts += 1
        child.due = clock.monotonic() + child.pause
        log.error("process ended", extra={"child": child.name, "reason": reason, "again_in_s": child.pause})
        child.pause = min(child.pause * 2, self._longest_pause)
        self._enter(child, State.WAITING)

    def _was_healthy(self, child: Child) -> bool:
        return bool(child.started) and clock.monotonic() - child.started >= self._healthy_after

    def _read(self, child: Child) -> None:
        """Pass on what the child wrote to standard error, and remember its last lines."""
        stream = child.popen.stderr if child.popen else None
        if stream is None or stream.closed:
            return
        while True:
            try:
                piece = os.read(stream.fileno(), 65536)
            except BlockingIOError:
                return
            if not piece:
                self._close(child)
                return
            with contextlib.suppress(OSError):
                sys.stderr.buffer.write(piece)
                sys.stderr.buffer.flush()
            *lines, child.partial = (child.partial + piece).split(b"\n")
            child.lines.extend(line.decode(errors="replace") for line in lines if line.strip())
            if len(child.partial) > 65536:
                child.partial = b""

    def _close(self, child: Child) -> None:
        stream = child.popen.stderr if child.popen else None
        if stream is not None and not stream.closed:
            self._selector.unregister(stream)
            stream.close()

    # -- the end

    def _stop_all(self, received: "list[int]") -> None:
        """Stop program after program, in the order of the table; the processes of one program together."""
        self._stopping = True
        self._reloads.clear()
        for program in dict.fromkeys(child.program for child in self.children):
            mine = [child for child in self.children if child.program == program]
            for child in mine:
                child.again = False
                if child.popen is None:
                    child.due = 0.0
                    self._enter(child, State.STOPPED)
                else:
                    self._terminate(child, program.stop_seconds)
            while any(child.popen is not None for child in mine):
                self._turn(received)
                now = clock.monotonic()
                for child in mine:
                    if child.popen is not None and child.due and child.due <= now:
                        self._kill(child)

    def _kill_all(self) -> None:
        for child in self.children:
            if child.popen is None:
                continue
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.popen.pid, signal.SIGKILL)
            child.popen.wait()
            self._close(child)
            child.popen = None
            child.due = 0.0
            child.state = State.STOPPED

    # -- signals and state

    @contextlib.contextmanager
    def _signals(self) -> "Iterator[list[int]]":
        """Have signals arrive in the loop, as numbers in the list; everything is as before afterwards."""
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        os.set_blocking(writing, False)
        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
        before = {number: signal.signal(number, lambda *_: None) for number in numbers}
        wakeup = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        self._selector.register(reading, selectors.EVENT_READ, None)
        try:
            yield []
        finally:
            self._selector.unregister(reading)
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(reading)
            os.close(writing)

    def _enter(self, child: Child, state: State) -> None:
        child.state = state
        child.since = clock.now().isoformat()
        self._publish()

    def _publish(self) -> None:
        write_state(self.home, self.snapshot())


def write_state(home: Path, state: Mapping[str, Any]) -> None:
    """Write HOME/run/processes.json as a whole. A full disk is logged and stops nothing."""
    path = home / STATE_FILE
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(json.dumps(state, indent=1), encoding="utf-8")
        fresh.replace(path)
    except OSError as error:
        log.warning(
            "the state of the processes could not be written", extra={"file": str(path), "error": str(error)}
        )


def read_state(home: Path) -> dict[str, Any] | None:
    """Return what the state file says, None when there is none. Whether it still holds, `up_pid` tells."""
    try:
        return json.loads((home / STATE_FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None


def wait_until(done: Callable[[], bool], *, seconds: float, step: float = 0.05) -> bool:
    """Wait until `done()`; False when `seconds` were not enough."""
    deadline = clock.monotonic() + seconds
    while not done():
        if clock.monotonic() >= deadline:
            return False
        time.sleep(step)
    return True


@contextlib.contextmanager
def only_one(home: Path) -> Iterator[None]:
    """Be the only `up` of the instance in `home`. Raises Conflict that names the other's process id.

    A lock of the kernel (flock) on HOME/run/up.lock: it is gone with its holder, however that ended.
    """
    handle = open_lock(home, LOCK)
    try:
        if not wait_lock(handle, exclusive=True, seconds=0.5):
            pid = up_pid(home)
            raise Conflict(
                f"The instance in {home} is already up (process {pid}). Stop it first: kill {pid}"
                if pid
                else f"The instance in {home} is just going up or down. Try again in a moment."
            )
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
        os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def up_pid(home: Path) -> int | None:
    """Return the process id of the `up` of the instance in `home`, None when there is none."""
    try:
        handle = os.open(home / "run" / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if try_lock(handle, exclusive=False):
            return None
        return int(os.pread(handle, 32, 0).strip() or 0) or None
    finally:
        os.close(handle)


def processes(home: Path) -> list[dict[str, Any]]:
    """Return what `up` says of its processes, empty when none is up: name, pid, state, since, restarts,
    reason.
    """
    state = read_state(home)
    pid = up_pid(home)
    return state["processes"] if state is not None and pid is not None and state["pid"] == pid else []


def _has_ended(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _how_it_ended(code: int, lines: Sequence[str]) -> str:
    if code < 0:
        try:
            how = f"killed by {signal.Signals(-code).name}"
        except ValueError:
            how = f"killed by signal {-code}"
    else:
        how = f"exit code {code}"
    # A trace that Python itself printed has gone through no log.
    return f"{how}: {masked_text(lines[-1][:500])}" if lines else how
