"""Tests of versions of a delivery, and which of them goes to the rest (delivery.md §11; docs/adr/0033).

`comparing` says which of some figures is better and how sure that is; `deciding` chooses among the deliveries
of a workflow, for the activity `bestDelivery`; `records` keeps a test, and `carrying_out` makes its workflow.
"""

from envoi.packages.delivery.services.ab_testing.comparing import Figure, Verdict, compare
from envoi.packages.delivery.services.ab_testing.criteria import CRITERIA, Criterion, criterion
from envoi.packages.delivery.services.ab_testing.records import choose, make, of, remove, set_up

__all__ = [
    "CRITERIA",
    "Criterion",
    "Figure",
    "Verdict",
    "choose",
    "compare",
    "criterion",
    "make",
    "of",
    "remove",
    "set_up",
]
