"""Processes that answer readers, their loader and the database's server are killed while readers click.

One test in two forms: a small one, and a soak. A kill of a process that answers counts only when a request
was on its way to it, one of the loader only when a segment waited. Every hit that was answered is in the
inbox, once; one that was not answered is there once or not at all.
"""

import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.chaos.test_send import state_of

from envoi.kernel.testing import wait_until
from envoi.packages.delivery.services.redirection import tags
from envoi.postgres import server
from envoi.postgres.place import recorded_place

STAGE = Path(__file__).with_name("track_stage.py")
READERS = "http://t.example"


@dataclass(frozen=True)
class Form:
    """How much happens. Times are in seconds."""

    hits: dict[str, int]
    """What is killed how often."""
    pause: tuple[float, float]
    limit: float
    clients: int = 4
    processes: int = 2
    rest: float = 0.02
    """Between two clicks of a client."""


SMALL = Form({"track": 8, "loader": 2, "postgres": 2}, (0.1, 0.5), 150)
SOAK = Form({"track": 60, "loader": 20, "postgres": 10}, (0.5, 4.0), 1500, clients=8, rest=0.005)


@dataclass
class Reader(threading.Thread):
    """Clicks on and on over one connection; each click is of a message of its own."""

    port: int
    target: Any
    messages: Iterator[int]
    rest: float
    answered: list[int] = field(default_factory=list[int])
    asked: int = 0
    own_port: int = 0
    """The local port of the connection while a request is on its way, else 0."""
    over: bool = False

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        while not self.over:
            log = next(self.messages)
            self.asked += 1
            try:
                if client.sock is None:
                    client.connect()
                self.own_port = client.sock.getsockname()[1]
                client.request("GET", self.target(log))
                got = client.getresponse()
                got.read()
                if got.status == 302:
                    self.answered.append(log)
                else:
                    assert got.status == 503, got.status
            except (OSError, http.client.HTTPException):
                client.close()
            self.own_port = 0
            time.sleep(self.rest)
        client.close()


class Instance:
    """An instance with an embedded server, the processes that answer, and their loader."""

    def __init__(self, home: Path, lease: server.Lease, form: Form, port: int) -> None:
        self.home, self.lease, self.form, self.port = home, lease, form, port
        self.alive: dict[str, subprocess.Popen[bytes]] = {}
        self.readers: list[Reader] = []

    def env(self, name: str = "") -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
        return kept | {
            "ENVOI_HOME": str(self.home),
            "ENVOI_PROCESS": name,
            "ENVOI_TRACKING_URL": READERS,
            "ENVOI_TRACKING_PORT": str(self.port),
        }

    def hire(self, name: str) -> None:
        what = ("track", "--load") if name == "loader" else ("track",)
        with (self.home / "log" / "chaos.log").open("ab") as log:
            self.alive[name] = subprocess.Popen(
                [sys.executable, "-m", "envoi.cli", *what], env=self.env(name), stdout=log, stderr=log
            )

    def tend(self) -> None:
        """Hire anew for those that have ended by themselves, as the loader does without a server."""
        for name, process in list(self.alive.items()):
            if process.poll() is not None:
                self.hire(name)

    def on_their_way(self, pid: int) -> int:
        """Return how many requests wait for an answer of a process."""
        ports = peers_of(pid)
        return sum(reader.own_port in ports for reader in self.readers)

    def hit_track(self, chance: random.Random) -> bool:
        name = chance.choice(sorted(name for name in self.alive if name != "loader"))
        process = self.alive[name]
        os.kill(process.pid, signal.SIGSTOP)
        wait_until(lambda: state_of(process.pid) == "T", 5)
        time.sleep(3 * self.form.rest)
        if not self.on_their_way(process.pid):
            os.kill(process.pid, signal.SIGCONT)
            return False
        self.kill(name)
        return True

    def hit_loader(self) -> bool:
        if not any((self.home / "tracking").glob("*.ready")):
            return False
        self.kill("loader")
        return True

    def hit_postgres(self) -> bool:
        if not any(reader.own_port for reader in self.readers):
            return False
        place = recorded_place(self.home)
        assert place is not None
        with suppress(ProcessLookupError):
            pid = (place.data(self.lease.major) / "postmaster.pid").read_text().split()[0]
            os.kill(int(pid), signal.SIGKILL)
            return True
        return False

    def kill(self, name: str) -> None:
        os.kill(self.alive[name].pid, signal.SIGKILL)
        self.alive[name].wait()
        self.hire(name)

    def inbox(self) -> Counter[int]:
        """Return how often each message is in the inbox, waiting for the server when it is away."""
        deadline = time.monotonic() + 60
        while True:
            try:
                with psycopg.connect(self.lease.dsn()) as session:
                    rows = session.execute("SELECT broad_log_id FROM nms_tracking_inbox").fetchall()
                    return Counter(log for (log,) in rows)
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def dismiss(self) -> None:
        for process in self.alive.values():
            process.terminate()
        for process in self.alive.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()
            process.wait()


