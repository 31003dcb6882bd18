"""Sharing: by e-mail and through networks, and what came of it (delivery.md §10.2, `deliveryForward`,
`forwardActivities`).
"""

from django.utils.translation import gettext as _

from envoi.packages.delivery.console.reports import reading
from envoi.packages.delivery.console.reports.asked import Asked
from envoi.packages.delivery.console.reports.blocks import Block, Column, Figure, Row, Share
from envoi.packages.delivery.services.reports import shares, totals


def build(asked: Asked) -> list[Block]:
    """Return the blocks of the report."""
    sums = totals.of(asked.scope.deliveries)
    found = reading.kept("shares", asked.scope, lambda: shares.by_network(asked.scope))
    whole = sum(each.shares for each in found)
    rows = [
        Row((each.label, each.shares, Share(each.shares, whole), Share(each.shares, sums.to_deliver)))
        for each in found
    ]
    rows.append(Row((_("All"), whole, Share(whole, whole), Share(whole, sums.to_deliver)), total=True))
    return [
        Block(
            "delivery",
            _("Delivery and passing on"),
            [
                Figure(_("Messages to deliver"), sums.to_deliver, "toDeliver"),
                Figure(_("Success"), sums.success, "success"),
                Figure(_("Forwards, estimated"), sums.forward, "forward"),
                Figure(_("Clicks on mirror page"), sums.mirror_page, "mirrorPage"),
            ],
        ),
        Block(
            "networks",
            _("Sharing activities"),
            columns=(
                Column(_("Network")),
                Column(_("Shares"), "shares"),
                Column(_("Breakdown"), "shareBreakdown", "k3"),
                Column(_("Sharing rate"), "shareRate"),
            ),
            rows=rows,
            note=_("A share is a click on a link whose category names the network."),
        ),
    ]
