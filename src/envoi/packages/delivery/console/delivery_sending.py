"""How and when a delivery is sent: the tab Sending, with its waves as they will go."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from babel.numbers import format_percent
from django.db.models import Count, Max, Min, Sum
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from envoi.console import words
from envoi.console.access import actor_of_request
from envoi.console.navigation import Word, under
from envoi.kernel import clock
from envoi.kernel.errors import Invalid
from envoi.kernel.registry import translate
from envoi.kernel.rights import Actor
from envoi.packages.delivery.console import delivery_tabs
from envoi.packages.delivery.models import (
    Channel,
    Delivery,
    DeliveryPart,
    DeliverySchedule,
    Execution,
    Priority,
    SendingIp,
    ValidationMode,
)
from envoi.packages.delivery.services import deliveries
from envoi.packages.delivery.services.deliveries import sending, states, waves

ASSUMED = 10_000
"""Messages that waves are shown for while it is not known how many there are."""
SHOWN = 30
"""Most waves that are listed."""
ROWS = 6
"""Lines of a calendar in the form."""


@dataclass(frozen=True)
class Row:
    """One wave as the page shows it. `due` None: not before it is known when it starts."""

    number: int
    due: datetime | None
    after: str
    count: int
    share: str
    left: int | None = None
    last: datetime | None = None


@under(Word.DELIVERIES)
@require_http_methods(["GET", "POST"])
def page(request: HttpRequest, number: int) -> HttpResponse:
    """Show and change how a delivery is sent; `do` names what is done."""
    actor = actor_of_request(request)
    delivery = delivery_tabs.find(number, actor)
    problem, given = "", None
    if request.method == "POST":
        back, problem = delivery_tabs.carry_out(request, delivery, actor, _do)
        if back is not None:
            return back
        given = request.POST
    context = _context(delivery, actor, given)
    return delivery_tabs.show(
        request, "delivery/delivery_sending.html", delivery, actor, "sending", context, problem=problem
    )


def _do(request: HttpRequest, delivery: Delivery, actor: Actor) -> str:
    given = request.POST
    match given.get("do", ""):
        case "sending":
            values: dict[str, Any] = {
                "sending": _said(given, delivery.sending),
                "priority": _whole(given.get("priority", ""), _("Priority")),
                "validation_mode": _whole(given.get("validation_mode", ""), _("Approval mode")),
                "batch_quantity": _whole(given.get("batch_quantity") or "0", _("Messages of a part")),
            }
            if not delivery.is_model:
                values["contact_date"] = _moment(given.get("contact_date", ""), _("Contact date"))
            deliveries.change(delivery, values, actor=actor)
            return _("The settings are kept.")
        case "schedule":
            at = _moment(given.get("analyse_at", ""), _("Date of the analysis"))
            if at is None:
                raise Invalid(_("Say when it is to be analysed."))
            execution = Execution(_whole(given.get("execution") or "0", _("Then")))
            deliveries.schedule(delivery, at, actor=actor, execution=execution)
            return _("The analysis is scheduled.")
        case "reset":
            deliveries.reset(delivery, actor=actor)
            return _("It is being edited again.")
        case _:
            raise Invalid(_("Nothing was chosen that could be done."))


def _said(given: Mapping[str, str], before: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the form says, as `sending` keeps it; what has no field here stays."""
    zone = timezone.get_current_timezone_name()
    found: dict[str, Any] = {
        "waves": _waves(given),
        "retry": _some(
            {
                "count": _whole(given["count"], _("Retries on the first day"))
                if given.get("count")
                else None,
                "period": given.get("period", "").strip(),
            }
        ),
        "validity": _span(given, "validity"),
        "web": _span(given, "web"),
        "expired": given.get("expired", "").strip(),
        "verify": "verify" in given,
        "bcc": "bcc" in given,
        "doubt": given.get("doubt", ""),
        "missed": _some({"policy": given.get("missed", ""), "grace": given.get("grace", "").strip()}),
        "local_time": "local_time" in given,
        "zone": zone if "local_time" in given else "",
        "affinity": given.get("affinity", "").strip(),
        "personalisation": _seconds(given.get("personalisation", "")),
    }
    kept = {name: value for name, value in before.items() if name not in found}
    return kept | {
        name: value for name, value in found.items() if value or (value == 0.0 and value is not False)
    }


