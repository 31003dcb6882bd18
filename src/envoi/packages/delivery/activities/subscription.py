"""Subscription services: a population subscribes to a service, or leaves it (engine.md §6.1).

XML tag: subscription (our choice).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.translation import gettext_lazy as lazy
from django.utils.translation import gettext_noop as _

from envoi.engine import population
from envoi.engine.activities.base import ActivityType, Misconfigured, Outcome, TaskContext
from envoi.engine.definition import Activity, Definition
from envoi.packages.delivery.activities.list_update import RECIPIENT, passed_on
from envoi.packages.delivery.models import SubOrigin
from envoi.packages.delivery.services import chosen, subscriptions


class SubscriptionServices(ActivityType):
    """Parameters: `service` (internal name), `operation` ("subscribe" or "unsubscribe"), `confirm` (true:
    the service's confirmation is sent).

    Has no way out of its own; one that is drawn carries the population on.
    """

    type = "subscription"
    family = "action"
    label = lazy("Subscription services")
    icon = "tag"
    ways = ()
    effects = True

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """See that a service is named, and what is to be done."""
        if not activity.parameters.get("service"):
            yield _("Activity %(activity)s does not name a service"), {}
        if activity.parameters.get("operation", "subscribe") not in ("subscribe", "unsubscribe"):
            yield _("Activity %(activity)s neither subscribes nor unsubscribes"), {}

    def run(self, ctx: TaskContext) -> Outcome:
        """Subscribe or unsubscribe."""
        source = population.inbound(ctx)[0]
        if source.dimension != RECIPIENT:
            raise Misconfigured(
                f"Activity {ctx.activity.name} subscribes recipients, and gets"
                f" {source.dimension or 'data without a dimension'}."
            )
        service = subscriptions.find(str(ctx.parameters.get("service") or ""), actor=ctx.actor)
        confirm = ctx.parameters.get("confirm") is not False
        rows = chosen.table(source.table)
        leaves = ctx.parameters.get("operation") == "unsubscribe"
        change = subscriptions.unsubscribe if leaves else subscriptions.subscribe
        done = change(service, rows, actor=ctx.actor, origin=SubOrigin.WORKFLOW, confirm=confirm)
        ctx.info(
            _("Service '%(service)s': %(changed)s recipient(s) changed"),
            service=service.label,
            changed=done.changed,
        )
        return passed_on(ctx)
