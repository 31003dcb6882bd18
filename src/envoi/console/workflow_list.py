"""Lists of workflows: in a folder of the explorer, and all of them under the word Workflows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.apps import apps
from django.db.models import Count, Max, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from envoi.console import explorer, faces, folder_kinds, live, words, workflow_bulk, workflow_commands
from envoi.console.access import actor_of_request
from envoi.console.faces import Face
from envoi.console.folder_kinds import FolderKind
from envoi.console.navigation import Word, under
from envoi.engine import access, supervision
from envoi.engine.models import Severity, State
from envoi.engine.supervision import WorkflowRow
from envoi.kernel.models import Folder
from envoi.kernel.rights import Actor

PAGE = 50
ATTENTION = frozenset({"failed", "late", "long"})
CHIPS: dict[str, frozenset[str]] = {
    "working": frozenset({"working", "long"}),
    "waiting": frozenset({"waiting", "signal", "approval"}),
    "asked": frozenset({"starting", "resuming", "pausing", "stopping", "restarting"}),
    "paused": frozenset({"paused"}),
    "ended": frozenset({"stopped", "finished"}),
    "idle": frozenset({"editing", "never"}),
}


@dataclass(frozen=True)
class Line:
    """A row as it is shown."""

    row: WorkflowRow
    face: Face
    bars: "Bars | None"
    attention: bool

    @property
    def important(self) -> bool:
        """Severity production or critical: carries a shield."""
        return self.row.severity != Severity.NORMAL


@dataclass(frozen=True)
class Bars:
    """The last runs as bars: one path for the usual ones, one for the failed, one for the newest."""

    usual: str
    failed: str
    newest: str
    text: str


@dataclass(frozen=True)
class Chip:
    """A filter with its count."""

    key: str
    label: str
    count: int
    address: str
    current: bool


def needs_attention(row: WorkflowRow) -> bool:
    """Failed, late or unusually long; or of severity production and not running."""
    ended = row.state == State.FINISHED and row.severity != Severity.NORMAL and not row.is_model
    return row.word in ATTENTION or ended


@under(Word.WORKFLOWS)
def workflows(request: HttpRequest) -> HttpResponse:
    """Show all workflows that the operator may see."""
    return _list(request, "console/workflows/all.html", {"heading": _("Workflows")}, None)


def folder_page(request: HttpRequest, folder: Folder) -> HttpResponse:
    """Show the workflows of a folder and of those below it."""
    frame = {} if live.wants_region(request) else explorer.frame(request, folder)
    heading = frame.get("folder_label", "")
    return _list(request, "console/workflows/in_folder.html", {**frame, "heading": heading}, folder)


def counts(actor: Actor) -> dict[int, tuple[int, int]]:
    """Return folder id -> (workflows, failed ones), for the tree."""
    rows = access.visible(actor).order_by().values("folder_id", "failed").annotate(n=Count("*"))
    found: dict[int, tuple[int, int]] = {}
    for row in rows:
        total, bad = found.get(row["folder_id"], (0, 0))
        found[row["folder_id"]] = (total + row["n"], bad + (row["n"] if row["failed"] else 0))
    return found


def _list(
    request: HttpRequest, template: str, context: dict[str, Any], folder: Folder | None
) -> HttpResponse:
    actor = actor_of_request(request)
    seen = access.visible(actor)
    if folder is not None:
        seen = seen.filter(folder__path__startswith=folder.path)
    versions = seen.order_by().aggregate(n=Count("*"), s=Sum("version"), m=Max("version"))
    etag = live.tag(request, *versions.values())

    def draw() -> HttpResponse:
        path = folder.path if folder else None
        language = translation.get_language() or "en"
        rows = supervision.workflows(actor, folder_path=path, language=language)
        shown = {
            **context,
            **content(request, actor, rows, folder),
            "etag": etag,
            "here": request.get_full_path(),
        }
        return render(
            request, "console/workflows/list.html" if live.wants_region(request) else template, shown
        )

    return live.answer(request, etag, draw)


def content(
    request: HttpRequest, actor: Actor, rows: Sequence[WorkflowRow], folder: Folder | None
) -> dict[str, Any]:
    """Return what the list shows: sentence, chips, groups; filtered by `q` and `state`, cut at `n` rows."""
    query, state = request.GET.get("q", "").strip(), request.GET.get("state", "")
    matching = [row for row in rows if _matches(row, query)]
    chosen = [row for row in matching if _in_chip(row, state)]
    limit = PAGE * max(1, int(request.GET["n"]) if request.GET.get("n", "").isdecimal() else 1)
    attention = [row for row in chosen if needs_attention(row)]
    others = [row for row in chosen if not needs_attention(row)]
    groups: list[tuple[str, list[Line]]] = []
    if attention:
        groups.append((_("Needs attention"), [line(row) for row in attention]))
    groups += [
        (label, [line(row) for row in inside])
        for label, inside in _grouped(others[: max(limit - len(attention), 0)], folder)
    ]
    more = len(chosen) > limit
    return {
        "groups": groups,
        "chips": _chips(matching, query, state),
        "query": query,
        "state": state,
        "total": len(rows),
        "shown": len(chosen),
        "lead": _lead(rows),
        "more": f"?{urlencode({'q': query, 'state': state, 'n': limit // PAGE + 1})}" if more else "",
        "zone": words.zone_name(),
        "icons": faces.EVERY_ICON,
        "bulk": [
            (slug, workflow_commands.label_of(slug), workflow_commands.ICONS[slug], slug == "stop")
            for slug in workflow_bulk.OFFERED
        ]
        if any(access.may_operate(actor, technical=row.technical) for row in chosen)
        else [],
    }


def line(row: WorkflowRow) -> Line:
    """Return a row with its face and its bars."""
    return Line(row, faces.workflow(row.word), bars(row), needs_attention(row))


def bars(row: WorkflowRow) -> Bars | None:
    """Draw the last runs, oldest first, each at least a tenth of the longest."""
    if not row.durations:
        return None
    longest = max(run.duration_s for run in row.durations) or 1
    parts: dict[str, list[str]] = {"usual": [], "failed": [], "newest": []}
    first = 2.5 + 5 * (supervision.RUNS_SHOWN - len(row.durations))
    for at, run in enumerate(row.durations):
        height = max(2.0, 18 * run.duration_s / longest)
        newest = at == len(row.durations) - 1
        kind = "failed" if run.failed else "newest" if newest else "usual"
        parts[kind].append(f"M{first + 5 * at:.1f} 20v-{height:.1f}")
    shortest = min(run.duration_s for run in row.durations)
    text = ngettext(
        "Last %(n)d run, %(from)s to %(to)s", "Last %(n)d runs, %(from)s to %(to)s", len(row.durations)
    ) % {"n": len(row.durations), "from": words.duration(shortest), "to": words.duration(longest)}
    return Bars("".join(parts["usual"]), "".join(parts["failed"]), "".join(parts["newest"]), text)


def _matches(row: WorkflowRow, query: str) -> bool:
    wanted = query.casefold()
    return wanted in row.label.casefold() or wanted in row.internal_name.casefold()


def _in_chip(row: WorkflowRow, state: str) -> bool:
    if state == "attention":
        return needs_attention(row)
    return state not in CHIPS or row.word in CHIPS[state]


def _chips(rows: Sequence[WorkflowRow], query: str, state: str) -> list[Chip]:
    labels = {
        "": _("All"),
        "attention": _("Needs attention"),
        "working": _("Working"),
        "waiting": _("Waiting"),
        "asked": _("Asked"),
        "paused": _("Paused"),
        "ended": _("Ended"),
        "idle": _("Not started"),
    }
    found: list[Chip] = []
    for key, label in labels.items():
        count = sum(_in_chip(row, key) for row in rows)
        if count or key in ("", state):
            address = "?" + urlencode(
                {name: value for name, value in (("q", query), ("state", key)) if value}
            )
            found.append(Chip(key, label, count, address, key == (state if state in labels else "")))
    return found


def _grouped(rows: Iterable[WorkflowRow], folder: Folder | None) -> list[tuple[str, list[WorkflowRow]]]:
    found: dict[str, list[WorkflowRow]] = {}
    for row in rows:
        found.setdefault(_group_of(row, folder), []).append(row)
    return sorted(found.items(), key=lambda group: group[0].casefold())


def _group_of(row: WorkflowRow, folder: Folder | None) -> str:
    """Rows of folders below are grouped by folder, those of the folder itself by their package."""
    if folder is None or row.folder_path != folder.path:
        return row.folder_label
    try:
        return str(apps.get_app_config(row.package).verbose_name)
    except LookupError:
        return row.folder_label


def _lead(rows: Sequence[WorkflowRow]) -> str:
    troubled = sum(needs_attention(row) for row in rows)
    if not rows:
        return ""
    if troubled:
        return ngettext(
            "%(n)s of %(total)s needs attention.", "%(n)s of %(total)s need attention.", troubled
        ) % {"n": words.number(troubled), "total": words.number(len(rows))}
    working = sum(row.word in CHIPS["working"] for row in rows)
    if working:
        return ngettext("All is well; %(n)s works now.", "All is well; %(n)s work now.", working) % {
            "n": words.number(working)
        }
    return _("All is well; nothing works at this moment.")


folder_kinds.own("xtk:workflow", FolderKind(folder_page, "folder", counts))
