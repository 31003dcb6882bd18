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
from envoi.engine.models import State
from envoi.engine.supervision import WorkflowRow
from envoi.kernel.errors import NotFound
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
        return _ask(request, actor, name, slug)
    found = access.find(actor, name)
    access.require_operate(actor, found, to=label_of(slug).lower())
    detail = supervision.workflow(actor, name, translation.get_language() or "en")
    message, counts = commands.effect(found.internal_name, SLUGS[slug])
    context = {
        "row": detail.row,
        "slug": slug,
        "question": _question(slug, detail.row),
        "effect": supervision.shown(message, counts),
        "notes": _notes(slug, detail.row),
        "label": label_of(slug, detail.row),
        "icon": ICONS.get(slug, "re"),
        "dangerous": slug in DANGEROUS,
        "safer": _safer(slug, detail.row, actor),
        "type_name": slug == "stop-at-once",
        "activity": request.GET.get("activity", ""),
        "back": reverse("console:workflow", args=[found.internal_name]),
        "crumbs": explorer.crumbs(request, found.folder, whole=True),
    }
    dialog = request.headers.get("HX-Target") == "dialog"
    return render(
        request, "console/workflows/confirm.html" if dialog else "console/workflows/command.html", context
    )


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
    }[slug]


def state_words(row: WorkflowRow) -> str:
    """Return the state of a row in words."""
    from envoi.console import faces

    return str(faces.workflow(row.word).word)


def _ask(request: HttpRequest, actor: Actor, name: str, slug: str) -> HttpResponse:
    parameters: dict[str, Any] = {}
    if slug == "restart-from":
        parameters["activity"] = request.POST.get("activity", "")
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
    }[slug] % name


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
