"""The demonstration: a fresh instance with a workflow that ticks, and every technical workflow run once."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from envoi.app import boot, creation, serve, supervisor, ties
from envoi.kernel import config as configuration
from envoi.kernel.errors import Broken, Conflict

OPERATOR = "admin"
READY_SECONDS = 120.0
RUN_SECONDS = 120.0
STOP_SECONDS = 60.0
TICK_SECONDS = 15
TICKING = "demoInstanceFigures"
FILE = """\
# A demonstration: `envoi demo` replaces this instance by a fresh one each time.

[instance]
name = "demo"
label = "Demonstration"
demo = true

[web]
port = {port}

# Its mail goes to a sink on this machine, which sends bounces back.
[sending]
sink = "127.0.0.1:{sink}"
sender = "news@atelier-nord.example"
bounce_domain = "bounce.atelier-nord.example"
helo = "mail.atelier-nord.example"

[smtp]
url = "smtp://127.0.0.1:{sink}?tls=off"
sender = "envoi@atelier-nord.example"

[inbound]
listen = "127.0.0.1:{bounces}"

# Its readers are on this machine too, and each says where it would ask from.
[tracking]
url = "http://127.0.0.1:{track}"
port = {track}
trusted_proxies = ["127.0.0.1"]
segment_seconds = 1.0
"""
DATABASE_FRESH, DATABASE_OLD = "envoi_demo_fresh", "envoi_demo_old"


@dataclass(frozen=True)
class Ran:
    """What became of one workflow: its state in words, when it last ran (ISO, UTC), how long it took."""

    workflow: str
    label: str
    state: str
    failed: bool
    last_run: str | None
    duration_s: float | None


@dataclass(frozen=True)
class Reactions:
    """What became of the messages of the story, as the indicators of its delivery say it; `automatic` are
    hits of machines, which these leave out.
    """

    sent: int
    errors: int
    opened: int
    clicked: int
    clicks: int
    unsubscribed: int
    transactions: int
    automatic: int


@dataclass(frozen=True)
class Demo:
    """A demonstration that is up."""

    home: Path
    address: str
    operator: str
    password: str
    workflows: tuple[Ran, ...]
    reactions: Reactions
    up: "subprocess.Popen[bytes]"

    def as_json(self) -> dict[str, object]:
        """Return what `demo --json` prints."""
        return {
            "home": str(self.home),
            "address": self.address,
            "operator": self.operator,
            "password": self.password,
            "workflows": [asdict(each) for each in self.workflows],
            "reactions": asdict(self.reactions),
        }

    def wait(self) -> None:
        """Serve until the processes end or somebody presses Ctrl-C. Raises Broken when they ended by
        themselves.
        """
        try:
            self.up.wait()
        except KeyboardInterrupt:
            return
        raise Broken(f"The processes of the demonstration have ended. See {self.home}/log/up.log.")

    @property
    def failed(self) -> bool:
        """Tell whether any workflow failed."""
        return any(each.failed for each in self.workflows)


@contextmanager
def demo(
    home: Path,
    *,
    port: int | None,
    profiles: int,
    say: Callable[[str], None],
) -> Iterator[Demo]:
    """Make the demonstration in `home` and keep it up for the length of the block; everything is stopped
    afterwards.

    Raises Conflict where another instance is or the demonstration is up
    already, and Broken when it does not come up.
    """
    config = configuration.load(home)
    if config.database.url:
        raise Conflict(
            "The demonstration has a database of its own and replaces it each time. "
            f"Unset DATABASE_URL, or empty [database] url in {config.file}."
        )
    _take_folder(home)
    port = port or config.web.port
    (home / "run").mkdir(exist_ok=True)
    with supervisor.only_one(home):
        serve.claim(config.web.host, port)
        file = home / configuration.FILE_NAME
        again = file.exists()
        sink, bounces, track = _free_ports(3)
        file.write_text(FILE.format(port=port, sink=sink, bounces=bounces, track=track), encoding="utf-8")
        file.chmod(0o600)
        say("Making the instance …")
        _empty(home, database=again)
        password = _install(home)
    address = f"http://{config.web.host}:{port}/"
    say("Starting its processes …")
    with _terminated_like_interrupted(), _up(home) as process:
        _wait_until_ready(process, address, home)
        _tick()
        say("Importing profiles, choosing an audience and trying two subjects on a sample of it …")
        _tell(profiles)
        say("Readers open, click, buy and leave …")
        seen = _read(home, f"http://127.0.0.1:{track}", frozenset())
        say("Sending the better one to the rest, who read it too …")
        _decide()
        _read(home, f"http://127.0.0.1:{track}", seen)
        say("Running its technical workflows …")
        ran = _run_all()
        yield Demo(home, address, OPERATOR, password, ran, _reactions(), process)


def _take_folder(home: Path) -> None:
    """Make sure that the folder is ours to use: empty, or a demonstration."""
    file = home / configuration.FILE_NAME
    if file.exists():
        if not configuration.load(home).instance.demo:
            raise Conflict(
                f"{home} holds an instance that is no demonstration. Give another folder by --home."
            )
        return
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise Conflict(f"{home} is not empty and holds no demonstration. Give another folder by --home.")
    # Root's database runs as another user, who has to pass through.
    mode = 0o711 if os.geteuid() == 0 else 0o700
    home.mkdir(mode=mode, parents=True, exist_ok=True)
    home.chmod(mode)


def _free_ports(count: int) -> list[int]:
    """Return ports of this machine at which nobody listens just now."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def _empty(home: Path, *, database: bool) -> None:
    """Take away what an earlier demonstration left: its database, its files, the logs of its processes."""
    for name in creation.DATA:
        shutil.rmtree(home / name, ignore_errors=True)
    for log in (home / "log").glob("*.log*"):
        if not log.name.startswith("postgres"):
            log.unlink(missing_ok=True)
    if not database:
        return
    from envoi.postgres import databases

    with boot.acquire(configuration.load(home)) as lease:
        for name in (DATABASE_FRESH, DATABASE_OLD):
            databases.drop_database(lease, name)
        databases.create_database(lease, DATABASE_FRESH)
        databases.exchange_database(lease, lease.dbname, DATABASE_FRESH, DATABASE_OLD)
        databases.drop_database(lease, DATABASE_OLD)


