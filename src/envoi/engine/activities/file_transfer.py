"""File transfer: files go to another server or come from it (engine.md §6.4, §6.5).

XML tag (chosen): filetransfer.
"""

import fnmatch
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, cast

from django.utils.translation import gettext_noop as _

from envoi.engine import local_files, scripts, timetable
from envoi.engine.activities.base import ActivityType, Failed, Fired, Misconfigured, Outcome, TaskContext
from envoi.engine.definition import Activity, Definition
from envoi.engine.transfers import KINDS, Remote, remote
from envoi.kernel import accounts
from envoi.kernel.errors import Refused

ACTIONS = ("download", "upload", "test", "list")


class FileTransfer(ActivityType):
    """Parameters: `account` (SFTP, FTP, S3 or HTTP), `action` (download, upload, test, list), `path` (a
    file or a pattern such as `in/*.csv` on the server; for an upload the folder there), `files` (of an
    upload, in this order; else `vars.filename`), `deleteSource`, `listAll` (into `vars.filenames`,
    separated by line breaks; else a firing for each), `processMissing`, `schedule`, `expirations`,
    `historyFiles`, `historyMb`, `log`.

    A download fires `filename` for each file; sources are deleted only after that is committed. Everything is
    done at least once, under stable names.
    """

    type = "filetransfer"
    reads_files = True
    family = "event"
    ways = (("transition", "transition"), ("missing", "missing"), ("error", "error"))
    effects = True

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """See that there are an account and an action."""
        if not activity.parameters.get("account"):
            yield _("Activity %(activity)s has no external account"), {}
        if activity.parameters.get("action", "download") not in ACTIONS:
            yield _("Activity %(activity)s does not say whether it downloads, uploads, tests or lists"), {}
        yield from timetable.check(activity)

    def run(self, ctx: TaskContext) -> Outcome:
        """Delete what the last round has brought, then do the next."""
        if sent := ctx.memory.pop("sent", None):
            for path in cast("list[str]", sent):
                local_files.inside(ctx, path).unlink(missing_ok=True)
            goes_on = ctx.memory.pop("goes_on", False)
            return Outcome(due=timetable.next_date(ctx) if goes_on else None, dropped=True)
        server = server_of(ctx, tuple(KINDS))
        if sources := ctx.memory.pop("delete", None):
            for name in cast("list[str]", sources):
                server.delete(name)
            if not ctx.memory.pop("goes_on", False):
                return Outcome(dropped=True)
            return Outcome(due=timetable.next_date(ctx), dropped=True)
        turn = timetable.begin(ctx)
        if not turn.looks:
            return turn.after()
        local_files.purge_history(ctx, local_files.own_folder(ctx))
        match str(ctx.parameters.get("action", "download")):
            case "upload":
                return _uploaded(ctx, turn, server)
            case "test":
                return _tested(ctx, turn, server)
            case "list":
                return _listed(ctx, turn, server)
            case _:
                return _downloaded(ctx, turn, server)


def server_of(ctx: TaskContext, kinds: tuple[str, ...]) -> Remote:
    """Return the server of the activity's account. Raises Misconfigured when there is none of these types."""
    name = scripts.text(ctx, str(ctx.parameters.get("account", "")))
    try:
        found = accounts.credentials(name, actor=ctx.actor)
        if found.type not in kinds:
            raise Misconfigured(f"The account {name} is not one of the types {', '.join(kinds)}.")
        return remote(found)
    except Refused as error:
        raise Misconfigured(str(error)) from error


def _wanted(ctx: TaskContext, server: Remote) -> list[str]:
    """Return the names on the server that the path means."""
    path = PurePosixPath(scripts.text(ctx, str(ctx.parameters.get("path", ""))) or "*")
    folder = "" if str(path.parent) == "." else str(path.parent)
    if not any(sign in path.name for sign in "*?["):
        return [str(path)] if server.exists(str(path)) else []
    names = [name for name in server.names(folder) if fnmatch.fnmatchcase(name, path.name)]
    return [f"{folder}/{name}" if folder else name for name in names]


def _missing(ctx: TaskContext, turn: timetable.Round) -> Outcome:
    if ctx.parameters.get("processMissing"):
        return turn.after(Fired("missing", {"filename": ""}))
    if turn.scheduled:
        return turn.after()
    raise Failed(f"There is no file for activity {ctx.activity.name} on the server.")


def _downloaded(ctx: TaskContext, turn: timetable.Round, server: Remote) -> Outcome:
    names = _wanted(ctx, server)
    if not names:
        return _missing(ctx, turn)
    folder = local_files.own_folder(ctx)
    fired: list[Fired] = []
    for number, name in enumerate(names):
        # A name of this task: a repetition after a crash meets it again, another task does not.
        goal = folder / f"{ctx.task_id}_{int(ctx.memory.get('fired', 0))}_{number}_{_last(name)}"
        server.fetch(name, goal)
        ctx.info(_("%(file)s downloaded to %(path)s"), file=name, path=str(goal))
        fired.append(Fired("transition", local_files.carried(goal)))
    if not ctx.parameters.get("deleteSource"):
        return turn.after(*fired)
    ctx.memory["delete"] = names
    ctx.memory["goes_on"] = turn.upcoming is not None
    return turn.after(*fired, again=True)


def _uploaded(ctx: TaskContext, turn: timetable.Round, server: Remote) -> Outcome:
    given = cast("list[str]", ctx.parameters.get("files") or [])
    paths = [local_files.inside(ctx, scripts.text(ctx, text)) for text in given]
    if not paths:
        paths = [local_files.given_file(ctx)]
    folder = scripts.text(ctx, str(ctx.parameters.get("path", ""))).strip("/")
    for path in paths:
        if not path.is_file():
            raise Failed(f"The file {path.name} is not there.")
        name = f"{folder}/{path.name}" if folder else path.name
        server.store(path, name)
        ctx.info(_("%(file)s uploaded as %(name)s"), file=path.name, name=name)
    firing = Fired("transition", local_files.carried(paths[-1]))
    if not ctx.parameters.get("deleteSource"):
        return turn.after(firing)
    ctx.memory["sent"] = [str(path) for path in paths]
    ctx.memory["goes_on"] = turn.upcoming is not None
    return turn.after(firing, again=True)


def _tested(ctx: TaskContext, turn: timetable.Round, server: Remote) -> Outcome:
    names = _wanted(ctx, server)
    if not names:
        return _missing(ctx, turn)
    return turn.after(Fired("transition", {"filename": names[0]}))


def _listed(ctx: TaskContext, turn: timetable.Round, server: Remote) -> Outcome:
    names = _wanted(ctx, server)
    if not names:
        return _missing(ctx, turn)
    if ctx.parameters.get("listAll"):
        return turn.after(Fired("transition", {"filenames": "\n".join(names), "filename": names[0]}))
    return turn.after(*(Fired("transition", {"filename": name}) for name in names))


def _last(name: str) -> str:
    return local_files.safe_name(Path(name).name)
