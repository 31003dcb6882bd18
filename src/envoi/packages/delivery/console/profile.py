"""The page of a person: what there is between us, and whether we may write."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from envoi.console import explorer
from envoi.console.access import actor_of_request
from envoi.console.navigation import Word, under
from envoi.kernel import clock, enumerations, folders
from envoi.kernel.errors import Conflict, Invalid, NotAllowed, NotFound, Refused
from envoi.kernel.folders import Access
from envoi.kernel.rights import Actor, Right
from envoi.packages.delivery.console import profile_reactions, quarantined, timeline
from envoi.packages.delivery.hookspecs import timeline_kinds
from envoi.packages.delivery.models import (
    Channel,
    ConsentAction,
    Country,
    Group,
    GroupType,
    RcpGrpRel,
    Recipient,
    Service,
)
from envoi.packages.delivery.services import chosen, consents, lists, recipients, subscriptions, suppression

__all__ = ["first", "merge", "profile", "profile_reactions"]  # reactions stand in the history
TABS = ("history", "subscriptions", "lists", "privacy")
CHOICES = 300
"""Lists and services offered in a menu."""


@dataclass(frozen=True)
class Way:
    """One way to reach a person: where, whether it may be used, and why not."""

    label: str
    icon: str
    address: str
    allowed: bool
    reason: str
    since: Any = None


@under(Word.PROFILES)
@require_http_methods(["GET", "POST"])
def profile(request: HttpRequest, number: int) -> HttpResponse:
    """Show one person; `do` names what is done."""
    actor = actor_of_request(request)
    person = recipients.find(number, actor=actor)
    tab = request.GET.get("tab", "history")
    tab = tab if tab in TABS else "history"
    problem = ""
    if request.method == "POST":
        try:
            doing = DOINGS.get(request.POST.get("do", ""))
            if doing is None:
                raise Invalid(_("Nothing was chosen that could be done."))
            folders.require(actor, person.folder, Access.WRITE)
            with transaction.atomic():
                messages.success(request, doing(person, request.POST, actor))
            return redirect(f"{_address(number)}?tab={tab}")
        except (Invalid, Conflict, NotFound, NotAllowed) as refusal:
            problem = str(refusal)
    declared = consents.of_recipient(number)
    running = subscriptions.of_recipient(number)
    member_of = _lists_of(number, actor)
    kind = request.GET.get("kind", "")
    ways = _ways(person, consents.current(declared))
    context: dict[str, Any] = {
        "person": person,
        "name": str(person),
        "monogram": _initials(person),
        "ways": ways,
        "reachable": any(way.allowed for way in ways),
        "address_lines": _postal(person),
        "country": _country(person),
        "tab": tab,
        "tabs": _tabs(number, tab, len(running), len(member_of)),
        "kind": kind,
        "kinds": _kinds(),
        "writes": folders.may(actor, person.folder, Access.WRITE),
        "merges": actor.has(Right.MERGE),
        "details": reverse("console:record-page", args=["nms", "recipient", number]),
        "changes": reverse("console:record-history", args=["nms", "recipient", number]),
        "problem": problem,
        "given": request.POST if problem else {},
        "crumbs": explorer.crumbs(request, person.folder, whole=True),
        **_of_tab(tab, person, actor, running, member_of, declared, kind),
    }
    return render(request, "delivery/profile.html", context, status=400 if problem else 200)


@under(Word.PROFILES)
@require_http_methods(["GET", "POST"])
def merge(request: HttpRequest, number: int) -> HttpResponse:
    """Compare two profiles (GET), and make one of them (POST)."""
    actor = actor_of_request(request)
    actor.require(Right.MERGE, to=_("merge profiles"))
    kept = recipients.find(number, actor=actor)
    text = (request.POST if request.method == "POST" else request.GET).get("with", "").strip()
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise Invalid(_("Say the number of the other profile; it stands below its name."))
    gone = recipients.find(int(text), actor=actor)
    problem = ""
    if request.method == "POST":
        try:
            recipients.merge(kept.recipient_id, gone.recipient_id, actor=actor)
            messages.success(request, _("Both profiles are one now."))
            return redirect(_address(number))
        except Refused as refusal:
            problem = str(refusal)
    context = {
        "kept": kept,
        "gone": gone,
        "problem": problem,
        "rows": _compared(kept, gone),
        "address": _address(number),
        "crumbs": [*explorer.crumbs(request, kept.folder, whole=True), (str(kept), _address(number))],
    }
    return render(request, "delivery/merge.html", context, status=400 if problem else 200)


def first(request: HttpRequest) -> HttpResponse:
    """Send to the folder of recipients."""
    return explorer.first_of(request, "nms:recipient")


def _address(number: int) -> str:
    return reverse("delivery:recipient", args=[number])


def _initials(person: Recipient) -> str:
    letters = [each[0] for each in (person.first_name, person.last_name) if each]
    return "".join(letters).upper() or (person.email[:1].upper() or "?")


def _tabs(number: int, current: str, subscribed: int, member_of: int) -> list[tuple[Any, str, bool]]:
    labels = {
        "history": _("History"),
        "subscriptions": f"{_('Subscriptions')} {subscribed}",
        "lists": f"{_('Lists')} {member_of}",
        "privacy": _("Consent"),
    }
    return [(labels[tab], f"{_address(number)}?tab={tab}", tab == current) for tab in TABS]


def _kinds() -> list[tuple[str, Any]]:
    return [("", _("All")), *(each for answer in timeline_kinds.ask() for each in answer)]


def _of_tab(
    tab: str,
    person: Recipient,
    actor: Actor,
    running: list[Any],
    member_of: list[Group],
    declared: list[Any],
    kind: str,
) -> dict[str, Any]:
    number = person.recipient_id
    if tab == "history":
        return {"days": timeline.days(timeline.events(number, actor, kind))}
    if tab == "subscriptions":
        taken = [each.service_id for each in running]
        free = Service.objects.filter(folder_id__in=folders.readable(actor).queryset()).exclude(pk__in=taken)
        return {
            "running": running,
            "services": free[:CHOICES],
            "past": [
                (line, timeline.spoken("nms:subHisto", "origin", line.origin))
                for line in subscriptions.history_of(number)
            ],
        }
    if tab == "lists":
        free_lists = lists.visible(actor).filter(type=GroupType.GROUP)
        return {
            "member_of": member_of,
            "lists": free_lists.exclude(pk__in=[each.pk for each in member_of])[:CHOICES],
        }
    channels = [
        (channel.value, timeline.spoken("nms:consent", "channel", channel.value)) for channel in Channel
    ]
    names = dict(channels)
    return {
        "current": [(each, names[each.channel]) for each in consents.current(declared)],
        "declared": [(each, names[each.channel]) for each in declared],
        "purposes": enumerations.values(consents.PURPOSES, actor=actor),
        "channels": channels,
        "seen_at": clock.now(),
    }


def _ways(person: Recipient, held: list[Any]) -> list[Way]:
    """Return each way to the person; the strongest reason against it is told."""
    listed = suppression.suppressed([person.email]) if person.email else set[str]()
    numbers = [each for each in (person.mobile_phone,) if each]
    stopped = suppression.suppressed(numbers, channel=Channel.SMS) if numbers else set[str]()
    postal = _postal(person)
    complete = bool(
        str(person) and person.zip_code and person.city and (person.first_name or person.last_name)
    )
    asked = (
        (Channel.EMAIL, "mail", person.email, person.black_list_email, person.email in listed),
        (Channel.SMS, "sms", person.mobile_phone, person.black_list_mobile, person.mobile_phone in stopped),
        (Channel.PHONE, "phone", person.phone, person.black_list_phone, False),
        (
            Channel.DIRECT_MAIL, "file", ", ".join(postal[1:]) if complete else "",
            person.black_list_postal_mail, False,
        ),
        (Channel.FAX, "file", person.fax, person.black_list_fax, False),
    )  # fmt: skip
    known = quarantined.of(
        [(address, channel) for channel, _icon, address, _refused, _listed in asked if address]
    )
    found: list[Way] = []
    for channel, icon, address, refused, suppressed in asked:
        trouble = known.get((address, channel))
        if channel is Channel.FAX and not address:
            continue
        withdrawn = [
            each
            for each in held
            if each.channel == channel and ConsentAction(each.action) is ConsentAction.WITHDRAWN
        ]
        reason, since, open_still = "", None, False
        if not address:
            reason = _("no complete address") if channel is Channel.DIRECT_MAIL else _("no address")
        elif person.black_list:
            reason = _("wants no contact at all")
        elif refused:
            reason = _("wants no contact this way")
        elif suppressed:
            reason = _("on the suppression list")
        elif trouble and trouble.blocks:
            reason, since = trouble.text, trouble.since
        elif withdrawn:
            # Consent withdrawn for one purpose leaves the others: it is told, and does not close the way.
            open_still = True
            reason, since = (
                _("consent withdrawn: %(purpose)s") % {"purpose": withdrawn[0].purpose},
                withdrawn[0].date,
            )
        elif trouble:
            open_still = True
            reason, since = trouble.text, trouble.since
        label = timeline.spoken("nms:consent", "channel", channel.value)
        found.append(Way(label, icon, address, not reason or open_still, reason, since))
    return found


def _postal(person: Recipient) -> list[str]:
    name = " ".join(each for each in (person.salutation, person.first_name, person.last_name) if each)
    last = f"{person.zip_code} {person.city}".strip()
    lines = (name, person.address1, person.address2, person.address3, person.address4, last)
    return [line for line in lines if line]


def _country(person: Recipient) -> str:
    from envoi.packages.delivery.console.labels import country_label

    found = Country.objects.filter(pk=person.country_code).exclude(pk="XX").first()
    return country_label(found) if found else ""


def _lists_of(number: int, actor: Actor) -> list[Group]:
    inside = RcpGrpRel.objects.filter(recipient_id=number).values("group_id")
    return list(lists.visible(actor).filter(pk__in=inside))


def _compared(kept: Recipient, gone: Recipient) -> list[tuple[str, Any, Any]]:
    from envoi.kernel.registry import find, translate

    schema, rows = find("nms:recipient"), list[tuple[str, Any, Any]]()
    for attribute in schema.attributes.values():
        column = attribute.column
        if not column or attribute.read_only or column in schema.key or column == "folder_id":
            continue
        one, other = getattr(kept, column), getattr(gone, column)
        if one != other:
            enumeration = attribute.enumeration

            def shown(value: Any, enumeration: Any = enumeration) -> Any:
                known = enumeration.valued(value) if enumeration else None
                return translate(known.label) if known else value

            rows.append((translate(attribute.label), shown(one), shown(other)))
    return rows


# --- what can be done


def _service(given: Mapping[str, Any], actor: Actor) -> Service:
    return subscriptions.find(str(given.get("service", "")), actor=actor)


def _subscribe(person: Recipient, given: QueryDict, actor: Actor) -> str:
    service = _service(given, actor)
    subscriptions.subscribe(service, chosen.ids([person.recipient_id]), actor=actor)
    return _("%(name)s subscribes to %(service)s.") % {"name": person, "service": service.label}


def _unsubscribe(person: Recipient, given: QueryDict, actor: Actor) -> str:
    service = _service(given, actor)
    subscriptions.unsubscribe(service, chosen.ids([person.recipient_id]), actor=actor)
    return _("%(name)s has left %(service)s.") % {"name": person, "service": service.label}


def _join(person: Recipient, given: QueryDict, actor: Actor) -> str:
    group = lists.find(str(given.get("list", "")), actor=actor)
    lists.add(group, chosen.ids([person.recipient_id]), actor=actor)
    return _("%(name)s is in the list %(list)s.") % {"name": person, "list": group.label}


def _leave(person: Recipient, given: QueryDict, actor: Actor) -> str:
    group = lists.find(str(given.get("list", "")), actor=actor)
    lists.take_out(group, chosen.ids([person.recipient_id]), actor=actor)
    return _("%(name)s is off the list %(list)s.") % {"name": person, "list": group.label}


def _consent(person: Recipient, given: QueryDict, actor: Actor) -> str:
    try:
        channel = Channel(int(given.get("channel", "")))
        action = ConsentAction(int(given.get("action", "")))
    except ValueError as error:
        raise Invalid(_("Say the channel, and whether consent was given or withdrawn.")) from error
    proof = consents.Proof(given.get("source", "").strip(), given.get("proof", ""))
    consents.record(
        chosen.ids([person.recipient_id]), given.get("purpose", ""), channel, action, actor=actor, proof=proof
    )
    return _("The declaration is kept.")


DOINGS: dict[str, Callable[[Recipient, QueryDict, Actor], str]] = {
    "subscribe": _subscribe,
    "unsubscribe": _unsubscribe,
    "join": _join,
    "leave": _leave,
    "consent": _consent,
}
