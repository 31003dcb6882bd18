"""Commands to a workflow: the buttons, and what will happen, asked before it does."""

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import pgettext
from django.views.decorators.http import require_http_methods

from envoi.console import explorer
from envoi.console.access import actor_of_request
from envoi.console.navigation import Word, under
from envoi.engine import access, commands, supervision
from envoi.engine.commands import Command
from envoi.engine.definition import NAME, Activity
from envoi.engine.models import State
from envoi.engine.supervision import ActivityState, WorkflowRow
from envoi.kernel.errors import Invalid, NotFound
from envoi.kernel.rights import Actor

SLUGS: dict[str, Command] = {
    "start": Command.START,
    "pause": Command.PAUSE,
    "stop": Command.STOP,
    "restart": Command.RESTART,
    "execute": Command.WAKEUP,
    "simulate": Command.SIMULATE,
    "purge-history": Command.CLEANUP,
    "stop-at-once": Command.KILL,
    "restart-from": Command.RESTART_TASK,
    "execute-activity": Command.WAKEUP,
    "post-event": Command.POST_EVENT,
}
ICONS = {
    "start": "run",
    "pause": "pause",
    "stop": "stop",
    "restart": "re",
    "execute": "late",
    "simulate": "test",
    "purge-history": "x",
    "stop-at-once": "bad",
}
ALWAYS = ("start", "pause", "stop", "restart")
"""Shown whether possible or not; the others stand in the menu."""
ICONS_OF_ACTIVITY = {"restart-from": "re", "execute-activity": "late", "post-event": "sig"}
"""Those that concern one activity and stand in its panel, with their icons."""
WITH_VARIABLES = ("start", "simulate", "post-event")
DANGEROUS = ("stop", "stop-at-once", "purge-history")


@dataclass(frozen=True)
class Button:
    """A command as the page offers it."""

    slug: str
    label: str
    icon: str
    address: str
    possible: bool
    why_not: str
    dangerous: bool


@dataclass(frozen=True)
class Buttons:
    """Those in sight and those in the menu."""

    main: tuple[Button, ...]
    more: tuple[Button, ...]


def buttons(row: WorkflowRow, actor: Actor) -> Buttons | None:
    """Return the commands that the actor may give; None when the actor may give none to such a workflow."""
    if not access.may_operate(actor, technical=row.technical) or row.is_model:
        return None
    possible = set(commands.allowed(row, actor))
    made = {
        slug: Button(
            slug=slug,
            label=label_of(slug, row),
            icon=ICONS[slug],
            address=reverse("console:workflow-command", args=[row.internal_name, slug]),
            possible=SLUGS[slug] in possible,
            why_not=_("Not possible while its state is: %(state)s") % {"state": state_words(row)},
            dangerous=slug in DANGEROUS,
        )
        for slug in ICONS
    }
    return Buttons(
        tuple(made[slug] for slug in ALWAYS),
        tuple(button for slug, button in made.items() if slug not in ALWAYS and button.possible),
    )


@under(Word.WORKFLOWS)
@require_http_methods(["GET", "POST"])
def command(request: HttpRequest, name: str, slug: str) -> HttpResponse:
    """Tell what a command will do (GET), and ask the engine for it (POST). Its effect comes later."""
    actor = actor_of_request(request)
    if slug not in SLUGS:
        raise NotFound(_("There is no command “%(name)s”.") % {"name": slug})
    if request.method == "POST":
        try:
            return _ask(request, actor, name, slug)
        except Invalid as refusal:
            return _confirm(request, actor, name, slug, str(refusal))
    return _confirm(request, actor, name, slug)


