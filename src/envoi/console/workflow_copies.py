"""Templates and copies of workflows, and their kept results (engine.md §1, §3)."""

from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from envoi.console import explorer
from envoi.console.access import actor_of_request
from envoi.console.navigation import Word, under
from envoi.engine import access, instances
from envoi.engine.models import State, Workflow, WorkTable
from envoi.kernel.errors import Refused
from envoi.kernel.rights import Actor, Right

LONGEST_LABEL = 255


def offers(actor: Actor, found: Workflow) -> list[tuple[str, str, str]]:
    """Return (label, icon, address) of what may be made from a workflow."""
    if not actor.has(Right.WORKFLOW):
        return []
    address = reverse("console:workflow-copy", args=[found.internal_name])
    as_template = f"{address}?{urlencode({'as': 'template'})}"
    if found.is_model:
        return [
            (_("New workflow from this template"), "plus", address),
            (_("Copy the template"), "folder", as_template),
        ]
    made = [(_("Duplicate"), "plus", address), (_("Save as template"), "folder", as_template)]
    if _results(found) and access.may_operate(actor, technical=access.is_technical(found)):
        made.append(
            (
                _("Delete the kept results"),
                "x",
                reverse("console:workflow-results", args=[found.internal_name]),
            )
        )
    return made


@under(Word.WORKFLOWS)
@require_http_methods(["GET", "POST"])
def copy(request: HttpRequest, name: str) -> HttpResponse:
    """Make a workflow, or with `as=template` a template, from another one."""
    actor = actor_of_request(request)
    found = access.find(actor, name)
    given = request.POST if request.method == "POST" else request.GET
    as_template = given.get("as") == "template"
    problem = ""
    label = given.get("label", "").strip() or found.label_in(translation.get_language() or "en")
    if request.method == "POST":
        try:
            if len(label) > LONGEST_LABEL:
                problem = _("The label has %(n)d characters at most.") % {"n": LONGEST_LABEL}
            else:
                made = instances.duplicate(actor, name, label=label, as_template=as_template)
                messages.success(
                    request, _("The template is made.") if as_template else _("The workflow is made.")
                )
                return redirect("console:workflow", name=made.internal_name)
        except Refused as refusal:
            problem = str(refusal)
    context = {
        "workflow": found,
        "source": found.label_in(translation.get_language() or "en"),
        "label": label,
        "as_template": as_template,
        "problem": problem,
        "crumbs": explorer.crumbs(request, found.folder, whole=True),
    }
    return render(request, "console/workflows/copy.html", context, status=400 if problem else 200)


@under(Word.WORKFLOWS)
@require_http_methods(["GET", "POST"])
def results(request: HttpRequest, name: str) -> HttpResponse:
    """Ask whether the kept results of a workflow are to be dropped, and drop them."""
    actor = actor_of_request(request)
    found = access.find(actor, name)
    access.require_operate(actor, found, to=_("delete results of"))
    if request.method == "POST":
        count = instances.delete_results(actor, name)
        messages.success(
            request,
            ngettext("%(n)d result is deleted.", "%(n)d results are deleted.", count) % {"n": count},
        )
        return redirect("console:workflow", name=found.internal_name)
    context = {
        "workflow": found,
        "source": found.label_in(translation.get_language() or "en"),
        "count": _results(found),
        "busy": found.state not in (State.EDITION, State.FINISHED),
        "crumbs": explorer.crumbs(request, found.folder, whole=True),
    }
    return render(request, "console/workflows/results.html", context)


def _results(found: Workflow) -> int:
    return WorkTable.objects.filter(workflow=found).count()
