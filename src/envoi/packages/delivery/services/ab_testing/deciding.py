"""Which delivery of a workflow was best, and its copy for the rest (delivery.md §11, case D83)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from envoi.kernel import clock
from envoi.kernel.rights import Actor
from envoi.packages.delivery.models import AbTest, Delivery, ValidationMode
from envoi.packages.delivery.services.ab_testing.comparing import Compared, Figure, Verdict, compare
from envoi.packages.delivery.services.ab_testing.criteria import Criterion
from envoi.packages.delivery.services.deliveries import records
from envoi.packages.delivery.services.tracking import indicators

SUFFIX = " final"
BEST, FIRST, ASK = TIES = ("best", "first", "ask")
"""What is done when no version is surely better."""


@dataclass(frozen=True)
class Decision:
    """`winner` None: somebody has to choose."""

    compared: Compared
    winner: Delivery | None


def candidates(workflow_id: int, *, actor: Actor) -> list[Delivery]:
    """Return the deliveries of a workflow that the actor sees, in the order in which they were made, proofs
    left out.
    """
    found = records.visible(actor).filter(workflow_id=workflow_id, fcp=False, is_model=False)
    return list(found.order_by("pk"))


def figures(found: Sequence[Delivery], by: Criterion, *, fresh: bool = False) -> list[Figure]:
    """Return what deliveries have reached; with `fresh` worked out anew from the logs, in the caller's
    transaction.
    """
    made: list[Figure] = []
    for each in found:
        if fresh:
            indicators.work_out(each.pk, now=clock.now(), messages=True)
            each.refresh_from_db()
        made.append(Figure(each.pk, each.label, *by.counted(each)))
    return made


def decide(
    found: Sequence[Delivery], by: Criterion, *, least: int = 0, tie: str = BEST, automatic: bool = True
) -> Decision:
    """Choose among deliveries by their figures as they are now, in the caller's transaction."""
    compared = compare(figures(found, by, fresh=True), lower=by.lower, least=least)
    by_id = {each.pk: each for each in found}
    if not automatic:
        return Decision(compared, None)
    if compared.verdict is Verdict.SURE or tie == BEST:
        return Decision(compared, by_id[compared.best.delivery_id])
    return Decision(compared, None if tie == ASK else found[0])


def final(winner: Delivery, *, actor: Actor, suffix: str = SUFFIX) -> Delivery:
    """Make the copy of the winner that goes to the rest, linked to the same workflow and campaign."""
    return records.create(
        winner,
        actor=actor,
        label=f"{winner.label[: 128 - len(suffix)]}{suffix}",
        folder=winner.folder,
        validation_mode=ValidationMode.MANUAL,
        workflow_id=winner.workflow_id,
        operation_id=winner.operation_id,
    )


def said(decision: Decision, by: Criterion, tie: str) -> dict[str, Any]:
    """Return a decision as it is kept."""
    compared = decision.compared
    return {
        "criterion": by.name,
        "verdict": compared.verdict.value,
        "chance": compared.chance,
        "tie": tie,
        "figures": [
            {"delivery": each.delivery_id, "label": each.label, "part": each.part, "whole": each.whole}
            for each in compared.ranked
        ],
    }


def test_of(workflow_id: int) -> AbTest | None:
    """Return the test that a workflow carries out, if it does."""
    return AbTest.objects.filter(workflow_id=workflow_id).first()
