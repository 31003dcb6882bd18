"""What a person did with our messages, in the history of the profile: opens, clicks, pages visited."""

from typing import Any, Final

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy

from envoi.kernel.rights import Actor
from envoi.packages.delivery.console.timeline import spoken
from envoi.packages.delivery.hookspecs import Event, timeline, timeline_kinds
from envoi.packages.delivery.models import (
    Automatic,
    TrackingLogRcp,
    TrackingUrl,
    UrlType,
    UserAgent,
    WebTrackingLog,
)
from envoi.packages.delivery.services import deliveries

KIND: Final = "reaction"
ICONS: Final = {
    UrlType.OPEN: "mail",
    UrlType.CLICK: "run",
    UrlType.OPT_OUT: "minus",
    UrlType.MIRROR: "file",
    UrlType.WEB: "search",
    UrlType.TRANSACTION: "ok",
}
Hit = TrackingLogRcp | WebTrackingLog


@timeline_kinds.answer
def kinds() -> list[tuple[str, Any]]:
    """Return the kind of these events."""
    return [(KIND, lazy("Reactions"))]


@timeline.answer
def reactions(recipient_id: int, actor: Actor, most: int) -> list[Event]:
    """Return the latest hits on messages to a person, of the deliveries that the actor sees."""
    hits: list[Hit] = [
        # By the key: the latest analyses first, of each the latest hits.
        *TrackingLogRcp.objects.filter(target_id=recipient_id).order_by("-run_id", "-tracking_log_id")[:most],
        *WebTrackingLog.objects.filter(target_id=recipient_id).order_by("-log_date")[:most],
    ]
    visible = deliveries.visible(actor).filter(pk__in={_number(each, "delivery_id") for each in hits})
    seen = {
        pk: (label, storage)
        for pk, label, storage in visible.order_by().values_list("pk", "label", "mapping__storage")
    }
    urls = TrackingUrl.objects.in_bulk({_number(each, "url_id") for each in hits})
    agents = UserAgent.objects.in_bulk({_number(each, "user_agent_id") for each in hits} - {0})
    found: list[Event] = []
    for each in hits:
        number, url = _number(each, "delivery_id"), urls.get(_number(each, "url_id"))
        if number not in seen or url is None:
            continue
        label, storage = seen[number]
        if storage != "rcp":
            continue  # its targets are no recipients
        agent = agents.get(_number(each, "user_agent_id"))
        parts = [label, " ".join(filter(None, (agent.browser, agent.os))) if agent else ""]
        if each.automatic:
            parts.append(spoken("nms:trackingLogRcp", "automatic", each.automatic))
        machine = each.automatic > Automatic.READER
        found.append(
            Event(
                each.log_date,
                KIND,
                ICONS.get(UrlType(each.type), "run"),
                "draft" if machine else "ok",
                _title(each, url),
                " · ".join(part for part in parts if part),
                reverse("delivery:delivery", args=[number]),
            )
        )
    return found


def _title(hit: Hit, url: TrackingUrl) -> str:
    name = url.label or url.url
    match UrlType(hit.type):
        case UrlType.OPEN:
            return _("Opened the message")
        case UrlType.OPT_OUT:
            return _("Clicked to unsubscribe")
        case UrlType.MIRROR:
            return _("Looked at the mirror page")
        case UrlType.WEB:
            return _("Visited the page %(name)s") % {"name": name}
        case UrlType.TRANSACTION:
            return _("Transaction on the page %(name)s") % {"name": name}
        case UrlType.CLICK:
            return _("Clicked on %(name)s") % {"name": name}


def _number(hit: Hit, column: str) -> int:
    return int(getattr(hit, column) or 0)
