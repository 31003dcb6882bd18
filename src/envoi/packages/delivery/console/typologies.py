"""The pages of typologies and their rules; a rule's form shows what rules of its type ask."""

import json
from typing import Any, cast

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy
from django.views.decorators.http import require_http_methods

from envoi.console import explorer
from envoi.console.access import actor_of_request
from envoi.console.administration import trail_of
from envoi.console.conditions import sentences, text
from envoi.console.navigation import Word, under
from envoi.kernel import query
from envoi.kernel.errors import Conflict, Invalid, NotAllowed, NotFound
from envoi.kernel.models import Folder
from envoi.kernel.query import QueryDef
from envoi.kernel.registry import current, translate
from envoi.kernel.rights import Actor
from envoi.packages.delivery.console import sending_pages, timeline
from envoi.packages.delivery.models import (
    ControlPhase,
    Delivery,
    DeliveryMapping,
    JobLevel,
    RuleType,
    Typology,
    TypologyRule,
    TypologyRuleRel,
)
from envoi.packages.delivery.models.typology import RULE_CHANNELS
from envoi.packages.delivery.services import typologies
from envoi.packages.delivery.services.typologies import definitions

ENTITY, RULE = "nms:typology", "nms:typologyRule"
KINDS = (RuleType.FILTERING, RuleType.PRESSURE, RuleType.CONTROL)
GROUPINGS = {
    "none": lazy("Not grouped"), "day": lazy("Per day"), "week": lazy("Per calendar week"),
    "month": lazy("Per month"), "quarter": lazy("Per quarter"), "year": lazy("Per year"),
}  # fmt: skip
MEANINGS = {
    RuleType.FILTERING: lazy("Leaves out whoever fulfils its condition."),
    RuleType.PRESSURE: lazy("Leaves out whoever would get too many messages in a period."),
    RuleType.CONTROL: lazy("Looks at the delivery before it goes, and may keep it back."),
}

EDITORS = {
    "where": lazy("Who is left out"),
    "recipients": lazy("For whom it holds"),
    "deliveries": lazy("Which deliveries count"),
    "applies": lazy("To which deliveries it applies"),
}


def first(request: HttpRequest) -> HttpResponse:
    """Send to the folder of typologies."""
    return explorer.first_of(request, ENTITY)


@under(Word.EXPLORER)
def folder_page(request: HttpRequest, folder: Folder) -> HttpResponse:
    """List typologies and rules; `do=new` makes a typology."""
    actor = actor_of_request(request)
    problem = ""
    if request.method == "POST":
        try:
            with transaction.atomic():
                made = typologies.create_typology(
                    request.POST.get("name", "").strip(), actor=actor,
                    label=request.POST.get("label", "").strip(), filtering="filtering" in request.POST,
                )  # fmt: skip
            return redirect("delivery:typology", made.pk)
        except (Invalid, Conflict, NotAllowed) as refusal:
            problem = str(refusal)
    found = list(Typology.objects.prefetch_related("rules"))
    context = {
        "typologies": [(each, len(cast("Any", each).rules.all())) for each in found],
        "rules": [(each, _row(each)) for each in TypologyRule.objects.all()],
        "kinds": [(kind.value, _spoken("type", kind.value), MEANINGS[kind]) for kind in KINDS],
        "changes": actor.is_administrator,
        "problem": problem,
        "given": request.POST if problem else {},
        **explorer.frame(request, folder),
    }
    return render(request, "delivery/typologies/list.html", context, status=400 if problem else 200)


@under(Word.EXPLORER)
@require_http_methods(["GET", "POST"])
def page(request: HttpRequest, number: int) -> HttpResponse:
    """Show a typology: which rules it holds."""
    actor = actor_of_request(request)
    found = Typology.objects.filter(pk=number).first()
    if found is None:
        raise NotFound(_("This typology is not there any more."))
    problem = ""
    if request.method == "POST":
        try:
            with transaction.atomic():
                gone = _change(found, request.POST, actor)
            messages.success(request, _("The typology is gone.") if gone else _("The typology is kept."))
            return redirect("delivery:typologies") if gone else redirect(request.path)
        except (Invalid, Conflict, NotAllowed) as refusal:
            problem = str(refusal)
    held = set(TypologyRuleRel.objects.filter(typology_id=number).values_list("rule_id", flat=True))
    rules = TypologyRule.objects.all()
    if found.filtering:
        rules = rules.filter(type=RuleType.FILTERING)
    context = {
        "typology": found,
        "rules": [(each, _row(each), each.pk in held) for each in rules],
        "deliveries": Delivery.objects.filter(typology=found, is_model=False).count(),
        "changes": actor.is_administrator,
        "problem": problem,
        "given": request.POST if problem else {"label": found.label, "description": found.description},
        "trail": trail_of(actor, ENTITY, found.name) if actor.is_administrator else [],
        **_frame(request, actor),
    }
    return render(request, "delivery/typologies/typology.html", context, status=400 if problem else 200)


