"""Recurring delivery: each execution makes a delivery of its own (engine.md §6.3, §6.5).

XML tag: recurringDelivery (our choice).
"""

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any, ClassVar

from django.utils.translation import gettext_lazy as lazy
from django.utils.translation import gettext_noop as _

from envoi.engine.activities.base import TaskContext
from envoi.engine.definition import Activity, Definition
from envoi.packages.delivery.activities.delivery import DeliveryActivity
from envoi.packages.delivery.activities.steps import choice
from envoi.packages.delivery.models import Delivery, Kind


class RecurringDelivery(DeliveryActivity):
    """Parameters: those of a delivery of a `template`, for the population that comes in; no proof.

    One that is stopped does not stop the next.
    """

    type = "recurringDelivery"
    label = lazy("Recurring delivery")
    icon = "cal"
    defaults: ClassVar[Mapping[str, str]] = {
        "source": "template",
        "recipients": "transition",
        "action": "start",
    }

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """See that it makes deliveries, and no proofs."""
        own: list[tuple[str, Mapping[str, Any]]] = []
        if (
            activity.parameters.get("action") == "proof"
            or activity.parameters.get("source", "template") != "template"
        ):
            own.append((_("Activity %(activity)s makes deliveries of a template, and no proofs"), {}))
        return chain(own, super().check(activity, definition))

    def begin(self, ctx: TaskContext) -> Delivery:
        """Make the delivery of this execution."""
        delivery = choice.made(ctx, choice.template(ctx, self.template), kind=Kind.RECURRING)
        return choice.scripted(ctx, choice.address(ctx, delivery))
