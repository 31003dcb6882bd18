"""Delivery statistics: what became of messages and what readers did, by domain (delivery.md §10.2,
`statisticsPerDelivery`).
"""

from django.utils.translation import gettext as _

from envoi.packages.delivery.console.reports import reading
from envoi.packages.delivery.console.reports.asked import Asked
from envoi.packages.delivery.console.reports.blocks import Block, Cell, Column, Row, Share
from envoi.packages.delivery.console.reports.errors import HARD_MOST, SOFT_MOST
from envoi.packages.delivery.services.reports import messages
from envoi.packages.delivery.services.reports.hits import Reactions
from envoi.packages.delivery.services.reports.messages import Outcomes


def build(asked: Asked) -> list[Block]:
    """Return the blocks of the report."""
    found, reactions = reading.outcomes(asked.scope), reading.reactions(asked.scope)
    names = sorted(
        found.keys() | reactions.keys(), key=lambda name: (name == "", -_processed(found, name), name)
    )
    rows: list[Row] = []
    for name in names:
        of_it = found.get(name, Outcomes())
        bad = {3} if of_it.processed and of_it.hard / of_it.processed >= HARD_MOST else set[int]()
        bad |= {4} if of_it.processed and of_it.soft / of_it.processed > SOFT_MOST else set[int]()
        rows.append(
            Row(_cells(reading.provider(name), of_it, reactions.get(name, Reactions())), bad=frozenset(bad))
        )
    if rows:
        whole = sum(reactions.values(), Reactions())
        rows.append(Row(_cells(_("All"), messages.whole(found), whole), total=True))
    return [
        Block(
            "domains",
            _("By domain"),
            columns=(
                Column(_("Domain"), "domain"),
                Column(_("Processed"), "processed"),
                Column(_("Delivered"), "deliveredRate"),
                Column(_("Hard bounces"), "hardBounce"),
                Column(_("Soft bounces"), "softBounce"),
                Column(_("Opens"), "openRate", "k1"),
                Column(_("Clicks"), "recipientClickRatio", "k2"),
                Column(_("Unsubscription"), "optOutRatio"),
            ),
            rows=rows,
            note=_(
                "Delivered messages and bounces are shares of those processed at the domain; opens, clicks "
                "and opt-outs are shares of those delivered there."
            ),
            empty=_("Nothing has been processed yet."),
        )
    ]


def _processed(found: dict[str, Outcomes], name: str) -> int:
    return found[name].processed if name in found else 0


def _cells(name: str, each: Outcomes, did: Reactions) -> tuple[Cell, ...]:
    return (
        name,
        each.processed,
        Share(each.success, each.processed),
        Share(each.hard, each.processed),
        Share(each.soft, each.processed),
        Share(did.opened, each.success),
        Share(did.clicked, each.success),
        Share(did.opt_outs, each.success),
    )
