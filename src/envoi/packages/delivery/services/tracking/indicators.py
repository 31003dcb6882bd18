"""The indicators of deliveries, worked out from their logs (delivery.md §2.13, §4.6). `definitions.py` says
what each means.

A delivery is worked out anew when enough of its logs are not accounted for, or some for long enough. One
statement a delivery; who calls bounds how many in a transaction.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import connection
from django.utils.translation import gettext as _

from envoi.kernel import folders, query
from envoi.kernel.errors import Conflict
from envoi.kernel.folders import Access
from envoi.kernel.query import Condition, Field, QueryDef
from envoi.kernel.query.scope import quoted
from envoi.kernel.registry import current
from envoi.kernel.rights import Actor, Right, internal
from envoi.packages.delivery.models import (
    Delivery,
    DeliveryRun,
    EmailFormat,
    FailureReason,
    Flag,
    Format,
    InboundKind,
    InboundOutcome,
    MessageStatus,
    RunStep,
    UrlType,
)
from envoi.packages.delivery.services import log_tables
from envoi.packages.delivery.services.tracking import machines

IGNORE_PERCENT: Final = 1
"""`trackingIgnorePercent`, `errorIgnorePercent`."""
IGNORE_PERIOD: Final = timedelta(seconds=86_400)
"""`trackingIgnorePeriod`, `errorIgnorePeriod`."""
DURATION: Final = timedelta(seconds=2_592_000)
"""`indicatorsDuration`: so long after the end of its validity the indicators of a delivery stand."""
MOST: Final = 20
"""Deliveries of a transaction."""
SUCCESS: Final = (MessageStatus.SENT, MessageStatus.TAKEN, MessageStatus.RECEIVED)
TEXT: Final = "text"
"""In the counts of a run: messages that have no HTML, whose opens cannot be seen."""
_COMPLAINTS: Final = f"""SELECT count(*) FROM nms_inbound_mail m WHERE m.delivery_id = d.delivery_id
    AND m.kind = {int(InboundKind.COMPLAINT)} AND m.outcome = {int(InboundOutcome.APPLIED)}"""  # noqa: S608 ours


def due(*, now: datetime) -> list[int]:
    """Return the next deliveries that are to be worked out anew, those first that were longest not."""
    params: dict[str, Any] = {
        "duration": DURATION,
        "now": now,
        "percent": IGNORE_PERCENT,
        "period": IGNORE_PERIOD,
        "most": MOST,
    }
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT d.delivery_id FROM nms_delivery d
               LEFT JOIN nms_delivery_tracking t ON t.delivery_id = d.delivery_id
               CROSS JOIN LATERAL ({_COMPLAINTS}) AS c (complaints)
               WHERE NOT d.is_model AND (d.validity IS NULL OR d.validity + %(duration)s >= %(now)s)
                 AND d.run_id IS NOT NULL
                 AND (coalesce(t.unaccounted, 0) > 0
                      AND (t.unaccounted * 100 >= %(percent)s * (t.logs - t.unaccounted)
                           OR coalesce(d.indicators_at + %(period)s <= %(now)s, true))
                   OR d.error + c.complaints <> coalesce(t.errors, 0)
                      AND (abs(d.error + c.complaints - coalesce(t.errors, 0)) * 100
                             >= %(percent)s * coalesce(t.errors, 0)
                           OR coalesce(d.indicators_at + %(period)s <= %(now)s, true)))
               ORDER BY d.indicators_at NULLS FIRST, d.delivery_id LIMIT %(most)s""",  # noqa: S608 ours
            params,
        )
        return [row[0] for row in cursor.fetchall()]


def recompute(delivery: Delivery, *, actor: Actor, now: datetime) -> None:
    """Recompute delivery and tracking indicators from the logs, whatever their age, in the caller's
    transaction.

    Raises NotAllowed without PREPARE DELIVERIES, Conflict when its logs have been purged.
    """
    actor.require(Right.PREPARE_DELIVERIES, to=_("recompute indicators"))
    folders.require(actor, delivery.folder, Access.WRITE)
    if _purged(delivery):
        raise Conflict(
            _("The logs of %(label)s have been purged: its indicators stay as they are.")
            % {"label": delivery.label}
        )
    work_out(delivery.pk, now=now, messages=True)
    delivery.refresh_from_db()