def _waves(given: Mapping[str, str]) -> dict[str, Any]:
    match given.get("waves", ""):
        case "equal":
            return {"size": given.get("size", "").strip(), "every": given.get("every", "").strip()}
        case "calendar":
            rows = [
                {"after": given.get(f"after{row}", "").strip(), "size": given.get(f"size{row}", "").strip()}
                for row in range(ROWS)
            ]
            return {"lines": [_some(row) for row in rows if row["size"]]}
        case _:
            return {}


def _span(given: Mapping[str, str], name: str) -> dict[str, Any]:
    if given.get(f"{name}_way") == "until":
        until = _moment(given.get(f"{name}_until", ""), _("End of validity"))
        return {"until": until.isoformat()} if until else {}
    return _some({"duration": given.get(f"{name}_duration", "").strip()})


def _some(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in (None, "")}


def _whole(text: str, label: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Invalid(_("%(place)s must be a whole number.") % {"place": label})
    return int(text)


def _seconds(text: str) -> float | None:
    cleaned = text.strip().replace(",", ".")
    try:
        return float(cleaned) if cleaned else None
    except ValueError as error:
        raise Invalid(
            _("%(place)s must be a number of seconds from 0 to 3,600.") % {"place": _("Personalisation")}
        ) from error


def _moment(text: str, label: str) -> datetime | None:
    if not text:
        return None
    try:
        return timezone.make_aware(datetime.fromisoformat(text))
    except ValueError as error:
        raise Invalid(_("%(place)s must be a date with a time.") % {"place": label}) from error


def _field(moment: datetime | str | None) -> str:
    """Return a moment as a field of the form takes it, in the zone of the operator."""
    if not moment:
        return ""
    found = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return f"{timezone.localtime(found):%Y-%m-%dT%H:%M}"


def _context(delivery: Delivery, actor: Actor, given: Mapping[str, str] | None) -> dict[str, Any]:
    said = sending.read(delivery.sending, channel=Channel(delivery.message_type))
    may = deliveries.possible(delivery, actor)
    plan = DeliverySchedule.objects.filter(delivery=delivery).first()
    waits = plan is not None and plan.analyse_at is not None and plan.run_id is None
    form = given if given is not None and given.get("do") == "sending" else _form(delivery, said)
    rows, assumed = _rows(delivery, said)
    return {
        "may": may,
        "changes": "change" in may,
        "form": form,
        "rows_of_calendar": [
            (row + 1, form.get(f"after{row}", ""), form.get(f"size{row}", "")) for row in range(ROWS)
        ],
        "said": said,
        "priorities": [(value, _label(label)) for value, label in reversed(Priority.choices)],
        "modes": [(value, _label(label)) for value, label in ValidationMode.choices],
        "executions": [
            (Execution.ANALYSIS.value, _("Provisional analysis only")),
            (Execution.AUTOMATIC.value, _("Automatic execution")),
        ],
        "affinities": _affinities(said.affinity),
        "waves_shown": rows[:SHOWN],
        "waves_more": max(len(rows) - SHOWN, 0),
        "assumed": assumed,
        "late": _late(delivery, said),
        "schedule": plan if waits else None,
        "analyse_at": given.get("analyse_at", "") if given is not None else "",
        "zone": words.zone_name(),
        "is_mail": delivery.message_type == Channel.EMAIL,
        "facts": _facts(delivery, said),
    }


def _form(delivery: Delivery, said: sending.Sending) -> dict[str, str]:
    raw = delivery.sending
    given = raw.get("waves") or {}
    lines = given.get("lines") or []
    found = {
        "priority": str(delivery.priority),
        "validation_mode": str(delivery.validation_mode),
        "batch_quantity": str(delivery.batch_quantity),
        "contact_date": _field(delivery.contact_date),
        "waves": "calendar" if lines else "equal" if given else "",
        "size": str(given.get("size", "")),
        "every": str(given.get("every", "")),
        "count": str((raw.get("retry") or {}).get("count", "")),
        "period": str((raw.get("retry") or {}).get("period", "")),
        "doubt": said.doubt,
        "missed": said.missed,
        "grace": sending.spoken(said.grace),
        "affinity": said.affinity,
        "expired": said.expired,
        "personalisation": f"{said.personalisation:g}",
        **({"verify": "1"} if said.verify else {}),
        **({"bcc": "1"} if said.bcc else {}),
        **({"local_time": "1"} if said.local_time else {}),
    }
    for name in ("validity", "web"):
        span = raw.get(name) or {}
        found[f"{name}_way"] = "until" if span.get("until") else "duration"
        found[f"{name}_duration"] = str(span.get("duration", ""))
        found[f"{name}_until"] = _field(span.get("until"))
    for row, line in enumerate(lines[:ROWS]):
        found[f"after{row}"] = str(line.get("after", ""))
        found[f"size{row}"] = str(line.get("size", ""))
    return found


def _rows(delivery: Delivery, said: sending.Sending) -> tuple[list[Row], int]:
    """Return the waves: of a delivery on its way as its parts stand, else as they are planned, for how many
    messages that are only assumed.
    """
    parts = DeliveryPart.objects.filter(delivery=delivery, run_id=delivery.run_id, retry=False, seeds=False)
    going = delivery.status in states.RUNNING
    total = delivery.to_deliver
    try:
        planned = waves.plan(said.waves, total or ASSUMED)
    except Invalid:
        return [], 0
    cut = (
        {
            row["wave"]: row
            for row in parts.values("wave").annotate(
                n=Count("*"), left=Sum("quantity"), first=Min("due_at"), last=Max("due_at")
            )
        }
        if going
        else {}
    )
    start = delivery.contact_date
    whole = total or ASSUMED
    rows: list[Row] = []
    for each in planned:
        found = cut.get(each.number)
        rows.append(
            Row(
                each.number,
                found["first"] if found else start + each.offset if start and not going else None,
                words.span(each.offset) if each.offset else words.NONE,
                each.count,
                format_percent(each.count / whole, locale=words.locale(), decimal_quantization=False)
                if whole
                else "",
                (found["left"] if found else 0) if going else None,
                found["last"] if found and found["last"] != found["first"] else None,
            )
        )
    return rows, 0 if total else ASSUMED


def _late(delivery: Delivery, said: sending.Sending) -> tuple[datetime, datetime] | None:
    try:
        start = max(delivery.contact_date or clock.now(), clock.now())
        return waves.late(said, delivery.to_deliver or ASSUMED, start)
    except Invalid:
        return None


def _affinities(own: str) -> list[str]:
    found = {own} - {""}
    for names in SendingIp.objects.values_list("affinities", flat=True):
        found |= {each.strip() for each in names.replace(";", ",").split(",") if each.strip()}
    return sorted(found)


def _label(text: str) -> str:
    return translate(text[:1].upper() + text[1:])


def _facts(delivery: Delivery, said: sending.Sending) -> list[tuple[str, str]]:
    """Return the settings in words, for those who may not change them."""
    zone = ZoneInfo(said.zone) if said.zone else None
    at = words.moment(delivery.contact_date) if delivery.contact_date else _("at once")
    if said.local_time:
        at += " " + _("(at the local time of each recipient, %(zone)s)") % {"zone": zone or words.zone_name()}
    retry = _("%(count)d on the first day, %(period)s apart, then once a day") % {
        "count": said.retry_count,
        "period": words.span(said.retry_period),
    }
    found = [
        (_("Contact date"), at),
        (_("Priority"), _label(Priority(delivery.priority).label)),
        (_("Approval mode"), _label(ValidationMode(delivery.validation_mode).label)),
        (
            _("Validity"),
            words.moment(said.until) if said.until else words.span(said.validity),
        ),
        (_("Retries"), retry),
        (_("In doubt"), _("sent again, and marked") if said.doubt == "repeat" else _("held")),
    ]
    if said.affinity:
        found.append((_("Affinity"), said.affinity))
    if said.verify:
        found.append((_("Test"), _("Connections are made, and no message is sent.")))
    return found
