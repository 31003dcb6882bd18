"""File collector: files that appear in a folder are archived, and each is passed on (engine.md §6.4, §6.5).

XML tag: directorywatcher.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from django.utils.translation import gettext_noop as _

from envoi.engine import local_files, scripts, timetable
from envoi.engine.activities.base import ActivityType, Failed, Fired, Outcome, TaskContext
from envoi.engine.definition import Activity, Definition

MOST = 500
"""Files of one round; further ones follow at once."""


class FileCollector(ActivityType):
    """Parameters: `directory` (must exist), `filter` (`*.zip`; empty: all), `archive` (else a folder of the
    activity), `stopAfterFirst`, `processMissing`, `schedule`, `expirations`, `historyFiles`, `historyMb`.

    Each file is moved to the archive, renamed where its name is taken, and fires `filename`. The moves are
    committed with their names before they are made, so that each file fires at least once and under one name.
    Without a schedule the folder is looked at once; no file is then an error, unless missing files are
    processed.
    """

    type = "directorywatcher"
    family = "event"
    ways = (("transition", "transition"), ("missing", "missing"), ("error", "error"))
    effects = True

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """See that there is a folder, and a schedule that can be read."""
        if not str(activity.parameters.get("directory", "")).strip():
            yield _("Activity %(activity)s has no folder"), {}
        yield from timetable.check(activity)

    def run(self, ctx: TaskContext) -> Outcome:
        """Make the moves that were planned and fire them; else look for files and plan their moves."""
        if planned := ctx.memory.pop("moving", None):
            return _arrived(ctx, [(Path(source), Path(target)) for source, target in planned])
        turn = timetable.begin(ctx)
        if not turn.looks:
            return turn.after()
        folder = local_files.inside(ctx, scripts.text(ctx, str(ctx.parameters.get("directory", ""))))
        archive = _archive(ctx)
        local_files.purge_history(ctx, archive)
        found = local_files.matching(folder, str(ctx.parameters.get("filter", "")).strip())
        first_only = bool(ctx.parameters.get("stopAfterFirst"))
        if not found:
            return _missing(ctx, turn, folder)
        moves: list[tuple[str, str]] = []
        for path in found[: 1 if first_only else MOST]:
            _readable(ctx, path)
            taken = [Path(target).name for _source, target in moves]
            moves.append((str(path), str(local_files.unused(archive, path.name, taken))))
        ctx.memory["moving"] = moves
        ctx.memory["more"] = len(found) > MOST and not first_only
        return Outcome(due=ctx.now)


def _archive(ctx: TaskContext) -> Path:
    text = scripts.text(ctx, str(ctx.parameters.get("archive", ""))).strip()
    if not text:
        return local_files.own_folder(ctx)
    return local_files.inside(ctx, text)


def _readable(ctx: TaskContext, path: Path) -> None:
    """Raise Failed for a file that cannot be read, or that is a link out of the folders of workflows."""
    local_files.inside(ctx, str(path))
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        raise Failed(f"{path.name} cannot be read: {error.strerror}.") from error


def _missing(ctx: TaskContext, turn: timetable.Round, folder: Path) -> Outcome:
    if ctx.parameters.get("processMissing"):
        return turn.after(Fired("missing", {"filename": ""}))
    if turn.scheduled:
        return turn.after()
    raise Failed(f"There is no file for activity {ctx.activity.name} in {folder}.")


def _arrived(ctx: TaskContext, moves: list[tuple[Path, Path]]) -> Outcome:
    fired: list[Fired] = []
    for source, target in moves:
        local_files.move(source, target)
        ctx.info(_("File %(file)s collected as %(path)s"), file=source.name, path=str(target))
        fired.append(Fired("transition", local_files.carried(target)))
    if ctx.parameters.get("stopAfterFirst"):
        return Outcome(tuple(fired))
    upcoming = timetable.next_date(ctx)
    if ctx.memory.pop("more", False):
        ctx.memory["next"] = ctx.now.isoformat()
        return Outcome(tuple(fired), due=ctx.now)
    return Outcome(tuple(fired), due=upcoming)