def peers_of(pid: int) -> set[int]:
    """Return the ports at the other ends of a process's connections."""
    inodes: set[str] = set()
    with suppress(OSError):
        for each in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                inodes.add(str(each.readlink()).removeprefix("socket:[").removesuffix("]"))
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {int(line[2].rpartition(":")[2], 16) for line in lines if line[9] in inodes} - {0}


@contextmanager
def instance(home: Path, run_envoi: Any, form: Form, port: int) -> Iterator[Instance]:
    run_envoi("init", "--packages", "core_default,delivery", home=home, code=0)
    with server.acquire(home) as lease:
        found = Instance(home, lease, form, port)
        done = subprocess.run(
            [sys.executable, str(STAGE)], env=found.env(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        made = tags.tags(home, READERS)

        def target(log: int) -> str:
            link = said["links"][log % 3]
            return made.make("h", f"{log:x}", f"{said['delivery']:x}", f"{link:x}").removeprefix(READERS)

        for number in range(form.processes):
            found.hire(f"track-{number + 1}")
        found.hire("loader")
        for number in range(form.clients):
            messages = iter(range(number + 1, 2**40, form.clients))
            found.readers.append(Reader(port, target, messages, form.rest))
        try:
            for reader in found.readers:
                reader.start()
            yield found
        finally:
            for reader in found.readers:
                reader.over = True
            found.dismiss()


def storm(found: Instance, chance: random.Random) -> Counter[str]:
    """Kill until all hits are made."""
    form, deadline = found.form, time.monotonic() + found.form.limit
    left = [what for what, count in form.hits.items() for _ in range(count)]
    chance.shuffle(left)
    hits: Counter[str] = Counter()
    hit = {
        "track": lambda: found.hit_track(chance),
        "loader": found.hit_loader,
        "postgres": found.hit_postgres,
    }
    wait_until(lambda: any(reader.answered for reader in found.readers), 30)
    while left:
        assert time.monotonic() < deadline, f"not at its end: {hits}"
        found.tend()
        if hit[left[-1]]():
            hits[left.pop()] += 1
            time.sleep(chance.uniform(*form.pause))
        time.sleep(0.01)
    return hits


@pytest.mark.chaos
@pytest.mark.parametrize(
    ("form", "seed"),
    [
        pytest.param(SMALL, 20261127, id="small"),
        pytest.param(SOAK, 20261127, id="soak", marks=(pytest.mark.soak, pytest.mark.timeout(3600))),
    ],
)
def test_what_was_answered_is_in_the_inbox_once(home, run_envoi, form, seed):
    from envoi.packages.delivery.tests.redirection.stage import free_port

    seed = int(os.environ.get("ENVOI_TEST_SEED", seed))
    with instance(home, run_envoi, form, free_port()) as found:
        hits = storm(found, random.Random(seed))
        # The readers go on until everything has come back.
        before = [len(reader.answered) for reader in found.readers]
        wait_until(
            lambda: all(
                len(reader.answered) > count for reader, count in zip(found.readers, before, strict=True)
            ),
            60,
        )
        for reader in found.readers:
            reader.over = True
        for reader in found.readers:
            reader.join(20)
        answered = [log for reader in found.readers for log in reader.answered]
        asked = sum(reader.asked for reader in found.readers)

        def settled() -> bool:
            found.tend()
            left = [path for path in (found.home / "tracking").iterdir() if path.suffix != ".rejected"]
            return not left

        wait_until(settled, 90)
        there = found.inbox()
        sys.stdout.write(
            f"seed {seed}, hits {dict(hits)}: {asked} asked, {len(answered)} answered, "
            f"{there.total()} there\n"
        )
        assert hits == form.hits
        assert len(answered) == len(set(answered))
        assert not set(answered) - set(there), "nothing that was answered is lost"
        assert max(there.values()) == 1, "nothing is there twice"
        assert len(answered) <= there.total() <= asked
