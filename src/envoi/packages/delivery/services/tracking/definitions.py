"""What the indicators of tracking mean, each in one place (delivery.md §2.13): reports show it one click
away, A/B tests choose by the ratios. `indicators.py` works the columns out.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

from django.utils.translation import gettext_lazy as _


class Row(Protocol):
    """What is read of a delivery: a row of `nms_delivery`, or sums over several."""

    @property
    def success(self) -> int: ...
    @property
    def to_deliver(self) -> int: ...
    @property
    def complaints(self) -> int: ...
    @property
    def recipient_open(self) -> int: ...
    @property
    def estimated_recipient_open(self) -> int: ...
    @property
    def recipient_click(self) -> int: ...
    @property
    def opt_out(self) -> int: ...
    @property
    def transaction(self) -> int: ...
    @property
    def article(self) -> int: ...
    @property
    def amount(self) -> float: ...


@dataclass(frozen=True)
class Definition:
    """One indicator. `name` is the product's; texts are translated lazily.

    `columns`: of `nms_delivery`, what it is read of. `unit`: `ratio` is 0 to 1, `amount` a sum of money.
    `group`: the heading it is listed under, as in `services/reports/definitions.py`.
    """

    name: str
    label: Any
    text: Any
    formula: Any
    columns: tuple[str, ...]
    unit: Literal["count", "ratio", "amount"] = "count"
    group: str = "reception"


def _all() -> tuple[Definition, ...]:
    return (
        Definition(
            "recipientOpen",
            _("Recipients who opened"),
            _(
                "Recipients whose message was opened at least once; who clicked has opened. An open is a "
                "picture that was loaded: text is never counted, and proxies that load pictures unasked "
                "count, so it is an estimate. Hits of machines and on seed or control addresses are left out."
            ),
            _("messages with at least one hit of a reader, each counted once"),
            ("recipient_open",),
        ),
        Definition(
            "totalRecipientOpen",
            _("Opens"),
            _(
                "How often messages were opened. What the same message asks for again within a minute is one "
                "open."
            ),
            _("number of opens"),
            ("total_recipient_open",),
        ),
        Definition(
            "estimatedRecipientOpen",
            _("Estimated recipients who opened"),
            _("Readers of text cannot be seen; they are taken to open as often as those of HTML."),
            _("recipients who opened × messages to deliver / (messages to deliver − messages in text)"),
            ("estimated_recipient_open",),
        ),
        Definition(
            "estimatedTotalRecipientOpen",
            _("Estimated opens"),
            _("Opens, with those of readers of text estimated as often as those of HTML."),
            _("opens × messages to deliver / (messages to deliver − messages in text)"),
            ("estimated_total_recipient_open",),
        ),
        Definition(
            "recipientClick",
            _("Recipients who clicked"),
            _(
                "Recipients whose message had a link clicked at least once. Unsubscription and mirror page "
                "are not among these links. Hits of machines and on seed or control addresses are left out."
            ),
            _("messages with at least one click, each counted once"),
            ("recipient_click",),
            group="clicks",
        ),
        Definition(
            "personClick",
            _("Persons who clicked"),
            _(
                "Browsers that clicked. A message that was passed on brings further persons, and so does a "
                "browser without cookies with each click."
            ),
            _("distinct browsers with at least one click"),
            ("person_click",),
            group="clicks",
        ),
        Definition(
            "totalRecipientClick",
            _("Clicks"),
            _("All clicks on links of the message, without those on unsubscription and mirror page."),
            _("number of clicks"),
            ("total_recipient_click",),
            group="clicks",
        ),
        Definition(
            "forward",
            _("Forwards, estimated"),
            _("How often a message seems to have been passed on."),
            _("persons who clicked − recipients who clicked"),
            ("forward",),
            group="clicks",
        ),
        Definition(
            "rawReactivity",
            _("Raw reactivity"),
            _("Of those who opened, the share that clicked."),
            _("recipients who clicked / recipients who opened"),
            ("recipient_click", "recipient_open"),
            "ratio",
            group="clicks",
        ),
        Definition(
            "reactivity",
            _("Estimated reactivity"),
            _("Of those who opened by estimate, the share that clicked."),
            _("recipients who clicked / estimated recipients who opened"),
            ("recipient_click", "estimated_recipient_open"),
            "ratio",
            group="clicks",
        ),
        Definition(
            "optOut",
            _("Clicks on unsubscribe links"),
            _("Clicks on the link to unsubscribe, and unsubscriptions by one click of the mail program."),
            _("number of clicks on unsubscribe links"),
            ("opt_out",),
        ),
        Definition(
            "mirrorPage",
            _("Clicks on mirror pages"),
            _("Clicks on the link that shows the message in a browser. They are no clicks of the message."),
            _("number of clicks on the link of the mirror page"),
            ("mirror_page",),
        ),
        Definition(
            "complaints",
            _("Complaints"),
            _("Messages that their reader has reported as unwanted, as feedback loops tell."),
            _("messages with a complaint, or that failed with the reason “denylisted address”"),
            ("complaints",),
        ),
        Definition(
            "totalWebPage",
            _("Pages visited"),
            _("Pages with a web tracking tag that were visited after the message, transactions among them."),
            _("hits of web tags of the types web and transaction"),
            ("total_web_page",),
            group="web",
        ),
        Definition(
            "transaction",
            _("Transactions"),
            _("Pages of transactions that were visited after the message."),
            _("hits of web tags of the type transaction"),
            ("transaction",),
            group="web",
        ),
        Definition(
            "amount",
            _("Amount of transactions"),
            _("What the transactions after the message brought."),
            _("sum of the amounts of transactions"),
            ("amount",),
            "amount",
            group="web",
        ),
        Definition(
            "article",
            _("Articles bought"),
            _("How many articles the transactions after the message had."),
            _("sum of the articles of transactions"),
            ("article",),
            group="web",
        ),
        Definition(
            "automatic",
            _("Hits of machines"),
            _(
                "Hits that no reader has made: of scanners, robots, security gateways. They stay in the log "
                "with the reason, and count nowhere else."
            ),
            _("number of hits that were told apart as automatic"),
            ("automatic",),
        ),
        Definition(
            "proxyOpen",
            _("Opens through privacy proxies"),
            _(
                "Opens that came through a proxy of a mail provider, which hides when and where, or whether "
                "at all, the reader has opened. They are among the opens."
            ),
            _("number of opens that were loaded by a privacy proxy"),
            ("proxy_open",),
        ),
        Definition(
            "estimatedRecipientOpenRatio",
            _("Rate of estimated opens"),
            _("Recipients who opened by estimate, as a share of the messages delivered."),
            _("estimated recipients who opened / success"),
            ("estimated_recipient_open", "success"),
            "ratio",
        ),
        Definition(
            "recipientClickRatio",
            _("Rate of clicks"),
            _("Recipients who clicked at least once, as a share of the messages delivered."),
            _("recipients who clicked / success"),
            ("recipient_click", "success"),
            "ratio",
            group="clicks",
        ),
        Definition(
            "refusedRatio",
            _("Rate of complaints"),
            _("Complaints, as a share of the messages delivered. The lower the better."),
            _("complaints / success"),
            ("complaints", "success"),
            "ratio",
        ),
        Definition(
            "transactionRatio",
            _("Rate of transactions"),
            _("Transactions, as a share of the messages delivered."),
            _("transactions / success"),
            ("transaction", "success"),
            "ratio",
            group="web",
        ),
        Definition(
            "optOutRatio",
            _("Rate of opt-outs"),
            _("Clicks on unsubscribe links, as a share of the messages delivered. The lower the better."),
            _("clicks on unsubscribe links / success"),
            ("opt_out", "success"),
            "ratio",
        ),
    )


DEFINITIONS: Final[Mapping[str, Definition]] = {each.name: each for each in _all()}
"""By the product's name of the indicator."""


def share(part: float, whole: float) -> float:
    """Return part / whole, 0 of nothing."""
    return part / whole if whole else 0.0


RATIOS: Final[Mapping[str, Callable[[Row], float]]] = {
    "estimatedRecipientOpenRatio": lambda row: share(row.estimated_recipient_open, row.success),
    "recipientClickRatio": lambda row: share(row.recipient_click, row.success),
    "rawReactivity": lambda row: share(row.recipient_click, row.recipient_open),
    "reactivity": lambda row: share(row.recipient_click, row.estimated_recipient_open),
    "refusedRatio": lambda row: share(row.complaints, row.success),
    "transactionRatio": lambda row: share(row.transaction, row.success),
    "optOutRatio": lambda row: share(row.opt_out, row.success),
}
"""Ratios of a delivery, 0 to 1, by their names in `DEFINITIONS`."""
LOWER_IS_BETTER: Final = frozenset({"refusedRatio", "optOutRatio"})
