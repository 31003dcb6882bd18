"""The test session: one PostgreSQL for the run, a migrated template, a clone for each test process.

A pytest plugin, named by `conftest.py` in the root. Nothing of it is in the wheel.

The process that starts the run (xdist's controller, or the only one) makes a folder for it. The first test
process that needs a database starts the embedded server there, installs an instance with every package, and
leaves that instance's database alone from then on: it is the template. Each test process is an instance of
its own, whose folder stands beside and whose `DATABASE_URL` names a clone. Django is set up when the first
test module is collected that may need it, so that tests of the rooms in `PLAIN` start at once.

After the run nothing may be left: a process that still runs in the folder of the run fails it.
"""

import fcntl
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import psycopg
import pytest

from envoi.app import boot, peers
from envoi.kernel import clock as kernel_clock
from envoi.kernel.secrets import KEY_FILE
from envoi.postgres import databases, server

REPORT = ".test-report.json"
PLAIN = ("src/envoi/postgres/", "tests/architecture/", "tests/acceptance/")
MOMENT = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
# Set in every process of the run, and so in all that they start: by it leftovers are found.
MARK = "ENVOI_TEST_SESSION"
# A skipped test fails the run, where every peer has been installed.
NO_SKIPS = os.environ.get("ENVOI_TEST_NO_SKIPS") == "1"
# For so many seconds the processes of a run may take to end after it.
PATIENCE = float(os.environ.get("ENVOI_TEST_PATIENCE", "15"))
# A test database need not survive a crash of the machine.
SETTINGS = {"fsync": "off", "shared_buffers": "128MB"}


@dataclass(frozen=True)
class Database:
    """A database of its own for one test. Commits are real; it is dropped after the test."""

    name: str
    url: str
    home: Path

    @property
    def env(self) -> dict[str, str]:
        """What an `envoi` process needs in its environment to work on this database."""
        return {"ENVOI_HOME": str(self.home), "DATABASE_URL": self.url}


@dataclass(frozen=True)
class Finished:
    """What a command has left: its exit code and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on standard output."""
        return json.loads(self.out)


# --- the run


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Make the run's folder, and clear the environment of what would steer an instance."""
    _clear_environment()
    if not _is_worker(config):
        folder = Path(tempfile.mkdtemp(prefix="envoi-test-"))
        # Started by root, the server runs as another user, who must be able to pass.
        folder.chmod(0o711)
        (folder / "homes").mkdir(mode=0o711)
        os.environ[MARK] = str(folder)
        # Where an instance goes whose folder the server's user cannot reach, such as a tmp_path.
        os.environ["ENVOI_PG_STATE_DIR"] = str(folder / "state")
        # Until a test process has its instance, a command that names none must not find the developer's.
        os.environ["ENVOI_HOME"] = str(folder / "homes" / "none")
        if config.option.basetemp is None:
            config.option.basetemp = str(folder / "tmp")
    config.stash[RUN] = _Run(config)
    config.pluginmanager.register(config.stash[RUN], "envoi-run")


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def _clear_environment() -> None:
    for variable in list(os.environ):
        if variable in ("DATABASE_URL", "SMTP_URL", "DJANGO_SETTINGS_MODULE") or (
            variable.startswith("ENVOI_") and not variable.startswith(("ENVOI_TEST_", "ENVOI_PG_"))
        ):
            del os.environ[variable]


