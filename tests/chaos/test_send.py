"""Senders, workers and the database's server are killed while a delivery goes to a server that misbehaves.

One test in two forms: a small one, and a soak. A kill counts only when it hit an open SMTP transaction. None
is lost; a message goes twice only where its dot was written and no reply came back, and then it is marked;
what the database says is what the server saw.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from tests.chaos.unruly_sink import Sink, listening

from envoi.kernel.testing import wait_until
from envoi.postgres import server
from envoi.postgres.place import recorded_place

STAGE = Path(__file__).with_name("send_stage.py")


@dataclass(frozen=True)
class Form:
    """How much happens. Times are in seconds."""

    messages: int
    rate: float
    """Messages that the server takes in a second, at most."""
    hits: dict[str, int]
    """What is killed how often."""
    pause: tuple[float, float]
    limit: float
    senders: int = 2


SMALL = Form(900, 70, {"sender": 7, "worker": 1, "postgres": 2}, (0.2, 0.6), 240)
SOAK = Form(50_000, 190, {"sender": 45, "worker": 7, "postgres": 8}, (2.0, 6.0), 1800)


class Instance:
    """An instance with an embedded server, its senders and its worker."""

    def __init__(self, home: Path, lease: server.Lease, form: Form, sink: Sink) -> None:
        self.home, self.lease, self.form, self.sink = home, lease, form, sink
        self.alive: dict[int, tuple[str, subprocess.Popen[bytes]]] = {}
        self._session: psycopg.Connection[Any] | None = None

    def env(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
        return kept | {
            "ENVOI_HOME": str(self.home),
            "ENVOI_SENDING_SINK": f"127.0.0.1:{self.sink.port}",
            "ENVOI_SENDING_BOUNCE_DOMAIN": "bounces.example",
            "ENVOI_SENDING_PROCESSES": str(self.form.senders),
            "ENVOI_CHAOS_AGAIN_S": "0.5",
            "ENVOI_CHAOS_LOOK_S": "0.5",
        }

    def hire(self, what: str) -> None:
        with (self.home / "log" / "chaos.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "envoi.cli", what], env=self.env(), stdout=log, stderr=log
            )
        self.alive[process.pid] = what, process

    def ask(self, query: str, **values: Any) -> list[dict[str, Any]]:
        """Return the rows, waiting for the server when it is away."""
        deadline = time.monotonic() + 60
        while True:
            try:
                if self._session is None:
                    self._session = psycopg.connect(self.lease.dsn(), autocommit=True, row_factory=dict_row)
                found = self._session.execute(query, values)  # pyright: ignore[reportArgumentType]
                return found.fetchall() if found.description else []
            except psycopg.OperationalError:
                self._session = None
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def tend(self) -> None:
        """Hire anew for those that have ended by themselves, as they do when they start without a server."""
        for pid, (what, process) in list(self.alive.items()):
            if process.poll() is not None:
                del self.alive[pid]
                self.hire(what)

    def on_the_wire(self, pid: int | None = None) -> bool:
        """Return whether a message is on its way to the server, from a process or from any."""
        ports = ports_of(pid) if pid else None
        return any(
            each.transaction and (ports is None or each.port in ports) for each in list(self.sink.talks)
        )

    def hit_sender(self, chance: random.Random) -> bool:
        """Kill a sender that has a message on its way; False when there was none to hit."""
        pid = chance.choice(sorted(pid for pid, (what, _) in self.alive.items() if what == "sender"))
        if not self.on_the_wire(pid):
            return False
        os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: state_of(pid) == "T", 5)
        time.sleep(0.05)  # what it had written has come by now
        ports = ports_of(pid)
        held = [each for each in list(self.sink.talks) if each.port in ports]
        if not any(each.transaction for each in held):
            os.kill(pid, signal.SIGCONT)
            return False
        for each in held:
            self.sink.unanswered += each.open_dot
            each.counted = True
        os.kill(pid, signal.SIGKILL)
        self.alive.pop(pid)[1].wait()
        self.hire("sender")
        return True

    def hit_worker(self) -> bool:
        if not self.on_the_wire():
            return False
        pid = next(pid for pid, (what, _) in self.alive.items() if what == "worker")
        os.kill(pid, signal.SIGKILL)
        self.alive.pop(pid)[1].wait()
        self.hire("worker")
        return True

    def hit_postgres(self) -> bool:
        if not self.on_the_wire():
            return False
        place = recorded_place(self.home)
        assert place is not None
        os.kill(int((place.data(self.lease.major) / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
        return True

    def finished(self) -> bool:
        return self.ask("SELECT state FROM nms_delivery WHERE internal_name = 'storm'")[0]["state"] == 95

    def dismiss(self) -> None:
        for _, process in self.alive.values():
            process.terminate()
        for _, process in self.alive.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()
            process.wait()
        if self._session is not None:
            self._session.close()


def ports_of(pid: int) -> set[int]:
    """Return the local ports of a process's connections."""
    inodes: set[str] = set()
    with suppress(OSError):
        for each in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                inodes.add(str(each.readlink()).removeprefix("socket:[").removesuffix("]"))
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {int(line[1].rpartition(":")[2], 16) for line in lines if line[9] in inodes}


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@contextmanager
def instance(home: Path, run_envoi: Any, form: Form, sink: Sink) -> Iterator[Instance]:
    run_envoi("init", "--packages", "core_default,delivery", home=home, code=0)
    with server.acquire(home) as lease:
        found = Instance(home, lease, form, sink)
        done = subprocess.run(
            [sys.executable, str(STAGE), str(form.messages)],
            env=found.env(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        for what in ("worker", *["sender"] * form.senders):
            found.hire(what)
        try:
            yield found
        finally:
            found.dismiss()


def storm(found: Instance, chance: random.Random) -> Counter[str]:
    """Kill until all hits are made, then let the rest come to its end."""
    form, deadline = found.form, time.monotonic() + found.form.limit
    left = [what for what, count in form.hits.items() for _ in range(count)]
    chance.shuffle(left)
    hits: Counter[str] = Counter()
    hit = {
        "sender": lambda: found.hit_sender(chance),
        "worker": found.hit_worker,
        "postgres": found.hit_postgres,
    }
    while left or not found.finished():
        assert time.monotonic() < deadline, f"not at its end: {hits}, {standing(found)}"
        found.tend()
        if left and hit[left[-1]]():
            hits[left.pop()] += 1
            time.sleep(chance.uniform(*form.pause))
        found.sink.calm = not left
        time.sleep(0.02 if left else 0.3)
    return hits


def standing(found: Instance) -> dict[str, Any]:
    return {
        "logs": found.ask("SELECT status, flags, count(*) FROM nms_broad_log_rcp GROUP BY 1, 2"),
        "parts": found.ask("SELECT journal, retry, count(*) FROM nms_delivery_part GROUP BY 1, 2"),
        "retries": found.ask(
            "SELECT held, part_id IS NULL AS w, count(*) FROM nms_delivery_retry GROUP BY 1, 2"
        ),
        "state": found.ask("SELECT state FROM nms_delivery WHERE internal_name = 'storm'"),
        "sink": (len(found.sink.taken), found.sink.moods),
    }


@pytest.mark.chaos
@pytest.mark.parametrize(
    ("form", "seed"),
    [
        pytest.param(SMALL, 20261127, id="small"),
        pytest.param(SOAK, 20261127, id="soak", marks=(pytest.mark.soak, pytest.mark.timeout(3600))),
    ],
)
def test_nothing_is_lost_and_what_goes_twice_is_marked(home, run_envoi, form, seed):
    seed = int(os.environ.get("ENVOI_TEST_SEED", seed))
    chance = random.Random(seed)
    with (
        listening(Sink(random.Random(seed + 1), form.rate)) as sink,
        instance(home, run_envoi, form, sink) as found,
    ):
        hits = storm(found, chance)
        repeats = sum(sink.marked.values())
        copies = sum(map(len, sink.taken.values()))
        sys.stdout.write(
            f"seed {seed}, hits {dict(hits)}, moods {dict(sink.moods)}, {copies} copies, {repeats} repeats "
            f"for {sink.unanswered} dots without a reply\n"
        )
        assert hits == form.hits
        rows = found.ask("SELECT address, status, flags FROM nms_broad_log_rcp")
        assert len(rows) == form.messages
        assert Counter(row["status"] for row in rows) == {1: form.messages}, "none is lost"
        assert {sink.address[name] for name in sink.taken} == {row["address"] for row in rows}
        assert repeats <= sink.unanswered
        for name, taken in sink.taken.items():
            assert taken.count(False) <= 1, f"{name} went twice and was not marked"
            assert len(taken) <= 1 + sink.marked[name]
        marked = {sink.address[name] for name, count in sink.marked.items() if count}
        assert marked == {row["address"] for row in rows if row["flags"] & 4}
        figures = found.ask(
            "SELECT processed, success, error FROM nms_delivery WHERE internal_name = 'storm'"
        )
        assert figures == [{"processed": form.messages, "success": form.messages, "error": 0}]
        for table in ("nms_delivery_part", "nms_delivery_retry"):
            assert found.ask(f"SELECT count(*) FROM {table}") == [{"count": 0}]
        wait_until(lambda: found.ask("SELECT count(*) FROM nms_sender")[0]["count"] <= form.senders, 10)