def work_out(delivery_id: int, *, now: datetime, messages: bool = False) -> None:
    """Work out one delivery, in the caller's transaction. With `messages` also what became of messages,
    which otherwise whoever settles them keeps up to date.
    """
    with connection.cursor() as cursor:
        # Whoever settles messages waits: the counts and what is settled must not pass each other.
        cursor.execute("SELECT error FROM nms_delivery WHERE delivery_id = %s FOR UPDATE", [delivery_id])
        row = cursor.fetchone()
        if row is None:
            return
        # Hits that are logged meanwhile may be among those that are read, or not: they stay unaccounted.
        cursor.execute("SELECT unaccounted FROM nms_delivery_tracking WHERE delivery_id = %s", [delivery_id])
        (accounted,) = cursor.fetchone() or (0,)
        delivery = Delivery.objects.select_related("mapping").get(pk=delivery_id)
        runs = _runs(delivery_id)
        params: dict[str, Any] = {
            "delivery": delivery_id,
            "now": now,
            "text": sum(_text(delivery, run) for each in runs.values() for run in each),
            "click": int(UrlType.CLICK),
            "open": int(UrlType.OPEN),
            "opt_out": int(UrlType.OPT_OUT),
            "mirror": int(UrlType.MIRROR),
            "transaction": int(UrlType.TRANSACTION),
            **{f"runs_{storage}": [run.pk for run in each] for storage, each in runs.items()},
        }
        cursor.execute(_statement(runs), params)
        _messages(delivery_id, runs, all_of_them=messages)
        cursor.execute(
            f"""INSERT INTO nms_delivery_tracking AS t (delivery_id, errors)
               SELECT delivery_id, error + ({_COMPLAINTS}) FROM nms_delivery d WHERE delivery_id = %s
               ON CONFLICT (delivery_id) DO UPDATE SET unaccounted = greatest(t.unaccounted - %s, 0),
                 errors = EXCLUDED.errors""",  # noqa: S608 ours
            [delivery_id, accounted],
        )


def _statement(runs: Mapping[str, Sequence[DeliveryRun]]) -> str:
    def union(columns: str, where: str) -> str:
        return " UNION ALL ".join(
            f"SELECT {columns} FROM {quoted(log_tables.table('tracking_log', storage))}"  # noqa: S608 quoted
            f" WHERE run_id = ANY(%(runs_{storage})s) AND {machines.COUNTED}{where}"
            for storage in runs
        )

    none = "SELECT NULL::bigint, NULL::smallint, NULL::uuid WHERE false"
    hits = union("broad_log_id, type, source_id", "") or none
    clicks = union("broad_log_id, type, source_id", " AND type = %(click)s") or none
    return f"""
        WITH message AS (
          SELECT broad_log_id, count(*) FILTER (WHERE type = %(open)s) AS opens,
            count(*) FILTER (WHERE type = %(click)s) AS clicks,
            count(*) FILTER (WHERE type = %(opt_out)s) AS opt_outs,
            count(*) FILTER (WHERE type = %(mirror)s) AS mirrors
          FROM ({hits}) AS hit (broad_log_id, type, source_id) GROUP BY 1),
        mail AS (
          SELECT count(*) AS opened, coalesce(sum(opens), 0) AS opens,
            count(*) FILTER (WHERE clicks > 0) AS clicked, coalesce(sum(clicks), 0) AS clicks,
            coalesce(sum(opt_outs), 0) AS opt_outs, coalesce(sum(mirrors), 0) AS mirrors
          FROM message),
        person AS (
          SELECT coalesce(sum(CASE WHEN source_id IS NULL THEN clicks ELSE 1 END), 0) AS persons
          FROM (SELECT source_id, count(*) AS clicks
                FROM ({clicks}) AS hit (broad_log_id, type, source_id) GROUP BY 1) AS source),
        web AS (
          SELECT count(*) AS pages, count(*) FILTER (WHERE type = %(transaction)s) AS transactions,
            coalesce(sum(amount) FILTER (WHERE type = %(transaction)s), 0) AS amount,
            coalesce(sum(article) FILTER (WHERE type = %(transaction)s), 0) AS articles
          FROM nms_web_tracking_log WHERE delivery_id = %(delivery)s AND {machines.COUNTED}),
        estimated AS (
          SELECT CASE WHEN d.to_deliver > %(text)s
              THEN round(m.opened * d.to_deliver / (d.to_deliver - %(text)s)::numeric) ELSE 0 END AS opened,
            CASE WHEN d.to_deliver > %(text)s
              THEN round(m.opens * d.to_deliver / (d.to_deliver - %(text)s)::numeric) ELSE 0 END AS opens
          FROM nms_delivery d, mail m WHERE d.delivery_id = %(delivery)s)
        UPDATE nms_delivery d SET recipient_open = m.opened, total_recipient_open = m.opens,
          estimated_recipient_open = e.opened, estimated_total_recipient_open = e.opens,
          recipient_click = m.clicked, person_click = p.persons, total_recipient_click = m.clicks,
          forward = p.persons - m.clicked, opt_out = m.opt_outs, mirror_page = m.mirrors,
          total_web_page = w.pages, transaction = w.transactions, amount = w.amount, article = w.articles,
          reactivity = CASE WHEN e.opened > 0 THEN m.clicked / e.opened::double precision ELSE 0 END,
          indicators_at = %(now)s
        FROM mail m, person p, web w, estimated e WHERE d.delivery_id = %(delivery)s"""  # noqa: S608 quoted


