"""Continuous delivery: each execution adds its recipients to one delivery (engine.md §6.3, §6.5;
docs/adr/0028).

XML tag: continuousDelivery (our choice).
"""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from django.utils.translation import gettext_lazy as lazy
from django.utils.translation import gettext_noop as _

from envoi.engine import population
from envoi.engine.activities.base import Outcome, TaskContext
from envoi.engine.definition import Activity, Definition
from envoi.engine.models import Task, TaskState
from envoi.packages.delivery.activities.delivery import DeliveryActivity
from envoi.packages.delivery.activities.steps import choice, progress, reached
from envoi.packages.delivery.models import Delivery, DeliveryRun, RunStep
from envoi.packages.delivery.services.analysis import continuous
from envoi.packages.delivery.services.deliveries import states


class ContinuousDelivery(DeliveryActivity):
    """Parameters: `template`, `label` (a formula with `<%= … %>`, by which the delivery is found; the
    template's label without it), `folder` of a new one, `keepTarget`.

    The delivery of this template and label is taken, or made. Its messages of before stay, and those for the
    population that comes in are added as a further analysis, which is started. Nobody to add is no error. It
    waits while the delivery is analysed for another, or is paused.
    """

    type = "continuousDelivery"
    label = lazy("Continuous delivery")
    icon = "mail"
    defaults: ClassVar[Mapping[str, str]] = {
        "source": "template",
        "recipients": "transition",
        "action": "start",
    }

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """See that there is a template, and a transition with recipients."""
        if not activity.parameters.get("template"):
            yield _("Activity %(activity)s does not name its delivery or template"), {}
        if not definition.inbound.get(activity.name):
            yield _("No transition brings recipients to activity %(activity)s"), {}

    def run(self, ctx: TaskContext) -> Outcome:
        """Find or make the delivery, add the recipients, go on when they are on their way."""
        if ctx.memory.get("run") is None and not population.inbound(ctx)[0].count:
            ctx.info(_("Nobody is added to the continuous delivery"))
            return reached.nothing(ctx)
        return super().run(ctx)

    def begin(self, ctx: TaskContext) -> Delivery:
        """Find or make the delivery."""
        of = choice.template(ctx)
        return choice.found_by(ctx, of, choice.text(ctx, "label") or of.label)

    def carry(self, ctx: TaskContext, delivery: Delivery, action: str) -> Outcome | None:
        """Add the recipients; None when they are on their way."""
        choice.lock(delivery)
        run = DeliveryRun.objects.filter(pk=ctx.memory.get("run")).first()
        if run is None or run.step == RunStep.GONE:
            return _append(ctx, delivery)
        if run.step < RunStep.READY:
            return progress.later(ctx)
        if not run.counts.get("deliver") and not run.counts.get("seeds") and "deliver" in run.counts:
            ctx.info(_("Nobody is added to the continuous delivery"))
            return None
        if run.step == RunStep.FAILED:
            if not progress.told(ctx, run):
                raise progress.failure(delivery, run)
            return _append(ctx, delivery)
        # When a later execution has begun, the messages of this one are on their way.
        return progress.started(ctx, delivery) if delivery.run_id == run.pk else None


def _append(ctx: TaskContext, delivery: Delivery) -> Outcome:
    free = delivery.status in continuous.AGAIN or delivery.status in states.EDITABLE
    if not free or _taken(ctx, delivery):
        return progress.later(ctx)
    continuous.reopen(delivery)
    delivery = choice.scripted(ctx, choice.address(ctx, delivery))
    return progress.begin(ctx, delivery)


def _taken(ctx: TaskContext, delivery: Delivery) -> bool:
    """Return whether another execution has analysed the delivery and is about to start it."""
    return (
        Task.objects.filter(
            status__in=(TaskState.PENDING, TaskState.RUNNING),
            memory__contains={choice.MEMORY: delivery.pk, "run": delivery.run_id},
        )
        .exclude(pk=ctx.task_id)
        .exists()
        and delivery.status in states.EDITABLE
    )