def _install(home: Path) -> str:
    """Install every package that this Python environment offers; returns the password of `admin`, made
    anew.
    """
    from importlib.metadata import entry_points

    names = tuple(sorted(point.name for point in entry_points(group="envoi.packages")))
    instance = boot.setup(home, packages=_in_order(names))
    creation.prepare(instance, names)
    from envoi.app import story
    from envoi.kernel import operators, rights

    password = secrets.token_urlsafe(12)
    operators.set_password(OPERATOR, password, actor=rights.at_command_line())
    story.prepare(rights.at_command_line())
    return password


def _in_order(names: tuple[str, ...]) -> tuple[str, ...]:
    from envoi.kernel import packages

    return packages.resolve(names)


@contextmanager
def _up(home: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run `envoi up` for the length of the block. Its processes log into HOME/log."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "envoi.cli", "--home", str(home), "up"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,
        preexec_fn=ties.tied_to_me(),
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """Have SIGTERM end the block as Ctrl-C does, so that everything is stopped in order.

    SIGINT is asked for too: a shell starts what it leaves in the background with SIGINT ignored, and then
    nobody could end the demonstration by it.
    """

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait_until_ready(process: "subprocess.Popen[bytes]", address: str, home: Path) -> None:
    said = ""

    def ready() -> bool:
        nonlocal said
        if process.poll() is not None:
            return True
        try:
            with urllib.request.urlopen(f"{address}readyz", timeout=5) as answer:  # noqa: S310 our own address
                return answer.status == 200
        except urllib.error.HTTPError as error:
            said = error.read().decode(errors="replace")
        except OSError as error:
            said = str(error)
        return False

    if not supervisor.wait_until(ready, seconds=READY_SECONDS, step=0.1) or process.poll() is not None:
        raise Broken(f"The demonstration did not come up: {said} See {home}/log/up.log.")


def _tick() -> None:
    """Create the workflow that ticks, and start it."""
    from envoi.engine import commands, editing
    from envoi.engine.schedule import Schedule
    from envoi.engine.workflow import Workflow, call, end, schedule
    from envoi.kernel import rights
    from envoi.packages.core_default.services import instance_figures

    diagram = Workflow(
        name=TICKING,
        label="Figures of this instance",
        activities=(
            schedule(
                "tick",
                Schedule.from_json({"frequency": "several", "every_seconds": TICK_SECONDS}),
                then="measure",
                label=f"Every {TICK_SECONDS} s",
            ),
            call("measure", instance_figures.measure, then="end", label="Measure"),
            end(),
        ),
    )
    actor = rights.at_command_line()
    editing.create(
        actor,
        diagram.name,
        diagram.label,
        diagram.definition,
        "nmsTechnicalWorkflow",
        description="Measures the instance every few seconds, so that there is something to look at.",
        history=1,
    )
    commands.post(actor, diagram.name, commands.Command.START)


def _tell(profiles: int) -> None:
    from envoi.app import story
    from envoi.kernel import rights

    story.tell(rights.at_command_line(), profiles)


def _read(home: Path, tracking: str, seen: frozenset[str]) -> frozenset[str]:
    from envoi.app import readers

    return readers.read(home, tracking, seen)


def _decide() -> None:
    from envoi.app import story
    from envoi.kernel import rights

    story.decide(rights.at_command_line())


def _reactions() -> Reactions:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT coalesce(sum(success), 0), coalesce(sum(error), 0), coalesce(sum(recipient_open), 0),
                 coalesce(sum(recipient_click), 0), coalesce(sum(total_recipient_click), 0),
                 (SELECT count(*) FROM nms_opt_out), coalesce(sum(transaction), 0),
                 (SELECT count(*) FROM nms_tracking_log_rcp WHERE automatic > 0)
               FROM nms_delivery WHERE NOT is_model"""
        )
        return Reactions(*(int(each) for each in cursor.fetchone() or ()))


def _run_all() -> tuple[Ran, ...]:
    """Run every installed technical workflow once, one after another; returns how they stand."""
    from envoi.engine import supervision, waiting
    from envoi.kernel import rights

    actor = rights.at_command_line()

    def rows() -> list[supervision.WorkflowRow]:
        return [
            row for row in supervision.workflows(actor, language="en") if row.technical and not row.is_model
        ]

    for row in rows():
        if not waiting.run_through(actor, row.internal_name, seconds=RUN_SECONDS):
            raise Broken(f"{row.internal_name} did not come to rest within {RUN_SECONDS:.0f} s.")
    return tuple(
        Ran(
            row.internal_name,
            row.label,
            row.state_name,
            row.failed,
            row.last_run.isoformat() if row.last_run else None,
            row.last_duration_s,
        )
        for row in rows()
    )
