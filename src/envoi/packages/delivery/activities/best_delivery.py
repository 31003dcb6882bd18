"""Best delivery: of the deliveries of a workflow the one with the best indicator is copied (delivery.md §11).

XML tag: bestDelivery (our choice; the product has a script for it).
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.utils.translation import gettext_lazy as lazy
from django.utils.translation import gettext_noop as _

from envoi.engine.activities.base import ActivityType, Failed, Outcome, TaskContext, fire
from envoi.engine.definition import Activity, Definition
from envoi.packages.delivery.activities.steps import progress
from envoi.packages.delivery.models import AbTest, Delivery
from envoi.packages.delivery.services import ab_testing
from envoi.packages.delivery.services.ab_testing import asking, deciding
from envoi.packages.delivery.services.deliveries import records


class BestDelivery(ActivityType):
    """Parameters: `criterion` (a ratio such as "recipientClickRatio"; of refusedRatio and optOutRatio the
    lowest wins), `least` (messages that each version has at least), `tie` (when no version is surely
    better: "best" figure, "first" version, "ask"), `automatic` (false: somebody chooses), `suffix`
    (" final").

    Candidates are the deliveries of this workflow that are no proofs. Their indicators are worked out anew,
    the best one is copied, and `vars.deliveryId` names the copy; the population goes on. While somebody has
    to choose on the page of the test, the task waits; they get a mail, and reminders.
    """

    type = "bestDelivery"
    family = "action"
    label = lazy("Best delivery")
    icon = "ok"
    effects = True

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """See that there is something to compare by."""
        said = activity.parameters
        if said.get("criterion") not in ab_testing.CRITERIA:
            yield _("Activity %(activity)s does not say by what versions are compared"), {}
        if said.get("tie", deciding.BEST) not in deciding.TIES:
            yield _("Activity %(activity)s does not say what is done when no version is better"), {}

    def run(self, ctx: TaskContext) -> Outcome:
        """Choose, or look again whether somebody has chosen."""
        said, actor = ctx.parameters, ctx.actor
        by = ab_testing.criterion(str(said.get("criterion")))
        tie = str(said.get("tie") or deciding.BEST)
        test = deciding.test_of(ctx.workflow_id)
        found = deciding.candidates(ctx.workflow_id, actor=actor)
        if not found:
            raise Failed("This workflow has no delivery to choose from.")
        if test is not None and test.winner_id is not None:
            winner = records.visible(actor).filter(pk=test.winner_id).first()
            if winner is None:
                raise Failed("The version that was chosen is there no more.")
            return _go_on(ctx, winner, test)
        if test is not None and (asked := ctx.memory.get("asked")):
            asking.ask(test, of=actor, asked_at=datetime.fromisoformat(asked), now=ctx.now)
            return progress.later(ctx)
        automatic = said.get("automatic") is not False
        decision = deciding.decide(found, by, least=int(said.get("least") or 0), tie=tie, automatic=automatic)
        if test is not None:
            AbTest.objects.filter(pk=test.pk).update(
                decision=deciding.said(decision, by, tie), decided_at=ctx.now
            )
        if decision.winner is not None:
            return _go_on(ctx, decision.winner, test)
        if test is None:
            raise Failed("No version is surely better, and there is no test whose page could ask who wins.")
        ctx.memory["asked"] = ctx.now.isoformat()
        asking.ask(test, of=actor, asked_at=ctx.now, now=ctx.now)
        ctx.info(_("Somebody has to choose the version that goes to the rest"))
        return progress.later(ctx)


def _go_on(ctx: TaskContext, winner: Delivery, test: AbTest | None) -> Outcome:
    made = deciding.final(
        winner, actor=ctx.actor, suffix=str(ctx.parameters.get("suffix") or deciding.SUFFIX)
    )
    if test is not None:
        AbTest.objects.filter(pk=test.pk).update(winner=winner, final_id=made.pk)
    ctx.info(
        _("'%(winner)s' is the best delivery; '%(delivery)s' is made of it"),
        winner=winner.label,
        delivery=made.label,
    )
    return fire("transition", deliveryId=str(made.pk))