def _confirm(request: HttpRequest, actor: Actor, name: str, slug: str, problem: str = "") -> HttpResponse:
    given = request.POST if request.method == "POST" else request.GET
    found = access.find(actor, name)
    access.require_operate(actor, found, to=label_of(slug).lower())
    detail = supervision.workflow(actor, name, translation.get_language() or "en")
    message, counts = commands.effect(found.internal_name, SLUGS[slug])
    activity = detail.definition.by_name.get(given.get("activity", ""))
    if slug in ICONS_OF_ACTIVITY and activity is None:
        raise NotFound(_("There is no activity “%(name)s”.") % {"name": given.get("activity", "")})
    starts_anew = slug == "start" and detail.row.state != State.PAUSED
    context = {
        "row": detail.row,
        "slug": slug,
        "question": _question(slug, detail.row),
        "effect": _effect_on(slug, activity) or supervision.shown(message, counts),
        "notes": _notes(slug, detail.row),
        "problem": problem,
        "label": label_of(slug, detail.row),
        "icon": ICONS.get(slug) or ICONS_OF_ACTIVITY[slug],
        "dangerous": slug in DANGEROUS,
        "safer": _safer(slug, detail.row, actor),
        "type_name": slug == "stop-at-once",
        "activity": activity,
        "activity_label": activity.label or activity.name if activity else "",
        "ways": [way for way in activity.transitions if way.enabled] if activity else (),
        "way": given.get("transition", ""),
        "takes_variables": slug in WITH_VARIABLES and (slug != "start" or starts_anew),
        "variables": given.get("variables", ""),
        "dialog": request.headers.get("HX-Target") == "dialog",
        "back": reverse("console:workflow", args=[found.internal_name]),
        "crumbs": explorer.crumbs(request, found.folder, whole=True),
    }
    page = "console/workflows/confirm.html" if context["dialog"] else "console/workflows/command.html"
    return render(request, page, context, status=400 if problem else 200)


def of_activity(row: WorkflowRow, actor: Actor, state: ActivityState, kind: str) -> tuple[str, ...]:
    """Return the commands that make sense for an activity as it stands, of those that the actor may give."""
    if not access.may_operate(actor, technical=row.technical) or row.is_model:
        return ()
    found: list[str] = []
    if row.state in (State.STARTED, State.PAUSED, State.FINISHED) and state.state in (
        "done",
        "warning",
        "failed",
    ):
        found.append("restart-from")
    if row.state == State.STARTED and state.state == "waiting" and state.next_at is not None:
        found.append("execute-activity")
    if row.state == State.STARTED and kind == "signal" and state.state == "waiting":
        found.append("post-event")
    return tuple(found)


