"""Delivery summary: whom the deliveries were for, who was left out and why, what arrived; rates are of the
messages to deliver (delivery.md §2.13, §10.2).
"""

from django.urls import reverse
from django.utils.translation import gettext as _

from envoi.packages.delivery.console import timeline
from envoi.packages.delivery.console.reports.asked import Asked
from envoi.packages.delivery.console.reports.blocks import Block, Column, Figure, Row, Share
from envoi.packages.delivery.models import TypologyRule
from envoi.packages.delivery.services.reports import exclusions, totals


def build(asked: Asked) -> list[Block]:
    """Return the blocks of the report."""
    sums = totals.of(asked.scope.deliveries)
    whole = sums.to_deliver
    found = [
        Block(
            "population",
            _("Target population"),
            [
                Figure(_("Initial population"), sums.total_target, "totalTarget"),
                Figure(_("Rejected by rules"), Share(sums.reject, sums.total_target), "reject", sums.reject),
                Figure(_("Messages to deliver"), whole, "toDeliver"),
            ],
        ),
        Block(
            "causes",
            _("Causes of exclusion"),
            columns=(
                Column(_("Cause")),
                Column(_("People"), "reject"),
                Column(_("Of those left out"), "excludedShare"),
                Column(_("Of the target"), "excludedOfTarget", "k6"),
            ),
            rows=_causes(asked, sums.total_target),
            empty=_("Nobody was left out."),
        ),
        Block(
            "outcome",
            _("Delivery statistics"),
            [
                Figure(_("Messages to deliver"), whole, "toDeliver"),
                Figure(_("Success"), Share(sums.success, whole), "success", sums.success),
                Figure(_("Errors"), Share(sums.error, whole), "error", sums.error),
                Figure(
                    _("New quarantines"),
                    Share(sums.new_quarantine, whole),
                    "newQuarantine",
                    sums.new_quarantine,
                ),
            ],
            note=_("Rates of this report are of the messages to deliver."),
        ),
    ]
    if asked.delivery is None:
        found.append(_by_delivery(asked))
    return found


def _causes(asked: Asked, target: int) -> list[Row]:
    found = exclusions.causes(asked.scope)
    names = {each.rule for each in found if each.rule}
    labels = dict(TypologyRule.objects.filter(name__in=names).values_list("name", "label"))
    people = sum(each.count for each in found)
    one = asked.delivery
    return [
        Row(
            (
                timeline.spoken("nms:dlvExclusion", "failureReason", each.reason),
                each.count,
                Share(each.count, people),
                Share(each.count, target),
            ),
            f"{reverse('delivery:delivery-exclusions', args=[one.pk])}?reason={each.reason}" if one else "",
            labels.get(each.rule, each.rule),
        )
        for each in found
    ]


def _by_delivery(asked: Asked) -> Block:
    rows = [
        Row(
            (
                each.label,
                each.broad_start,
                each.to_deliver,
                Share(each.success, each.processed),
                Share(each.error, each.processed),
                Share(each.recipient_open, each.success),
                Share(each.recipient_click, each.success),
                Share(each.opt_out, each.success),
            ),
            reverse("delivery:delivery-reports", args=[each.pk]),
            each.internal_name,
        )
        for each in asked.scope.deliveries
    ]
    sums = totals.of(asked.scope.deliveries)
    if rows:
        rows.append(
            Row(
                (
                    _("All"),
                    "",
                    sums.to_deliver,
                    Share(sums.success, sums.processed),
                    Share(sums.error, sums.processed),
                    Share(sums.recipient_open, sums.success),
                    Share(sums.recipient_click, sums.success),
                    Share(sums.opt_out, sums.success),
                ),
                total=True,
            )
        )
    return Block(
        "deliveries",
        _("Delivery by delivery"),
        columns=(
            Column(_("Delivery")),
            Column(_("First message")),
            Column(_("To deliver"), "toDeliver"),
            Column(_("Delivered"), "deliveredRate"),
            Column(_("Errors"), "errorRate"),
            Column(_("Opened"), "openRate", "k1"),
            Column(_("Clicked"), "recipientClickRatio", "k2"),
            Column(_("Opt-outs"), "optOutRatio"),
        ),
        rows=rows,
        note=_(
            "Here delivered messages and errors are shares of those processed; opens, clicks and opt-outs "
            "are shares of those delivered."
        ),
        empty=_("No delivery went out in this time."),
    )
