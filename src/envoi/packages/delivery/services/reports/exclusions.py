"""Why people were left out of deliveries, added up from what each analysis has counted."""

from dataclasses import dataclass

from django.db.models import Sum

from envoi.packages.delivery.models import DlvExclusion
from envoi.packages.delivery.services.reports.scope import Scope


@dataclass(frozen=True)
class Cause:
    """People left out for one reason; `rule` is the internal name of the rule that did it, if one did."""

    reason: int
    rule: str
    count: int


def causes(scope: Scope) -> list[Cause]:
    """Return the causes of exclusion, the most frequent first."""
    runs = [number for numbers in scope.runs.values() for number in numbers]
    found = (
        DlvExclusion.objects.filter(run_id__in=runs)
        .values_list("failure_reason", "rule")
        .annotate(people=Sum("count"))
        .order_by("-people", "failure_reason", "rule")
    )
    return [Cause(*each) for each in found]
