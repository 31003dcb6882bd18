"""An instance that is up, as real processes: what it tells, what it survives, what it leaves behind."""

import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from envoi.app import supervisor, ties
from envoi.app.testing import RUN
from envoi.postgres.describe import describe

pytestmark = pytest.mark.timeout(240)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(done: Callable[[], object], seconds: float, what: str) -> None:
    assert supervisor.wait_until(lambda: bool(done()), seconds=seconds), what


def alive(pid: int | None) -> bool:
    return pid is not None and ties.lives(pid)


def children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


class Up:
    """`envoi up` on one home, on a port of its own."""

    def __init__(self, home: Path, environment: dict[str, str], port: int) -> None:
        self.home = home
        self.environment = environment
        self.port = port
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "envoi.cli", "--home", str(self.home), "up", "--port", str(self.port)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=self.environment,
            cwd=self.environment["TMPDIR"],
            start_new_session=True,
        )

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def ready(self) -> bool:
        return self.get("/readyz")[0] == 200

    def wait_ready(self) -> None:
        until(self.ready, 60, f"not ready: {self.get('/readyz')}; {self.log()}")

    def log(self) -> str:
        file = self.home / "log/up.log"
        return file.read_text()[-3000:] if file.exists() else "no log"

    def pid(self, name: str) -> int | None:
        return next((each["pid"] for each in supervisor.processes(self.home) if each["name"] == name), None)

    def victims(self) -> dict[str, int]:
        """Return every process of the instance by what it is."""
        server = describe(self.home)
        found = {
            "up": self.process.pid if self.process else None,
            "web": self.pid("web"),
            "worker": self.pid("worker"),
            "keeper": server.keeper,
            "postmaster": server.postmaster,
        }
        if (web := found["web"]) and (serving := children(web)):
            found["serving"] = serving[0]
        return {name: pid for name, pid in found.items() if pid is not None and alive(pid)}

    def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(60)


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a stranger's home folder and temporary folder are: both must stay empty."""
    folder = tmp_path_factory.mktemp("outside")
    for name in ("private", "tmp"):
        (folder / name).mkdir()
    return folder


