"""Readers' clicks: verified redirects, each with its line written first, next to nginx's bare 302.

Both sides answer the same requests over kept connections, from wrk (of Debian), with one worker. What counts
is what a core does: redirects for each CPU second of the process that serves, ours with all its threads, and
nginx's worker with its unbuffered access log; wrk, the loader and PostgreSQL run beside and are not counted.
Server and wrk share one core: on two, whoever is slower would pay for waking the other up at each answer, by
an interrupt that readers elsewhere do not cost. Each answer of ours is checked to be in the inbox later.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import frame

CONNECTIONS = 64
SECONDS, QUICK = 8, 3
DELIVERIES, LINKS, TAGS = 20, 25, 5000
TICKS = os.sysconf("SC_CLK_TCK")
LUA = """
local requests = {}
function init(args)
  for line in io.lines(args[1]) do
    requests[#requests + 1] = wrk.format("GET", line, {["Host"] = "t.example",
      ["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"})
  end
end
local i = 0
function request()
  i = i % #requests + 1
  return requests[i]
end
"""
NGINX = """
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log {folder}/access.log combined;
  keepalive_requests 100000000;
  server {{
    listen 127.0.0.1:{port};
    location / {{ return 302 https://shop.example/landing?from=mail; }}
  }}
}}
"""


def lines(params: frame.Params) -> list[frame.Line]:
    """Measure redirects; needs nginx and wrk."""
    wrk, nginx = _program("wrk"), _program("nginx")
    seconds = QUICK if params.quick else SECONDS
    clock_rates: list[float] = []
    ours_port, limit_port = _port(), _port()
    os.environ["ENVOI_TRACKING_URL"] = f"http://127.0.0.1:{ours_port}"
    os.environ["ENVOI_TRACKING_PORT"] = str(ours_port)
    with (
        tempfile.TemporaryDirectory(prefix="envoi-bench-") as name,
        frame.instance("core_default", "delivery") as home,
    ):
        folder = Path(name)
        _prepare(home, folder / "targets")
        (folder / "clicks.lua").write_text(LUA, encoding="utf-8")

        def load(port: int, pid: int) -> tuple[int, float]:
            return _load(wrk, folder, port, pid, seconds)

        with _track(ours_port) as ours, _nginx(nginx, folder, limit_port) as limit:
            answered = 0

            def redirects() -> float:
                nonlocal answered
                count, cpu = load(ours_port, ours)
                answered += count
                clock_rates.append(count / seconds)
                return count / cpu

            def bare() -> float:
                count, cpu = load(limit_port, limit)
                return count / cpu

            load(ours_port, ours)
            already = _settled()
            made = [
                frame.against(
                    "redirect",
                    "redirects/CPU s",
                    redirects,
                    bare,
                    what="nginx, bare 302, unbuffered access log, keep-alive, 1 worker",
                    params=params,
                ),
                frame.Line("by the clock", "redirects/s", max(clock_rates), None, None, "", 0.0),
            ]
            written = _settled() - already
            # What was on its way when wrk ended is written and not counted.
            if not answered <= written <= answered + CONNECTIONS * params.runs:
                raise RuntimeError(f"{answered} redirects were answered, {written} are in the inbox")
    return made


def _prepare(home: Path, targets: Path) -> None:
    """Make deliveries with links, and clicks on them."""
    from envoi.kernel.testing import admin_actor
    from envoi.packages.delivery.models import TrackingUrl
    from envoi.packages.delivery.services import deliveries
    from envoi.packages.delivery.services.redirection import tags

    actor = admin_actor()
    made = tags.tags(home, "")
    places: list[tuple[int, int]] = []
    for number in range(DELIVERIES):
        delivery = deliveries.create(
            deliveries.find("mail", actor=actor), actor=actor, targeting={"filter": "@id > 0"},
            name=f"bench{number}",
        )  # fmt: skip
        rows = TrackingUrl.objects.bulk_create(_link(delivery, each) for each in range(LINKS))
        places += [(delivery.pk, row.pk) for row in rows]
    with targets.open("w", encoding="ascii") as file:
        for number in range(TAGS):
            delivery, link = places[number * 7919 % len(places)]
            file.write(made.make("h", f"{10**7 + number:x}", f"{delivery:x}", f"{link:x}", ("C1",)) + "\n")


def _link(delivery: Any, number: int) -> Any:
    from envoi.kernel import clock
    from envoi.packages.delivery.models import TrackingUrl

    url = f"https://shop.example/p/{number}?of=$(p1)"
    return TrackingUrl(delivery=delivery, type=1, url=url, digest=f"{number:032x}", created_at=clock.now())


def _load(wrk: str, folder: Path, port: int, pid: int, seconds: int) -> tuple[int, float]:
    """Return how many requests were answered, and the CPU seconds that `pid` took for them."""
    before = _cpu(pid)
    done = subprocess.run(
        [
            wrk, "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(folder / "clicks.lua"),
            f"http://127.0.0.1:{port}/", "--", str(folder / "targets"),
        ],
        capture_output=True, text=True, check=True, preexec_fn=_on_one_core,
    )  # fmt: skip
    cpu = _cpu(pid) - before
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise RuntimeError(f"not every click was answered:\n{done.stdout}")
    count = next(line.split()[0] for line in done.stdout.splitlines() if " requests in " in line)
    return int(count), cpu


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _settled() -> int:
    """Return how many hits are in the inbox once no segment is left."""
    from django.conf import settings

    from envoi.packages.delivery.models import TrackingInbox

    folder = settings.ENVOI.home / "tracking"
    deadline = time.monotonic() + 120
    while any(folder.iterdir()):
        if time.monotonic() > deadline:
            raise RuntimeError("segments are not loaded")
        time.sleep(0.2)
    return TrackingInbox.objects.count()


@contextmanager
def _track(port: int) -> Iterator[int]:
    """Run `envoi track`; yields its process."""
    process = subprocess.Popen([sys.executable, "-P", "-m", "envoi.cli", "track"], preexec_fn=_on_one_core)
    try:
        _until_it_listens(port)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


@contextmanager
def _nginx(program: str, folder: Path, port: int) -> Iterator[int]:
    """Run nginx; yields its worker."""
    folder.chmod(0o777)
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port), encoding="utf-8")
    process = subprocess.Popen(
        [program, "-p", str(folder), "-c", str(folder / "nginx.conf")], preexec_fn=_on_one_core
    )
    try:
        _until_it_listens(port)
        yield _children(process.pid)[0]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _on_one_core() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def _children(pid: int) -> list[int]:
    found = [
        int(each)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for each in (task / "children").read_text(encoding="ascii").split()
    ]
    if not found:
        raise RuntimeError(f"process {pid} has no children")
    return found


def _until_it_listens(port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _program(name: str) -> str:
    found = shutil.which(name, path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if found is None:
        raise RuntimeError(f"bench track needs {name}: apt install {name}")
    return found
