"""Changes of many rows at once: those that were ticked, or all of a list; counted before, then done."""

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from envoi.console import conditions, sign_in, words
from envoi.console.access import actor_of_request
from envoi.console.navigation import Word, under
from envoi.console.records import asked as asking_for
from envoi.console.records import forms, inputs, lists
from envoi.console.records.asked import Asked
from envoi.console.records.inputs import Input
from envoi.kernel import registry, writing
from envoi.kernel.errors import Invalid, Refused
from envoi.kernel.registry import Attribute, Schema, translate

CONFIRMED_BY_NUMBER = 1_000
"""From here on a deletion asks for the number of rows."""
DOINGS = ("change", "delete")


@dataclass(frozen=True)
class Choice:
    """An attribute that can be set in all rows."""

    name: str
    label: str
    current: bool


@under(Word.EXPLORER)
@require_http_methods(["GET", "POST"])
def bulk(request: HttpRequest, namespace: str, name: str) -> HttpResponse:
    """Say what will happen to how many rows (GET); do it (POST)."""
    schema = registry.find(f"{namespace}:{name}")
    given = request.POST if request.method == "POST" else request.GET
    asked = asking_for.of(given, schema, actor_of_request(request))
    doing = given.get("do", "change")
    if doing not in DOINGS:
        raise Invalid(_("There is no command “%(name)s”.") % {"name": doing})
    if not asked.keys and given.get("all") != "1":
        raise Invalid(_("No row was ticked."))
    may = writing.writable(schema, actor=asked.actor)
    chosen = may.get(given.get("attribute", ""))
    back = sign_in.safe_next(request)
    problem = ""
    prospect = writing.prospect(
        schema.name, asked.where(), actor=asked.actor, deleting=doing == "delete", zone=asked.zone
    )
    if request.method == "POST":
        try:
            count = _do(request, asked, doing, chosen, prospect.allowed)
            messages.success(request, _done(doing, count))
            return redirect(back)
        except Refused as refusal:
            problem = inputs.problems_of(refusal).get(chosen.name, "") if chosen else ""
            problem = problem or str(refusal)
    context: dict[str, Any] = {
        "schema": schema,
        "doing": doing,
        "question": _question(doing, prospect.allowed),
        "prospect": prospect,
        "left": prospect.found - prospect.allowed,
        "sentence": conditions.sentence(asked.conditions, schema.name) if asked.conditions else "",
        "asked": asked,
        "choices": _choices(schema, may, chosen),
        "entry": _entry(schema, chosen, asked, given.get(f"f-{chosen.name}", "")) if chosen else None,
        "attribute": chosen.name if chosen else "",
        "kept": _kept(given),
        "back": back,
        "problem": problem,
        "by_number": doing == "delete" and prospect.allowed > CONFIRMED_BY_NUMBER,
        "list_address": lists.address_of(schema, "list"),
        "label": translate(schema.label),
    }
    return render(request, "console/records/bulk.html", context, status=400 if problem else 200)


def _do(request: HttpRequest, asked: Asked, doing: str, chosen: Attribute | None, expected: int) -> int:
    name, actor = asked.schema.name, asked.actor
    if doing == "delete":
        if expected > CONFIRMED_BY_NUMBER and request.POST.get("number", "").strip() != str(expected):
            raise Invalid(_("Type the number of rows, %(count)s, to delete them.") % {"count": expected})
        return writing.remove_all(name, asked.where(), actor=actor, zone=asked.zone)
    if chosen is None:
        raise Invalid(_("Say which attribute gets which value."))
    text = inputs.given(request.POST.get(f"f-{chosen.name}", ""))
    sent = {chosen.name: text}
    normalise = forms.form_of(asked.schema).normalise
    confirmed = frozenset(
        each.removeprefix("confirm-") for each in request.POST if each.startswith("confirm-")
    )
    return writing.change_all(
        name,
        asked.where(),
        normalise(sent, actor) if normalise else sent,
        actor=actor,
        confirmed=confirmed,
        zone=asked.zone,
    )


def _choices(schema: Schema, may: dict[str, Attribute], chosen: Attribute | None) -> list[Choice]:
    """Return what can be set for many rows; what only one row can have is left out."""
    unique = {name for names in schema.keys.values() if len(names) == 1 for name in names}
    return [
        Choice(each.name, translate(each.label), chosen is not None and each.name == chosen.name)
        for each in may.values()
        if each.name not in unique and forms.edited_in_place(each)
    ]


def _entry(schema: Schema, chosen: Attribute, asked: Asked, typed: str) -> Input:
    found = forms.input_of(schema, chosen, None, asked.actor)
    kind, options = inputs.options_of(schema, chosen, asked.actor, typed, words.zone_name())
    return Input(**{**found.__dict__, "value": typed, "kind": kind, "options": options})


def _kept(given: Any) -> list[tuple[str, str]]:
    """Return the parameters that say which rows are meant."""
    names = ("key", "all", "q", "filter", "below", "folder", "view", "c", "sort", "next")
    return [(name, value) for name in names for value in given.getlist(name)]


def _question(doing: str, count: int) -> str:
    n = words.number(count)
    if doing == "delete":
        return ngettext("Delete %(n)s row?", "Delete %(n)s rows?", count) % {"n": n}
    return ngettext("Change %(n)s row", "Change %(n)s rows", count) % {"n": n}


def _done(doing: str, count: int) -> str:
    n = words.number(count)
    if doing == "delete":
        return ngettext("%(n)s row is deleted.", "%(n)s rows are deleted.", count) % {"n": n}
    return ngettext("%(n)s row is changed.", "%(n)s rows are changed.", count) % {"n": n}