@pytest.fixture(scope="module")
def environment(outside: Path) -> dict[str, str]:
    """A stranger's environment."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith("ENVOI_") or "_TEST_" in name
    }
    kept.pop("DATABASE_URL", None)
    kept.pop("DJANGO_SETTINGS_MODULE", None)
    return kept | {"HOME": str(outside / "private"), "TMPDIR": str(outside / "tmp")}


@pytest.fixture(scope="module")
def instance(request: pytest.FixtureRequest, environment: dict[str, str]) -> Iterator[Up]:
    """One instance for all tests of this file, as `envoi init` makes it."""
    # Not in pytest's own folder: the database's user must be able to pass.
    home = request.config.stash[RUN].folder / "homes" / "up"
    command = [sys.executable, "-m", "envoi.cli", "--home", str(home), "init", "--name", "acme"]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=120)
    running = Up(home, environment, free_port())
    yield running
    if running.process is not None and running.process.poll() is None:
        running.stop()


@pytest.fixture
def up(instance: Up) -> Up:
    """The instance, up and ready."""
    if instance.process is None or instance.process.poll() is not None:
        instance.start()
    instance.wait_ready()
    return instance


@pytest.fixture
def down(instance: Up) -> Up:
    """The instance, not up."""
    if instance.process is not None and instance.process.poll() is None:
        instance.stop()
    return instance


def test_an_instance_goes_up_tells_how_it_stands_and_goes_down_without_a_trace(
    up, run_envoi, environment, outside
):
    status = run_envoi("status", "--json", home=up.home, env=environment, code=0).json
    assert set(status) >= {"instance", "version", "packages", "processes", "database", "workflows", "queues"}
    assert status["instance"] == "acme"
    assert "core_default" in status["packages"]
    assert set(status["workflows"]) == {"started", "paused", "failed"}
    assert status["database"]["embedded"] is True
    assert status["database"]["size_bytes"] > 1_000_000
    processes = {each["name"]: each for each in status["processes"]}
    assert set(processes) == {"up", "web", "worker", "sender", "inmail", "postgres"}
    assert all(each["state"] == "running" and alive(each["pid"]) for each in processes.values())
    assert all({"name", "pid", "state", "since"} <= set(each) for each in processes.values())
    assert processes["up"]["pid"] == up.process.pid

    shown = run_envoi("status", home=up.home, env=environment, code=0).out
    listed = [line.split()[0] for line in shown.splitlines()[-6:]]
    assert listed == ["up", "web", "worker", "sender", "inmail", "postgres"]

    assert up.get("/healthz") == (200, "ok\n")
    code, figures = up.get("/metrics")
    assert code == 200
    assert "envoi_worker_beat_age_seconds{worker=" in figures

    check = run_envoi("check", "--json", home=up.home, env=environment, code=0).json
    assert check["ok"] is True
    assert {"port", "clocks", "tables"} <= set(check["asked"])

    pids = [each["pid"] for each in processes.values()] + children(processes["web"]["pid"])
    assert up.stop() == 0
    until(lambda: not any(alive(pid) for pid in pids), 20, "something is left behind")
    after = run_envoi("status", "--json", home=up.home, env=environment, code=0).json
    assert [each["name"] for each in after["processes"]] == ["postgres"]
    # Nothing outside of the instance's folder.
    assert list((outside / "private").iterdir()) == []
    assert list((outside / "tmp").iterdir()) == []


def test_a_second_up_is_refused_with_the_number_of_the_first(up, run_envoi, environment):
    second = run_envoi("up", "--port", str(free_port()), home=up.home, env=environment, code=3)
    assert f"already up (process {up.process.pid})" in second.err
    assert second.out == ""
    assert up.ready()


def test_a_port_that_is_taken_is_refused_with_its_holder_and_the_remedy(down, run_envoi, environment):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        for command in ("up", "web"):
            refused = run_envoi(command, "--port", str(port), home=down.home, env=environment, code=3)
            assert f"Port {port} on 127.0.0.1 is in use by process {os.getpid()} (" in refused.err
            assert "--port" in refused.err
        assert supervisor.up_pid(down.home) is None
        there = environment | {"ENVOI_WEB_PORT": str(port)}
        check = run_envoi("check", "--json", home=down.home, env=there, code=1).json
        assert [each["place"] for each in check["findings"] if each["thing"] == "port"] == [
            f"127.0.0.1:{port}"
        ]


def test_up_refuses_a_folder_without_an_instance(home, run_envoi, environment):
    refused = run_envoi("up", home=home, env=environment, code=3)
    assert f"There is no instance in {home}; create one with `envoi init`" in refused.err
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("victim", ["web", "serving", "worker", "postmaster", "keeper"])
def test_what_is_killed_comes_back(up, victim):
    before = up.victims()
    assert set(before) == {"up", "web", "serving", "worker", "keeper", "postmaster"}
    os.kill(before[victim], signal.SIGKILL)
    until(lambda: not alive(before[victim]), 10, "it does not die")

    def back() -> bool:
        now = up.victims()
        return set(now) == set(before) and now[victim] != before[victim] and up.ready()

    until(back, 60, f"not back: {up.victims()}, was {before}; {up.get('/readyz')}; {up.log()}")
    assert up.process.poll() is None


@pytest.mark.chaos
def test_kill_9_in_any_order_leaves_nothing_that_the_next_command_does_not_mend(up, run_envoi, environment):
    choose = random.Random(20261124)
    names = ["up", "web", "serving", "worker", "keeper", "postmaster"]
    # Every process is the first of a round once and the last of a round once.
    rounds = [[first, *choose.sample([n for n in names if n not in (first, last)], 4), last]
              for first, last in zip(names, names[1:] + names[:1], strict=True)]  # fmt: skip
    hits = 0
    for order in rounds:
        before = up.victims()
        for name in order:
            # It may have died of another's death already.
            if alive(before[name]):
                os.kill(before[name], signal.SIGKILL)
                hits += 1
            threading.Event().wait(choose.choice((0, 0.02, 0.2)))
        until(lambda: not alive(up.process.pid), 10, "up lives on")
        up.process.wait()
        status = run_envoi("status", "--json", home=up.home, env=environment, code=0, timeout=90).json
        assert [each["name"] for each in status["processes"] if each["name"] != "postgres"] == []
        pids = list(before.values())
        until(lambda pids=pids: not any(map(alive, pids)), 10, f"left behind after {order}")
        up.start()
        up.wait_ready()
    assert hits >= 3 * len(rounds)
    assert up.stop() == 0


def test_requests_go_on_while_everything_is_loaded_anew(up):
    before = up.victims()
    failed: list[tuple[int, str]] = []
    answered = itertools.count()
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            answer = up.get("/healthz")
            if answer[0] == 200:
                next(answered)
            else:
                failed.append(answer)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        up.process.send_signal(signal.SIGHUP)

        def renewed() -> bool:
            now = up.victims()
            return all(now.get(name) not in (None, before[name]) for name in ("serving", "worker"))

        until(renewed, 60, f"not renewed: {up.victims()}, was {before}; {up.log()}")
        until(
            lambda: not alive(before["serving"]) and not alive(before["worker"]), 30, "the old ones live on"
        )
    finally:
        stop.set()
        asking.join()
    assert next(answered) > 50
    assert failed == [], (len(failed), failed[0])
    now = up.victims()
    assert {name: now[name] for name in ("up", "web", "postmaster")} == {
        name: before[name] for name in ("up", "web", "postmaster")
    }
    until(up.ready, 20, f"not ready: {up.get('/readyz')}")


def test_a_package_that_is_installed_while_the_instance_is_up_is_loaded_by_all(up, run_envoi, environment):
    before = up.victims()
    offered = [point.name for point in entry_points(group="envoi.packages") if point.name != "core_default"]
    if not offered:
        pytest.skip("there is no second package yet")
    run_envoi("init", "--packages", offered[0], home=up.home, env=environment, code=0)

    def renewed() -> bool:
        now = up.victims()
        return all(now.get(name) not in (None, before[name]) for name in ("serving", "worker")) and up.ready()

    until(renewed, 60, f"not renewed: {up.victims()}, was {before}; {up.log()}")
    assert up.victims()["up"] == before["up"]
    status = run_envoi("status", "--json", home=up.home, env=environment, code=0).json
    assert offered[0] in status["packages"]


def test_a_child_that_cannot_start_says_why_and_holds_nobody_else(up, run_envoi, environment):
    worker = up.victims()["worker"]
    victims = [up.victims()[name] for name in ("web", "serving")]
    with socket.socket() as thief:
        # The way the server itself shares its port; then there is no moment in which it is free.
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        thief.bind(("127.0.0.1", up.port))
        thief.listen()
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        until(lambda: not any(map(alive, victims)), 10, "it does not die")

        def web() -> dict[str, object]:
            status = run_envoi("status", "--json", home=up.home, env=environment, code=0).json
            return next(each for each in status["processes"] if each["name"] == "web")

        until(lambda: "exit code 3" in str(web()["reason"]), 30, "no reason is told")
        told = web()
        assert f"Port {up.port} on 127.0.0.1 is in use by process {os.getpid()}" in str(told["reason"])
        assert told["state"] in ("waiting", "running")
        assert up.victims()["worker"] == worker
    until(up.ready, 60, "it does not come back")
