"""Delivery control: a delivery is started, paused or stopped (engine.md §6.3, §6.5).

XML tag: deliveryControl (our choice).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.translation import gettext_lazy as lazy
from django.utils.translation import gettext_noop as _

from envoi.engine.activities.base import ActivityType, Misconfigured, Outcome, TaskContext
from envoi.engine.definition import Activity, Definition
from envoi.packages.delivery.activities.steps import choice, progress, reached
from envoi.packages.delivery.models import Delivery, DeliveryState
from envoi.packages.delivery.services import deliveries

ACTIONS = ("start", "pause", "stop")
SAID = {"start": "Start", "pause": "Pause", "stop": "Stop"}
_HALTED = frozenset({DeliveryState.PAUSE_ASKED, DeliveryState.PAUSING, DeliveryState.PAUSED})


class DeliveryControl(ActivityType):
    """Parameters: `source` ("transition", "explicit" with `delivery`, "script" with `deliveryScript`),
    `action`: "start" (target, preparation and sending, as far as they are missing; a paused one goes on),
    "pause", "stop"; `keepTarget` (false: the target is not recovered).

    What is so already is left as it is. Has no way out of its own; one that is drawn carries the target on.
    """

    type = "deliveryControl"
    family = "action"
    label = lazy("Delivery control")
    icon = "run"
    ways = ()
    effects = True

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """See that a delivery is named, and what is done with it."""
        said = activity.parameters
        source = said.get("source", "transition")
        named = {"explicit": "delivery", "script": "deliveryScript"}.get(source)
        if source not in choice.SOURCES[:3] or (named and not said.get(named)):
            yield _("Activity %(activity)s does not name its delivery"), {}
        if said.get("action", "start") not in ACTIONS:
            yield _("Activity %(activity)s neither starts, pauses nor stops"), {}

    def run(self, ctx: TaskContext) -> Outcome:
        """Do what is next, and go on or look again later."""
        source = str(ctx.parameters.get("source") or "transition")
        action = str(ctx.parameters.get("action") or "start")
        delivery = choice.known(ctx) or choice.keep(ctx, choice.named(ctx, source))
        match action:
            case "start":
                waits = _start(ctx, delivery)
            case "pause":
                waits = _halt(ctx, delivery, DeliveryState.PAUSED)
            case "stop":
                waits = _halt(ctx, delivery, DeliveryState.STOPPED)
            case _:
                raise Misconfigured(f"Activity {ctx.activity.name} does not know the action {action!r}.")
        if waits is not None:
            return waits
        progress.say(ctx, SAID[action], delivery)
        return reached.outcome(ctx, delivery)


def _start(ctx: TaskContext, delivery: Delivery) -> Outcome | None:
    if delivery.status in (DeliveryState.PAUSE_ASKED, DeliveryState.PAUSING):
        return progress.later(ctx)
    if delivery.status is DeliveryState.PAUSED:
        deliveries.resume(delivery, actor=ctx.actor)
        return None
    return progress.started(ctx, delivery)


def _halt(ctx: TaskContext, delivery: Delivery, wanted: DeliveryState) -> Outcome | None:
    """Pause or stop; wait until senders have let go of what they hold."""
    state = delivery.status
    if state in (wanted, DeliveryState.STOPPED, DeliveryState.FINISHED):
        return None
    pauses = wanted is DeliveryState.PAUSED
    if state in (_HALTED if pauses else progress.STOPPED):
        return progress.later(ctx)
    (deliveries.pause if pauses else deliveries.stop)(delivery, actor=ctx.actor)
    delivery.refresh_from_db()
    return None if delivery.status is wanted else progress.later(ctx)
