"""The page of addresses: who is in quarantine and why, and what operators do about it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from envoi.console import explorer
from envoi.console.access import actor_of_request
from envoi.console.faces import Face
from envoi.console.navigation import Word, under
from envoi.kernel import clock
from envoi.kernel.errors import Invalid, NotAllowed, NotFound
from envoi.kernel.models import Folder
from envoi.kernel.rights import Actor, Right
from envoi.packages.delivery.console import timeline
from envoi.packages.delivery.models import Address, AddressStatus, Channel, FailureReason
from envoi.packages.delivery.services import deliveries, quarantine
from envoi.packages.delivery.services.quarantine import Chosen

SHOWN = 50
COUNTED = 10_000
"""Addresses that are counted exactly; beyond it is "more than"."""
CHANNELS = (Channel.EMAIL, Channel.SMS, Channel.PHONE, Channel.FAX)
REASONS = (
    FailureReason.USER_UNKNOWN, FailureReason.INVALID_DOMAIN, FailureReason.UNREACHABLE,
    FailureReason.ACCOUNT_DISABLED, FailureReason.MAILBOX_FULL, FailureReason.REFUSED,
)  # fmt: skip
_FACES = {
    AddressStatus.UNKNOWN: ("draft", "draft"),
    AddressStatus.ERRORS: ("warn", "warn"),
    AddressStatus.VALID: ("ok", "ok"),
    AddressStatus.DENYLISTED: ("bad", "stopped"),
    AddressStatus.QUARANTINE: ("bad", "bad"),
    AddressStatus.ALLOWLISTED: ("ok", "shield"),
}


def face(status: int) -> Face:
    """Return how the status of an address shows."""
    css, icon = _FACES[AddressStatus(status)]
    return Face(css, icon, timeline.spoken(quarantine.ENTITY, "status", status))


def first(request: HttpRequest) -> HttpResponse:
    """Send to the folder of addresses."""
    answer = explorer.first_of(request, quarantine.ENTITY)
    if query := request.META.get("QUERY_STRING"):
        answer["Location"] += f"?{query}"
    return answer


@under(Word.DELIVERIES)
def folder_page(request: HttpRequest, folder: Folder) -> HttpResponse:
    """Show the addresses that the query asks for; `do` names what is done with those ticked, or with all."""
    actor = actor_of_request(request)
    problem = ""
    if request.method == "POST":
        try:
            with transaction.atomic():
                _do(request, actor)
            return redirect(request.get_full_path())
        except (Invalid, NotFound, NotAllowed) as refusal:
            problem = str(refusal)
    chosen = _chosen(request.GET)
    found = quarantine.find(chosen)
    page, later = _page(found, request.GET)
    seen = set(
        deliveries.visible(actor)
        .filter(pk__in={each.delivery_id for each in page if each.delivery_id})
        .values_list("pk", flat=True)
    )
    count = found.order_by()[: COUNTED + 1].count()
    context: dict[str, Any] = {
        "rows": [
            {
                "row": each,
                "face": face(each.status),
                "channel": timeline.spoken(quarantine.ENTITY, "type", each.type),
                "reason": timeline.spoken(quarantine.ENTITY, "errorReason", each.error_reason)
                if each.error_reason
                else "",
                "delivery": each.delivery if each.delivery_id in seen else None,
            }
            for each in page
        ],
        "count": min(count, COUNTED),
        "many": count > COUNTED,
        "standing": _standing(),
        "statuses": _statuses(request, chosen),
        "reasons": [
            (each.value, timeline.spoken(quarantine.ENTITY, "errorReason", each.value)) for each in REASONS
        ],
        "channels": [
            (each.value, timeline.spoken(quarantine.ENTITY, "type", each.value)) for each in CHANNELS
        ],
        "settable": [
            (each.value, timeline.spoken(quarantine.ENTITY, "status", each.value))
            for each in quarantine.SETTABLE
            if each is not AddressStatus.ALLOWLISTED or actor.is_administrator
        ],
        "wanted": chosen,
        "given": request.GET,
        "filtered": chosen.bounded,
        "later": _with(request, before=later) if later else "",
        "begin": _with(request, before=None) if request.GET.get("before") else "",
        "problem": problem,
        "posted": request.POST if problem else {},
        "changes": actor.has(Right.PREPARE_DELIVERIES),
        "administers": actor.is_administrator,
        **explorer.frame(request, folder),
    }
    return render(request, "delivery/quarantine.html", context, status=400 if problem else 200)


def _do(request: HttpRequest, actor: Actor) -> None:
    given = request.POST
    status = _number(given.get("status"))
    if status not in AddressStatus.values:
        raise Invalid(_("Nothing was chosen that could be done."))
    wanted = AddressStatus(status)
    match given.get("do"):
        case "put":
            channel = _number(given.get("channel"))
            if channel not in Channel.values:
                raise Invalid(_("This is no channel."))
            row = quarantine.put(given.get("address", ""), Channel(channel), wanted, actor=actor)
            said = timeline.spoken(quarantine.ENTITY, "status", row.status)
            messages.success(request, f"{row.address}: {said}")
            return
        case "ticked":
            ids = [number for each in given.getlist("id") if (number := _number(each)) is not None]
            count = quarantine.set_status(Chosen(ids=tuple(ids)), wanted, actor=actor)
        case "all":
            count = quarantine.set_status(_chosen(request.GET), wanted, actor=actor)
        case _:
            raise Invalid(_("Nothing was chosen that could be done."))
    said = ngettext("%(n)d address has changed.", "%(n)d addresses have changed.", count)
    messages.success(request, said % {"n": count})


def _chosen(given: Mapping[str, Any]) -> Chosen:
    since, until = _day(given.get("since")), _day(given.get("until"))
    return Chosen(
        status=_of(AddressStatus.values, given.get("status")),
        channel=_of(Channel.values, given.get("channel")),
        reason=_of(FailureReason.values, given.get("reason")),
        address=str(given.get("q", "")).strip()[:254],
        text=str(given.get("text", "")).strip()[:200],
        domain=str(given.get("domain", "")).strip()[:254],
        delivery_id=_number(given.get("delivery")),
        since=since,
        until=None if until is None else until + timedelta(days=1),
    )


def _statuses(request: HttpRequest, chosen: Chosen) -> list[tuple[str, str, int, bool]]:
    """Return address, word and count of each status for the filter without it; counts end at `COUNTED`."""
    others = quarantine.find(replace(chosen, status=None)).order_by()[:COUNTED].values_list("pk")
    counts: dict[int, int] = dict(
        Address.objects.filter(pk__in=others).values_list("status").annotate(count=Count("pk"))
    )
    return [
        (
            _with(request, status=status, before=None),
            timeline.spoken(quarantine.ENTITY, "status", status),
            counts.get(status, 0),
            chosen.status == status,
        )
        for status in AddressStatus.values
        if counts.get(status) or chosen.status == status
    ]


def _standing() -> dict[str, int]:
    """Return how many are out of reach, and how many became so in the last week."""
    shut = Address.objects.filter(status__in=(AddressStatus.QUARANTINE, AddressStatus.DENYLISTED))
    week = clock.now() - timedelta(days=7)
    return {
        "shut": shut.count(),
        "new": shut.filter(modified_at__gte=week).count(),
        "errors": Address.objects.filter(status=AddressStatus.ERRORS).count(),
    }


def _page(found: QuerySet[Address], given: Mapping[str, Any]) -> tuple[list[Address], str]:
    """Return the rows of a page and the key at which the next one begins."""
    moment, _sep, number = str(given.get("before", "")).partition("_")
    try:
        before, key = datetime.fromisoformat(moment).astimezone(UTC), int(number)
        found = found.filter(Q(modified_at__lt=before) | Q(modified_at=before, pk__lt=key))
    except (ValueError, OverflowError):
        pass
    rows = list(found[: SHOWN + 1])
    last = rows[SHOWN - 1] if len(rows) > SHOWN else None
    return rows[:SHOWN], f"{last.modified_at.isoformat()}_{last.pk}" if last else ""


def _with(request: HttpRequest, **changed: object) -> str:
    asked = {name: value for name, value in request.GET.items() if name not in changed and value}
    asked |= {name: str(value) for name, value in changed.items() if value is not None}
    return f"?{urlencode(asked)}" if asked else request.path


def _day(text: object) -> datetime | None:
    try:
        found = parse_date(str(text or ""))
    except ValueError:
        return None
    return datetime.combine(found, time(), timezone.get_current_timezone()) if found else None


def _of(values: Sequence[Any], text: object) -> int | None:
    number = _number(text)
    return number if number in values else None


def _number(text: object) -> int | None:
    said = str(text or "")
    return int(said) if said.isascii() and said.isdecimal() and len(said) < 18 else None