class _Run:
    """What one process of the run holds."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.folder = Path(os.environ[MARK])
        self.worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
        self.lease: Any = None
        self.outcomes: dict[str, dict[str, Any]] = {}
        self.left: list[str] = []
        self.skipped: list[str] = []

    @property
    def home(self) -> Path:
        """The folder of this test process's instance."""
        return self.folder / "homes" / self.worker

    # -- databases

    def setup_django(self) -> None:
        """Make this process an instance on its own clone of the template. Safe to call more than once."""
        if self.lease is not None:
            return
        cluster = self.folder / "homes" / "template"
        with _locked(self.folder / "template.lock"):
            self.lease = server.acquire(cluster, linger=1, settings=SETTINGS)
            if not (self.folder / "template.built").exists():
                _install(cluster)
                _start_nothing(self.lease)
                (self.folder / "template.built").touch()
            self.clone(self.worker)
        self.home.mkdir(mode=0o711)
        (self.home / "secrets").mkdir(mode=0o700)
        shutil.copy2(cluster / KEY_FILE, self.home / KEY_FILE)
        os.environ["ENVOI_HOME"] = str(self.home)
        os.environ["DATABASE_URL"] = self.lease.url(dbname=self.worker)
        boot.setup(self.home)
        _blocker(self.config).block()

    def clone(self, name: str) -> None:
        """Make database `name` from the template."""
        databases.create_database(self.lease, name, template=self.lease.dbname)

    # -- hooks

    @pytest.hookimpl(tryfirst=True)
    def pytest_pycollect_makemodule(self, module_path: Path) -> None:
        """Set Django up before the first module is imported that may need it."""
        if not module_path.is_relative_to(self.config.rootpath) or not (
            module_path.relative_to(self.config.rootpath).as_posix().startswith(PLAIN)
        ):
            self.setup_django()

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leave the long forms out unless asked for, begin with the slow, note which cases a test claims."""
        long = (
            []
            if "soak" in config.option.markexpr
            else [item for item in items if item.get_closest_marker("soak")]
        )
        if long:
            config.hook.pytest_deselected(items=long)
            items[:] = [item for item in items if item not in long]
        # What takes long comes first, or one process would be left with it when the others have ended.
        items.sort(key=lambda item: not any(item.get_closest_marker(slow) for slow in ("chaos", "timeout")))
        for item in items:
            claimed = [case for mark in item.iter_markers("case") for case in mark.args]
            if claimed:
                item.user_properties.append(("cases", claimed))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Skip a test whose peer is not installed; begin each in the language of the instance."""
        if self.lease is not None:
            from django.utils import translation

            # A request leaves its language behind in the thread, as the next one sets its own.
            translation.deactivate()
        wanted = [name for mark in item.iter_markers("peer") for name in mark.args]
        if item.get_closest_marker("browser"):
            wanted.append("chromium")
        for name in wanted:
            if peers.find(name) is None:
                pytest.skip(f"{name} is not installed: apt install {' '.join(peers.PEERS[name].packages)}")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note the outcome of a test: the worst of its three phases."""
        found = self.outcomes.setdefault(
            report.nodeid,
            {
                "nodeid": report.nodeid,
                "cases": dict(report.user_properties).get("cases", []),
                "outcome": "passed",
            },
        )
        if report.skipped and NO_SKIPS and not hasattr(report, "wasxfail"):
            self.skipped.append(report.nodeid)
        if report.failed or (report.skipped and found["outcome"] == "passed"):
            found["outcome"] = report.outcome

    # trylast: inside of the wrapper that prints the summary, but after xdist has ended its workers
    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Iterator[None]:
        """Write the report, stop the server, and fail the run when a process is left of it."""
        yield
        self._leave()
        if _is_worker(self.config):
            return
        if self.outcomes:
            report = [self.outcomes[nodeid] for nodeid in sorted(self.outcomes)]
            (self.config.rootpath / REPORT).write_text(
                json.dumps(report, ensure_ascii=False, indent=0) + "\n", encoding="utf-8"
            )
        self.left = _leftovers(self.folder)
        if self.left or self.skipped:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        shutil.rmtree(self.folder, ignore_errors=True)

    def _leave(self) -> None:
        if self.lease is None:
            return
        from django.conf import settings
        from django.db import connections

        if settings.configured:
            with _blocker(self.config).unblock():
                connections.close_all()
        self.lease.close()

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Name what fails the run besides tests: what it left, and skips where there must be none."""
        for nodeid in self.skipped:
            terminalreporter.write_line(f"SKIPPED THOUGH ALL PEERS ARE INSTALLED: {nodeid}", red=True)
        for line in self.left:
            terminalreporter.write_line(f"LEFT BEHIND BY THE RUN (now killed): {line}", red=True)


RUN = pytest.StashKey[_Run]()


def _blocker(config: pytest.Config) -> Any:
    """Return the object by which pytest-django opens and shuts the database."""
    from pytest_django.plugin import blocking_manager_key

    return config.stash[blocking_manager_key]


def _install(home: Path) -> None:
    """Make the template: an instance with every package, by the command that an operator would use."""
    names = ",".join(sorted(point.name for point in entry_points(group="envoi.packages")))
    done = _envoi("init", "--packages", names, env={"ENVOI_HOME": str(home)}, timeout=120)
    if done.code:
        pytest.exit(f"The template instance could not be made:\n{done.out}{done.err}", returncode=1)


