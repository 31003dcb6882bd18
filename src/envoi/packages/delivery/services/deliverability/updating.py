"""The steps of the workflow deliverabilityUpdate (delivery.md §3.6, ADR 0034).

What comes from elsewhere is fetched and verified first, and kept; then all of it is carried out in one
transaction. Whatever fails leaves the rules as they are.
"""

import json
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime
from typing import Any, Final

from django.db import connection
from django.utils.translation import gettext_noop

from envoi.engine.activities.base import Failed, Misconfigured, Outcome, TaskContext, fire, wait
from envoi.engine.transfers import web
from envoi.kernel import clock, options
from envoi.kernel.errors import Invalid
from envoi.kernel.rights import Actor
from envoi.packages.delivery.models import (
    BroadLogMsg,
    Channel,
    DeliverabilityUpdate,
    Qualification,
    SuppressionKind,
)
from envoi.packages.delivery.services import bounces
from envoi.packages.delivery.services.bounces import rules as bounce_rules
from envoi.packages.delivery.services.deliverability import feed
from envoi.packages.delivery.services.qualification import rule_sets
from envoi.packages.delivery.services.routing import mx_rules

URL: Final = "Deliverability_FeedUrl"
KEY: Final = "Deliverability_FeedKey"
SHARE: Final = "Deliverability_Share"
LAST_TEXTS: Final = "Deliverability_LastBroadLogMsgDate"
LAST_SENT: Final = "Deliverability_LastBroadLogMsgSent"
PAGE: Final = 1000
"""Texts that one request tells."""
KEPT: Final = 50
"""Updates that are remembered."""
REASON: Final = "deliverability feed"


def plant(*, actor: Actor) -> list[str]:
    """Bring the rules of bounces and of mail servers in line with the newest known: those of this version of
    the product, or of a feed that was carried out. Returns what operators' changes kept as it was.
    """
    latest = _latest()
    rules = latest.get("bounceRules")
    rule_sets.plant(bounce_rules.read(rules) if rules else None)
    return mx_rules.plant(actor=actor, rows=latest.get("mxRules"))


def fetch(*, actor: Actor, ctx: TaskContext) -> Outcome:
    """Fetch the feed, verify it, and keep it when it is newer than what was carried out.

    Without an address nothing is fetched. Raises Failed when it cannot be had, is not signed by its key or
    cannot be read, Misconfigured for an address that is not https or a key that is none.
    """
    url = str(options.get(URL, actor=actor, default="") or "").strip()
    if not url:
        ctx.info(gettext_noop("No feed is configured: the rules of the product are kept up to date"))
        return fire("done")
    if not url.startswith("https://"):
        raise Misconfigured(f"{URL}: {url[:200]!r} must begin with https://.")
    public = str(options.get(KEY, actor=actor, default="") or "")
    try:
        feed.key(public)
        found = feed.verified(_body(url), public)
    except Invalid as error:
        raise Failed(str(error)) from error
    known = DeliverabilityUpdate.objects.order_by("-version").first()
    if known is not None and found.version < known.version:
        raise Failed(f"The feed offers version {found.version}, older than {known.version}, which is known.")
    if known is None or found.version > known.version:
        DeliverabilityUpdate.objects.create(
            version=found.version,
            issued_at=found.issued,
            fetched_at=ctx.now,
            url=url,
            content={"report": found.report, **found.sections},
        )
    ctx.info(gettext_noop("Version %(version)s of the feed, of %(date)s"), version=found.version,
             date=found.issued.isoformat(timespec="minutes"))  # fmt: skip
    return fire("done")


def apply(*, actor: Actor, ctx: TaskContext) -> Outcome:
    """Carry out what waits, in this transaction."""
    waiting = DeliverabilityUpdate.objects.filter(applied_at=None).order_by("-version").first()
    if waiting is None:
        plant(actor=actor)
        return fire("done", recCount=0)
    content: Mapping[str, Any] = waiting.content
    outcome = {
        "bounceRules": len(content.get("bounceRules", {}).get("rules", ())),
        "mxRules": len(content.get("mxRules", ())),
        "suppression": _suppress(content.get("suppression", {}), ctx.now),
        "texts": _qualify(content.get("texts", ()), actor),
    }
    # Those that were overtaken are carried out by nobody.
    DeliverabilityUpdate.objects.exclude(pk=waiting.pk).filter(applied_at=None).delete()
    waiting.applied_at = ctx.now
    waiting.save(update_fields=("applied_at",))
    kept = plant(actor=actor)
    outcome["kept"] = len(kept)
    if "mxRules" in content and mx_rules.level(actor=actor) is mx_rules.Level.CUSTOM:
        outcome["mxRules"] = 0
        ctx.info(gettext_noop("MX rules are set to Custom and stay as they are"))
    DeliverabilityUpdate.objects.filter(pk=waiting.pk).update(outcome=outcome)
    _forget(waiting.pk)
    ctx.info(
        gettext_noop(
            "Version %(version)s carried out: %(bounceRules)s bounce rules, %(mxRules)s MX rules, %(texts)s"
            " texts, %(suppression)s new on the suppression list"
        ),
        version=waiting.version,
        **outcome,
    )
    return fire("done", recCount=sum(outcome.values()))


