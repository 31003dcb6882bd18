"""The tab Versions: versions of a delivery are written, tested, and one of them goes to the rest."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from babel.numbers import format_percent
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from envoi.console import words
from envoi.console.access import actor_of_request
from envoi.console.faces import Face
from envoi.console.navigation import Word, under
from envoi.engine.models import Workflow
from envoi.kernel.errors import Invalid
from envoi.kernel.rights import Actor, Right
from envoi.packages.delivery.console import delivery_tabs, of_workflows
from envoi.packages.delivery.models import AbTest, AbVersion, Delivery
from envoi.packages.delivery.services import ab_testing, deliveries
from envoi.packages.delivery.services.ab_testing import Verdict, carrying_out, comparing, deciding

_UNITS = {"m": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True)
class Line:
    """One version as the page shows it."""

    version: AbVersion
    face: Face
    part: str
    whole: str
    ratio: str
    percent: float
    chosen: bool


@under(Word.DELIVERIES)
@require_http_methods(["GET", "POST"])
def page(request: HttpRequest, number: int) -> HttpResponse:
    """Show the versions of a delivery with their figures; `do` names what is done."""
    actor = actor_of_request(request)
    delivery = delivery_tabs.find(number, actor)
    problem = ""
    if request.method == "POST":
        back, problem = delivery_tabs.carry_out(request, delivery, actor, _do)
        if back is not None:
            return back
    test = ab_testing.of(delivery)
    context = {
        "test": test,
        "prepares": actor.has(Right.PREPARE_DELIVERIES),
        "criteria": [(each.name, each.label) for each in ab_testing.CRITERIA.values()],
        **(_shown(test, actor) if test is not None else {}),
    }
    return delivery_tabs.show(
        request, "delivery/versions.html", delivery, actor, "versions", context, problem=problem
    )


def _do(request: HttpRequest, delivery: Delivery, actor: Actor) -> str:
    given = request.POST
    if given.get("do") == "make":
        count = given.get("count", "2")
        ab_testing.make(delivery, actor=actor, count=int(count) if count.isdecimal() else 2)
        return _("The versions are there: change what is to be different in each.")
    test = ab_testing.of(delivery)
    if test is None:
        raise Invalid(_("There is no test yet."))
    match given.get("do", ""):
        case "set":
            _set_up(given, test, actor)
            return _("The test is set.")
        case "add":
            _add(test, actor)
            return _("There is one version more.")
        case "start":
            carrying_out.start(test, actor=actor)
            return _("The test has begun: its workflow sends the versions.")
        case "remove":
            ab_testing.remove(test, actor=actor)
            return _("The test is gone, with its versions.")
        case "choose":
            number = given.get("number", "")
            ab_testing.choose(test, int(number) if number.isdecimal() else 0, actor=actor)
            return _("This version goes to the rest.")
        case _:
            raise Invalid(_("Nothing was chosen that could be done."))


def _set_up(given: Mapping[str, str], test: AbTest, actor: Actor) -> None:
    def whole(name: str) -> int:
        text = given.get(name, "").strip()
        if not text.isdecimal() or len(text) > 9:
            raise Invalid(_("%(text)r is no whole number.") % {"text": text})
        return int(text)

    shares = {each.letter: whole(f"share{each.letter}") for each in test.versions.all()}
    if (gone := given.get("gone", "")) in shares:
        del shares[gone]
    ab_testing.set_up(
        test,
        actor=actor,
        criterion_name=given.get("criterion", ""),
        wait=timedelta(seconds=whole("wait") * _UNITS.get(given.get("unit", ""), 86_400)),
        shares=shares,
        least=whole("least"),
        tie=given.get("tie", ""),
        automatic=given.get("automatic", "1") == "1",
    )


def _add(test: AbTest, actor: Actor) -> None:
    shares = {each.letter: each.share for each in test.versions.all()}
    shares["ABCDE"[len(shares)]] = 10
    ab_testing.set_up(
        test,
        actor=actor,
        criterion_name=test.criterion,
        wait=timedelta(seconds=test.wait_seconds),
        shares=shares,
        least=test.least_messages,
        tie=test.tie,
        automatic=test.automatic,
    )


def _shown(test: AbTest, actor: Actor) -> dict[str, Any]:
    by = ab_testing.criterion(test.criterion)
    versions = list(test.versions.select_related("delivery"))
    figures = deciding.figures([each.delivery for each in versions], by)
    compared = comparing.compare(figures, lower=by.lower, least=test.least_messages)
    most = max((each.ratio for each in figures), default=0.0) or 1.0
    final = deliveries.visible(actor).filter(pk=test.final_id).first() if test.final_id else None
    unit = next(name for name in ("d", "h", "m") if test.wait_seconds % _UNITS[name] == 0)
    seen = deliveries.visible(actor).filter(pk=test.delivery_id).first()
    return {
        "base": seen,
        "lines": [
            Line(
                version,
                delivery_tabs.face(version.delivery.state),
                words.number(figure.part),
                words.number(figure.whole),
                format_percent(figure.ratio, "#,##0.0 %", locale=words.locale()),
                100 * figure.ratio / most,
                version.delivery_id == test.winner_id,
            )
            for version, figure in zip(versions, figures, strict=True)
        ],
        "rest": 100 - sum(each.share for each in versions),
        "criterion": by,
        "wait": test.wait_seconds // _UNITS[unit],
        "unit": unit,
        "waits": words.duration(test.wait_seconds),
        "started": test.workflow_id is not None,
        "asks": _asks(test),
        "may_choose": actor.has(Right.START_DELIVERIES),
        "workflow": of_workflows.workflow_of(versions[0].delivery, actor) if versions else None,
        "failed": Workflow.objects.filter(pk=test.workflow_id, failed=True).exists(),
        "said": verdict(compared, test),
        "now_only": test.decided_at is None,
        "final": (final.label, reverse("delivery:delivery", args=[final.pk])) if final else None,
    }


def _asks(test: AbTest) -> bool:
    """Return whether the test waits for somebody to choose."""
    return test.decided_at is not None and test.final_id is None and test.winner_id is None


def verdict(compared: comparing.Compared, test: AbTest) -> str:
    """Return in words what figures say, those of the decision once there is one."""
    if test.decision:
        found = [
            comparing.Figure(each["delivery"], each["label"], each["part"], each["whole"])
            for each in test.decision["figures"]
        ]
        kept = Verdict(test.decision["verdict"])
        compared = comparing.Compared(tuple(found), kept, test.decision["chance"])
    best = compared.best.label if compared.ranked else ""
    match compared.verdict:
        case Verdict.SURE:
            return _("%(name)s is better, and that is hardly chance (%(chance)s).") % {
                "name": best,
                "chance": _chance(compared.chance),
            }
        case Verdict.CHANCE:
            return _("Undecided: %(name)s is ahead, but that may be chance (%(chance)s).") % {
                "name": best,
                "chance": _chance(compared.chance),
            }
        case Verdict.EQUAL:
            return _("Undecided: the versions are equal.")
        case Verdict.FEW:
            return _("Undecided: there are too few messages to compare.")
        case Verdict.UNTESTED:
            return _("%(name)s is ahead; of this figure nothing can be said about chance.") % {"name": best}


def _chance(share: float | None) -> str:
    least = 0.001
    value = format_percent(max(share or 0, least), "#,##0.0 %", locale=words.locale())
    if share is not None and share < least:
        return _("such a difference comes about by chance in less than %(share)s of cases") % {"share": value}
    return _("such a difference comes about by chance in %(share)s of cases") % {"share": value}
