"""One workflow: where it is, how many, what it waits for; diagram, journal, tasks, variables, properties."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import translation
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from envoi.console import (
    administration,
    diagram,
    explorer,
    faces,
    hooks,
    live,
    words,
    workflow_commands,
    workflow_copies,
    workflow_list,
    workflow_properties,
)
from envoi.console.access import actor_of_request
from envoi.console.kinds import kind
from envoi.console.navigation import Word, under
from envoi.engine import access, supervision, targets
from envoi.engine.definition import Activity
from envoi.engine.supervision import ActivityState, JournalLine, TaskRow, WorkflowDetail
from envoi.kernel.rights import Actor

LINES = 50
"""Lines of the journal, and tasks, on one page."""
ZOOMS = ("50", "75", "150", "200", "fit")
PLAIN = "plain"
"""Value of `show` in the address: the diagram without counts and durations."""
LONGEST_NUMBER = 19
"""Digits of a number that the database still takes."""
LEVELS = {"info": ("mut", "info"), "warning": ("t-warn", "warn"), "error": ("t-bad", "bad")}
STATUS = {
    "pending": ("wait", "wait"),
    "running": ("run", "run"),
    "completed": ("ok", "ok"),
    "aborted": ("draft", "stopped"),
    "failed": ("warn", "warn"),
    "error": ("bad", "bad"),
    "held": ("warn", "paused"),
}


@dataclass(frozen=True)
class Tab:
    """One facet of the page."""

    key: str
    label: str
    address: str
    current: bool


@under(Word.WORKFLOWS)
def workflow(request: HttpRequest, name: str) -> HttpResponse:
    """Show one workflow; `tab` and `activity` in the address say what is open."""
    actor = actor_of_request(request)
    etag = live.tag(request, supervision.version(actor, name))

    def draw() -> HttpResponse:
        context = {**_context(request, actor, name), "etag": etag, "here": request.get_full_path()}
        region = live.wants_region(request)
        return render(
            request, "console/workflows/region.html" if region else "console/workflows/page.html", context
        )

    return live.answer(request, etag, draw)


@under(Word.WORKFLOWS)
def rows(request: HttpRequest, name: str, activity: str, transition: str) -> HttpResponse:
    """Show what a transition carried, a page at a time."""
    actor = actor_of_request(request)
    language = translation.get_language() or "en"
    detail = supervision.workflow(actor, name, language)
    target = targets.page(actor, name, activity, transition, after=request.GET.get("after", ""))
    context = {
        "row": detail.row,
        "activity": _name_of(detail, activity),
        "transition": "" if transition in diagram.USUAL else transition,
        "target": target,
        "written": [[_cell(value) for value in row] for row in target.rows],
        "following": f"?{urlencode({'after': target.following})}" if target.following else "",
        "begun": "after" in request.GET,
        "crumbs": explorer.crumbs(request, access.find(actor, name).folder, whole=True),
    }
    return render(request, "console/workflows/rows.html", context)


@under(Word.WORKFLOWS)
def export(request: HttpRequest, name: str) -> HttpResponse:
    """Give the diagram as a file of its own, for print."""
    language = translation.get_language() or "en"
    detail = supervision.workflow(actor_of_request(request), name, language)
    response = HttpResponse(
        diagram.draw(detail, language, standalone=True), content_type="image/svg+xml; charset=utf-8"
    )
    response["Content-Disposition"] = f'attachment; filename="{slugify(name) or "workflow"}.svg"'
    # The file carries its own style sheet; nothing else may run in it.
    response["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'"
    return response


def _context(request: HttpRequest, actor: Actor, name: str) -> dict[str, Any]:
    language = translation.get_language() or "en"
    detail = supervision.workflow(actor, name, language)
    found = access.find(actor, name)
    by_name = {state.name: state for state in detail.activities}
    selected = request.GET.get("activity", "")
    selected = selected if selected in detail.definition.by_name else ""
    tabs = _tabs(request, detail, actor, selected)
    tab = next(tab.key for tab in tabs if tab.current)
    view = _view(request)
    kept = view | ({"tab": tab} if tab != "journal" else {})
    zoom = view.get("zoom", "")
    image = diagram.picture_of(
        detail,
        selected=selected,
        address=f"?{urlencode({**kept, 'activity': ''})}",
        rows=_rows(detail, actor),
        figures="show" not in view,
        zoom=0 if zoom == "fit" else int(zoom or 100),
    )
    context: dict[str, Any] = {
        "detail": detail,
        "row": detail.row,
        "line": workflow_list.line(detail.row),
        "face": faces.workflow(detail.row.word),
        "crumbs": explorer.crumbs(request, found.folder, whole=True),
        "svg": _drawn(request, image, language),
        "counts": diagram.counts(image.nodes),
        "reached": _reached(detail),
        "tabs": tabs,
        "tab": tab,
        "selected": _selected(detail, actor, selected, by_name) if selected else None,
        "commands": workflow_commands.buttons(detail.row, actor),
        "copies": workflow_copies.offers(actor, found),
        "may_operate": access.may_operate(actor, technical=detail.row.technical),
        "icons": faces.EVERY_ICON
        + " info warn bad ok stopped run wait paused ask pause stop re late test x plus folder",
        "zone": words.zone_name(),
        "without": f"?{urlencode(kept)}" if kept else request.path,
        "as_table": f"?{urlencode({**view, 'tab': 'table'})}",
        "views": _views(request, view),
    }
    context |= _facet(request, actor, detail, tab, selected, found)
    return context


def _view(request: HttpRequest) -> dict[str, str]:
    """Return what the address says of how the diagram is looked at: its size, and whether with figures."""
    zoom, show = request.GET.get("zoom", ""), request.GET.get("show", "")
    found = {"zoom": zoom} if zoom in ZOOMS else {}
    return found | ({"show": show} if show == PLAIN else {})


def _views(request: HttpRequest, view: Mapping[str, str]) -> list[tuple[str, str, bool]]:
    """Return (label, address, current) of the other ways to look at the diagram."""
    given = {name: value for name, value in request.GET.items() if name in ("tab", "activity") and value}

    def address(**wanted: str) -> str:
        return f"?{urlencode({**given, **{name: value for name, value in wanted.items() if value}})}"

    zoom, show = view.get("zoom", ""), view.get("show", "")
    sizes = {"50": "50 %", "75": "75 %", "": "100 %", "150": "150 %", "200": "200 %", "fit": _("Fit")}
    found = [(label, address(zoom=each, show=show), each == zoom) for each, label in sizes.items()]
    return [*found, (_("Figures"), address(zoom=zoom, show="" if show else PLAIN), not show)]


def _rows(detail: WorkflowDetail, actor: Actor) -> dict[tuple[str, str], str]:
    """Return the addresses of what the transitions carried, of those that still have their rows."""
    if not any(each.count is not None for each in detail.transitions):
        return {}
    name = detail.row.internal_name
    return {
        (source, way): reverse("console:workflow-rows", args=[name, source, way])
        for source, way in targets.carried(actor, name)
    }


def _facet(
    request: HttpRequest, actor: Actor, detail: WorkflowDetail, tab: str, selected: str, found: Any
) -> dict[str, Any]:
    match tab:
        case "journal":
            return _journal(request, actor, detail, selected)
        case "tasks":
            rows = [task for task in detail.tasks if not selected or task.activity == selected]
            return {"tasks": [_task(task, detail) for task in rows[:LINES]], "cut": len(rows) > LINES}
        case "variables":
            return {"variables": [(key, _value(value)) for key, value in sorted(detail.variables.items())]}
        case "table":
            return {"activities": _table(detail)}
        case "versions":
            return {"versions": found.versions.select_related("created_by").order_by("-number")[:LINES]}
        case "properties":
            return {
                "properties": workflow_properties.rows(actor, found),
                "may_change": workflow_properties.may_change(actor, found),
                "script": found.script,
            }
        case _:
            return {"trail": administration.trail_of(actor, "xtk:workflow", detail.row.internal_name)}


def _tabs(request: HttpRequest, detail: WorkflowDetail, actor: Actor, selected: str) -> list[Tab]:
    labels = {
        "journal": _("Journal"),
        "tasks": _("Tasks %(n)s") % {"n": words.number(len(detail.tasks))},
        "variables": _("Variables %(n)s") % {"n": words.number(len(detail.variables))},
        "table": _("As a table"),
        "versions": _("Versions"),
        "properties": _("Properties"),
    }
    if actor.is_administrator:
        labels["audit"] = _("Audit")
    wanted = request.GET.get("tab", "")
    current = wanted if wanted in labels else "journal"
    chosen = _view(request) | ({"activity": selected} if selected else {})
    return [
        Tab(
            key,
            label,
            f"?{urlencode({**({'tab': key} if key != 'journal' else {}), **chosen})}",
            key == current,
        )
        for key, label in labels.items()
    ]


def _journal(request: HttpRequest, actor: Actor, detail: WorkflowDetail, selected: str) -> dict[str, Any]:
    before = request.GET.get("before", "")
    lines = supervision.journal(
        actor,
        detail.row.internal_name,
        language=translation.get_language(),
        before_id=int(before) if before.isdecimal() and len(before) < LONGEST_NUMBER else None,
        activity=selected or None,
        limit=LINES + 1,
    )
    kept = _view(request) | ({"activity": selected} if selected else {})
    older = f"?{urlencode({**kept, 'before': lines[LINES - 1].id})}" if len(lines) > LINES else ""
    return {
        "lines": [(_level(each), _name_of(detail, each.activity), each) for each in lines[:LINES]],
        "older": older,
        "before": before,
    }


def _level(line: JournalLine) -> tuple[str, str, str]:
    spoken = {"info": _("Info"), "warning": _("Warning"), "error": _("Error")}
    css, icon = LEVELS.get(line.level, LEVELS["info"])
    return css, icon, spoken.get(line.level, line.level)


def _name_of(detail: WorkflowDetail, name: str) -> str:
    activity = detail.definition.by_name.get(name)
    if activity is None:
        return name or _("Workflow")
    return activity.label or str(kind(activity.type).label)


def _task(task: TaskRow, detail: WorkflowDetail) -> dict[str, Any]:
    css, icon = STATUS.get(task.status, ("draft", "info"))
    return {
        "task": task,
        "css": css,
        "icon": icon,
        "status": _status_words(task.status),
        "activity": _name_of(detail, task.activity),
    }


def _status_words(status: str) -> str:
    return {
        "pending": _("Pending"),
        "running": _("Working"),
        "completed": _("Finished"),
        "aborted": _("Aborted"),
        "failed": _("Failed, error ignored"),
        "error": _("Failed"),
        "held": _("Held"),
    }.get(status, status)


def _table(detail: WorkflowDetail) -> list[dict[str, Any]]:
    """Return the content of the diagram: activity, type, state, in, out, duration, cause."""
    states = {state.name: state for state in detail.activities}
    fired = {(each.source, each.transition): each for each in detail.transitions}
    rows: list[dict[str, Any]] = []
    for activity in detail.definition.activities:
        state = states[activity.name]
        ways = [way for way in activity.transitions if way.enabled and (way.target or not way.optional)]
        rows.append(
            {
                "name": activity.name,
                "label": _name_of(detail, activity.name),
                "kind": kind(activity.type).label,
                "state": state,
                "spoken": diagram.state_words(state.state),
                "overlay": diagram.OVERLAYS.get(state.state),
                "into": [
                    _flow(_name_of(detail, source), fired.get((source, way)))
                    for source, way in detail.definition.inbound[activity.name]
                ],
                "out": [
                    _flow(
                        _name_of(detail, way.target) if way.target else _("leads nowhere"),
                        fired.get((activity.name, way.name)),
                        "" if way.name in diagram.USUAL else way.label or way.name,
                    )
                    for way in ways
                ],
            }
        )
    return rows


def _flow(name: str, event: Any, way: str = "") -> str:
    text = f"{way} → {name}" if way else name
    return f"{text}: {words.number(event.count)}" if event and event.count is not None else text


def _selected(
    detail: WorkflowDetail, actor: Actor, name: str, states: Mapping[str, ActivityState]
) -> dict[str, Any]:
    activity, state = detail.definition.by_name[name], states[name]
    overlay = diagram.OVERLAYS.get(state.state)
    return {
        "name": name,
        "label": _name_of(detail, name),
        "kind": kind(activity.type).label,
        "css": overlay[1] if overlay else "draft",
        "icon": overlay[2] if overlay else "draft",
        "spoken": diagram.state_words(state.state),
        "state": state,
        "activity": activity,
        "comes_from": [_name_of(detail, source) for source, _way in detail.definition.inbound[name]],
        "leads_to": [_name_of(detail, way.target) for way in activity.transitions if way.target],
        "parameters": [(key, _value(value)) for key, value in activity.parameters.items()],
        "on_error": _policy(activity.on_error),
        "failed": state.state == "failed",
        "runs": _sub_workflow(detail, actor, activity) if activity.type == "subworkflow" else None,
        "opens": _opened(detail, actor, activity),
        "commands": [
            (
                slug,
                workflow_commands.label_of(slug),
                workflow_commands.ICONS_OF_ACTIVITY[slug],
                f"{reverse('console:workflow-command', args=[detail.row.internal_name, slug])}"
                f"?{urlencode({'activity': name})}",
            )
            for slug in workflow_commands.of_activity(detail.row, actor, state, activity.type)
        ],
    }


def _sub_workflow(detail: WorkflowDetail, actor: Actor, activity: Activity) -> tuple[str, str] | None:
    """Return (label, address) of the copy that a sub-workflow runs, of its model before that."""
    tasks = [task.id for task in detail.tasks if task.activity == activity.name]
    seen = access.visible(actor)
    found = (
        seen.filter(parent_task_id__in=tasks).order_by("-workflow_id").first()
        or seen.filter(internal_name=activity.parameters.get("workflow", "")).first()
    )
    return (
        (found.label_in(translation.get_language() or "en"), address_of(found.internal_name))
        if found
        else None
    )


def _opened(detail: WorkflowDetail, actor: Actor, activity: Activity) -> tuple[str, str] | None:
    """Return (label, address) of what an activity works on, such as its delivery."""
    tasks = [task.id for task in detail.tasks if task.activity == activity.name]
    return next(filter(None, hooks.opens.ask(activity, tasks, actor)), None)


def _policy(name: str) -> str:
    return {
        "inherit": _("as the workflow says"),
        "suspend": _("the workflow pauses"),
        "ignore": _("the error is ignored, the branch ends"),
        "abort": _("the workflow ends"),
    }.get(name, name)


def _reached(detail: WorkflowDetail) -> str:
    total = len(detail.definition.activities)
    reached = sum(1 for state in detail.activities if state.state)
    return ngettext(
        "%(reached)d of %(n)d activity reached", "%(reached)d of %(n)d activities reached", total
    ) % {"reached": reached, "n": total}


def _drawn(request: HttpRequest, image: diagram.Picture, language: str) -> SafeString:
    from envoi.console.templatetags.console import use

    use(request, diagram.icons_of(image))
    return mark_safe(diagram.picture(image, language))  # noqa: S308 - every text in it is escaped where it is drawn


def _cell(value: Any) -> str:
    if value is None:
        return words.NONE
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return words.moment(value, seconds=True) if isinstance(value, datetime) else str(value)


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def address_of(name: str) -> str:
    """Return the address of a workflow's page."""
    return reverse("console:workflow", args=[name])
