"""Proofs of a delivery: sent in a few clicks, and what became of those before: the tab Proofs."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from envoi.console import live, words
from envoi.console.access import actor_of_request
from envoi.console.faces import Face
from envoi.console.navigation import Word, under
from envoi.kernel.errors import Invalid
from envoi.kernel.models import Folder, Operator
from envoi.kernel.rights import Actor
from envoi.packages.delivery.console import delivery_tabs
from envoi.packages.delivery.models import Channel, Delivery, JobLevel, JobLog, SeedMember
from envoi.packages.delivery.services import deliveries, lists
from envoi.packages.delivery.services.deliveries import proofs, seeds, sending

LISTS = 100
SHOWN = 50
OFFERED = 100
"""Most seed addresses to copy from."""


@dataclass(frozen=True)
class Sent:
    """One proof as the list shows it."""

    proof: Delivery
    face: Face
    why: str


@under(Word.DELIVERIES)
@require_http_methods(["GET", "POST"])
def page(request: HttpRequest, number: int) -> HttpResponse:
    """List the proofs of a delivery, and send one."""
    actor = actor_of_request(request)
    delivery = delivery_tabs.find(number, actor)
    problem = ""
    if request.method == "POST":
        back, problem = delivery_tabs.carry_out(request, delivery, actor, _do)
        if back is not None:
            return back
    found = proofs.of(delivery)[:SHOWN]
    changes = "change" in deliveries.possible(delivery, actor)
    context = {
        "proofs": [_sent(each) for each in found],
        "form": _form(request, delivery, actor)
        if "duplicate" in deliveries.possible(delivery, actor)
        else None,
        "zone": words.zone_name(),
        "own_seeds": seeds.own(delivery),
        "offered": seeds.offered(actor)[:OFFERED] if changes else [],
        "changes": changes,
    }
    moving = any(each.status not in delivery_tabs.STILL for each in found)
    tag = live.tag(request, delivery.modified_at, *(each.modified_at for each in found))

    def draw() -> HttpResponse:
        return delivery_tabs.show(
            request,
            "delivery/delivery_proofs.html",
            delivery,
            actor,
            "proofs",
            context,
            # A form must not be drawn anew while somebody fills it in: only a page without one asks.
            etag=tag if moving and context["form"] is None else "",
            problem=problem,
        )

    return live.answer(request, tag, draw) if request.method == "GET" else draw()


def _do(request: HttpRequest, delivery: Delivery, actor: Actor) -> str:
    given = request.POST
    match given.get("do", "prove"):
        case "prove":
            made = _prove(request, delivery, actor)
            return _("%(label)s is on its way.") % {"label": made.label}
        case "seed":
            values = {name: given.get(name, "").strip() for name in ("email", "firstName", "lastName")}
            made_seed = seeds.add(delivery, values, actor=actor)
            return _("%(address)s gets this delivery too.") % {"address": made_seed.email}
        case "copy":
            count = seeds.copy(delivery, _numbers(given.getlist("template")), actor=actor)
            said = ngettext("%(n)s seed address is added.", "%(n)s seed addresses are added.", count)
            return said % {"n": words.number(count)}
        case "remove":
            for number in _numbers([given.get("seed", "")]):
                seeds.remove(delivery, number, actor=actor)
            return _("The seed address is removed.")
        case _:
            raise Invalid(_("Nothing was chosen that could be done."))


def _numbers(texts: list[str]) -> list[int]:
    return [int(each) for each in texts if each.isdecimal() and len(each) < 18]


def _prove(request: HttpRequest, delivery: Delivery, actor: Actor) -> Delivery:
    given = request.POST
    mode = given.get("mode", "")
    if mode not in proofs.MODES:
        raise Invalid(_("Say whom the proof is for."))
    numbers = given.get("profiles", "").replace(",", " ").split()
    if not all(each.isdecimal() and len(each) < 18 for each in numbers):
        raise Invalid(_("Profiles are named by their numbers."))
    target: dict[str, Any] = {"filter": given.get("filter", "").strip(), "lists": given.getlist("list")}
    return deliveries.prove(
        delivery,
        mode,  # pyright: ignore[reportArgumentType] checked
        actor=actor,
        target={name: value for name, value in target.items() if value},
        addresses=given.get("addresses", "").replace(",", "\n").split(),
        profiles=[int(each) for each in numbers],
        label=given.get("label", ""),
    )


def _form(request: HttpRequest, delivery: Delivery, actor: Actor) -> dict[str, Any]:
    said = sending.read(delivery.sending, channel=Channel(delivery.message_type))
    said_seeds = proofs.seeds_of(delivery)
    count = len(said_seeds.get("ids") or ())
    folders = Folder.objects.filter(name__in=said_seeds.get("folders") or ())
    count += SeedMember.objects.filter(folder__in=folders, active=True).count()
    own = Operator.objects.filter(pk=actor.operator_id).values_list("email", flat=True).first()
    given = request.POST
    number = Delivery.objects.filter(parent=delivery, fcp=True).count() + 1
    return {
        "mode": given.get("mode") or ("seeds" if any(said_seeds.values()) else "substitution"),
        "label": given.get("label") or said.proof_label.replace("{n}", str(number)),
        "addresses": given.get("addresses") or own or "",
        "profiles": given.get("profiles", ""),
        "filter": given.get("filter", ""),
        "lists": [
            (each.name, each.label, each.name in given.getlist("list"))
            for each in lists.visible(actor).filter(schema=delivery.mapping.schema).order_by("label")[:LISTS]
        ],
        "has_seeds": any(said_seeds.values()),
        "seeds": ngettext("%(n)s seed address", "%(n)s seed addresses", count) % {"n": words.number(count)}
        if count
        else _("those that fit its condition"),
    }


def _sent(proof: Delivery) -> Sent:
    bad = (
        JobLog.objects.filter(delivery=proof, level=JobLevel.ERROR, run_id=proof.run_id)
        .order_by("-pk")
        .first()
    )
    return Sent(proof, delivery_tabs.face(proof.state), deliveries.text(bad) if bad else "")
