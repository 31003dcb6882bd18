"""What of a delivery is to be approved, by whom, and the answer: the tab Approval."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_http_methods

from envoi.console import words
from envoi.console.access import actor_of_request
from envoi.console.faces import Face
from envoi.console.navigation import Word, under
from envoi.kernel import clock
from envoi.kernel.errors import Invalid
from envoi.kernel.models import Group, Operator
from envoi.kernel.rights import Actor
from envoi.packages.delivery.console import delivery_tabs
from envoi.packages.delivery.models import (
    ApprovalStep,
    Delivery,
    DeliveryApproval,
    DeliveryMode,
    DeliveryState,
)
from envoi.packages.delivery.services import deliveries
from envoi.packages.delivery.services.deliveries import approvals, job_log, sending

MOST = 200
"""Operators and groups to choose from."""
HISTORY = 30


@dataclass(frozen=True)
class Shown:
    """One step as the page shows it."""

    step: str
    label: str
    face: Face
    approval: DeliveryApproval | None
    asked: list[str]
    late: bool
    answers: bool
    submits: bool


@dataclass(frozen=True)
class Setting:
    """One step as the form shows it."""

    step: str
    label: str
    on: bool
    operators: list[tuple[str, str, bool]]
    groups: list[tuple[str, str, bool]]
    manual: bool
    deadline: str
    reminders: str


@under(Word.DELIVERIES)
@require_http_methods(["GET", "POST"])
def page(request: HttpRequest, number: int) -> HttpResponse:
    """Show where the approvals stand, take answers and settings; `do` names what is done."""
    actor = actor_of_request(request)
    delivery = delivery_tabs.find(number, actor)
    problem = ""
    if request.method == "POST":
        back, problem = delivery_tabs.carry_out(request, delivery, actor, _do)
        if back is not None:
            return back
    context = {**_context(delivery, actor), "comment": request.POST.get("comment", "")}
    return delivery_tabs.show(
        request, "delivery/delivery_approval.html", delivery, actor, "approval", context, problem=problem
    )


@under(Word.DELIVERIES)
@require_GET
def waiting(request: HttpRequest) -> HttpResponse:
    """List what of deliveries waits for the operator's answer."""
    found = approvals.waiting(actor_of_request(request))
    now = clock.now()
    heading = ngettext("%(n)d decision waits for you", "%(n)d decisions wait for you", len(found))
    context = {
        "rows": [(each, _(job_log.STEPS[ApprovalStep(each.step)]), each.due_at < now) for each in found],
        "heading": heading % {"n": len(found)} if found else _("No decision waits for you"),
        "zone": words.zone_name(),
    }
    return render(request, "delivery/approvals.html", context)


def _do(request: HttpRequest, delivery: Delivery, actor: Actor) -> str:
    given = request.POST
    match given.get("do", ""):
        case "submit":
            step = _step(given.get("step", ""))
            approvals.submit(delivery, step, actor=actor)
            return _("It is submitted; the reviewers get a mail.")
        case "approve" | "reject" as answer:
            number = given.get("approval", "")
            if not number.isdecimal():
                raise Invalid(_("Nothing was chosen that could be done."))
            after = approvals.answer(
                int(number), answer == "approve", actor=actor, comment=given.get("comment", "")
            )
            if after.state == DeliveryState.START_PENDING:
                return _("Your answer is kept, and the delivery has started.")
            return _("Your answer is kept.")
        case "settings":
            deliveries.change(delivery, {"approvals": _said(request)}, actor=actor)
            return _("The settings are kept.")
        case _:
            raise Invalid(_("Nothing was chosen that could be done."))


def _step(text: str) -> ApprovalStep:
    if text not in ApprovalStep.values:
        raise Invalid(_("Nothing was chosen that could be done."))
    return ApprovalStep(text)


def _said(request: HttpRequest) -> dict[str, Any]:
    given = request.POST
    found: dict[str, Any] = {}
    for step in ApprovalStep:
        if f"{step}-on" not in given:
            continue
        wanted: dict[str, Any] = {
            "operators": given.getlist(f"{step}-operators"),
            "groups": given.getlist(f"{step}-groups"),
            "submission": given.get(f"{step}-submission", "automatic"),
            "deadline": given.get(f"{step}-deadline", "").strip(),
        }
        reminders = given.get(f"{step}-reminders", "").replace(",", " ").split()
        found[step.value] = {name: value for name, value in wanted.items() if value} | {
            "reminders": reminders
        }
    return found


def _context(delivery: Delivery, actor: Actor) -> dict[str, Any]:
    may = deliveries.possible(delivery, actor)
    lines = approvals.standing(delivery)
    shown = [_shown(delivery, line, actor, may) for line in lines]
    return {
        "steps": shown,
        "waiting": sum(each.answers for each in shown),
        "settings": _settings(delivery) if "change" in may else [],
        "history": [
            (_(job_log.STEPS[ApprovalStep(each.step)]), each)
            for each in DeliveryApproval.objects.select_related("answered_by")
            .filter(delivery=delivery, answered_at__isnull=False)
            .exclude(answered_by__isnull=True)[:HISTORY]
        ],
        "zone": words.zone_name(),
    }


def _shown(delivery: Delivery, line: approvals.Line, actor: Actor, may: set[str]) -> Shown:
    late = False
    asked: list[str] = []
    if line.approval is not None and line.standing == "waits":
        late = line.approval.due_at < clock.now()
        asked = [each.operator.name for each in line.approval.reviewers.select_related("operator")]  # type: ignore[attr-defined]
    else:
        asked = [each.name for each in approvals.reviewers(delivery, line.wanted)]
    answers = line.approval is not None and approvals.may_answer(line.approval, actor)
    faces = {
        "to submit": Face("draft", "draft", _("Not asked yet")),
        "waits": Face("ask", "ask", _("Your decision") if answers else _("With someone else")),
        "approved": Face("ok", "ok", _("Approved")),
        "rejected": Face("bad", "bad", _("Refused")),
    }
    return Shown(
        line.step.value,
        _(job_log.STEPS[line.step]),
        Face("warn", "late", _("Expired")) if late else faces[line.standing],
        line.approval,
        asked,
        late,
        answers,
        line.standing in ("to submit", "rejected") and "duplicate" in may and not delivery.is_model,
    )


def _settings(delivery: Delivery) -> list[Setting]:
    said = approvals.read(delivery.approvals)
    operators = list(
        Operator.objects.filter(disabled=False, technical=False).order_by("label", "name")[:MOST]
    )
    groups = list(Group.objects.order_by("label", "name")[:MOST])
    raw: Mapping[str, Any] = delivery.approvals
    found: list[Setting] = []
    for step in ApprovalStep:
        if step is ApprovalStep.EXTRACTION and delivery.delivery_mode != DeliveryMode.EXTERNAL:
            continue
        wanted = said.get(step)
        given = raw.get(step.value) or {}
        chosen = wanted.operators if wanted else ()
        found.append(
            Setting(
                step.value,
                _(job_log.STEPS[step]),
                wanted is not None,
                [(each.name, each.label or each.name, each.name in chosen) for each in operators],
                [
                    (each.name, each.label or each.name, wanted is not None and each.name in wanted.groups)
                    for each in groups
                ],
                wanted is not None and not wanted.automatic,
                str(given.get("deadline", "")),
                " ".join(
                    sending.spoken(each) for each in (wanted.reminders if wanted else approvals.REMINDERS)
                ),
            )
        )
    return found
