"""One command to several workflows: what each will do, asked once; each refusal is reported by name."""

from dataclasses import dataclass

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from envoi.console import faces, sign_in, workflow_commands
from envoi.console.access import actor_of_request
from envoi.console.faces import Face
from envoi.console.navigation import Word, under
from envoi.console.workflow_commands import SLUGS
from envoi.engine import commands, supervision
from envoi.engine.supervision import WorkflowRow
from envoi.kernel.errors import Invalid, Refused
from envoi.kernel.rights import Actor

OFFERED = ("start", "pause", "stop", "restart")
MOST = 200
"""Workflows that one request may name."""


@dataclass(frozen=True)
class Chosen:
    """A workflow that was ticked, and whether the command is possible for it."""

    row: WorkflowRow
    face: Face
    possible: bool


@under(Word.WORKFLOWS)
@require_http_methods(["GET", "POST"])
def selected(request: HttpRequest) -> HttpResponse:
    """Ask what shall happen to the ticked workflows (GET), and ask the engine for it (POST)."""
    actor = actor_of_request(request)
    given = request.POST if request.method == "POST" else request.GET
    slug, names = given.get("command", ""), given.getlist("name")[:MOST]
    if slug not in OFFERED:
        raise Invalid(_("There is no command “%(name)s”.") % {"name": slug})
    back = sign_in.safe_next(request)
    if request.method == "POST":
        _ask_each(request, actor, slug, names)
        return redirect(back)
    chosen = _chosen(actor, slug, names)
    context = {
        "slug": slug,
        "label": workflow_commands.label_of(slug),
        "icon": workflow_commands.ICONS[slug],
        "dangerous": slug in workflow_commands.DANGEROUS,
        "question": _question(slug, sum(each.possible for each in chosen)),
        "chosen": chosen,
        "any_possible": any(each.possible for each in chosen),
        "back": back,
    }
    return render(request, "console/workflows/selected.html", context)


def _chosen(actor: Actor, slug: str, names: list[str]) -> list[Chosen]:
    rows = supervision.workflows(actor, language=translation.get_language() or "en")
    return [
        Chosen(row, faces.workflow(row.word), SLUGS[slug] in commands.allowed(row, actor))
        for row in rows
        if row.internal_name in names
    ]


def _ask_each(request: HttpRequest, actor: Actor, slug: str, names: list[str]) -> None:
    done = 0
    for name in names:
        try:
            commands.post(actor, name, SLUGS[slug])
            done += 1
        except Refused as refusal:
            messages.error(request, f"{name}: {refusal}")
    if done:
        text = ngettext("Asked for %(n)d workflow.", "Asked for %(n)d workflows.", done) % {"n": done}
        messages.info(request, f"{workflow_commands.label_of(slug)}: {text}")


def _question(slug: str, count: int) -> str:
    return {
        "start": ngettext("Start %(n)d workflow?", "Start %(n)d workflows?", count),
        "pause": ngettext("Pause %(n)d workflow?", "Pause %(n)d workflows?", count),
        "stop": ngettext("Stop %(n)d workflow?", "Stop %(n)d workflows?", count),
        "restart": ngettext("Restart %(n)d workflow?", "Restart %(n)d workflows?", count),
    }[slug] % {"n": count}
