"""Pages of what servers say: texts to qualify, and the rules that do it (delivery.md §3.3)."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.db import transaction
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from envoi.console import explorer
from envoi.console.access import actor_of_request
from envoi.console.faces import Face
from envoi.console.navigation import Word, under
from envoi.kernel import folders
from envoi.kernel.errors import Conflict, Invalid, NotAllowed, NotFound
from envoi.kernel.models import Folder
from envoi.kernel.rights import Actor, Right
from envoi.packages.delivery.console import timeline
from envoi.packages.delivery.console.quarantine import REASONS
from envoi.packages.delivery.models import (
    BroadLogMsg,
    FailureReason,
    FailureType,
    MailRule,
    Qualification,
)
from envoi.packages.delivery.services import qualification
from envoi.packages.delivery.services.qualification import Asked, rule_sets

ENTITY = "nms:broadLogMsg"
SHOWN = 50
TYPES = (FailureType.HARD, FailureType.SOFT, FailureType.IGNORED)
_REFUSALS = (Invalid, NotFound, NotAllowed, Conflict)
_FACES = {
    Qualification.TO_QUALIFY: ("ask", "ask"),
    Qualification.KEEP: ("ok", "ok"),
    Qualification.IGNORE: ("draft", "minus"),
}


def first(request: HttpRequest) -> HttpResponse:
    """Send to the folder of texts."""
    answer = explorer.first_of(request, ENTITY)
    if query := request.META.get("QUERY_STRING"):
        answer["Location"] += f"?{query}"
    return answer


@under(Word.DELIVERIES)
def folder_page(request: HttpRequest, folder: Folder) -> HttpResponse:
    """Show the texts, those to be qualified first; `do` says what becomes of those ticked."""
    actor = actor_of_request(request)
    problem = ""
    if request.method == "POST":
        try:
            with transaction.atomic():
                _decide(request, actor)
            return redirect(request.get_full_path())
        except _REFUSALS as refusal:
            problem = str(refusal)
    given = request.GET
    counts: dict[int, int] = dict(
        BroadLogMsg.objects.values_list("qualification").annotate(count=Count("pk")).order_by()
    )
    wanted = _of(Qualification.values, given.get("qualification"))
    if wanted is None and "qualification" not in given and counts.get(Qualification.TO_QUALIFY):
        wanted = int(Qualification.TO_QUALIFY)
    asked = Asked(
        wanted,
        _of(FailureType.values, given.get("type")),
        _of(FailureReason.values, given.get("reason")),
        given.get("q", "").strip()[:200],
    )
    start = _number(given.get("from")) or 0
    rows = list(qualification.find(asked)[start : start + SHOWN + 1])
    context: dict[str, Any] = {
        "rows": [_row(each) for each in rows[:SHOWN]],
        "asked": asked,
        "open": counts.get(Qualification.TO_QUALIFY, 0),
        "chips": [("?qualification=", _("All"), sum(counts.values()), wanted is None)]
        + [
            (
                f"?qualification={value}",
                _spoken("qualification", value),
                counts.get(value, 0),
                wanted == value,
            )
            for value in Qualification.values
        ],
        "filtered": bool(asked.text) or asked.failure_type is not None or asked.failure_reason is not None,
        "types": [(each.value, _spoken("failureType", each.value)) for each in TYPES],
        "reasons": [(each.value, _spoken("failureReason", each.value)) for each in REASONS],
        "later": _with(request, start + SHOWN) if len(rows) > SHOWN else "",
        "earlier": _with(request, max(start - SHOWN, 0)) if start else "",
        "problem": problem,
        "changes": actor.has(Right.PREPARE_DELIVERIES),
        "tab": "texts",
        **explorer.frame(request, folder),
    }
    return render(request, "delivery/qualification.html", context, status=400 if problem else 200)


@under(Word.DELIVERIES)
@require_http_methods(["GET", "POST"])
def rules(request: HttpRequest) -> HttpResponse:
    """Show the rules in the order in which they are tried; administrators add some and switch them off."""
    actor = actor_of_request(request)
    folder = folders.readable_folders(actor).filter(model=ENTITY).order_by("path").first()
    if folder is None:
        raise NotFound(_("You have no right to see texts of servers."))
    problem = ""
    if request.method == "POST":
        try:
            with transaction.atomic():
                _change_rule(request, actor)
            return redirect("delivery:mail-rules")
        except _REFUSALS as refusal:
            problem = str(refusal)
    found = MailRule.objects.filter(rule_set__name=rule_sets.NAME).order_by("built_in", "kind", "rank")
    kinds = {
        "text": _("wordings"),
        "status": _("enhanced status"),
        "vague": _("vague wordings"),
        "hint": _("hints"),
        "reply": _("reply code"),
        "end": _("everything else"),
    }
    order = {name: at for at, name in enumerate(kinds)}
    context: dict[str, Any] = {
        "rules": [
            {
                "row": each,
                "kind": kinds.get(each.kind, each.kind),
                "type": _spoken("failureType", each.failure_type),
                "reason": _spoken("failureReason", each.failure_reason) if each.failure_reason else "",
                "some": each.patterns[:6],
                "more": max(len(each.patterns) - 6, 0),
            }
            for each in sorted(found, key=lambda each: (each.built_in, order.get(each.kind, 9), each.rank))
        ],
        "types": [(each.value, _spoken("failureType", each.value)) for each in TYPES],
        "reasons": [(each.value, _spoken("failureReason", each.value)) for each in REASONS],
        "problem": problem,
        "given": request.POST if problem else {},
        "administers": actor.is_administrator,
        "open": BroadLogMsg.objects.filter(qualification=Qualification.TO_QUALIFY).count(),
        "tab": "rules",
        **explorer.frame(request, folder),
    }
    return render(request, "delivery/mail_rules.html", context, status=400 if problem else 200)


def _decide(request: HttpRequest, actor: Actor) -> None:
    given = request.POST
    ids = [number for each in given.getlist("id") if (number := _number(each)) is not None]
    decisions = {
        "keep": Qualification.KEEP,
        "ignore": Qualification.IGNORE,
        "open": Qualification.TO_QUALIFY,
    }
    decision = decisions.get(given.get("do", ""))
    if decision is None or not ids:
        raise Invalid(_("Nothing was chosen that could be done."))
    count = qualification.decide(
        ids,
        decision,
        actor=actor,
        failure_type=FailureType(_of(FailureType.values, given.get("type")) or 0),
        failure_reason=FailureReason(_of(FailureReason.values, given.get("reason")) or 0),
    )
    said = ngettext(
        "%(n)d text is qualified; it holds from now on.",
        "%(n)d texts are qualified; it holds from now on.",
        count,
    )
    messages.success(request, said % {"n": count})


def _change_rule(request: HttpRequest, actor: Actor) -> None:
    given = request.POST
    number = _number(given.get("rule")) or 0
    match given.get("do"):
        case "add":
            open_before = BroadLogMsg.objects.filter(qualification=Qualification.TO_QUALIFY).count()
            rule = rule_sets.add(
                given.get("name", ""),
                given.get("wordings", "").splitlines(),
                FailureType(_of(FailureType.values, given.get("type")) or 0),
                FailureReason(_of(FailureReason.values, given.get("reason")) or 0),
                actor=actor,
                kind=given.get("kind", "text"),
            )
            known = open_before - BroadLogMsg.objects.filter(qualification=Qualification.TO_QUALIFY).count()
            said = ngettext(
                "%(name)s holds from now on; it explains %(n)d text that waited.",
                "%(name)s holds from now on; it explains %(n)d texts that waited.",
                known,
            )
            messages.success(request, said % {"name": rule.name, "n": known})
        case "on" | "off":
            rule_sets.switch(number, given.get("do") == "on", actor=actor)
        case "remove":
            rule_sets.remove(number, actor=actor)
        case _:
            raise Invalid(_("Nothing was chosen that could be done."))


def _row(each: BroadLogMsg) -> dict[str, Any]:
    css, icon = _FACES[Qualification(each.qualification)]
    return {
        "row": each,
        "face": Face(css, icon, _spoken("qualification", each.qualification)),
        "type": _spoken("failureType", each.failure_type) if each.failure_type else "",
        "reason": _spoken("failureReason", each.failure_reason) if each.failure_reason else "",
        "most": each.occurrences >= qualification.MOST,
    }


def _spoken(name: str, value: int) -> str:
    return timeline.spoken(ENTITY, name, value)


def _with(request: HttpRequest, start: int) -> str:
    asked: Mapping[str, str] = {k: v for k, v in request.GET.items() if k != "from"}
    return f"?{urlencode({**asked, 'from': start})}"


def _of(values: Sequence[Any], text: object) -> int | None:
    number = _number(text)
    return number if number in values else None


def _number(text: object) -> int | None:
    said = str(text or "")
    return int(said) if said.isascii() and said.isdecimal() and len(said) < 18 else None