def _messages(delivery_id: int, runs: Mapping[str, Sequence[DeliveryRun]], *, all_of_them: bool) -> None:
    """Count messages: complaints, and with `all_of_them` success and errors too."""
    counts = [0, 0, 0, 0]
    for storage, each in runs.items():
        params: dict[str, Any] = {
            "delivery": delivery_id,
            "failed": int(MessageStatus.FAILED),
            "denied": int(FailureReason.DENYLISTED),
            "success": [int(status) for status in SUCCESS],
            "prepared": int(MessageStatus.PREPARED),
            "runs": [run.pk for run in each],
            "apart": int(Flag.SEED) | int(Flag.CONTROL),
            "all": all_of_them,
        }
        with connection.cursor() as cursor:
            cursor.execute(
                f"""SELECT count(*) FILTER (WHERE status = %(failed)s AND failure_reason = %(denied)s),
                      count(*) FILTER (WHERE status = ANY(%(success)s)),
                      count(*) FILTER (WHERE status = %(failed)s),
                      count(*) FILTER (WHERE status = %(prepared)s)
                    FROM {quoted(log_tables.table("broad_log", storage))}
                    WHERE run_id = ANY(%(runs)s) AND flags & %(apart)s = 0
                      AND (%(all)s OR status = %(failed)s AND failure_reason = %(denied)s)""",  # noqa: S608 quoted
                params,
            )
            counts = [a + b for a, b in zip(counts, cursor.fetchone() or counts, strict=True)]
            # A complaint leaves its message as it is: it did arrive (ADR 0024).
            cursor.execute(
                f"""SELECT count(DISTINCT m.broad_log_id) FROM nms_inbound_mail m
                    JOIN {quoted(log_tables.table("broad_log", storage))} b
                      ON b.run_id = m.run_id AND b.id = m.broad_log_id
                    WHERE m.delivery_id = %(delivery)s AND m.kind = {int(InboundKind.COMPLAINT)}
                      AND m.run_id = ANY(%(runs)s) AND b.flags & %(apart)s = 0
                      AND NOT (b.status = %(failed)s AND b.failure_reason = %(denied)s)""",  # noqa: S608 quoted
                params,
            )
            counts[0] += (cursor.fetchone() or (0,))[0]
    complaints, success, error, prepared = counts
    values: dict[str, int] = {"complaints": complaints}
    if all_of_them and runs:
        values |= {"success": success, "error": error, "processed": success + error + prepared}
    Delivery.objects.filter(pk=delivery_id).update(**values)


def _runs(delivery_id: int) -> dict[str, list[DeliveryRun]]:
    """Return the analyses of a delivery whose messages are there, by storage."""
    found: dict[str, list[DeliveryRun]] = {}
    for run in DeliveryRun.objects.filter(delivery_id=delivery_id).exclude(step=RunStep.GONE):
        found.setdefault(run.storage, []).append(run)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT s FROM unnest(%s::text[]) AS s WHERE to_regclass('nms_tracking_log_' || s) IS NOT NULL",
            [list(found)],
        )
        there = {row[0] for row in cursor.fetchall()}
    return {storage: runs for storage, runs in found.items() if storage in there}


def _text(delivery: Delivery, run: DeliveryRun) -> int:
    """Return how many messages of a run have no HTML; counted once, and kept with the run."""
    kept = run.counts.get(TEXT)
    if isinstance(kept, int):
        return kept
    count = _count_text(delivery, run)
    run.counts[TEXT] = count
    if run.step == int(RunStep.READY):
        DeliveryRun.objects.filter(pk=run.pk).update(counts=run.counts)
    return count


def _count_text(delivery: Delivery, run: DeliveryRun) -> int:
    form = Format(delivery.content_format)
    if not delivery.html_source.strip() or form is Format.TEXT:
        return int(run.counts.get("deliver", 0))
    wanted, name = delivery.mapping.addresses.get("format", ""), delivery.mapping.broad_log_schema
    if form is not Format.PREFERENCE or not delivery.text_source.strip() or not wanted:
        return 0
    if name not in current():
        return 0
    schema = current()[name]
    link = next((each for each in schema.links.values() if each.target == delivery.mapping.schema), None)
    if link is None:
        return 0
    path = wanted.strip("[]")
    definition = QueryDef(
        name,
        select=(Field("Count()"),),
        where=(
            Condition(f"[@run-id] = {run.pk}"),
            Condition(f"[{link.name}/{path}] = {int(EmailFormat.TEXT)}"),
            Condition(f"@status <> {int(MessageStatus.IGNORED)}"),
            Condition(f"@flags = 0 OR @flags >= {int(Flag.REPEAT)}"),
        ),
    )
    return int(query.run(definition, actor=internal()).rows[0][0])


def _purged(delivery: Delivery) -> bool:
    """Return whether hits were logged that are not there any more."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT logs FROM nms_delivery_tracking WHERE delivery_id = %s", [delivery.pk])
        row = cursor.fetchone()
        if row is None or not row[0]:
            return False
        for storage, runs in _runs(delivery.pk).items():
            cursor.execute(
                f"""SELECT EXISTS (SELECT 1 FROM {quoted(log_tables.table("tracking_log", storage))}
                    WHERE run_id = ANY(%s))""",  # noqa: S608 quoted
                [[run.pk for run in runs]],
            )
            if cursor.fetchone() == (True,):
                return False
        cursor.execute(
            "SELECT EXISTS (SELECT 1 FROM nms_web_tracking_log WHERE delivery_id = %s)", [delivery.pk]
        )
        return cursor.fetchone() != (True,)
