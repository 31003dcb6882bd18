"""Pressure rules: how many messages a person may get in a period (delivery.md §2.7).

A message is kept if `sent + scheduled with a greater weight < threshold`. Counted are the messages of other
deliveries whose date lies in the period, so only the logs of their runs are read. What is pending in a
delivery that is on its way counts as sent. Of equal weight, the delivery that is scheduled first goes.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection

from envoi.kernel.query import Condition
from envoi.kernel.query.scope import quoted
from envoi.packages.delivery.models import (
    Delivery,
    DeliveryMapping,
    DeliveryRun,
    DeliveryState,
    FailureReason,
    Kind,
    MessageStatus,
    RunStep,
    TypologyRule,
)
from envoi.packages.delivery.services import log_tables
from envoi.packages.delivery.services.typologies import definitions, filtering, selection

S = DeliveryState
_SCHEDULED = frozenset(
    {S.EXTRACTION, S.READY, S.START_PENDING, S.IN_PROGRESS, S.RETRY_PENDING, S.RETRYING, S.PAUSE_ASKED,
     S.PAUSING, S.PAUSED}
)  # fmt: skip
"""States of deliveries whose pending messages may still go out."""
_SENT = (MessageStatus.SENT, MessageStatus.TAKEN, MessageStatus.RECEIVED)
_OPEN = (MessageStatus.PENDING, MessageStatus.PREPARED, MessageStatus.HANDED)


@dataclass(frozen=True)
class Window:
    """From the beginning of the day `first` to that of the day `end`."""

    first: date
    end: date


def window(day: date, days: int, grouping: str, *, provisional: bool = False) -> Window:
    """Return the period of a delivery on a day: `days` days that end with it, as many after it with
    `provisional`, widened to all units of the grouping that it touches. 0 days are the day itself.
    """
    end = day + timedelta(days=1)
    first = end - timedelta(days=max(days, 1))
    if provisional:
        end += timedelta(days=days)
    return Window(_unit(first, grouping)[0], _unit(end - timedelta(days=1), grouping)[1])


def _unit(day: date, grouping: str) -> tuple[date, date]:
    """Return the unit that a day lies in: its first day, and the day after it."""
    match grouping:
        case "week":
            first = day - timedelta(days=day.weekday())
            return first, first + timedelta(days=7)
        case "month" | "quarter" | "year":
            months = {"month": 1, "quarter": 3, "year": 12}[grouping]
            month = (day.month - 1) // months * months
            after = day.year * 12 + month + months
            return date(day.year, month + 1, 1), date(after // 12, after % 12 + 1, 1)
        case _:
            return day, day + timedelta(days=1)


def concerns(rule: TypologyRule, mapping: DeliveryMapping) -> bool:
    """Return whether a rule is about the dimension of a mapping."""
    return definitions.pressure(rule.definition).schema == mapping.schema


def apply(run: DeliveryRun, delivery: Delivery, rule: TypologyRule, table: str) -> int:
    """Exclude in the table of an analysis whom a rule speaks against, in the caller's transaction, and return
    how many. The rule is about the dimension of the delivery.
    """
    said = definitions.pressure(rule.definition)
    zone = ZoneInfo(settings.CONFIG.instance.timezone)
    day = max(delivery.contact_date or run.started_at, run.started_at)
    period = window(day.astimezone(zone).date(), said.days, said.grouping, provisional=said.provisional)
    runs = _runs(run, delivery, rule, said, day, _start(period.first, zone), _start(period.end, zone))
    params: dict[str, Any] = {
        "rule": rule.pk,
        "runs": [each.run_id for each in runs],
        "weights": [each.weight for each in runs],
        "earlier": [each.earlier for each in runs],
        "going": [each.going for each in runs],
        "scheduled": [each.scheduled for each in runs],
        "first": min((each.run_id for each in runs), default=0),
        "last": max((each.run_id for each in runs), default=-1),
    }
    threshold, weight, who = str(said.threshold), str(said.weight), ""
    if isinstance(said.threshold, str) or isinstance(said.weight, str) or said.recipients:
        expressions = ("@id", f"ToInteger({said.threshold})", f"ToInteger({said.weight})")
        text, values = filtering.select(
            said.schema, expressions, said.recipients, prefix="v", now=run.started_at
        )
        params |= values
        who = f"""SELECT c0 AS id, c1 AS threshold, coalesce(c2, {definitions.WEIGHT}) AS weight
            FROM ({text}) v"""  # noqa: S608 compiled
        threshold, weight = "v.threshold", "v.weight"
    mine = weight if delivery.weight is None else str(int(delivery.weight))
    statement = f"""WITH {f"v AS MATERIALIZED ({who})," if who else ""}
        counted AS (
          SELECT l.target_id AS id, count(*) AS messages
          FROM {quoted(log_tables.table("broad_log", run.storage))} l
          JOIN unnest(%(runs)s::bigint[], %(weights)s::int[], %(earlier)s::bool[], %(going)s::bool[],
              %(scheduled)s::bool[]) AS r (run_id, weight, earlier, going, scheduled) ON r.run_id = l.run_id
          {"JOIN v ON v.id = l.target_id" if who else ""}
          WHERE l.run_id BETWEEN %(first)s AND %(last)s AND (l.status IN {_in(_SENT)}
            OR (l.status IN {_in(_OPEN)} AND r.scheduled AND (r.going
              OR coalesce(r.weight, {weight}) > {mine}
              OR (coalesce(r.weight, {weight}) = {mine} AND r.earlier))))
          GROUP BY l.target_id)
        UPDATE {quoted(table)} AS t SET reason = {int(FailureReason.ARBITRATION)}, rule = %(rule)s
        FROM (SELECT o.id FROM {quoted(table)} o LEFT JOIN counted ON counted.id = o.id
              {"JOIN v ON v.id = o.id" if who else ""}
              WHERE o.reason = 0 AND coalesce(counted.messages, 0) >= {threshold}) AS beyond
        WHERE beyond.id = t.id"""  # noqa: S608 quoted names, expressions compiled
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return cursor.rowcount


@dataclass(frozen=True)
class _Run:
    """A run whose messages count. `weight` None: as the rule says."""

    run_id: int
    weight: int | None
    earlier: bool
    going: bool
    scheduled: bool


def _runs(
    run: DeliveryRun,
    delivery: Delivery,
    rule: TypologyRule,
    said: definitions.Pressure,
    day: datetime,
    first: datetime,
    end: datetime,
) -> list[_Run]:
    params: dict[str, Any] = {
        "storage": run.storage, "run": run.pk, "ready": int(RunStep.READY), "first": first, "end": end,
        "channel": rule.channel,
    }  # fmt: skip
    only = ""
    if said.deliveries:
        where = (Condition(conditions=said.deliveries),)
        text, values = filtering.select("nms:delivery", ("@id",), where, prefix="d", now=run.started_at)
        params |= values
        only = f"AND d.delivery_id IN (SELECT c0 FROM ({text}) q)"  # noqa: S608 compiled
    with connection.cursor() as cursor:
        # Each analysis of a delivery that is used again has a date of its own.
        cursor.execute(
            f"""SELECT * FROM (
                  SELECT r.run_id, d.delivery_id, d.weight, d.typology_id, d.state,
                    CASE WHEN d.kind IN ({int(Kind.CONTINUOUS)}, {int(Kind.TRANSACTIONAL)}) THEN r.started_at
                      ELSE coalesce(d.broad_start, d.contact_date, r.started_at) END AS at
                  FROM nms_delivery_run r JOIN nms_delivery d ON d.delivery_id = r.delivery_id
                  WHERE r.storage = %(storage)s AND r.step = %(ready)s AND r.run_id <> %(run)s AND NOT d.fcp
                    AND %(channel)s IN (-1, d.message_type) {only}) AS dated
                WHERE at >= %(first)s AND at < %(end)s ORDER BY run_id""",  # noqa: S608 compiled
            params,
        )
        found = cursor.fetchall()
    using = selection.deliveries_using(rule)
    return [
        _Run(
            run_id,
            own if own is not None else None if typology in using else definitions.WEIGHT,
            (at, number) < (day, delivery.pk),
            at <= run.started_at and state >= S.START_PENDING,
            state in _SCHEDULED,
        )
        for run_id, number, own, typology, state, at in found
    ]


def _start(day: date, zone: ZoneInfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone)


def _in(statuses: tuple[MessageStatus, ...]) -> str:
    return f"({', '.join(str(int(each)) for each in statuses)})"
