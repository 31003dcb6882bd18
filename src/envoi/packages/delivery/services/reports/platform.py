"""The average of the platform: deliveries of the same typology and channel in the last six months, without
proofs (delivery.md §10.2). Of all folders: only shares leave it.
"""

from dataclasses import fields

from dateutil.relativedelta import relativedelta
from django.db.models import Q, Sum

from envoi.kernel import clock
from envoi.packages.delivery.models import Delivery
from envoi.packages.delivery.services.reports.scope import Scope
from envoi.packages.delivery.services.reports.totals import Totals

MONTHS = 6


def average(scope: Scope) -> Totals:
    """Return the sums of what the deliveries of a scope compare with; of nothing zeros."""
    since = clock.now() - relativedelta(months=MONTHS)
    alike = Q(pk__in=[])
    for typology, channel in {(each.typology_id, each.message_type) for each in scope.deliveries}:
        alike |= Q(typology_id=typology, message_type=channel)
    names = [each.name for each in fields(Totals)]
    sums = Delivery.objects.filter(
        alike, is_model=False, fcp=False, delete_status=0, broad_start__gte=since
    ).aggregate(**{f"sum_{name}": Sum(name) for name in names})
    return Totals(**{name: sums[f"sum_{name}"] or 0 for name in names})
