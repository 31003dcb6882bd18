"""What became of each message, who was left out, and what happened: the tabs Logs, Exclusions, Audit."""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy
from django.views.decorators.http import require_GET

from envoi.console.access import actor_of_request
from envoi.console.faces import Face
from envoi.console.navigation import Word, under
from envoi.console.records.export import harmless
from envoi.kernel import audit, clock
from envoi.kernel.errors import NotFound
from envoi.kernel.registry import Schema
from envoi.kernel.rights import Actor, Right
from envoi.packages.delivery.console import delivery_dashboard, delivery_tabs, timeline
from envoi.packages.delivery.models import (
    Delivery,
    DeliveryRun,
    FailureReason,
    JobLevel,
    JobLog,
    MessageStatus,
    RunStep,
    TypologyRule,
)
from envoi.packages.delivery.services import deliveries
from envoi.packages.delivery.services.statistics import messages as log
from envoi.packages.delivery.services.statistics.messages import Filter, Message

ROWS = 50
RUNS = 50
"""Analyses to choose from."""
FLAG_LABELS = {
    "seed": lazy("Seed addresses"),
    "control": lazy("Control group"),
    "repeat": lazy("Sent again though in doubt"),
    "doubt": lazy("In doubt, held"),
}
_FLAG_WORDS = {
    1: lazy("seed address"),
    2: lazy("control group"),
    4: lazy("sent again though in doubt"),
    8: lazy("in doubt"),
}
USUAL = (MessageStatus.IGNORED, MessageStatus.SENT, MessageStatus.FAILED, MessageStatus.PENDING)
_WENT = frozenset(
    {
        MessageStatus.SENT,
        MessageStatus.TAKEN,
        MessageStatus.RECEIVED,
        MessageStatus.FAILED,
        MessageStatus.PENDING,
    }
)
"""Messages that were made, or will be."""
ICONS = "ok bad wait run stopped minus"


def face(status: int) -> Face:
    """Return how the status of a message shows."""
    # The icon of a colour has its name, but for what was not sent.
    tone = timeline.TONES.get(MessageStatus(status), "draft")
    icon = "stopped" if status == MessageStatus.CANCELLED else "minus" if tone == "draft" else tone
    return Face(tone, icon, timeline.spoken("nms:broadLogRcp", "status", status))


def spoken_reason(reason: int) -> str:
    """Return why a message was not sent or did not arrive; empty when there is no reason."""
    return timeline.spoken("nms:broadLogRcp", "failureReason", reason) if reason else ""


@under(Word.DELIVERIES)
@require_GET
def page(request: HttpRequest, number: int) -> HttpResponse:
    """Show the messages of a delivery."""
    actor = actor_of_request(request)
    delivery = delivery_tabs.find(number, actor)
    run, runs = _run(delivery, request.GET)
    wanted = _filter(request.GET)
    context: dict[str, Any] = {"run": run, "runs": runs, "wanted": asdict(wanted), "icons": ICONS}
    if run is not None:
        schema = log.schema_of(delivery)
        found = _found(request, schema, run, wanted, actor)
        counts = _counts(request, delivery, run)
        context |= {
            **_paging(request, found),
            "lines": [_line(each, schema) for each in found.rows],
            "statuses": [
                (
                    _with(request, status=status),
                    face(status).word,
                    counts.get(status),
                    wanted.status == status,
                )
                for status in MessageStatus.values
                if status in counts or wanted.status == status or (not counts and status in USUAL)
            ],
            "all_statuses": _with(request, status=None),
            "counts": counts,
            "with_message": bool(delivery.html_source and delivery.mapping.schema),
            "count_address": "" if counts else _with(request, counts=1),
            "reasons": [(value, spoken_reason(value)) for value in FailureReason.values if value],
            "flags": list(FLAG_LABELS.items()),
            "filtered": wanted != Filter(),
            "csv": reverse("delivery:delivery-logs-csv", args=[delivery.pk]) + _query(request)
            if actor.has(Right.EXPORT)
            else "",
        }
    return delivery_tabs.show(request, "delivery/logs.html", delivery, actor, "logs", context)


