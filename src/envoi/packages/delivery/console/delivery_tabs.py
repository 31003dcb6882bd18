"""The frame of a delivery's pages: its head with state and commands, its tabs.

A page of a tab calls `show` with its own template, which extends `delivery/delivery_frame.html` and fills the
block `tab`. It stands in `TABS` by one line, and in `urls.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy
from django.utils.translation import ngettext, pgettext

from envoi.console import explorer, live, words
from envoi.console.faces import Face
from envoi.kernel.errors import Conflict, Invalid, NotAllowed, NotFound
from envoi.kernel.models import Operator
from envoi.kernel.rights import INTERNAL, Actor
from envoi.packages.delivery.console import of_workflows, timeline
from envoi.packages.delivery.models import (
    Channel,
    Delivery,
    DeliveryMode,
    DeliveryState,
    JobLog,
)
from envoi.packages.delivery.services import deliveries
from envoi.packages.delivery.services.deliveries import states

FINAL = frozenset({DeliveryState.FINISHED, DeliveryState.STOPPED, DeliveryState.DELETED})
"""Nothing changes by itself any more, but for late bounces."""
STILL = FINAL | states.EDITABLE - {DeliveryState.EXTRACTION}
"""States in which a page need not ask whether something has changed."""
ICONS = "ask bad draft ok paused req run stopped wait late warn pause stop re x"
CHANNEL_ICONS = timeline.CHANNELS
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


def _mails(delivery: Delivery) -> bool:
    return delivery.message_type == Channel.EMAIL


def _reported(delivery: Delivery) -> bool:
    return _sends(delivery) and _mails(delivery)


def _tested(delivery: Delivery) -> bool:
    return _reported(delivery) and not delivery.fcp


def _external(delivery: Delivery) -> bool:
    return delivery.delivery_mode == DeliveryMode.EXTERNAL


TABS: list[DeliveryTab] = [
    DeliveryTab("dashboard", lazy("Dashboard"), "delivery:delivery", _always),
    DeliveryTab("target", lazy("Target"), "delivery:delivery-target", _always),
    DeliveryTab("extraction", lazy("File"), "delivery:delivery-extraction", _external),
    DeliveryTab("content", lazy("Content"), "delivery:delivery-content", _mails),
    DeliveryTab("versions", lazy("Versions"), "delivery:delivery-versions", _tested),
    DeliveryTab("sending", lazy("Sending"), "delivery:delivery-sending", _always),
    DeliveryTab("proofs", lazy("Proofs"), "delivery:delivery-proofs", _sends),
    DeliveryTab("approval", lazy("Approval"), "delivery:delivery-approval", _always),
    DeliveryTab("reports", lazy("Reports"), "delivery:delivery-reports", _reported),
    DeliveryTab("tracking", lazy("Tracking"), "delivery:delivery-tracking", _reported),
    DeliveryTab("logs", lazy("Logs"), "delivery:delivery-logs", _sends),
    DeliveryTab("exclusions", lazy("Exclusions"), "delivery:delivery-exclusions", _sends),
    DeliveryTab("audit", lazy("Audit"), "delivery:delivery-audit", _always),
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


def frame(request: HttpRequest, delivery: Delivery, actor: Actor, current: str) -> dict[str, Any]:
    """Return what the frame needs: head, commands, tabs. `current` is the name of the tab."""
    may = deliveries.possible(delivery, actor)
    return {
        "delivery": delivery,
        "face": face(delivery.state),
        "icons": ICONS,
        "channel": timeline.spoken("nms:delivery", "messageType", delivery.message_type),
        "channel_icon": CHANNEL_ICONS.get(delivery.message_type, "mail"),
        "commands": _commands(delivery, may),
        "more": [
            (
                False,
                reverse("console:record-page", args=["nms", "delivery", delivery.pk]),
                _("Properties"),
                "draft",
            ),
            *(
                (True, _asking(delivery, name), label, icon)
                for name, label, icon in _more(delivery)
                if name in may
            ),
        ],
        "origins": _origins(delivery, actor),
        "people": _people(delivery),
        "tabs": [
            (each.label, address, each.name == current)
            for each in TABS
            if each.shown(delivery) and (address := _address(each, delivery))
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


def _address(tab: DeliveryTab, delivery: Delivery) -> str:
    try:
        return reverse(tab.view, args=[delivery.pk])
    except NoReverseMatch:
        return ""


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


def _more(delivery: Delivery) -> list[tuple[str, str, str]]:
    return [
        ("duplicate", pgettext("command", "Duplicate"), "dedup"),
        ("resend", _("Send to those not reached"), "mail"),
        ("reset", _("Back to editing"), "re"),
        ("delete", _("Delete this template") if delivery.is_model else _("Delete this delivery"), "x"),
    ]


def _origins(delivery: Delivery, actor: Actor) -> list[tuple[str, str, str]]:
    """Return what a delivery comes from: words, name and address of each; of what the actor sees."""
    found: list[tuple[str, str, str]] = []
    parent = deliveries.visible(actor).filter(pk=delivery.parent_id).first() if delivery.parent_id else None
    if parent is not None:
        said = _("proof of") if delivery.fcp else _("made of")
        found.append((said, parent.label, reverse("delivery:delivery", args=[parent.pk])))
    if (workflow := of_workflows.workflow_of(delivery, actor)) is not None:
        found.append((_("from the workflow"), *workflow))
    return found


def _people(delivery: Delivery) -> list[str]:
    """Return who has made a delivery and who has started it, in words, each only once.

    Nobody is told of what a workflow does by itself: that it comes from there is said.
    """
    made = delivery.created_by
    starter = _started_by(delivery)
    if made is not None and made.name == starter:
        phrases = [(made.name, _("made and started by %(name)s"))]
    else:
        phrases = [
            (made.name if made else "", _("made by %(name)s")),
            (starter, _("started by %(name)s")),
        ]
    labels = dict(
        Operator.objects.filter(name__in=[name for name, _said in phrases]).values_list("name", "label")
    )
    found: list[str] = []
    for name, said in phrases:
        if name == INTERNAL:
            # Whoever works on the host acts in this name too.
            if not delivery.workflow_id:
                found.append(said % {"name": _("the instance or its command line")})
        elif name:
            found.append(said % {"name": labels.get(name) or name})
    return found


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
        "duplicate": _("Duplicate “%(name)s”?"),
        "resend": _("Send “%(name)s” to those not reached?"),
        "reset": _("Bring “%(name)s” back to editing?"),
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
        "duplicate": _("A copy with the same target, content and settings is made. Nothing is sent by it."),
        "resend": _(
            "A new delivery is made for those whose message failed, was cancelled or never left. "
            "Nothing is sent until it is confirmed."
        ),
        "reset": _("It is analysed anew before it can be sent. Nothing is sent until then."),
    }
    verbs = {
        "pause": (pgettext("command", "Pause"), "pause"),
        "stop": (_("Stop it for good"), "stop"),
        "delete": (_("Delete it"), "x"),
        "duplicate": (pgettext("command", "Duplicate"), "dedup"),
        "resend": (_("Make the delivery"), "mail"),
        "reset": (_("Back to editing"), "re"),
    }
    if command not in questions:
        raise NotFound(_("Nothing was chosen that could be done."))
    return {
        "command": command,
        "question": questions[command] % name,
        "effect": effects[command] % {"n": words.number(left)},
        "verb": verbs[command][0],
        "verb_icon": verbs[command][1],
        "dangerous": command in ("stop", "delete"),
        "safer": (_("Pause instead"), _asking(delivery, "pause"))
        if command == "stop" and "pause" in may
        else None,
    }


def done(command: str) -> str:
    """Return what is said after a command: asked, not done."""
    return {
        "pause": _("Pause is asked. What is being sent at this moment is completed first."),
        "resume": _("The delivery goes on."),
        "reset": _("It is being edited again."),
        "stop": _("Stop is asked. What is being sent at this moment is completed first."),
    }[command]


def carry_out(
    request: HttpRequest, delivery: Delivery, actor: Actor, do: Callable[[HttpRequest, Delivery, Actor], str]
) -> tuple[HttpResponse | None, str]:
    """Do what a form of a tab asks for, or nothing: the way back to the page, or why it was refused."""
    try:
        with transaction.atomic():
            text = do(request, delivery, actor)
        messages.success(request, text)
        return redirect(request.get_full_path()), ""
    except (Invalid, Conflict, NotAllowed, NotFound) as refusal:
        delivery.refresh_from_db()
        return None, str(refusal)
