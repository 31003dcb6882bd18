"""Sharing: by e-mail and through networks, and what came of it (delivery.md §10.2, `deliveryForward`,
`forwardActivities`).
"""

from django.utils.translation import gettext as _

from envoi.packages.delivery.console.reports import reading
from envoi.packages.delivery.console.reports.asked import Asked
from envoi.packages.delivery.console.reports.blocks import Block, Column, Figure, Row, Share
from envoi.packages.delivery.services.reports import shares, totals

_LINES = 50


def statistics(asked: Asked) -> list[Block]:
    """Return the blocks of the report on friends: who was told, what they did."""
    sums = totals.of(asked.scope.deliveries)
    blocks = [
        Block(
            "friends",
            _("Passed on to friends"),
            [
                Figure(_("Friends told"), sums.passed_on, "passedOn"),
                Figure(_("Clicks on mirror page"), sums.mirror_page, "mirrorPage"),
                Figure(_("Forwards, estimated"), sums.forward, "forward"),
                Figure(_("New contacts"), sums.new_contacts, "newContacts"),
            ],
            note=_("A friend is told once, and becomes a contact by confirming from the own mailbox."),
        )
    ]
    if len(asked.scope.deliveries) > 1:
        found = sorted(asked.scope.deliveries, key=lambda each: (-each.new_contacts, -each.passed_on))
        blocks.append(
            Block(
                "deliveries",
                _("By delivery"),
                columns=(
                    Column(_("Delivery")),
                    Column(_("Friends told"), "passedOn"),
                    Column(_("Clicks on mirror page"), "mirrorPage"),
                    Column(_("New contacts"), "newContacts"),
                    Column(_("Rate of new contacts"), "contactRate", "k3"),
                ),
                rows=[
                    Row(
                        (
                            each.label,
                            each.passed_on,
                            each.mirror_page,
                            each.new_contacts,
                            Share(each.new_contacts, each.passed_on),
                        )
                    )
                    for each in found[:_LINES]
                    if each.passed_on or each.new_contacts
                ],
                empty=_("Nobody has passed any of these on."),
            )
        )
    return blocks


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