@under(Word.EXPLORER)
@require_http_methods(["GET", "POST"])
def rule(request: HttpRequest, number: int | None = None) -> HttpResponse:
    """Show a rule, change it, or make one of the type `type`."""
    actor = actor_of_request(request)
    found = TypologyRule.objects.filter(pk=number).first() if number is not None else _new(request)
    if found is None:
        raise NotFound(_("This typology rule is not there any more."))
    problem = ""
    if request.method == "POST":
        try:
            with transaction.atomic():
                kept = _keep(found, request.POST, actor)
            if kept is None:
                messages.success(request, _("The rule is gone."))
                return redirect("delivery:typologies")
            messages.success(request, _("The rule is kept. It holds from the next analysis on."))
            return redirect("delivery:typology-rule", kept.pk)
        except (Invalid, Conflict, NotFound, NotAllowed) as refusal:
            problem = str(refusal)
    context = {
        "rule": found,
        "made": number is not None,
        "changes": actor.is_administrator,
        "problem": problem,
        "kind": _spoken("type", found.type),
        "meaning": MEANINGS.get(RuleType(found.type), ""),
        "row": _row(found) if number is not None else None,
        "trail": trail_of(actor, RULE, found.name) if number and actor.is_administrator else [],
        "used": Typology.objects.filter(rules__rule_id=number) if number else (),
        **_choices(found),
        **_shown(found, request.POST if problem else None),
        **_frame(request, actor),
    }
    return render(request, "delivery/typologies/rule.html", context, status=400 if problem else 200)


def _new(request: HttpRequest) -> TypologyRule:
    said = request.POST.get("type") or request.GET.get("type") or ""
    known = {str(each.value): each for each in KINDS}
    if said not in known:
        raise NotFound(_("There is no rule of this type."))
    return TypologyRule(type=known[said], label="", definition={})


def _change(found: Typology, given: QueryDict, actor: Actor) -> bool:
    if given.get("do") == "delete":
        typologies.delete_typology(found, actor=actor)
        return True
    values = {"label": given.get("label", ""), "description": given.get("description", "").strip()}
    typologies.change_typology(found, values, actor=actor)
    chosen = {sending_pages.number(each) for each in given.getlist("rule")}
    held = set(TypologyRuleRel.objects.filter(typology=found).values_list("rule_id", flat=True))
    for each in TypologyRule.objects.filter(pk__in=chosen ^ held):
        change = typologies.put_in if each.pk in chosen else typologies.take_out
        change(found, each, actor=actor)
    return False


def _keep(found: TypologyRule, given: QueryDict, actor: Actor) -> TypologyRule | None:
    """Make or change a rule; None when it was deleted."""
    if given.get("do") == "delete":
        typologies.delete_rule(found, actor=actor)
        return None
    values: dict[str, Any] = {
        "label": given.get("label", "").strip(),
        "description": given.get("description", "").strip(),
        "active": "active" in given,
        "rank": _whole(given, "rank"),
        "channel": _whole(given, "channel"),
    }
    if found.type == RuleType.CONTROL:
        values |= {"phase": _whole(given, "phase"), "level": _whole(given, "level")}
    else:
        values |= {"applies": _document(given.get("applies", ""))}
    if not found.built_in:
        values["definition"] = _definition(RuleType(found.type), given)
    if found.pk:
        return typologies.change_rule(found, values, actor=actor)
    made = typologies.create_rule(
        given.get("name", "").strip(), actor=actor, type=found.type, definition=values.pop("definition"),
        **values,
    )  # fmt: skip
    if "default" in given:
        typologies.put_in(typologies.find_typology(typologies.DEFAULT), made, actor=actor)
    return made


def _definition(kind: RuleType, given: QueryDict) -> dict[str, Any]:
    if kind is RuleType.CONTROL:
        return {"script": given.get("script", "")}
    schema = given.get("schema", "") or definitions.PERSONS
    if kind is RuleType.FILTERING:
        return {"schema": schema, "where": _document(given.get("where", ""))}
    return {
        "schema": schema,
        "threshold": given.get("threshold", "").strip(),
        "weight": given.get("weight", "").strip() or definitions.WEIGHT,
        "days": _whole(given, "days"),
        "grouping": given.get("grouping", "none"),
        "provisional": "provisional" in given,
        "recipients": _document(given.get("recipients", "")),
        "deliveries": _document(given.get("deliveries", "")),
    }


