"""Start programs of PostgreSQL as the user of the place, with a small environment, tied to their parent."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from envoi.postgres.errors import NoPostgres
from envoi.postgres.find import PgBin
from envoi.postgres.place import Place

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}

_libc = ctypes.CDLL(None, use_errno=True)


class Drop(TypedDict, total=False):
    """Arguments of Popen that drop root's rights."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True)
class Ended:
    """Exit code and combined output of a program."""

    code: int
    output: str


def dropping(place: Place) -> Drop:
    """Popen arguments for the user of the place: empty unless we are root."""
    if os.geteuid() != 0:
        return {}
    return {"user": place.uid, "group": place.gid, "extra_groups": []}


def tied_to_me() -> Callable[[], None]:
    """A preexec function: the child gets SIGINT (PostgreSQL's fast shutdown) when this process dies.

    Popen runs it after setuid, which matters: the kernel clears the parent-death signal when rights change.
    A parent that died in between is noticed by getppid.
    """
    parent = os.getpid()

    def tie() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return tie


def adopt_orphans() -> None:
    """Become the parent of orphaned grandchildren: of server processes whose postmaster was killed."""
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def run(place: Place, arguments: Sequence[str | Path], *, text: str = "", cwd: Path | None = None) -> Ended:
    """Run a short program to its end as the user of the place, `text` on its standard input."""
    done = subprocess.run(
        [str(each) for each in arguments],
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=ENVIRONMENT,
        cwd=cwd or "/",
        umask=0o077,
        check=False,
        preexec_fn=tied_to_me(),
        **dropping(place),
    )
    return Ended(done.returncode, done.stdout)


def runnable(place: Place, pg: PgBin) -> PgBin:
    """The same programs at a path that the user of the place can execute; copied once per version if needed.

    A virtual environment below root's home (0700) is out of reach for the user that root drops to. Raises
    NoPostgres when the programs do not run for that user.
    """
    if os.geteuid() != 0 or _runs(place, pg):
        return pg
    if pg.trees:
        copy = pg.moved(place.programs / f"{pg.provider}-{pg.version}")
        if not copy.bin.is_dir():
            _copy(pg, place.programs / f"{pg.provider}-{pg.version}")
        if _runs(place, copy):
            return copy
        pg = copy
    raise NoPostgres(
        f"{pg.bin}: user {place.user} cannot execute the programs there (folder not passable, or noexec). "
        "Mend that, or name another place by ENVOI_PG_STATE_DIR."
    )


def _runs(place: Place, pg: PgBin) -> bool:
    try:
        return run(place, [pg.tool("initdb"), "--version"]).code == 0
    except PermissionError:
        return False


def _copy(pg: PgBin, target: Path) -> None:
    target.parent.mkdir(exist_ok=True)
    target.parent.chmod(0o755)
    fresh = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.rmtree(fresh, ignore_errors=True)
    for tree in pg.trees:
        shutil.copytree(
            tree, fresh / tree.name, ignore=shutil.ignore_patterns("include", "*.py", "__pycache__", "*.a")
        )
    for folder, _, names in os.walk(fresh):
        Path(folder).chmod(0o755)
        for name in names:
            file = Path(folder, name)
            file.chmod(0o755 if os.access(file, os.X_OK) else 0o644)
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)
