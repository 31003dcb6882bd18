"""Non-deliverables and bounces: errors by reason and by provider (delivery.md §10.2)."""

from collections.abc import Mapping

from django.urls import reverse
from django.utils.translation import gettext as _

from envoi.packages.delivery.console.reports import reading
from envoi.packages.delivery.console.reports.asked import Asked
from envoi.packages.delivery.console.reports.blocks import Block, Column, Figure, Row, Share
from envoi.packages.delivery.services.reports import messages
from envoi.packages.delivery.services.reports.messages import Outcomes

HARD_MOST, SOFT_MOST = 0.02, 0.10
"""Shares of hard and soft bounces that no provider should see passed (delivery.md §2.13)."""


def build(asked: Asked) -> list[Block]:
    """Return the blocks of the report."""
    found = reading.outcomes(asked.scope)
    whole = messages.whole(found)
    return [
        Block(
            "errors",
            _("Messages with errors"),
            [
                Figure(_("Processed"), whole.processed, "processed"),
                Figure(_("Errors"), Share(whole.errors, whole.processed), "errorRate", whole.errors),
                Figure(_("Hard bounces"), Share(whole.hard, whole.processed), "hardBounce", whole.hard),
                Figure(_("Soft bounces"), Share(whole.soft, whole.processed), "softBounce", whole.soft),
                Figure(
                    _("Complaints"), Share(whole.complaints, whole.processed), "complaints", whole.complaints
                ),
            ],
        ),
        _by_reason(asked, whole),
        _by_provider(asked, found, whole),
    ]


def _by_reason(asked: Asked, whole: Outcomes) -> Block:
    one = asked.delivery
    logs = f"{reverse('delivery:delivery-logs', args=[one.pk])}?status=2&reason=" if one else ""
    rows = [
        Row(
            (reading.reason(number), count, Share(count, whole.errors), Share(count, whole.processed)),
            f"{logs}{number}" if logs else "",
        )
        for number, count in whole.reasons.most_common()
    ]
    if rows:
        rows.append(
            Row(
                (
                    _("All"),
                    whole.errors,
                    Share(whole.errors, whole.errors),
                    Share(whole.errors, whole.processed),
                ),
                total=True,
            )
        )
    return Block(
        "reasons",
        _("Errors by reason"),
        columns=(
            Column(_("Reason")),
            Column(_("Errors"), "error"),
            Column(_("Breakdown"), "errorBreakdown", "kb"),
            Column(_("Contribution"), "errorContribution"),
        ),
        rows=rows,
        empty=_("No message has failed."),
    )


def _by_provider(asked: Asked, found: Mapping[str, Outcomes], whole: Outcomes) -> Block:
    rows: list[Row] = []
    for provider, each in sorted(found.items(), key=lambda item: (item[0] == "", -item[1].errors, item[0])):
        processed = each.processed or 1
        bad = {4} if each.hard / processed >= HARD_MOST else set[int]()
        bad |= {5} if each.soft / processed > SOFT_MOST else set[int]()
        rows.append(
            Row(
                (
                    reading.provider(provider),
                    each.processed,
                    each.errors,
                    Share(each.errors, each.processed),
                    Share(each.hard, each.processed),
                    Share(each.soft, each.processed),
                    Share(each.errors, whole.errors),
                ),
                below=", ".join(
                    _("%(reason)s: %(n)s") % {"reason": reading.reason(number), "n": count}
                    for number, count in each.reasons.most_common(3)
                ),
                bad=frozenset(bad),
            )
        )
    if rows:
        rows.append(
            Row(
                (
                    _("All"),
                    whole.processed,
                    whole.errors,
                    Share(whole.errors, whole.processed),
                    Share(whole.hard, whole.processed),
                    Share(whole.soft, whole.processed),
                    Share(whole.errors, whole.errors),
                ),
                total=True,
            )
        )
    return Block(
        "domains",
        _("Errors by domain"),
        columns=(
            Column(_("Domain"), "domain"),
            Column(_("Processed"), "processed"),
            Column(_("Errors"), "error"),
            Column(_("Rate"), "errorRate", "kb"),
            Column(_("Hard"), "hardBounce"),
            Column(_("Soft"), "softBounce"),
            Column(_("Breakdown"), "errorBreakdown"),
        ),
        rows=rows,
        note=_(
            "Hard bounces from 2 % and soft bounces above 10 % are marked: providers take offence at them."
        ),
        empty=_("Nothing has been processed yet."),
    )
