"""Pages of mails that came in: what they were and what came of them; replies to read."""

from typing import Any
from urllib.parse import urlencode

from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from envoi.console import explorer
from envoi.console.access import actor_of_request
from envoi.console.faces import Face
from envoi.console.navigation import Word, under
from envoi.kernel import folders
from envoi.kernel.errors import NotFound
from envoi.kernel.models import Folder
from envoi.kernel.rights import Actor, Right
from envoi.packages.delivery.console import timeline
from envoi.packages.delivery.models import Delivery, InboundKind, InboundMail, InboundOutcome
from envoi.packages.delivery.services import deliveries
from envoi.packages.delivery.services.bounces.parse import parse

ENTITY = "nms:inboundMail"
SHOWN = 50
_ICONS = {
    InboundKind.BOUNCE: ("bad", "bad"),
    InboundKind.COMPLAINT: ("bad", "warn"),
    InboundKind.AUTO_REPLY: ("draft", "wait"),
    InboundKind.REPLY: ("run", "mail"),
    InboundKind.UNSUBSCRIPTION: ("warn", "minus"),
    InboundKind.UNREADABLE: ("warn", "warn"),
    InboundKind.OTHER: ("draft", "draft"),
}


def first(request: HttpRequest) -> HttpResponse:
    """Send to the folder of inbound mails."""
    answer = explorer.first_of(request, ENTITY)
    if query := request.META.get("QUERY_STRING"):
        answer["Location"] += f"?{query}"
    return answer


@under(Word.DELIVERIES)
@require_GET
def folder_page(request: HttpRequest, folder: Folder) -> HttpResponse:
    """List the mails, the latest first."""
    actor = actor_of_request(request)
    actor.require(Right.PREPARE_DELIVERIES, to=_("read mails that came in"))
    given = request.GET
    kind, delivery, query = (
        _number(given.get("kind")),
        _number(given.get("delivery")),
        given.get("q", "").strip()[:200],
    )
    found = InboundMail.objects.defer("content")
    if delivery is not None:
        found = found.filter(delivery_id=delivery)
    if query:
        found = found.filter(
            Q(sender__icontains=query) | Q(subject__icontains=query) | Q(address__icontains=query)
        )
    counts: dict[int, int] = dict(found.order_by().values_list("kind").annotate(count=Count("pk")))
    if kind in InboundKind.values:
        found = found.filter(kind=kind)
    before = _number(given.get("before"))
    if before is not None:
        found = found.filter(pk__lt=before)
    rows = list(found.order_by("-pk")[: SHOWN + 1])
    more, rows = len(rows) > SHOWN, rows[:SHOWN]
    seen = _deliveries(actor, rows)
    context: dict[str, Any] = {
        "rows": [_line(each, seen) for each in rows],
        "replies": counts.get(InboundKind.REPLY, 0),
        "count": sum(counts.values()),
        "chips": [(_with(request, kind=None), _("All"), sum(counts.values()), kind is None)]
        + [
            (_with(request, kind=each), timeline.spoken(ENTITY, "kind", each), counts[each], kind == each)
            for each in InboundKind.values
            if counts.get(each)
        ],
        "query": query,
        "kind": kind,
        "delivery": delivery,
        "filtered": bool(query) or kind is not None or delivery is not None,
        "later": _with(request, before=rows[-1].pk) if more else "",
        "begin": _with(request) if before is not None else "",
        **explorer.frame(request, folder),
    }
    return render(request, "delivery/inbound_mails.html", context)


@under(Word.DELIVERIES)
@require_GET
def page(request: HttpRequest, number: int) -> HttpResponse:
    """Show one mail: what came of it, and its text."""
    actor, mail, folder = _one(request, number)
    text = ""
    if mail.content:
        text = parse(bytes(mail.content)).text.strip()
    context: dict[str, Any] = {
        **_line(mail, _deliveries(actor, [mail])),
        "text": text or mail.excerpt,
        "whole": bool(mail.content),
        "type": timeline.spoken(ENTITY, "failureType", mail.failure_type) if mail.failure_type else "",
        **explorer.frame(request, folder),
    }
    return render(request, "delivery/inbound_mail.html", context)


@under(Word.DELIVERIES)
@require_GET
def source(request: HttpRequest, number: int) -> HttpResponse:
    """Send a mail as it came."""
    _actor, mail, _folder = _one(request, number)
    if not mail.content:
        raise NotFound(_("Of this mail only the text is kept."))
    answer = HttpResponse(bytes(mail.content), content_type="application/octet-stream")
    answer["Content-Disposition"] = f'attachment; filename="mail-{mail.pk}.eml"'
    return answer


def _one(request: HttpRequest, number: int) -> tuple[Actor, InboundMail, Folder]:
    actor = actor_of_request(request)
    actor.require(Right.PREPARE_DELIVERIES, to=_("read mails that came in"))
    folder = folders.readable_folders(actor).filter(model=ENTITY).order_by("path").first()
    mail = InboundMail.objects.filter(pk=number).first()
    if folder is None or mail is None:
        raise NotFound(_("This mail is not kept any more, or you have no right to see it."))
    return actor, mail, folder


def _deliveries(actor: Actor, rows: list[InboundMail]) -> dict[int, Delivery]:
    wanted = {each.delivery_id for each in rows if each.delivery_id}
    return deliveries.visible(actor).in_bulk(wanted) if wanted else {}


def _line(each: InboundMail, seen: dict[int, Delivery]) -> dict[str, Any]:
    css, icon = _ICONS[InboundKind(each.kind)]
    outcome = timeline.spoken(ENTITY, "outcome", each.outcome)
    return {
        "row": each,
        "face": Face(css, icon, timeline.spoken(ENTITY, "kind", each.kind)),
        "outcome": outcome if each.outcome != InboundOutcome.NOTHING else "",
        "reason": timeline.spoken(ENTITY, "failureReason", each.failure_reason)
        if each.failure_reason and each.kind in (InboundKind.BOUNCE, InboundKind.COMPLAINT)
        else "",
        "delivery_row": seen.get(each.delivery_id or 0),
    }


def _with(request: HttpRequest, **changed: int | None) -> str:
    asked = {k: v for k, v in request.GET.items() if k not in changed and k != "before" and v}
    asked |= {k: str(v) for k, v in changed.items() if v is not None}
    return f"?{urlencode(asked)}" if asked else request.path


def _number(text: object) -> int | None:
    said = str(text or "")
    return int(said) if said.isascii() and said.isdecimal() and len(said) < 18 else None
