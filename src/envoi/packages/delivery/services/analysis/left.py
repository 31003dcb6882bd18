"""Who is left of deliveries that are over: the condition that narrows the target of one made for them.

It stands beside whatever else chooses the target, so that a change of the filter can add nobody who has been
reached.
"""

from typing import Any

from envoi.kernel.query.scope import quoted
from envoi.packages.delivery.models import DeliveryMapping, DeliveryRun, Flag, MessageStatus
from envoi.packages.delivery.services import file_target, log_tables

S = MessageStatus
LEFT = (S.PENDING, S.FAILED, S.CANCELLED)
REACHED = (S.SENT, S.TAKEN, S.RECEIVED, S.PREPARED, S.HANDED)


def condition(mapping: DeliveryMapping, family: tuple[int, ...], key: str) -> tuple[str, dict[str, Any]]:
    """Return SQL and its values: true where the message of the first delivery of `family` is pending, failed
    or cancelled, and none of them has reached the target, or may have.

    `key` is the column of the row in the mapping's dimension, or of its line where it has none.
    """
    log = quoted(log_tables.table("broad_log", mapping.storage))
    runs = list(DeliveryRun.objects.filter(delivery__in=family).values_list("pk", "delivery_id"))
    bases = [file_target.base(run) if file_target.concerns(mapping) else 0 for run, _delivery in runs]
    message = f"""EXISTS (SELECT FROM {log} l
          JOIN unnest(%(left_runs)s::bigint[], %(left_bases)s::bigint[], %(left_first)s::boolean[])
            AS r (run, base, first) ON l.run_id = r.run
          WHERE l.target_id - r.base = {key} AND """
    # A message in doubt may have arrived; whoever is held so is not left.
    reached = f"(l.status IN ({_listed(REACHED)}) OR l.flags >= {Flag.CONTROL * 2})"
    return (
        f"{message} r.first AND l.status IN ({_listed(LEFT)})) AND NOT {message} {reached})",
        {
            "left_runs": [run for run, _delivery in runs],
            "left_bases": bases,
            "left_first": [delivery == family[0] for _run, delivery in runs],
        },
    )


def _listed(statuses: tuple[MessageStatus, ...]) -> str:
    return ", ".join(str(int(each)) for each in statuses)