def share(*, actor: Actor, ctx: TaskContext) -> Outcome:
    """Tell the feed's owner the next page of texts, if an operator wants that and the feed takes them."""
    to = str(_latest().get("report", ""))
    if not to or not options.get(SHARE, actor=actor, default=False):
        return fire("done")
    page = _page(_moment(LAST_SENT, actor))
    if not page:
        return fire("done", recCount=int(ctx.memory.get("told", 0)))
    said = [
        {
            "text": each.text,
            "qualification": int(each.qualification),
            "type": int(each.failure_type),
            "reason": int(each.failure_reason),
            "occurrences": each.occurrences,
        }
        for each in page
    ]
    for begin in range(0, len(said), PAGE):
        body = json.dumps({"texts": said[begin : begin + PAGE]}).encode()
        with web.opened("POST", to, headers={"Content-Type": "application/json"}, body=body) as answer:
            if answer.status >= 300:
                raise web.refused(answer)
    options.set(LAST_SENT, page[-1].modified_at, actor=actor)
    ctx.memory["told"] = int(ctx.memory.get("told", 0)) + len(page)
    ctx.info(gettext_noop("%(count)s texts of servers told"), count=len(page))
    return wait(ctx.now)


def _body(url: str) -> bytes:
    with web.opened("GET", url, headers={}) as answer:
        if answer.status != 200:
            raise web.refused(answer)
        with closing(answer.body) as body:
            content = body.read(feed.LARGEST + 1)
    if len(content) > feed.LARGEST:
        raise Failed(f"{web.place(url)} sends more than {feed.LARGEST >> 20} MB.")
    return content


def _latest() -> Mapping[str, Any]:
    """Return the sections of the update that was carried out last."""
    found = DeliverabilityUpdate.objects.exclude(applied_at=None).order_by("-version").first()
    return found.content if found is not None else {}


def _forget(latest: int) -> None:
    """Of earlier updates only what they changed is remembered, and that of some."""
    DeliverabilityUpdate.objects.exclude(pk=latest).update(content={})
    old = DeliverabilityUpdate.objects.order_by("-version").values_list("pk", flat=True)[KEPT:]
    DeliverabilityUpdate.objects.filter(pk__in=list(old)).delete()


def _suppress(said: Mapping[str, Any], now: datetime) -> int:
    """Put digests of addresses, and domains, on the suppression list; returns how many are new."""
    count = 0
    for kind, keys in (
        (SuppressionKind.ADDRESS, said.get("addresses", ())),
        (SuppressionKind.DOMAIN, said.get("domains", ())),
    ):
        with connection.cursor() as cursor:
            cursor.execute(
                """INSERT INTO nms_suppression (kind, key, hint, channel, reason, created_at)
                   SELECT %(kind)s, key, CASE WHEN %(kind)s = 'domain' THEN '@' || key ELSE '' END,
                     %(channel)s, %(reason)s, %(now)s
                   FROM unnest(%(keys)s::text[]) AS given (key)
                   ON CONFLICT (key, channel, kind) DO NOTHING""",
                {
                    "kind": kind.value,
                    "channel": int(Channel.EMAIL),
                    "reason": REASON,
                    "now": now,
                    "keys": list(keys),
                },
            )
            count += cursor.rowcount
    return count


def _qualify(said: Any, actor: Actor) -> int:
    """Take over what texts mean that changed since the last time; what an operator decided stays. Returns how
    many rows were written.
    """
    since = _moment(LAST_TEXTS, actor)
    new = [each for each in said if since is None or datetime.fromisoformat(each["changed"]) > since]
    if not new:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO nms_broad_log_msg AS kept (md5, text, first_text, failure_type, failure_reason,
                 qualification, rule, occurrences, modified_at)
               SELECT DISTINCT ON (md5) md5, text, text, type, reason, %(keep)s, %(rule)s, 0, %(now)s
               FROM unnest(%(keys)s::text[], %(texts)s::text[], %(types)s::smallint[],
                 %(reasons)s::smallint[]) AS said (md5, text, type, reason)
               ORDER BY md5
               ON CONFLICT (md5) DO UPDATE SET failure_type = excluded.failure_type,
                 failure_reason = excluded.failure_reason, qualification = excluded.qualification,
                 rule = excluded.rule, modified_at = excluded.modified_at
               WHERE kept.rule <> '' OR kept.qualification = %(open)s""",
            {
                "keep": int(Qualification.KEEP),
                "open": int(Qualification.TO_QUALIFY),
                "rule": REASON,
                "now": clock.now(),
                "keys": [bounces.key(each["text"]) for each in new],
                "texts": [each["text"] for each in new],
                "types": [int(rule_sets.TYPES[each["type"]]) for each in new],
                "reasons": [each["reason"] for each in new],
            },
        )
        count = cursor.rowcount
    options.set(LAST_TEXTS, max(datetime.fromisoformat(each["changed"]) for each in new), actor=actor)
    return count


def _page(since: datetime | None) -> list[BroadLogMsg]:
    """Return the next texts by the time of their change, whole moments at a time; not those of the feed."""
    found = BroadLogMsg.objects.exclude(qualification=Qualification.IGNORE).exclude(rule=REASON)
    found = found.order_by("modified_at", "pk")
    if since is not None:
        found = found.filter(modified_at__gt=since)
    page = list(found[: PAGE + 1])
    if len(page) <= PAGE:
        return page
    last = page[PAGE].modified_at
    return [each for each in page if each.modified_at < last] or list(found.filter(modified_at=last))


def _moment(name: str, actor: Actor) -> datetime | None:
    found = options.get(name, actor=actor, default=None)
    return found if isinstance(found, datetime) else None