def variables_of(text: str) -> dict[str, str]:
    """Read parameters, one `name=value` a line. Raises Invalid, naming the line that is none."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        name, separator, value = line.partition("=")
        if not separator or not NAME.match(name.strip()):
            raise Invalid(
                _("Line %(n)d, “%(line)s”, is no parameter: write name=value, with a plain name.")
                % {"n": number, "line": line.strip()}
            )
        found[name.strip()] = value.strip()
    return found


def label_of(slug: str, row: WorkflowRow | None = None) -> str:
    """Return the verb of a command; starting a paused workflow is resuming it."""
    if slug == "start" and row is not None and row.state in (State.PAUSED, State.RESUMING):
        return pgettext("command", "Resume")
    return {
        "start": pgettext("command", "Start"),
        "pause": pgettext("command", "Pause"),
        "stop": pgettext("command", "Stop"),
        "restart": pgettext("command", "Restart"),
        "execute": pgettext("command", "Execute pending tasks now"),
        "simulate": pgettext("command", "Simulate"),
        "purge-history": pgettext("command", "Purge the history"),
        "stop-at-once": pgettext("command", "Stop unconditionally"),
        "restart-from": pgettext("command", "Try again from here"),
        "execute-activity": pgettext("command", "Execute it now"),
        "post-event": pgettext("command", "Send the signal"),
    }[slug]


def state_words(row: WorkflowRow) -> str:
    """Return the state of a row in words."""
    from envoi.console import faces

    return str(faces.workflow(row.word).word)


def _ask(request: HttpRequest, actor: Actor, name: str, slug: str) -> HttpResponse:
    parameters: dict[str, Any] = {}
    if slug in ICONS_OF_ACTIVITY:
        parameters["activity"] = request.POST.get("activity", "")
    if slug == "post-event":
        parameters["transition"] = request.POST.get("transition", "")
        parameters["complete"] = bool(request.POST.get("complete"))
    if slug in WITH_VARIABLES and (given := variables_of(request.POST.get("variables", ""))):
        parameters["variables"] = given
    if slug == "stop-at-once" and request.POST.get("typed", "").strip() != name:
        messages.error(request, _("The name was not typed as it is. Nothing was stopped."))
        return redirect("console:workflow-command", name=name, slug=slug)
    commands.post(actor, name, SLUGS[slug], **parameters)
    asked = {
        "start": _("Start is asked. It takes effect when a worker is free."),
        "pause": _("Pause is asked. Tasks at work are completed first."),
        "stop": _("Stop is asked."),
        "restart": _("Restart is asked."),
        "execute": _("Pending tasks are due now."),
        "simulate": _("Simulation is asked."),
        "purge-history": _("Purging the history is asked."),
        "stop-at-once": _("It is stopped."),
        "restart-from": _("The activity runs again when a worker is free."),
        "execute-activity": _("Its task is due now."),
        "post-event": _("The signal is sent."),
    }
    messages.info(request, asked[slug])
    return redirect("console:workflow", name=name)


def _question(slug: str, row: WorkflowRow) -> str:
    name = {"name": row.label}
    if slug == "start" and row.state == State.PAUSED:
        return _("Resume “%(name)s”?") % name
    return {
        "start": _("Start “%(name)s”?"),
        "pause": _("Pause “%(name)s”?"),
        "stop": _("Stop “%(name)s”?"),
        "restart": _("Restart “%(name)s”?"),
        "execute": _("Execute the pending tasks of “%(name)s” now?"),
        "simulate": _("Simulate “%(name)s”?"),
        "purge-history": _("Purge the history of “%(name)s”?"),
        "stop-at-once": _("Stop “%(name)s” unconditionally?"),
        "restart-from": _("Run “%(name)s” again from this activity?"),
        "execute-activity": _("Execute this activity of “%(name)s” now?"),
        "post-event": _("Send a signal to “%(name)s”?"),
    }[slug] % name


def _effect_on(slug: str, activity: Activity | None) -> str:
    if activity is None:
        return ""
    name = {"name": activity.label or activity.name}
    if slug == "restart-from":
        return _("“%(name)s” runs again with what it was given, then all that follows.") % name
    if slug == "execute-activity":
        return _("What “%(name)s” waits for is due now. Other activities stay as they are.") % name
    return _("“%(name)s” passes the signal on through the transition that is chosen.") % name


def _notes(slug: str, row: WorkflowRow) -> list[str]:
    notes: list[str] = []
    if slug in ("stop", "stop-at-once", "pause") and row.schedule:
        notes.append(_("Its schedule (%(schedule)s) no longer fires.") % {"schedule": row.schedule})
    if slug == "stop":
        notes.append(_("It can be started again, from the beginning only."))
    if slug == "stop-at-once":
        notes.append(_("Work at this moment is given up where it stands. Meant for a stop that hangs."))
    if slug == "purge-history":
        notes.append(_("What is deleted cannot be brought back. Definition, variables and open tasks stay."))
    return notes


def _safer(slug: str, row: WorkflowRow, actor: Actor) -> tuple[str, str] | None:
    """Return (label, address) of the milder command to offer first."""
    if slug in ("stop", "stop-at-once") and Command.PAUSE in commands.allowed(row, actor):
        return _("Pause instead"), reverse("console:workflow-command", args=[row.internal_name, "pause"])
    return None
