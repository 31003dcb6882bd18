"""Files of this host that workflows work with: where they may lie, and how they move (engine.md §6.4).

A workflow reaches HOME/files, and the folders that an administrator names. Its own folder there, one for each
workflow and activity, is where files arrive. Moving is safe to repeat: what is wanted is committed first,
with the names, and then brought about.
"""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from envoi.engine.activities.base import FILE_HOST, Failed, Misconfigured, TaskContext
from envoi.engine.scripts import FILES
from envoi.kernel import options

FOLDERS = "XtkWorkflow_Folders"
"""Option: folders outside of HOME/files that workflows may use, absolute paths, one a line."""
YOUNG_S = 24 * 3600
"""Files younger than this are never purged."""


def roots(ctx: TaskContext) -> list[Path]:
    """Return the folders below which a workflow may read and write."""
    named = str(options.get(FOLDERS, actor=ctx.actor, default="") or "").splitlines()
    home = Path(settings.ENVOI.home) / FILES
    home.mkdir(mode=0o700, exist_ok=True)
    return [home.resolve(), *(Path(line.strip()).resolve() for line in named if line.strip().startswith("/"))]


def inside(ctx: TaskContext, text: str) -> Path:
    """Return the path that a setting or variable means; a relative one is below HOME/files.

    Links are followed first. Raises Misconfigured for a path outside of what workflows may use.
    """
    allowed = roots(ctx)
    try:
        path = (allowed[0] / text).resolve()
    except (OSError, ValueError) as error:
        raise Misconfigured(_("%(path)r is not a path.") % {"path": text}) from error
    if not any(path.is_relative_to(root) for root in allowed):
        raise Misconfigured(
            _(
                "%(path)s lies outside of the folders that workflows may use. An administrator can add its"
                " folder to the option %(option)s."
            )
            % {"path": text, "option": FOLDERS}
        )
    return path


def own_folder(ctx: TaskContext) -> Path:
    """Return the folder of this activity, made if need be."""
    name = re.sub(r"[^\w.-]", "_", f"{ctx.workflow_name}", flags=re.ASCII)
    folder = roots(ctx)[0] / name / re.sub(r"[^\w.-]", "_", ctx.activity.name, flags=re.ASCII)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def given_file(ctx: TaskContext) -> Path:
    """Return the file that an activity is to read: its parameter `file`, else `vars.filename`.

    Raises Misconfigured when neither names one, Failed when it lies on another host or is not there.
    """
    from envoi.engine import scripts

    explicit = scripts.text(ctx, str(ctx.parameters.get("file", ""))).strip()
    text = explicit or str(ctx.variables.get("filename") or "")
    if not text:
        raise Misconfigured(
            _("Activity %(activity)s has no file: name one, or let a transition bring it.")
            % {"activity": ctx.activity.name}
        )
    host = str(ctx.variables.get(FILE_HOST) or "")
    if not explicit and host and host != socket.gethostname():
        raise Failed(
            _(
                "%(file)s lies on the host %(host)s. Give the activity the affinity of that host, as the"
                " one that"
                " has brought the file."
            )
            % {"file": text, "host": host}
        )
    path = inside(ctx, text)
    if not path.is_file():
        raise Failed(_("The file %(file)s is not there.") % {"file": path.name})
    return path


def carried(path: Path, **more: Any) -> dict[str, Any]:
    """Return the variables by which a transition carries a file."""
    return {"filename": str(path), FILE_HOST: socket.gethostname(), **more}


def safe_name(text: str) -> str:
    """Return a name from outside as one that stays in its folder."""
    name = re.sub(r"[\x00-\x1f/\\:]", "_", text).strip().lstrip(".")[-180:]
    return name or "file"


def unused(folder: Path, name: str, taken: Iterable[str] = ()) -> Path:
    """Return a path in a folder that nothing has yet: a number before the extension where the name is
    taken.
    """
    given = Path(safe_name(name))
    known = set(taken)
    number = 0
    while True:
        candidate = folder / (f"{given.stem}_{number}{given.suffix}" if number else given.name)
        if not os.path.lexists(candidate) and candidate.name not in known:
            return candidate
        number += 1


def matching(folder: Path, pattern: str) -> list[Path]:
    """Return what lies in a folder under a name that fits, in the order of names; "" fits all, folders never.

    Raises Misconfigured when there is no such folder, Failed when it cannot be read.
    """
    if not folder.is_dir():
        raise Misconfigured(_("The folder %(folder)s does not exist.") % {"folder": folder})
    try:
        with os.scandir(folder) as found:
            names = [each.name for each in found if not each.is_dir(follow_symlinks=False)]
    except OSError as error:
        given = {"folder": folder, "reason": error.strerror}
        raise Failed(_("The folder %(folder)s cannot be read: %(reason)s.") % given) from error
    return [folder / name for name in sorted(names) if not pattern or fnmatch.fnmatchcase(name, pattern)]


def move(source: Path, target: Path) -> None:
    """Move a file to a name that was chosen and committed before; done once, it does nothing more.

    Raises Failed when neither is there, or the file cannot be moved.
    """
    if target.exists():
        return
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            source.rename(target)
        except OSError:
            # Another file system: copied beside the goal, and brought to its name at once.
            part = target.with_name(f".{target.name}.part")
            shutil.copyfile(source, part)
            part.replace(target)
            source.unlink()
    except OSError as error:
        given = {"file": source.name, "reason": error.strerror}
        raise Failed(_("%(file)s cannot be moved: %(reason)s.") % given) from error


def purge(folder: Path, *, most_files: int, most_mb: float, now: float) -> int:
    """Delete the oldest files of a history until both limits hold (0: no limit); returns how many.

    Files younger than a day are exempt. `now` is a time in seconds since 1970.
    """
    if not folder.is_dir() or (most_files <= 0 and most_mb <= 0):
        return 0
    found = sorted(
        ((facts.st_mtime, facts.st_size, path) for path in folder.iterdir() if (facts := _facts(path))),
        key=lambda each: each[0],
    )
    count, size, gone = len(found), sum(each[1] for each in found), 0
    for modified, bytes_, path in found:
        too_many = 0 < most_files < count
        too_large = 0 < most_mb * (1 << 20) < size
        if not (too_many or too_large):
            break
        if now - modified < YOUNG_S:
            continue
        path.unlink(missing_ok=True)
        count, size, gone = count - 1, size - bytes_, gone + 1
    return gone


def purge_history(ctx: TaskContext, folder: Path) -> None:
    """Purge the history of an activity by its parameters `historyFiles` and `historyMb`, before it runs."""
    gone = purge(
        folder,
        most_files=int(ctx.parameters.get("historyFiles") or 0),
        most_mb=float(ctx.parameters.get("historyMb") or 0),
        now=ctx.now.timestamp(),
    )
    if gone:
        ctx.info("%(count)d file(s) of the history deleted", count=gone)


def _facts(path: Path) -> os.stat_result | None:
    try:
        return path.stat() if path.is_file() else None
    except OSError:
        return None
