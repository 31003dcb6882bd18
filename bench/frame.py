"""What every benchmark is made of: lines, alternating runs, and an instance of its own.

A line compares ours with a limit: the same work done by the bare tool, on the same data, in the same call.
Runs alternate (ours, limit, limit, ours, …), so that a machine that grows slower meanwhile harms both alike.
A ratio is always a rate over a rate: 1 is at the limit, more is better; a time is turned into a rate first.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

LIMITS = Path(__file__).parent / "limits"
RUNS = 3


@dataclass(frozen=True)
class Params:
    """How a benchmark is to run: `quick` is one run on less data; `only` names one line."""

    quick: bool = False
    only: str | None = None

    @property
    def runs(self) -> int:
        """How often each side runs."""
        return 1 if self.quick else RUNS

    def wants(self, line: str) -> bool:
        """Return whether a line is asked for."""
        return self.only in (None, line)


@dataclass(frozen=True)
class Line:
    """One result. `ours` and `limit` are medians in `unit`; without a limit there is no ratio.

    `spread`: highest minus lowest ratio (without a limit: of ours), as a share of the median.
    """

    line: str
    unit: str
    ours: float
    limit: float | None
    ratio: float | None
    what_the_limit_is: str
    spread: float


Side = Callable[[], float]


def against(
    line: str, unit: str, ours: Side, limit: Side, *, what: str, params: Params, less_is_better: bool = False
) -> Line:
    """Measure both sides in alternating runs; each call is one run and returns a figure in `unit`.

    `what` says what the limit is. `less_is_better` for times and sizes.
    """
    mine, others = [], []
    for run in range(params.runs):
        pair = [(mine, ours), (others, limit)]
        for figures, side in pair if run % 2 == 0 else reversed(pair):
            figures.append(side())
    ratios = [other / own if less_is_better else own / other for own, other in zip(mine, others, strict=True)]
    return Line(line, unit, median(mine), median(others), median(ratios), what, spread(ratios))


def alone(line: str, unit: str, ours: Side, *, params: Params) -> Line:
    """Measure a line that has no limit to compare with."""
    figures = [ours() for _ in range(params.runs)]
    return Line(line, unit, median(figures), None, None, "", spread(figures))


def spread(figures: list[float]) -> float:
    """Return (highest - lowest) / median; 0 for a single figure."""
    middle = median(figures)
    return (max(figures) - min(figures)) / middle if middle else 0.0


def limit_sql(name: str) -> str:
    """Return a pinned statement of bench/limits; what it holds changes only by a decision record."""
    return (LIMITS / f"{name}.sql").read_text(encoding="utf-8")


def document(name: str, params: Params, lines: list[Line]) -> dict[str, Any]:
    """Return what `bench NAME --json` prints."""
    return {
        "name": name,
        "params": {key: value for key, value in asdict(params).items() if value is not None}
        | {"runs": params.runs},
        "lines": [asdict(line) for line in lines],
    }


@contextmanager
def instance(*packages: str) -> Iterator[Path]:
    """Make an instance with its own server for a benchmark, set Django up on it, yield its folder.

    The server keeps the settings of a real one, fsync included. Processes that are started meanwhile find the
    instance in their environment. Once in a process.
    """
    place = Path(tempfile.mkdtemp(prefix="envoi-bench-"))
    place.chmod(0o711)
    home = place / "instance"
    os.environ["ENVOI_HOME"] = str(home)
    os.environ.pop("DATABASE_URL", None)
    with ExitStack() as undo:
        undo.callback(shutil.rmtree, place, ignore_errors=True)
        undo.callback(wait_until_gone, home)
        envoi("init", "--packages", ",".join(packages))
        from envoi.app import boot

        booted = boot.setup(home)
        if booted.lease:
            undo.callback(booted.lease.close)
        from django.db import connections

        undo.callback(connections.close_all)
        yield home


def envoi(*arguments: str) -> str:
    """Run a command of the product on the benchmark's instance; return its standard output."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "envoi.cli", *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"envoi {' '.join(arguments)} ended with {done.returncode}: {done.stderr}")
    return done.stdout


def wait_until_gone(home: Path, seconds: float = 30.0) -> None:
    """Wait until the server of a folder has stopped, which it does a few seconds after its last user."""
    import time

    from envoi.postgres.locks import keeper_lives

    deadline = time.monotonic() + seconds
    while keeper_lives(home) and time.monotonic() < deadline:
        time.sleep(0.1)
