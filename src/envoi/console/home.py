"""Home: what waits for the operator; on a new instance, the first steps."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from envoi.console import faces, live, monitoring, words, workflow_list
from envoi.console.access import actor_of_request
from envoi.console.hooks import FirstStep, pages
from envoi.console.navigation import Word, under
from envoi.engine import access, approvals, supervision
from envoi.kernel.models import Operator
from envoi.kernel.rights import Actor, Right


@dataclass(frozen=True)
class Step:
    """A first step as the page shows it."""

    step: FirstStep
    done: bool
    current: bool
    address: str


@under(Word.HOME)
def home(request: HttpRequest) -> HttpResponse:
    """Answer "What waits for me?"; before anything has run, show the way to a first result instead."""
    actor = actor_of_request(request)
    if actor.is_administrator and not access.visible(actor).filter(run_number__gt=0).exists():
        return render(request, "console/first_run.html", _first_run(actor))
    versions = access.visible(actor).order_by().aggregate(n=Count("*"), s=Sum("version"))
    etag = live.tag(request, *versions.values())

    def draw() -> HttpResponse:
        part = "home_region" if live.wants_region(request) else "home"
        context = {**_waiting(actor), "etag": etag, "here": request.get_full_path()}
        return render(request, f"console/{part}.html", context)

    return live.answer(request, etag, draw)


def _waiting(actor: Actor) -> dict[str, Any]:
    rows = supervision.workflows(actor, language=translation.get_language() or "en")
    lines = [workflow_list.line(row) for row in rows if workflow_list.needs_attention(row)]
    things = monitoring.problems(actor, [], monitoring.processes()) if actor.is_administrator else []
    questions = approvals.pending(actor)
    waiting = len(lines) + len(things) + len(questions)
    return {
        "heading": ngettext("%(n)d thing waits for you", "%(n)d things wait for you", waiting)
        % {"n": waiting}
        if waiting
        else _("Nothing waits for you"),
        "lines": lines,
        "questions": questions,
        "problems": things,
        "working": [workflow_list.line(row) for row in rows if row.word == "working"][:10],
        "sees_workflows": actor.has(Right.WORKFLOW),
        "icons": faces.EVERY_ICON,
        "zone": words.zone_name(),
    }


def _first_run(actor: Actor) -> dict[str, Any]:
    found = monitoring.processes()
    runs = FirstStep(
        icon="ok",
        title=_("The instance runs"),
        text=ngettext(
            "%(n)d process and the database answer.", "%(n)d processes and the database answer.", len(found)
        )
        % {"n": len(found)}
        if found
        else _("The console and the database answer."),
        view="console:monitoring",
        action=_("See them"),
    )
    invite = FirstStep(
        icon="user",
        title=_("Invite colleagues"),
        text=_("Ready-made groups give each the rights of their work."),
        view="console:new-operator",
        action=_("New operator"),
        done=lambda: Operator.objects.filter(technical=False).count() > 1,
    )
    start = FirstStep(
        icon="run",
        title=_("Start the technical workflows"),
        text=_("They keep the instance in order by themselves once they are started."),
        view="console:workflows",
        action=_("See the workflows"),
        done=lambda: access.visible(actor).filter(run_number__gt=0).exists(),
    )
    steps = [runs, *(step for answer in pages.ask() for step in answer.first_steps), start, invite]
    done = [step.done() for step in steps]
    first = next((at for at, is_done in enumerate(done) if not is_done), None)
    return {
        "name": (actor.label or actor.name).split()[0],
        "steps": [Step(step, done[at], at == first, reverse(step.view)) for at, step in enumerate(steps)],
    }
