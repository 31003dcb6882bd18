"""The frame of a delivery's pages: its head with state and commands, its tabs.

A page of a tab calls `show` with its own template, which extends `delivery/delivery_frame.html` and fills the
block `tab`. It stands in `TABS` by one line, and in `urls.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy
from django.utils.translation import ngettext, pgettext

from envoi.console import explorer, live, words
from envoi.console.faces import Face
from envoi.kernel import folders
from envoi.kernel.errors import NotFound
from envoi.kernel.folders import Access
from envoi.kernel.rights import Actor, Right
from envoi.packages.delivery.console import timeline
from envoi.packages.delivery.models import (
    Channel,
    Delivery,
    DeliveryMode,
    DeliveryRun,
    DeliveryState,
    JobLevel,
    JobLog,
    RunStep,
)
from envoi.packages.delivery.services import deliveries
from envoi.packages.delivery.services.deliveries import states

FINAL = frozenset({DeliveryState.FINISHED, DeliveryState.STOPPED, DeliveryState.DELETED})
"""Nothing changes by itself any more, but for late bounces."""
STILL = FINAL | states.EDITABLE
"""States in which a page need not ask whether something has changed."""
ICONS = "ask bad draft ok paused req run stopped wait late warn pause stop re x"
CHANNEL_ICONS: dict[int, str] = {
    Channel.EMAIL: "mail",
    Channel.SMS: "sms",
    Channel.PHONE: "phone",
    Channel.DIRECT_MAIL: "file",
    Channel.FAX: "file",
}
_LOOKS: dict[DeliveryState, tuple[str, str]] = {
    DeliveryState.EDITING: ("draft", "draft"),
    DeliveryState.EXTRACTION: ("ask", "ask"),
    DeliveryState.READY: ("ask", "ask"),
    DeliveryState.START_PENDING: ("wait", "wait"),
    DeliveryState.RETRY_PENDING: ("wait", "wait"),
    DeliveryState.PAUSE_ASKED: ("warn", "req"),
    DeliveryState.PAUSING: ("warn", "req"),
    DeliveryState.PAUSED: ("warn", "paused"),
    DeliveryState.STOP_ASKED: ("draft", "req"),
    DeliveryState.STOPPING: ("draft", "req"),
    DeliveryState.STOPPED: ("draft", "stopped"),
    DeliveryState.FAILED: ("bad", "bad"),
    DeliveryState.FINISHED: ("ok", "ok"),
    DeliveryState.DELETED: ("draft", "x"),
}
"""State -> colour and icon; what is not named is at work."""


@dataclass(frozen=True)
class DeliveryTab:
    """One page of a delivery."""

    name: str
    label: Any
    """Translated lazily."""
    view: str
    """Name of the address, which takes the delivery's number."""
    shown: Callable[[Delivery], bool]


def _sends(delivery: Delivery) -> bool:
    return not delivery.is_model


def _always(delivery: Delivery) -> bool:
    return True


def _external(delivery: Delivery) -> bool:
    return delivery.delivery_mode == DeliveryMode.EXTERNAL


TABS: list[DeliveryTab] = [
    DeliveryTab("dashboard", lazy("Dashboard"), "delivery:delivery", _always),
    DeliveryTab("target", lazy("Target"), "delivery:delivery-target", _always),
    DeliveryTab("sending", lazy("Sending"), "delivery:delivery-sending", _always),
    DeliveryTab("proofs", lazy("Proofs"), "delivery:delivery-proofs", _sends),
    DeliveryTab("approval", lazy("Approval"), "delivery:delivery-approval", _always),
]
"""In the order of the page. A tab whose address is not there is not drawn."""


@dataclass(frozen=True)
class Command:
    """A button of the head. `address`: where it asks first; empty: it does at once."""

    name: str
    label: str
    icon: str
    css: str = ""
    address: str = ""


def find(number: int, actor: Actor) -> Delivery:
    """Return a delivery or template that the actor sees. Raises NotFound."""
    found = deliveries.visible(actor).select_related("created_by").filter(pk=number).first()
    if found is None:
        raise NotFound(_("This delivery is not there any more."))
    return found


def face(state: int) -> Face:
    """Return how a state shows: the words that the lists of deliveries use (delivery.md §2.3)."""
    return Face(
        *_LOOKS.get(DeliveryState(state), ("run", "run")), timeline.spoken("nms:delivery", "state", state)
    )


def possible(delivery: Delivery, actor: Actor) -> set[str]:
    """Return the names of the commands that the actor may give now."""
    found: set[str] = set()
    if not folders.may(actor, delivery.folder, Access.WRITE):
        return found
    if actor.has(Right.PREPARE_DELIVERIES) and delivery.status in states.EDITABLE:
        found |= set() if delivery.is_model else {"analyse"}
        found |= set() if delivery.built_in else {"delete"}
    if actor.has(Right.START_DELIVERIES) and delivery.status is DeliveryState.READY:
        run = DeliveryRun.objects.filter(pk=delivery.run_id, step=RunStep.READY).first()
        if run is not None and deliveries.worst(run) is not JobLevel.ERROR:
            found.add("confirm")
    return found


