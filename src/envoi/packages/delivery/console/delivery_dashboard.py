"""How far a delivery is, and how it goes: what its dashboard shows.

Everything here is drawn anew every two seconds while somebody watches: it reads the indicators of the
delivery, its parts and the slices of throughput, never its log. What failed is a region of its own, below.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from babel.numbers import format_percent
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from envoi.console import words
from envoi.kernel import clock
from envoi.packages.delivery.console import charts, delivery_tabs, timeline
from envoi.packages.delivery.models import (
    Channel,
    Delivery,
    DeliveryMode,
    DeliveryRun,
    DeliveryState,
    DlvExclusion,
    JobLevel,
    JobLog,
    RunStep,
)
from envoi.packages.delivery.services import deliveries, statistics
from envoi.packages.delivery.services.deliveries import states
from envoi.packages.delivery.services.statistics.slices import WIDTH, width_of

EVENTS = 14
"""Lines of what happened."""
BAR = 1200
DETAILS = (
    "analysis", "target", "excluded", "control", "seeds", "unaddressed", "ruled", "rule_said",
    "rule_elsewhere", "sms_long",
)  # fmt: skip
"""Lines of the log that belong to the audit, not to the story; nor do the warnings of an analysis."""
ENDS = frozenset({"sent", "expired"})
SENDING = frozenset(
    {
        DeliveryState.IN_PROGRESS,
        DeliveryState.RETRY_PENDING,
        DeliveryState.RETRYING,
        DeliveryState.PAUSE_ASKED,
        DeliveryState.PAUSING,
        DeliveryState.STOP_ASKED,
        DeliveryState.STOPPING,
    }
)
BEFORE = states.EDITABLE | states.ANALYSED | {DeliveryState.EXTRACTION}
"""Nothing has been sent, and nobody has said that it may be."""
SPANS = tuple(statistics.SPANS)
WORST = 0.04
"""Share of errors from which a domain is marked."""


@dataclass(frozen=True)
class Cause:
    """One cause of exclusion: its label, the rule, how many, share of the target, length of its bar."""

    reason: int
    label: str
    rule: str
    count: int
    share: str
    bar: int


@dataclass(frozen=True)
class Piece:
    """One piece of the bar of progress."""

    css: str
    at: float
    length: float
    count: int
    label: str


@dataclass(frozen=True)
class Step:
    """One line of what happened and what comes."""

    at: datetime | None
    icon: str
    tone: str
    title: str
    text: str = ""
    near: bool = False


def version(delivery: Delivery) -> tuple[Any, ...]:
    """Return what changes whenever the dashboard does."""
    run = DeliveryRun.objects.filter(pk=delivery.run_id).values_list("step", "last_id").first()
    return (
        delivery.modified_at,
        delivery.state,
        delivery.success,
        delivery.error,
        delivery.processed,
        delivery.indicators_at,
        run,
    )


def context(delivery: Delivery, span: str) -> dict[str, Any]:
    """Return what the dashboard shows. `span`: how far back the line of throughput goes, of `SPANS`."""
    now = clock.now()
    run = DeliveryRun.objects.filter(pk=delivery.run_id).first()
    busy = delivery.status in states.ANALYSED
    ready = delivery.status not in states.EDITABLE or delivery.status is DeliveryState.READY
    found: dict[str, Any] = {
        "busy": busy,
        "step": timeline.spoken("nms:deliveryRun", "step", run.step) if run and busy else "",
        "analysed": run is not None and ready and not busy,
        "counts": run.counts if run else {},
        "written": run.counts.get("written", 0) if run and busy and run.step == RunStep.WRITING else None,
        "causes": causes(delivery, run) if run and ready and not busy else [],
        "problems": _problems(delivery, run) if delivery.status in BEFORE else [],
        "sends": delivery.status not in BEFORE,
        "todo": _todo(delivery) if delivery.status in states.EDITABLE else [],
    }
    progress = statistics.progress(delivery)
    found["parts"] = progress.parts
    if not found["sends"]:
        return found | {"steps": _steps(delivery, progress, None, now)}
    moves = delivery.status in SENDING and delivery.broad_start is not None
    rate = statistics.rate(delivery.pk, now=now, since=delivery.broad_start) if moves else 0.0
    end = _end(progress, rate, now) if moves else None
    return found | {
        "progress": progress,
        "done": percent(progress.processed, progress.to_deliver),
        "pieces": _pieces(delivery, progress),
        "pace": _pace(rate) if moves else "",
        "remaining": _remaining(end, now) if end else "",
        "end": end,
        "delivered": percent(progress.success, progress.processed),
        "failed": percent(progress.error, progress.processed),
        "late": statistics.late(delivery, now=now),
        "chart": _chart(delivery, span, now),
        "span": span,
        "spans": SPANS,
        "rate_now": words.number(round(rate * 3600)) if moves else "",
        "steps": _steps(delivery, progress, end, now),
    }


def percent(part: int, whole: int) -> str:
    """Return a share as the reader writes it, with two digits or more that matter; `—` of nothing."""
    if not whole:
        return words.NONE
    share = part / whole
    digits = 2 if 0 < share < 0.01 else 1
    if 0 < part < whole:
        # What is not all is not written as all, nor something as nothing.
        least = 10 ** -(digits + 2)
        share = min(max(share, least), 1 - least)
    pattern = words.locale().percent_formats[None].pattern.replace("0", "0." + "#" * digits, 1)
    return format_percent(share, format=pattern, locale=words.locale())


def causes(delivery: Delivery, run: DeliveryRun) -> list[Cause]:
    """Return why people were excluded, the most frequent cause first."""
    total = run.counts.get("total") or 1
    found = list(DlvExclusion.objects.filter(delivery=delivery, run=run).order_by("-count", "failure_reason"))
    most = max((each.count for each in found), default=1) or 1
    return [
        Cause(
            each.failure_reason,
            timeline.spoken("nms:dlvExclusion", "failureReason", each.failure_reason),
            each.rule,
            each.count,
            percent(each.count, total),
            max(round(100 * each.count / most), 1),
        )
        for each in found
    ]


def failed(delivery: Delivery) -> dict[str, Any]:
    """Return which messages failed, and why."""
    run = DeliveryRun.objects.filter(pk=delivery.run_id).first()
    if run is None or delivery.status in BEFORE:
        return {"failures": None}
    found = statistics.failures(delivery, run)
    most = max((count for _reason, count in found.reasons), default=1)
    return {
        "failures": found,
        "domains": [
            {
                **asdict(each),
                "rate": percent(each.errors, each.processed) if each.processed else words.NONE,
                "bad": bool(each.processed) and each.errors / (each.processed or 1) >= WORST,
            }
            for each in found.domains
        ],
        "reasons": [
            (
                reason,
                timeline.spoken("nms:broadLogRcp", "failureReason", reason),
                count,
                max(round(100 * count / most), 1),
            )
            for reason, count in found.reasons
        ],
    }


def _todo(delivery: Delivery) -> list[tuple[bool, str, str, str]]:
    """Return what a delivery needs before it can be sent: whether it is there, its name, a word, its page."""
    said = delivery.targeting
    target = bool(said.get("filter") or said.get("lists") or said.get("table"))
    found = [
        (
            target,
            _("Target"),
            _("Whom it is for is said.") if target else _("Say whom it is for."),
            reverse("delivery:delivery-target", args=[delivery.pk]),
        )
    ]
    if delivery.delivery_mode != DeliveryMode.EXTERNAL and delivery.message_type == Channel.EMAIL:
        written = bool(delivery.subject and (delivery.html_source or delivery.text_source))
        found.append(
            (
                written,
                _("Content"),
                _("It has something to say.") if written else _("Write what people will read."),
                reverse("delivery:delivery-content", args=[delivery.pk]),
            )
        )
    ready = delivery.status is DeliveryState.READY
    analysed = _("The figures above hold.") if ready else _("Then analyse it: nothing is sent by that.")
    found.append((ready, _("Analysis"), analysed, ""))
    found.append((False, _("Confirmation"), _("Somebody who may start deliveries confirms it."), ""))
    return found


def _problems(delivery: Delivery, run: DeliveryRun | None) -> list[tuple[str, str]]:
    """Return what the latest analysis warns of: colour and text."""
    if run is None:
        return []
    found = JobLog.objects.filter(run=run, level__gt=JobLevel.INFO).order_by("-level", "job_log_id")[:20]
    return [
        ("bad" if JobLevel(each.level) is JobLevel.ERROR else "warn", deliveries.text(each)) for each in found
    ]


def _pieces(delivery: Delivery, progress: statistics.Progress) -> list[Piece]:
    ended = delivery.status in delivery_tabs.FINAL
    all_of_it = [
        ("k1", progress.success, _("Delivered")),
        ("kb", progress.error, _("Errors")),
        ("kw", progress.left, _("Cancelled") if ended else _("Still to send")),
        ("k6", progress.rejected, _("Rejected by rules")),
    ]
    whole = sum(count for _css, count, _label in all_of_it) or 1
    found: list[Piece] = []
    at = 0.0
    for css, count, label in all_of_it:
        length = BAR * count / whole
        if count:
            found.append(Piece(css, round(at, 1), round(max(length - 2, 1), 1), count, label))
        at += length
    return found


def _pace(rate: float) -> str:
    """Return how fast messages go, a minute or an hour."""
    if rate * 60 >= 10:
        return _("%(n)s a minute") % {"n": words.number(round(rate * 60))}
    return _("%(n)s an hour") % {"n": words.number(round(rate * 3600))}


def _end(progress: statistics.Progress, rate: float, now: datetime) -> datetime | None:
    """Return when the last message is likely to have gone: at the present rate, after the last wave."""
    if not progress.left or rate <= 0:
        return None
    end = now + timedelta(seconds=progress.left / rate)
    for wave in progress.waves:
        if wave.due_at is not None and wave.due_at > now:
            end = max(end, wave.due_at + timedelta(seconds=wave.messages / rate))
    if progress.retry_at is not None and progress.retries >= progress.left:
        return None  # what is left are retries: their time is told apart
    return end


def _remaining(end: datetime, now: datetime) -> str:
    minutes = max(math.ceil((end - now).total_seconds() / 60), 1)
    if minutes < 60:
        return _("about %(n)s min left") % {"n": minutes}
    return _("about %(time)s left") % {"time": words.duration(minutes * 60)}


def _chart(delivery: Delivery, span: str, now: datetime) -> charts.Chart | None:
    known = statistics.fitting(delivery.pk)
    if known is None:
        return None
    first, last, width = known
    end = last + WIDTH
    if span in statistics.SPANS:
        first = max(first, end - statistics.SPANS[span])
        width = width_of(end - first)
    found = statistics.slices(delivery.pk, first, end, width)
    lines = per_hour(found, width, now, since=delivery.broad_start)
    return charts.draw(first, end, lines, now=now) if lines else None


def per_hour(
    found: Sequence[statistics.Slice], width: timedelta, now: datetime, *, since: datetime | None = None
) -> list[tuple[str, list[tuple[datetime, float]]]]:
    """Return lines of messages an hour: all that had an outcome, and those that failed.

    `since`: when it began, where that is within a slice.
    """
    sent: list[tuple[datetime, float]] = []
    failed: list[tuple[datetime, float]] = []
    for each in found:
        begin = max(each.start, since or each.start)
        spent = max(min(each.start + width, now) - begin, timedelta(minutes=1))
        hours = spent.total_seconds() / 3600
        middle = begin + spent / 2
        sent.append((middle, (each.sent + each.failed) / hours))
        failed.append((middle, each.failed / hours))
    if len(sent) == 1:
        # A line needs two points.
        ends = (found[0].start, found[0].start + width)
        sent, failed = ([(at, line[0][1]) for at in ends] for line in (sent, failed))
    return [("l1", sent), ("le", failed)] if sent else []


def _steps(
    delivery: Delivery, progress: statistics.Progress, end: datetime | None, now: datetime
) -> list[Step]:
    found = _past(delivery)
    ahead: list[Step] = []
    if delivery.contact_date and delivery.contact_date > now:
        ahead.append(Step(delivery.contact_date, "wait", "wait", _("Contact date")))
    for wave in progress.waves:
        if wave.due_at is not None and wave.due_at > now and delivery.status not in delivery_tabs.FINAL:
            said = {"n": wave.number + 1}
            text = ngettext("%(n)s message", "%(n)s messages", wave.messages)
            ahead.append(
                Step(
                    wave.due_at, "wait", "wait", _("Wave %(n)s") % said,
                    text % {"n": words.number(wave.messages)},
                )
            )  # fmt: skip
    if progress.retry_at is not None and progress.retry_at > now and progress.retries:
        text = ngettext("%(n)s message", "%(n)s messages", progress.retries)
        ahead.append(
            Step(
                progress.retry_at, "re", "wait", _("Next retry"), text % {"n": words.number(progress.retries)}
            )
        )
    if end is not None:
        ahead.append(Step(end, "wait", "wait", _("All messages sent"), near=True))
    if delivery.validity and delivery.validity > now and delivery.status not in BEFORE | delivery_tabs.FINAL:
        ahead.append(
            Step(
                delivery.validity, "wait", "wait", _("Validity ends"),
                _("messages that are not sent by then are cancelled"),
            )
        )  # fmt: skip
    ahead.sort(key=lambda each: each.at or now)
    return found + ahead


def _past(delivery: Delivery) -> list[Step]:
    tones = {
        JobLevel.INFO: ("ok", "ok"), JobLevel.WARNING: ("warn", "warn"), JobLevel.ERROR: ("bad", "bad")
    }  # fmt: skip
    told = JobLog.objects.filter(delivery=delivery).exclude(code__in=DETAILS)
    told = told.exclude(level__gt=JobLevel.INFO, run__isnull=False).order_by("-at", "-job_log_id")
    lines = list(told[:EVENTS])
    found = [
        Step(each.at, *tones[JobLevel(each.level)], deliveries.text(each), each.operator_name)
        for each in lines
    ]
    codes = {each.code for each in lines}
    if "created" not in codes:
        made = delivery.created_by
        name = (made.label or made.name) if made else ""
        found.append(Step(delivery.created_at, "ok", "ok", _("Created"), name))
    if delivery.broad_start:
        moves = delivery.status in SENDING
        found.append(
            Step(delivery.broad_start, "run" if moves else "ok", "run" if moves else "ok", _("First message"))
        )
    if delivery.broad_end and not codes & ENDS:
        found.append(Step(delivery.broad_end, "ok", "ok", _("Sending ended")))
    return sorted(found, key=lambda each: each.at or delivery.created_at)
