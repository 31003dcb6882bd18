"""Monitoring: what must be done now, what can wait; processes, queues, waiting mail."""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.db.models import Count, Max, Min, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from envoi.console import gauges, live, words, workflow_list
from envoi.console.access import actor_of_request, administrators_only
from envoi.console.navigation import Word, under
from envoi.console.workflow_list import Line
from envoi.engine import access, supervision
from envoi.engine.models import CommandState, QueuedCommand, Task, TaskState, Worker, WorkerState
from envoi.engine.supervision import Filter
from envoi.kernel import clock, mail, outbox
from envoi.kernel.errors import NotFound
from envoi.kernel.models import OutboxItem
from envoi.kernel.models.outbox import OutboxState
from envoi.kernel.rights import Actor, Right

STATES = {
    "running": ("ok", "ok", lazy("Running")),
    "starting": ("draft", "req", lazy("Starting…")),
    "stopping": ("draft", "req", lazy("Stopping…")),
    "draining": ("draft", "req", lazy("Stopping…")),
    "waiting": ("warn", "late", lazy("Waiting to restart")),
}
SHOWN = 20
LISTED = 100
LONGEST_NUMBER = 19
"""Digits of a number that the database still takes."""


@dataclass(frozen=True)
class Process:
    """A process as people see it."""

    name: str
    host: str
    pid: int | None
    css: str
    icon: str
    word: str
    since: datetime | None
    note: str

    @property
    def well(self) -> bool:
        """It runs, or is about to."""
        return self.css in ("ok", "draft")


@dataclass(frozen=True)
class Queue:
    """How many wait, and since when."""

    label: str
    count: int
    oldest: float | None
    """Seconds."""
    bad: bool


@dataclass(frozen=True)
class Problem:
    """A thing that needs someone: what, its consequence, where to go."""

    tone: str
    icon: str
    title: str
    text: str
    address: str
    action: str


@under(Word.MONITORING)
def monitoring(request: HttpRequest) -> HttpResponse:
    """Answer "What must I do now, what can wait?"."""
    actor = actor_of_request(request)
    versions = access.visible(actor).order_by().aggregate(n=Count("*"), s=Sum("version"))
    items = OutboxItem.objects.aggregate(n=Count("*"), m=Max("outbox_id"), done=Count("done_at"))
    etag = live.tag(request, *versions.values(), *items.values(), Worker.objects.count())

    def draw() -> HttpResponse:
        context = {
            **content(actor, request.GET.get("show", "")),
            "etag": etag,
            "here": request.get_full_path(),
        }
        part = "region" if live.wants_region(request) else "page"
        # Measured when the page is opened, not every two seconds: some ask the database, or run a statement.
        if part == "page" and actor.has(Right.WORKFLOW):
            context["gauges"] = gauges.gauges(actor)
        return render(request, f"console/monitoring/{part}.html", context)

    return live.answer(request, etag, draw)


@require_POST
def send_again(request: HttpRequest, number: int) -> HttpResponse:
    """Let a mail that was given up be tried from the start."""
    administrators_only(request, to=_("send system mail again"))
    item = OutboxItem.objects.filter(pk=number, kind=mail.KIND).first()
    if item is None:
        raise NotFound(_("There is no such mail."))
    outbox.again(item)
    messages.success(request, _("It is tried again."))
    return redirect("console:system-mail" if request.POST.get("next") == "mail" else "console:monitoring")


@require_POST
def send_all_again(request: HttpRequest) -> HttpResponse:
    """Let every mail that was given up be tried from the start."""
    administrators_only(request, to=_("send system mail again"))
    items = OutboxItem.objects.filter(kind=mail.KIND, state=OutboxState.FAILED)
    count = 0
    for item in items.iterator():
        outbox.again(item)
        count += 1
    messages.success(
        request,
        ngettext("%(n)d notice is tried again.", "%(n)d notices are tried again.", count) % {"n": count},
    )
    return redirect("console:system-mail")


@under(Word.MONITORING)
def system_mail(request: HttpRequest) -> HttpResponse:
    """List the notices that have not left, the newest first, a page at a time."""
    administrators_only(request, to=_("see the system mail"))
    items = OutboxItem.objects.filter(kind=mail.KIND).exclude(state=OutboxState.DONE)
    standing = next((each for each in outbox.standing() if each.kind == mail.KIND), None)
    before = request.GET.get("before", "")
    if before.isdecimal() and len(before) < LONGEST_NUMBER:
        items = items.filter(outbox_id__lt=int(before))
    page = list(items.order_by("-outbox_id")[: LISTED + 1])
    context = {
        "items": page[:LISTED],
        "older": f"?before={page[LISTED - 1].pk}" if len(page) > LISTED else "",
        "waiting": standing.waiting if standing else 0,
        "failed": standing.failed if standing else 0,
        "relay": bool(settings.CONFIG.smtp.url),
    }
    return render(request, "console/monitoring/mail.html", context)