@under(Word.DELIVERIES)
@require_GET
def export(request: HttpRequest, number: int) -> StreamingHttpResponse:
    """Send the messages of a delivery as CSV. Takes the right EXPORT; the audit trail keeps what went."""
    actor = actor_of_request(request)
    actor.require(Right.EXPORT, to=_("export a list"))
    delivery = delivery_tabs.find(number, actor)
    run, _runs = _run(delivery, request.GET)
    if run is None:
        raise NotFound(_("There are no messages yet."))
    schema, wanted = log.schema_of(delivery), _filter(request.GET)
    answer = StreamingHttpResponse(
        _csv(log.every(schema, run, wanted, actor=actor)), content_type="text/csv; charset=utf-8"
    )
    name = f"{delivery.internal_name}-{clock.now():%Y-%m-%d}.csv"
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    detail = {key: value for key, value in asdict(wanted).items() if value not in ("", None)}
    audit.record(actor, schema.name, delivery.internal_name, "Export", delivery.pk, {"filter": detail})
    return answer


@under(Word.DELIVERIES)
@require_GET
def exclusions(request: HttpRequest, number: int) -> HttpResponse:
    """Show who was left out, and why."""
    actor = actor_of_request(request)
    delivery = delivery_tabs.find(number, actor)
    run, runs = _run(delivery, request.GET)
    context: dict[str, Any] = {"run": run, "runs": runs, "icons": ICONS}
    if run is not None:
        schema = log.schema_of(delivery, "excl_log" if delivery.exclusion_log else "broad_log")
        asked = _filter(request.GET)
        wanted = Filter(int(MessageStatus.IGNORED), asked.reason, asked.domain, asked.address)
        found = _found(request, schema, run, wanted, actor)
        rules = _rules(delivery, run, [each.rule for each in found.rows])
        context |= {
            **_paging(request, found),
            "causes": [
                (_with(request, reason=each.reason), each, rules.get(each.rule, each.rule))
                for each in delivery_dashboard.causes(delivery, run)
            ],
            "lines": [{**_line(each, schema), "rule": rules.get(each.rule, "")} for each in found.rows],
            "wanted": asdict(wanted),
            "all_reasons": _with(request, reason=None),
            "reason_word": spoken_reason(wanted.reason) if wanted.reason else "",
        }
    return delivery_tabs.show(request, "delivery/exclusions.html", delivery, actor, "exclusions", context)


@under(Word.DELIVERIES)
@require_GET
def trail(request: HttpRequest, number: int) -> HttpResponse:
    """Show what happened to a delivery, line by line."""
    actor = actor_of_request(request)
    delivery = delivery_tabs.find(number, actor)
    found = JobLog.objects.filter(delivery=delivery).order_by("-job_log_id")
    level = _whole(request.GET.get("level"))
    if level in JobLevel.values:
        found = found.filter(level__gte=level)
    before = _whole(request.GET.get("before"))
    if before is not None:
        found = found.filter(pk__lt=before)
    lines = list(found[: ROWS + 1])
    more = len(lines) > ROWS
    lines = lines[:ROWS]
    tones = {
        JobLevel.INFO: ("draft", "info"),
        JobLevel.WARNING: ("warn", "warn"),
        JobLevel.ERROR: ("bad", "bad"),
    }
    context = {
        "lines": [
            (
                each, deliveries.text(each), tones[JobLevel(each.level)],
                timeline.spoken("xtk:jobLog", "level", each.level),
            )
            for each in lines
        ],
        "levels": [
            (_with(request, level=None, before=None), _("All"), level is None),
            (_with(request, level=1, before=None), _("Warnings and errors"), level == 1),
            (_with(request, level=2, before=None), _("Errors"), level == 2),
        ],
        "later": _with(request, before=lines[-1].pk) if more else "",
        "first": _with(request, before=None) if before is not None else "",
    }  # fmt: skip
    return delivery_tabs.show(request, "delivery/trail.html", delivery, actor, "audit", context)


def _run(delivery: Delivery, given: Mapping[str, Any]) -> tuple[DeliveryRun | None, list[DeliveryRun]]:
    """Return the analysis whose messages are shown, the latest unless one is named, and those there are."""
    runs = list(DeliveryRun.objects.filter(delivery=delivery, step=RunStep.READY).order_by("-run_id")[:RUNS])
    asked = _whole(given.get("run"))
    chosen = next((each for each in runs if each.pk == asked), None)
    return chosen or (runs[0] if runs else None), runs


