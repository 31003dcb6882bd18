"""Indicators that administrators add to the monitoring page: list, form, a try before it is stored (§8.3)."""

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from envoi.console import administration, gauges
from envoi.console.access import administrators_only
from envoi.console.navigation import Word, under
from envoi.kernel import custom_indicators
from envoi.kernel.errors import Conflict, Invalid, NotFound
from envoi.kernel.models import CustomIndicator
from envoi.kernel.rights import Actor

LIMITS = ("warning", "alert", "maximum")


@dataclass
class Given:
    """What stands in the form, as it was typed."""

    name: str = ""
    label: str = ""
    sql: str = ""
    unit: str = ""
    warning: str = ""
    alert: str = ""
    maximum: str = ""


@under(Word.MONITORING)
def indicators(request: HttpRequest) -> HttpResponse:
    """List the indicators of this instance with what they give now."""
    actor = administrators_only(request, to=_("see how indicators are made"))
    measured = {each.name: each for each in custom_indicators.measure_all(actor=actor)}
    rows = [
        (each, gauges.gauge(measured[each.name]))
        for each in custom_indicators.list_all(actor=actor)
        if each.name in measured
    ]
    return render(request, "console/monitoring/indicators.html", {"rows": rows})


@under(Word.MONITORING)
@require_http_methods(["GET", "POST"])
def new_indicator(request: HttpRequest) -> HttpResponse:
    """Show an empty form, try what is in it, or store it."""
    actor = administrators_only(request, to=_("change indicators"))
    return _form(request, actor, None)


@under(Word.MONITORING)
@require_http_methods(["GET", "POST"])
def indicator(request: HttpRequest, name: str) -> HttpResponse:
    """Show one indicator; try, change or delete it."""
    actor = administrators_only(request, to=_("change indicators"))
    stored = next((each for each in custom_indicators.list_all(actor=actor) if each.name == name), None)
    if stored is None:
        raise NotFound(_("There is no indicator “%(name)s”.") % {"name": name})
    return _form(request, actor, stored)


def _form(request: HttpRequest, actor: Actor, stored: CustomIndicator | None) -> HttpResponse:
    given = _given(request) if request.method == "POST" else _stored(stored)
    problem, tried = "", None
    if request.method == "POST":
        try:
            if request.POST.get("do") == "delete" and stored is not None:
                custom_indicators.delete(stored.name, actor=actor)
                messages.success(request, _("%(name)s is deleted.") % {"name": stored.label or stored.name})
                return redirect("console:indicators")
            values = _values(given)
            name = stored.name if stored else given.name
            if request.POST.get("do") == "try":
                measured = custom_indicators.attempt(name or "new", actor=actor, **values)
                tried = gauges.gauge(measured)
            else:
                if stored:
                    custom_indicators.update(name, actor=actor, **values)
                else:
                    custom_indicators.create(name, actor=actor, **values)
                messages.success(request, _("%(name)s is stored.") % {"name": given.label or name})
                return redirect("console:indicators")
        except (Invalid, Conflict) as refusal:
            problem = str(refusal)
    context = {
        "stored": stored,
        "given": given,
        "problem": problem,
        "tried": tried,
        "limits": [
            ("warning", _("Warns from"), given.warning),
            ("alert", _("Alerts from"), given.alert),
            ("maximum", _("Maximum, for the bar"), given.maximum),
        ],
        "trail": administration.trail_of(actor, custom_indicators.ENTITY, stored.name) if stored else None,
    }
    return render(request, "console/monitoring/indicator.html", context, status=400 if problem else 200)


def _given(request: HttpRequest) -> Given:
    return Given(**{name: request.POST.get(name, "").strip() for name in Given.__dataclass_fields__})


def _stored(stored: CustomIndicator | None) -> Given:
    if stored is None:
        return Given()
    limits = {name: getattr(stored, name) for name in LIMITS}
    return Given(
        name=stored.name,
        label=stored.label,
        sql=stored.sql,
        unit=stored.unit,
        **{name: "" if value is None else f"{value:g}" for name, value in limits.items()},
    )


def _values(given: Given) -> dict[str, Any]:
    values: dict[str, Any] = {"label": given.label, "sql": given.sql, "unit": given.unit}
    for name in LIMITS:
        text = getattr(given, name).replace(",", ".")
        try:
            values[name] = float(text) if text else None
        except ValueError:
            raise Invalid(_("“%(text)s” is no number.") % {"text": text}) from None
    return values
