"""What earlier analyses of a delivery have left, removed in short transactions by the key of the run."""

from django.db import connection, transaction

from envoi.kernel.query.scope import quoted
from envoi.packages.delivery.models import DeliveryPart, DeliveryRun, DlvExclusion, RunStep
from envoi.packages.delivery.services import content, log_tables
from envoi.packages.delivery.services.analysis import target

BATCH = 50_000


def forget(run: DeliveryRun) -> None:
    """Remove messages, exclusions and parts of a run that another one replaces; its log lines stay.

    Safe to run again wherever it was interrupted. Nothing of the run has been sent: only a delivery that is
    not on its way can be analysed anew.
    """
    with transaction.atomic():
        target.drop(run)
        content.forget(run)
        DeliveryPart.objects.filter(run=run).delete()
        DlvExclusion.objects.filter(run=run).delete()
    for kind in ("broad_log", "excl_log"):
        name = quoted(log_tables.table(kind, run.storage))
        while _batch(name, run.pk) == BATCH:
            pass
    DeliveryRun.objects.filter(pk=run.pk).update(step=RunStep.GONE)


def _batch(name: str, run_id: int) -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            f"""DELETE FROM {name} WHERE run_id = %s AND id IN (
                  SELECT id FROM {name} WHERE run_id = %s ORDER BY id LIMIT %s)""",  # noqa: S608 quoted
            [run_id, run_id, BATCH],
        )
        return cursor.rowcount
