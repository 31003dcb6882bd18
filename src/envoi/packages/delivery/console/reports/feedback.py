"""Tracking indicators: all blocks of delivery.md §2.13 (`deliveryFeedback`). Rates are of delivered
messages.
"""

from collections.abc import Sequence

from django.utils.translation import gettext as _

from envoi.packages.delivery.console.reports import reading
from envoi.packages.delivery.console.reports.asked import Asked
from envoi.packages.delivery.console.reports.blocks import Block, Cell, Column, Figure, Row, Share
from envoi.packages.delivery.services.reports import messages, shares, totals
from envoi.packages.delivery.services.reports.hits import Reactions
from envoi.packages.delivery.services.reports.messages import Outcomes
from envoi.packages.delivery.services.reports.totals import Totals


def build(asked: Asked) -> list[Block]:
    """Return the blocks of the report."""
    sums, found = totals.of(asked.scope.deliveries), reading.outcomes(asked.scope)
    whole = messages.whole(found)
    news = reading.tracking_news(asked.scope)
    return [
        _delivered(sums, whole),
        _received(sums, news),
        _rates(found, reading.reactions(asked.scope)),
        _clicked(sums, news),
        _web(sums),
        _shared(asked, sums),
    ]


def _delivered(sums: Totals, whole: Outcomes) -> Block:
    return Block(
        "delivery",
        _("1. Delivery statistics"),
        [
            Figure(_("Messages to deliver"), sums.to_deliver, "toDeliver"),
            Figure(_("Processed"), sums.processed, "processed", Share(sums.processed, sums.to_deliver)),
            Figure(_("Success"), Share(sums.success, sums.processed), "deliveredRate", sums.success),
            Figure(_("Hard bounces"), Share(whole.hard, whole.processed), "hardBounce", whole.hard),
            Figure(_("Soft bounces"), Share(whole.soft, whole.processed), "softBounce", whole.soft),
            Figure(_("New quarantines"), sums.new_quarantine, "newQuarantine"),
        ],
        note=_("Success and bounces are shares of processed messages."),
    )


def _received(sums: Totals, news: str) -> Block:
    of = sums.success
    return Block(
        "reception",
        _("2. Reception statistics"),
        [
            Figure(_("Distinct opens"), Share(sums.recipient_open, of), "recipientOpen", sums.recipient_open),
            Figure(
                _("Distinct opens, estimated"),
                Share(sums.estimated_recipient_open, of),
                "estimatedRecipientOpen",
                sums.estimated_recipient_open,
            ),
            Figure(_("Opens"), sums.total_recipient_open, "totalRecipientOpen"),
            Figure(_("Opens, estimated"), sums.estimated_total_recipient_open, "estimatedTotalRecipientOpen"),
            Figure(_("Clicks on opt-out"), Share(sums.opt_out, of), "optOut", sums.opt_out),
            Figure(_("Clicks on mirror page"), sums.mirror_page, "mirrorPage"),
            Figure(_("Complaints"), Share(sums.complaints, of), "complaints", sums.complaints),
            Figure(_("Forwards, estimated"), sums.forward, "forward"),
        ],
        note=" ".join(filter(None, (_("Rates are of the messages delivered."), news))),
    )


def _rates(found: dict[str, Outcomes], did: dict[str, Reactions]) -> Block:
    names = sorted(
        found.keys() | did.keys(),
        key=lambda name: (name == "", -(found[name].success if name in found else 0), name),
    )
    rows = [
        Row(_cells(reading.provider(name), found.get(name, Outcomes()), did.get(name, Reactions())))
        for name in names
    ]
    if rows:
        whole = sum(did.values(), Reactions())
        rows.append(Row(_cells(_("All"), messages.whole(found), whole), total=True))
    return Block(
        "rates",
        _("3. Open and click-through rate"),
        columns=(
            Column(_("Domain"), "domain"),
            Column(_("Sent"), "sentOnDomain"),
            Column(_("Complaints"), "complaints"),
            Column(_("Opens"), "recipientOpen"),
            Column(_("Rate of opens"), "openRate", "k1"),
            Column(_("Clicks"), "recipientClick"),
            Column(_("Rate of clicks"), "recipientClickRatio", "k2"),
            Column(_("Raw reactivity"), "rawReactivity"),
        ),
        rows=rows,
        note=_("Rates are of the messages sent to the domain; opens and clicks are distinct recipients."),
        empty=_("Nothing has been processed yet."),
    )


def _cells(name: str, each: Outcomes, did: Reactions) -> Sequence[Cell]:
    return (
        name,
        each.success,
        Share(each.complaints, each.success),
        did.opened,
        Share(did.opened, each.success),
        did.clicked,
        Share(did.clicked, each.success),
        Share(did.clicked, did.opened),
    )


def _clicked(sums: Totals, news: str) -> Block:
    of = sums.success
    return Block(
        "clicks",
        _("4. Generated click streams"),
        [
            Figure(_("Persons who clicked"), Share(sums.person_click, of), "personClick", sums.person_click),
            Figure(
                _("Recipients who clicked"),
                Share(sums.recipient_click, of),
                "recipientClick",
                sums.recipient_click,
            ),
            Figure(
                _("Cumulated clicks"),
                Share(sums.total_recipient_click, of),
                "totalRecipientClick",
                sums.total_recipient_click,
            ),
            Figure(_("Raw reactivity"), Share(*sums.raw_reactivity), "rawReactivity"),
            Figure(_("Estimated reactivity"), Share(*sums.reactivity), "reactivity"),
        ],
        note=" ".join(filter(None, (_("Rates are of the messages delivered."), news))),
    )


def _web(sums: Totals) -> Block:
    def average(part: float, whole: int) -> Cell:
        return float(part) / whole if whole else None

    return Block(
        "web",
        _("5. Web tracking"),
        [
            Figure(_("Pages visited"), sums.total_web_page, "totalWebPage"),
            Figure(_("Transactions"), sums.transaction, "transaction"),
            Figure(_("Total amount"), float(sums.amount), "amount"),
            Figure(_("Articles"), sums.article, "article"),
            Figure(
                _("Average amount of a transaction"), average(sums.amount, sums.transaction), "averageAmount"
            ),
            Figure(
                _("Average articles of a transaction"),
                average(sums.article, sums.transaction),
                "averageArticle",
            ),
            Figure(
                _("Average amount of a message"),
                average(sums.amount, sums.to_deliver),
                "averageAmountMessage",
            ),
        ],
    )


def _shared(asked: Asked, sums: Totals) -> Block:
    found = reading.kept("shares", asked.scope, lambda: shares.by_network(asked.scope))
    whole = sum(each.shares for each in found)
    return Block(
        "shares",
        _("6. Sharing by e-mail and social networks"),
        columns=(
            Column(_("Network")),
            Column(_("Shares"), "shares"),
            Column(_("Breakdown"), "shareBreakdown", "k3"),
            Column(_("Sharing rate"), "shareRate"),
        ),
        rows=[
            Row((each.label, each.shares, Share(each.shares, whole), Share(each.shares, sums.to_deliver)))
            for each in found
        ],
    )