def _document(said: str) -> Any:
    """Return conditions as they are kept: the `where` of a query definition, `{}` for none."""
    conditions = text.read(said)
    if not conditions:
        return {}
    return query.to_json(QueryDef("x", where=conditions))["where"]


def _shown(found: TypologyRule, given: QueryDict | None) -> dict[str, Any]:
    """Return the values of the form, as they are kept or as they were just given."""
    said: dict[str, Any] = dict(found.definition)
    kept = {
        "label": found.label, "description": found.description, "active": found.active, "rank": found.rank,
        "channel": str(found.channel), "phase": str(found.phase), "level": str(found.level),
        "schema": said.get("schema") or definitions.PERSONS, "script": said.get("script", ""),
        "threshold": said.get("threshold", 3), "weight": said.get("weight", definitions.WEIGHT),
        "days": said.get("days", definitions.DAYS), "grouping": said.get("grouping", "none"),
        "provisional": said.get("provisional", False), "name": found.name,
    }  # fmt: skip
    texts = {name: _text(said.get(name)) for name in ("where", "recipients", "deliveries")}
    texts["applies"] = _text(found.applies)
    if given is not None:
        kept |= {name: given.get(name, "") for name in kept}
        kept |= {name: name in given for name in ("active", "provisional")}
        texts = {name: given.get(name, "") for name in texts}
    schemas = {"applies": "nms:delivery", "deliveries": "nms:delivery"}
    editors = {
        f"{name}_editor": {
            "schema": schemas.get(name, kept["schema"]),
            "name": name,
            "value": value,
            "label": EDITORS[name],
        }
        for name, value in texts.items()
    }
    return {"values": kept, **editors}


def _text(kept: Any) -> str:
    """Return kept conditions as the editor takes them."""
    return kept if isinstance(kept, str) else json.dumps(kept, ensure_ascii=False) if kept else ""


def _choices(found: TypologyRule) -> dict[str, Any]:
    mapped = DeliveryMapping.objects.exclude(schema="").values_list("schema", flat=True).distinct()
    schemas = sorted({*mapped, definitions.PERSONS, str(found.definition.get("schema") or "")} - {""})
    return {
        "channels": [(str(value), _spoken("channel", value)) for value, _label in RULE_CHANNELS],
        "phases": [(str(value), _spoken("phase", value)) for value in ControlPhase.values],
        "levels": [(str(each.value), _spoken("level", each.value)) for each in JobLevel],
        "groupings": list(GROUPINGS.items()),
        "schemas": [(each, translate(current()[each].label)) for each in schemas if each in current()],
    }


def _row(found: TypologyRule) -> dict[str, Any]:
    """Return what a list says of a rule."""
    looks = RuleType(found.type) is RuleType.CONTROL
    return {
        "label": typologies.label_of(found.name),
        "type": _spoken("type", found.type),
        "channel": _spoken("channel", found.channel),
        "phase": _spoken("phase", found.phase) if looks else "",
        "level": _spoken("level", found.level) if looks else "",
        "asks": _asks(found),
    }


def _asks(found: TypologyRule) -> str:
    """Return in a sentence what a rule asks."""
    said = found.definition
    try:
        match RuleType(found.type):
            case RuleType.FILTERING:
                asked = definitions.filtering(said)
                return sentences.sentence(asked.where, asked.schema)
            case RuleType.PRESSURE:
                asked = definitions.pressure(said)
                return _("At most %(threshold)s messages in %(days)s days, %(grouping)s") % {
                    "threshold": asked.threshold,
                    "days": asked.days,
                    "grouping": str(GROUPINGS[asked.grouping]).lower(),
                }
            case _:
                return found.description or str(said.get("script") or "")[:80]
    except (Invalid, NotFound) as refusal:
        return str(refusal)


def _spoken(attribute: str, value: object) -> str:
    return timeline.spoken(RULE, attribute, value)


def _whole(given: QueryDict, name: str) -> int:
    said = given.get(name, "").strip()
    if not said.removeprefix("-").isascii() or not said.removeprefix("-").isdigit() or len(said) > 9:
        raise Invalid(_("%(place)s must be a whole number.") % {"place": name})
    return int(said)


def _frame(request: HttpRequest, actor: Actor) -> dict[str, object]:
    folder = sending_pages.folder_of(actor, ENTITY)
    return {
        **explorer.frame(request, folder), "crumbs": explorer.crumbs(request, folder, whole=True),
    }  # fmt: skip
