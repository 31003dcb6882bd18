"""What an analysis has excluded, counted by reason and rule."""

from django.db import connection

from envoi.kernel.query.scope import quoted
from envoi.kernel.rights import Actor
from envoi.packages.delivery.models import Delivery, DeliveryRun, DlvExclusion, FailureReason, TypologyRule
from envoi.packages.delivery.services.analysis import target
from envoi.packages.delivery.services.deliveries import job_log
from envoi.packages.delivery.services.typologies import SUPPRESSION


def count(run: DeliveryRun, delivery: Delivery, actor: Actor) -> None:
    """Write the causes of exclusions and a line of the log for each, in the caller's transaction."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT reason, rule, count(*) FROM {quoted(target.table(run))} WHERE reason <> 0
                GROUP BY reason, rule ORDER BY count(*) DESC, reason, rule"""  # noqa: S608 quoted
        )
        found = cursor.fetchall()
    rules = TypologyRule.objects.in_bulk([rule for _reason, rule, _count in found if rule])
    for reason, number, excluded in found:
        rule = rules.get(number)
        DlvExclusion.objects.create(
            delivery=delivery,
            run=run,
            failure_reason=reason,
            rule=rule.name if rule else SUPPRESSION if reason == FailureReason.RULE else "",
            count=excluded,
        )
        if reason == FailureReason.CONTROL:
            job_log.write(delivery, "control", actor=actor, run=run, count=excluded)
        elif rule is not None:
            job_log.write(
                delivery, "ruled", actor=actor, run=run, count=excluded, reason=reason, rule=rule.label
            )
        else:
            job_log.write(delivery, "excluded", actor=actor, run=run, count=excluded, reason=reason)
