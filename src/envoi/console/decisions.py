"""Approvals: decide in the console, or by the link in a mail, on a phone between two meetings.

Opening an address never answers: programs that look into mail open links too. Saying no takes a reason.
"""

from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from envoi.console import words
from envoi.console.access import actor_of_request, public
from envoi.console.navigation import Word, under
from envoi.engine import approvals
from envoi.engine.approvals import Choice, Question
from envoi.kernel.errors import Invalid
from envoi.kernel.models import Operator
from envoi.kernel.rights import Actor, Right

REFUSAL = "no"
"""Name of the answer that needs a reason."""


@under(Word.HOME)
@require_GET
def decisions(request: HttpRequest) -> HttpResponse:
    """List what waits for the operator's answer; to those who administer approvals, that of others too."""
    actor = actor_of_request(request)
    found = approvals.pending(actor)
    others = approvals.everyones(actor) if actor.has(Right.APPROVAL_ADMINISTRATION) else []
    heading = ngettext("%(n)d decision waits for you", "%(n)d decisions wait for you", len(found)) % {
        "n": len(found)
    }
    context = {
        "questions": found,
        "others": [each for each in others if each.operator != actor.name],
        "heading": heading if found else _("No decision waits for you"),
    }
    return render(request, "console/decisions/list.html", context)


@under(Word.HOME)
@require_http_methods(["GET", "POST"])
def decision(request: HttpRequest, number: int) -> HttpResponse:
    """Show one question, and take the answer."""
    actor = actor_of_request(request)
    return _decide(request, actor, number, "console/decisions/page.html", by_link=False)


@under(Word.HOME)
@require_http_methods(["GET", "POST"])
def withdraw(request: HttpRequest, number: int) -> HttpResponse:
    """Ask whether a question to others is to be withdrawn, and withdraw it."""
    actor = actor_of_request(request)
    question = approvals.anyones_question(actor, number)
    if request.method == "POST":
        approvals.withdraw(actor, number)
        messages.success(request, _("The question is withdrawn."))
        return redirect("console:decisions")
    return render(request, "console/decisions/withdraw.html", {"question": question})


@public
@never_cache
@require_http_methods(["GET", "POST"])
def by_link(request: HttpRequest, token: str) -> HttpResponse:
    """The same by the signed link of a mail, in the language and zone of the one who was asked."""
    actor, number = approvals.read_token(token)
    operator = Operator.objects.get(pk=actor.operator_id)
    zone = ZoneInfo(operator.timezone or settings.CONFIG.instance.timezone)
    with translation.override(operator.language or translation.get_language()), timezone.override(zone):
        return _decide(request, actor, number, "console/decisions/link.html", by_link=True)


def _decide(request: HttpRequest, actor: Actor, number: int, template: str, *, by_link: bool) -> HttpResponse:
    question = approvals.question(actor, number)
    comment = request.POST.get("comment", "").strip()
    problem = ""
    if request.method == "POST":
        choice = request.POST.get("choice", "")
        if choice == REFUSAL and not comment:
            problem = _("Say why: the one who asked will read it.")
        else:
            try:
                approvals.answer(actor, number, choice, comment)
            except Invalid as refusal:
                problem = str(refusal)
            else:
                messages.success(
                    request, _("Your answer is kept: %(answer)s.") % {"answer": _label(question, choice)}
                )
                return redirect(request.path if by_link else "console:decisions")
    context: dict[str, Any] = {
        "question": question,
        "answered": _label(question, question.answer),
        "choices": _buttons(question),
        "comment": comment,
        "problem": problem,
        "zone": words.zone_name(),
        "who": actor.label or actor.name,
    }
    return render(request, template, context, status=400 if problem else 200)


def _buttons(question: Question) -> list[tuple[Choice, str, bool]]:
    """Return the answers with their words; what refuses stands first, away from the thumb that agrees."""
    found = [(choice, _label(question, choice.name), choice.name == REFUSAL) for choice in question.choices]
    return sorted(found, key=lambda each: not each[2])


def _label(question: Question, name: str) -> str:
    label = next((choice.label for choice in question.choices if choice.name == name), name)
    return {"yes": _("Approve"), "no": _("Refuse")}.get(label, label)