def frame(request: HttpRequest, delivery: Delivery, actor: Actor, current: str) -> dict[str, Any]:
    """Return what the frame needs: head, commands, tabs. `current` is the name of the tab."""
    may = possible(delivery, actor)
    return {
        "delivery": delivery,
        "face": face(delivery.state),
        "icons": ICONS,
        "channel": timeline.spoken("nms:delivery", "messageType", delivery.message_type),
        "channel_icon": CHANNEL_ICONS.get(delivery.message_type, "mail"),
        "commands": _commands(delivery, may),
        "more": [
            (reverse("console:record-page", args=["nms", "delivery", delivery.pk]), _("Properties"), "draft"),
            *([(_asking(delivery, "delete"), _delete_label(delivery), "x")] if "delete" in may else []),
        ],
        "made_by": delivery.created_by,
        "started_by": _started_by(delivery),
        "tabs": [
            (each.label, reverse(each.view, args=[delivery.pk]), each.name == current)
            for each in TABS
            if each.shown(delivery)
        ],
        "crumbs": explorer.crumbs(request, delivery.folder, whole=True),
        "here": request.get_full_path(),
        "region_only": live.wants_region(request),
        "shell": "delivery/delivery_shell.html" if live.wants_region(request) else "console/base.html",
        "asks": False,
        "etag": "",
    }


def show(
    request: HttpRequest,
    template: str,
    delivery: Delivery,
    actor: Actor,
    current: str,
    context: dict[str, Any] | None = None,
    *,
    etag: str = "",
    problem: str = "",
) -> HttpResponse:
    """Render a page of a delivery. With `etag` the whole page below the breadcrumb asks by itself for what
    has changed (answer through `live.answer`). A `problem` is said above, and the answer is then 400.
    """
    whole = {
        **frame(request, delivery, actor, current),
        "problem": problem,
        **({"asks": True, "etag": etag} if etag else {}),
        **(context or {}),
    }
    return render(request, template, whole, status=400 if problem else 200)


def _commands(delivery: Delivery, may: set[str]) -> list[Command]:
    found: list[Command] = []
    if "resume" in may:
        found.append(Command("resume", pgettext("command", "Resume"), "run", "pri"))
    if "pause" in may:
        found.append(Command("pause", pgettext("command", "Pause"), "pause", "", _asking(delivery, "pause")))
    if "stop" in may:
        found.append(Command("stop", pgettext("command", "Stop"), "stop", "bad", _asking(delivery, "stop")))
    if "analyse" in may:
        again = delivery.status is DeliveryState.READY
        label = _("Analyse again") if again else _("Analyse")
        found.append(Command("analyse", label, "re" if again else "test", "" if "confirm" in may else "pri"))
    if "confirm" in may:
        found.append(Command("confirm", "", "ok", "pri"))
    return found


def _asking(delivery: Delivery, command: str) -> str:
    return reverse("delivery:delivery-ask", args=[delivery.pk, command])


def _delete_label(delivery: Delivery) -> str:
    return _("Delete this template") if delivery.is_model else _("Delete this delivery")


def _started_by(delivery: Delivery) -> str:
    if delivery.is_model or delivery.status in states.EDITABLE | states.ANALYSED:
        return ""
    line = JobLog.objects.filter(delivery=delivery, code="confirmed").order_by("-job_log_id").first()
    return line.operator_name if line else ""


def asked(delivery: Delivery, command: str, may: set[str]) -> dict[str, Any]:
    """Return the question before a command: what it does, to how many, and the milder way."""
    name = {"name": delivery.label}
    left = max(delivery.to_deliver - delivery.success - delivery.error, 0)
    questions = {
        "pause": _("Pause “%(name)s”?"),
        "stop": _("Stop “%(name)s”?"),
        "delete": _("Delete “%(name)s”?"),
    }
    effects = {
        "pause": ngettext(
            "%(n)s message has not gone out yet; it waits until the delivery is resumed.",
            "%(n)s messages have not gone out yet; they wait until the delivery is resumed.",
            left,
        ),
        "stop": ngettext(
            "%(n)s message has not gone out yet and never will. Those that are sent stay sent.",
            "%(n)s messages have not gone out yet and never will. Those that are sent stay sent.",
            left,
        ),
        "delete": _("The nightly cleanup then removes it with its logs."),
    }
    verbs = {
        "pause": pgettext("command", "Pause"),
        "stop": _("Stop it for good"),
        "delete": _("Delete it"),
    }
    if command not in questions:
        raise NotFound(_("Nothing was chosen that could be done."))
    return {
        "command": command,
        "question": questions[command] % name,
        "effect": effects[command] % {"n": words.number(left)} if command != "delete" else effects[command],
        "verb": verbs[command],
        "verb_icon": {"pause": "pause", "stop": "stop", "delete": "x"}[command],
        "safer": (_("Pause instead"), _asking(delivery, "pause"))
        if command == "stop" and "pause" in may
        else None,
    }


def done(command: str) -> str:
    """Return what is said after a command: asked, not done."""
    return {
        "pause": _("Pause is asked. What is being sent at this moment is completed first."),
        "resume": _("The delivery goes on."),
        "stop": _("Stop is asked. What is being sent at this moment is completed first."),
    }[command]