def content(actor: Actor, show: str = "") -> dict[str, Any]:
    """Return what the page shows; `show` is a value of `supervision.Filter`, else what is to be looked at."""
    rows = supervision.workflows(actor, language=translation.get_language() or "en")
    to_look_at = [workflow_list.line(row) for row in rows if _look_at(row)]
    wanted = next((each for each in Filter if each.value == show), None)
    listed = (
        [workflow_list.line(row) for row in rows if supervision.matches(row, wanted)][:LISTED]
        if wanted
        else to_look_at
    )
    found = processes()
    queued = queues()
    things = problems(actor, to_look_at, found)
    mails = [item for item in outbox.standing() if item.kind == mail.KIND]
    return {
        "problems": things,
        "heading": ngettext("%(n)d thing needs you now", "%(n)d things need you now", len(things))
        % {"n": len(things)}
        if things
        else _("Nothing needs you now"),
        "now": clock.now(),
        "today": words.day(clock.now()),
        "zone": words.zone_name(),
        "lines": listed,
        "filters": [(each.value, label, each is wanted) for each, label in _filters().items()],
        "facts": [
            (_("Processes"), sum(p.well for p in found), len(found)),
            (_("Workflows failed"), sum(row.word == "failed" for row in rows), None),
            (_("Late"), sum(row.word == "late" for row in rows), None),
            (_("Unusually long"), sum(row.word == "long" for row in rows), None),
            (_("Working now"), sum(row.word in ("working", "long") for row in rows), None),
        ],
        "processes": found,
        "queues": queued,
        "mail": mails[0] if mails else None,
        "mails": OutboxItem.objects.filter(kind=mail.KIND)
        .exclude(state=OutboxState.DONE)
        .order_by("-outbox_id")[:SHOWN]
        if actor.is_administrator
        else (),
        "relay": bool(settings.CONFIG.smtp.url),
        "is_administrator": actor.is_administrator,
        "icons": "ok bad warn late req paused run info shield wait",
    }


def problems(actor: Actor, lines: list[Line], found: list[Process]) -> list[Problem]:
    """Return what needs someone, the worst first."""
    from envoi.console.workflow_page import address_of

    things = [
        Problem(
            "bad",
            "bad",
            _("%(name)s does not run.") % {"name": process.name},
            process.note or _("It is started again by itself when that is possible."),
            "",
            "",
        )
        for process in found
        if not process.well
    ]
    if not any(process.name.startswith("worker") and process.well for process in found):
        things.append(
            Problem(
                "bad",
                "bad",
                _("No worker runs."),
                _("Workflows stand still; what becomes due waits. “envoi up” starts workers."),
                "",
                "",
            )
        )
    for line in lines:
        if line.row.word == "failed":
            things.append(
                Problem(
                    "bad",
                    "bad",
                    _("%(name)s failed.") % {"name": line.row.label},
                    line.row.reason,
                    address_of(line.row.internal_name),
                    _("Open the workflow"),
                )
            )
    given_up = OutboxItem.objects.filter(kind=mail.KIND, state=OutboxState.FAILED).count()
    if given_up and actor.is_administrator:
        things.append(
            Problem(
                "warn",
                "warn",
                ngettext("%(n)d notice could not be mailed.", "%(n)d notices could not be mailed.", given_up)
                % {"n": given_up},
                _("They are kept below with their cause."),
                "",
                "",
            )
        )
    return things


def processes() -> list[Process]:
    """Return the processes of this host as `envoi up` publishes them, then the workers of other hosts."""
    found: list[Process] = []
    known: set[int] = set()
    for each in _published(settings.CONFIG.home):
        css, icon, word = STATES.get(each["state"], ("bad", "bad", _("Stopped")))
        known.add(each["pid"] or 0)
        since = datetime.fromisoformat(each["since"]) if each.get("since") else None
        found.append(
            Process(each["name"], "", each["pid"], css, icon, str(word), since, each.get("reason") or "")
        )
    alive = (WorkerState.RUNNING, WorkerState.DRAINING)
    for worker in Worker.objects.filter(state__in=alive).order_by("host", "name"):
        if worker.pid not in known:
            css, icon, word = STATES[WorkerState(worker.state).label]
            found.append(
                Process(worker.name, worker.host, worker.pid, css, icon, str(word), worker.started_at, "")
            )
    return found


def queues() -> list[Queue]:
    """Return how many tasks, commands and effects wait, with the age of the oldest."""
    now = clock.now()

    def queue(label: str, found: dict[str, Any], limit: float) -> Queue:
        oldest = (now - found["oldest"]).total_seconds() if found["oldest"] else None
        return Queue(label, found["n"], oldest, oldest is not None and oldest > limit)

    due = Task.objects.filter(status=TaskState.PENDING, due_at__lte=now)
    asked = QueuedCommand.objects.filter(status=CommandState.QUEUED)
    waiting = OutboxItem.objects.filter(state=OutboxState.WAITING)
    return [
        queue(_("Tasks due"), due.aggregate(n=Count("*"), oldest=Min("due_at")), 60),
        queue(_("Commands"), asked.aggregate(n=Count("*"), oldest=Min("created_at")), 60),
        queue(_("Outgoing mail and calls"), waiting.aggregate(n=Count("*"), oldest=Min("created_at")), 3600),
    ]


def _filters() -> dict[Filter, str]:
    return {
        Filter.ALL: _("All"),
        Filter.EDITING: _("Being edited"),
        Filter.IN_PROGRESS: _("In progress"),
        Filter.STARTED: _("Started"),
        Filter.PAUSED: _("Paused"),
        Filter.FINISHED: _("Finished"),
        Filter.FAILED: _("Failed"),
        Filter.STOPPED_PRODUCTION: _("Stopped (production)"),
        Filter.ACTION_REQUIRED: _("Action required"),
    }


def _look_at(row: supervision.WorkflowRow) -> bool:
    return workflow_list.needs_attention(row) or row.word == "paused"


def _published(home: Path) -> list[dict[str, Any]]:
    """Return what `up` last wrote of its processes, nothing when it no longer runs."""
    try:
        state = json.loads((home / "run" / "processes.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    if not Path(f"/proc/{state['pid']}").exists():
        return []
    return state["processes"]
