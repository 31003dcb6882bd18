"""Delivery: a delivery is made or taken, prepared and started (engine.md §6.3, §6.5; docs/adr/0028).

XML tag: delivery.
"""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from django.utils.translation import gettext_lazy as lazy
from django.utils.translation import gettext_noop as _

from envoi.engine.activities.base import ActivityType, Misconfigured, Outcome, TaskContext
from envoi.engine.definition import Activity, Definition
from envoi.packages.delivery.activities.steps import choice, progress, reached
from envoi.packages.delivery.models import Delivery as Record
from envoi.packages.delivery.services.deliveries import states

ACTIONS = ("save", "estimate", "prepare", "proof", "start")
SAID = {
    "save": "Save",
    "estimate": "Estimate the target",
    "prepare": "Prepare",
    "proof": "Send a proof",
    "start": "Prepare and start",
}


class DeliveryActivity(ActivityType):
    """Parameters: `source` ("template": a new one, of `template` with `label` and `folder`; "explicit": of
    the internal name or number `delivery`; "script": whose number `deliveryScript` gives; "transition": of
    `vars.deliveryId`), `recipients` ("delivery", or "transition": the population that comes in), `script`
    (may set properties of `delivery`), `action` ("save", "estimate", "prepare", "proof", "start": prepare
    and start), `proof` (`mode`, `target`, `addresses` of a proof; seeds unless said), `waitForEnd` (a started
    one is waited for until it is finished), `keepTarget` (false: the target is not recovered).

    Has no way out of its own; one that is drawn carries the target on with `deliveryId`, one of the kind
    *complement* those who were left out. It is fired when the delivery was started, not when it was sent. An
    analysis with errors fails the activity; a workflow that is resumed analyses anew. A population without a
    dimension, such as a loaded file, makes a new delivery one to an external file, whatever the template.
    """

    type = "delivery"
    family = "action"
    label = lazy("Delivery")
    icon = "mail"
    ways = ()
    effects = True
    defaults: ClassVar[Mapping[str, str]] = {
        "source": "template",
        "recipients": "delivery",
        "action": "prepare",
    }

    @property
    def template(self) -> str:
        """Return the template when none is named; empty: one has to be."""
        return ""

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """See that a delivery is named, and what is done with it."""
        said = {**self.defaults, **activity.parameters}
        if said["source"] not in choice.SOURCES or said["recipients"] not in choice.RECIPIENTS:
            yield _("Activity %(activity)s does not say which delivery it is about, and for whom"), {}
        named = {"template": "template", "explicit": "delivery", "script": "deliveryScript"}.get(
            said["source"]
        )
        if named and not said.get(named) and not (named == "template" and self.template):
            yield _("Activity %(activity)s does not name its delivery or template"), {}
        if said["action"] not in ACTIONS:
            yield _("Activity %(activity)s does not say what is done with the delivery"), {}
        if said["recipients"] == "transition" and not definition.inbound.get(activity.name):
            yield _("No transition brings recipients to activity %(activity)s"), {}

    def run(self, ctx: TaskContext) -> Outcome:
        """Do what is next, and go on or look again later."""
        ctx.activity = _with(ctx.activity, self.defaults)
        action = str(ctx.parameters["action"])
        if action not in ACTIONS:
            raise Misconfigured(f"Activity {ctx.activity.name} does not know the action {action!r}.")
        delivery = choice.known(ctx) or choice.keep(ctx, self.begin(ctx))
        if ctx.memory.get("sending"):
            waits = progress.ended(ctx, delivery)
        else:
            waits = self.carry(ctx, delivery, action)
            if waits is None:
                progress.say(ctx, SAID[action], delivery)
                if action == "start" and ctx.parameters.get("waitForEnd"):
                    ctx.memory["sending"], ctx.memory["looks"] = True, 0
                    waits = progress.ended(ctx, delivery)
        return waits or reached.outcome(ctx, delivery)

    def begin(self, ctx: TaskContext) -> Record:
        """Choose or make the delivery, and let it have what the workflow brings."""
        source = str(ctx.parameters["source"])
        if source == "template":
            delivery = choice.made(ctx, choice.template(ctx, self.template))
        else:
            delivery = choice.named(ctx, source)
        if delivery.status not in states.EDITABLE:
            return delivery
        return choice.scripted(ctx, choice.address(ctx, delivery))

    def carry(self, ctx: TaskContext, delivery: Record, action: str) -> Outcome | None:
        """Bring the delivery as far as the action says; None when it is there."""
        match action:
            case "estimate":
                return progress.estimated(ctx, delivery)
            case "prepare":
                return progress.prepared(ctx, delivery)
            case "proof":
                return progress.proofed(ctx, delivery)
            case "start":
                return progress.started(ctx, delivery)
            case _:
                return None


def _with(activity: Activity, defaults: Mapping[str, str]) -> Activity:
    from dataclasses import replace

    return replace(activity, parameters={**defaults, **activity.parameters})