def _filter(given: Mapping[str, Any]) -> Filter:
    flag = str(given.get("flag") or "")
    return Filter(
        status=_whole(given.get("status"), least=-1),
        reason=_whole(given.get("reason")),
        domain=str(given.get("domain") or "").strip()[:100],
        address=str(given.get("q") or "").strip()[:100],
        flag=flag if flag in log.FLAGS else "",
    )


def _found(request: HttpRequest, schema: Schema, run: DeliveryRun, wanted: Filter, actor: Actor) -> log.Page:
    return log.read(
        schema, run, wanted, actor=actor, most=ROWS,
        after=_whole(request.GET.get("after")), before=_whole(request.GET.get("before")),
    )  # fmt: skip


def _counts(request: HttpRequest, delivery: Delivery, run: DeliveryRun) -> dict[int, int]:
    few = (run.counts.get("total") or 0) <= log.EXACT
    return log.by_status(delivery, run) if few or request.GET.get("counts") else {}


def _line(each: Message, schema: Schema) -> dict[str, Any]:
    return {
        "id": each.id,
        "address": each.address,
        "page": _page_of(each, schema),
        "face": face(each.status),
        "reason": spoken_reason(each.reason),
        "text": each.text,
        "at": each.at,
        "shown": each.status in _WENT,
        "marks": [word for bit, word in _FLAG_WORDS.items() if each.flags & bit],
    }


def _page_of(each: Message, schema: Schema) -> str:
    """Return the address of the page of a person, or of a seed address."""
    if each.flags & log.FLAGS["seed"]:
        return reverse("console:record-page", args=["nms", "seedMember", -each.target])
    link = log.target_link(schema)
    if not link or each.target < 0:
        return ""
    target = schema.links[link].target
    if target == "nms:recipient":
        return reverse("delivery:recipient", args=[each.target])
    return reverse("console:record-page", args=[*target.split(":"), each.target])


def _rules(delivery: Delivery, run: DeliveryRun, numbers: list[int]) -> dict[Any, str]:
    """Return labels of rules, by their name and by their number."""
    named = {each.rule for each in delivery_dashboard.causes(delivery, run) if each.rule}
    found = TypologyRule.objects.filter(name__in=named) | TypologyRule.objects.filter(
        pk__in={number for number in numbers if number}
    )
    labels: dict[Any, str] = {}
    for each in found:
        labels[each.name] = labels[each.pk] = each.label
    return labels


def _csv(rows: Iterator[Message]) -> Iterator[bytes]:
    here = timezone.get_current_timezone()
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    # The mark at its start tells spreadsheets that it is UTF-8.
    buffer.write("\ufeff")
    head = (
        _("Number"),
        _("Address"),
        _("Status"),
        _("Reason"),
        _("What the server said"),
        _("Time"),
        _("Kind"),
    )
    writer.writerow(head)
    for count, each in enumerate(rows, 1):
        marks = ", ".join(str(word) for bit, word in _FLAG_WORDS.items() if each.flags & bit)
        moment = each.at.astimezone(here).isoformat(timespec="seconds") if each.at else ""
        word = str(face(each.status).word)
        writer.writerow(
            [
                each.id,
                *map(harmless, (each.address, word, spoken_reason(each.reason), each.text)),
                moment,
                marks,
            ]
        )
        if count % log.CHUNK == 0:
            yield buffer.getvalue().encode()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue().encode()


def _paging(request: HttpRequest, found: log.Page) -> dict[str, str]:
    return {
        "earlier": _with(request, before=found.before, after=None) if found.before is not None else "",
        "later": _with(request, after=found.after, before=None) if found.after is not None else "",
    }


def _with(request: HttpRequest, **changes: Any) -> str:
    """Return the address of the page with other values; what filters begins at the first page again."""
    kept = {name: value for name, value in request.GET.items() if value}
    if not changes.keys() & {"before", "after"}:
        kept.pop("before", None)
        kept.pop("after", None)
    for name, value in changes.items():
        kept.pop(name, None)
        if value is not None:
            kept[name] = str(value)
    return f"?{urlencode(kept)}"


def _query(request: HttpRequest) -> str:
    text = request.GET.urlencode()
    return f"?{text}" if text else ""


def _whole(text: Any, *, least: int = 0) -> int | None:
    try:
        found = int(str(text))
    except ValueError:
        return None
    return found if least <= found < 2**63 else None