def _start_nothing(lease: Any) -> None:
    """Take back what the installation has started: each test says itself what runs beside it."""
    with psycopg.connect(lease.dsn()) as connection:
        connection.execute("DELETE FROM procrastinate_jobs")
        connection.execute("DELETE FROM xtk_workflow_job")
        connection.execute("UPDATE xtk_workflow SET state = 0")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _leftovers(folder: Path) -> list[str]:
    """Return what still runs of this run after a while, having killed it."""
    deadline = time.monotonic() + PATIENCE
    # Who has just been started may have neither name nor mark yet.
    time.sleep(0.2)
    while (found := _running_in(folder)) and time.monotonic() < deadline:
        time.sleep(0.1)
    for pid in found:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return [f"{pid} {command}" for pid, command in found.items()]


def _running_in(folder: Path) -> dict[int, str]:
    """Return pid -> command line of every process that carries the run's mark or works in its folder."""
    mark, inside = f"{MARK}={folder}".encode(), os.fsencode(folder)
    found: dict[int, str] = {}
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        try:
            command = (process / "cmdline").read_bytes()
            marked = (
                mark in (process / "environ").read_bytes().split(b"\0")
                or inside in command
                or os.fsencode(os.readlink(process / "cwd")).startswith(inside)
            )
        except OSError:
            continue
        if marked and command:
            found[int(process.name)] = command.replace(b"\0", b" ").decode(errors="replace").strip()
    return found


# --- fixtures


@pytest.fixture(scope="session")
def django_db_setup(request: pytest.FixtureRequest) -> None:
    """The database of this process is a clone: pytest-django must not make another."""
    request.config.stash[RUN].setup_django()


@pytest.fixture
def committed_db(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A fresh clone that this process works on for one test, with real commits.

    Other processes reach it with `committed_db.env`, as `run_envoi` does when the fixture is in use.
    """
    from django.conf import settings
    from django.db import connections

    run = request.config.stash[RUN]
    run.setup_django()
    if "db" in request.fixturenames:
        raise pytest.UsageError("committed_db and db do not go together: one commits, the other rolls back.")
    database = Database(f"t_{secrets.token_hex(6)}", "", run.home)
    database = replace(database, url=run.lease.url(dbname=database.name))
    run.clone(database.name)
    monkeypatch.setenv("DATABASE_URL", database.url)
    monkeypatch.setattr(boot, "_current", replace(boot.current(), lease=server.external(database.url)))
    with _blocker(request.config).unblock():
        connections.close_all()
        monkeypatch.setitem(settings.DATABASES["default"], "NAME", database.name)
        try:
            yield database
        finally:
            connections.close_all()
            databases.drop_database(run.lease, database.name)


@pytest.fixture
def home(request: pytest.FixtureRequest) -> Path:
    """A folder for an instance that the test makes itself; another user may pass through it."""
    run = request.config.stash[RUN]
    folder = run.folder / "homes" / f"h{secrets.token_hex(4)}"
    folder.mkdir(mode=0o711)
    return folder


@pytest.fixture
def clock() -> Iterator[kernel_clock.Frozen]:
    """The product's clock, stopped at Tuesday 24 November 2026, 09:00 UTC."""
    with kernel_clock.frozen(MOMENT) as frozen:
        yield frozen


@pytest.fixture
def run_envoi(request: pytest.FixtureRequest) -> Callable[..., Finished]:
    """Run a command as a process of its own: `run_envoi("status", "--json", home=home, code=0)`.

    `home` is the instance (none: the one of `committed_db`, else of this test process); `env` adds
    variables, `input` is a text for standard input, `timeout` is in seconds; when `code` is given, any
    other exit code fails the test. The whole process group is killed when time is up.
    """
    ours = request.config.stash[RUN]
    if "committed_db" in request.fixturenames:
        request.getfixturevalue("committed_db")

    def run(
        *arguments: str,
        home: Path | None = None,
        env: dict[str, str] | None = None,
        input: str | None = None,
        timeout: float = 60,
        code: int | None = None,
    ) -> Finished:
        if home is None:
            ours.setup_django()
        environment = {"ENVOI_HOME": str(home), "DATABASE_URL": ""} if home else {}
        done = _envoi(*arguments, env=environment | (env or {}), input=input, timeout=timeout)
        if code is not None and done.code != code:
            pytest.fail(
                f"envoi {' '.join(arguments)}: exit {done.code} instead of {code}\n{done.out}{done.err}"
            )
        return done

    return run


def _envoi(*arguments: str, env: dict[str, str], input: str | None = None, timeout: float) -> Finished:
    environment = {name: value for name, value in (os.environ | env).items() if value or name not in env}
    process = subprocess.Popen(
        [sys.executable, "-m", "envoi.cli", *arguments],
        stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(input, timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        pytest.fail(f"envoi {' '.join(arguments)}: not done after {timeout} s\n{out}{err}")
    return Finished(process.returncode, out, err)
