"""What the numbers of reports mean: a definition a number, shown one click away from wherever it stands.

Those of tracking stand with what works them out, `services/tracking/definitions.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as lazy

from envoi.packages.delivery.services.tracking import definitions as tracking


@dataclass(frozen=True)
class Definition:
    """One number: its name, what it means, how it is worked out. All are translated lazily."""

    label: Any
    text: Any
    formula: Any = ""
    group: str = "delivery"
    """Under which heading it is listed: one of `GROUPS`."""


GROUPS: Mapping[str, Any] = {
    "delivery": lazy("Messages"),
    "reception": lazy("Opens"),
    "clicks": lazy("Clicks"),
    "web": lazy("Web tracking"),
    "shares": lazy("Sharing"),
    "clients": lazy("Browsers and systems"),
    "services": lazy("Subscriptions"),
}
_OWN: Mapping[str, Definition] = {
    "totalTarget": Definition(
        lazy("Initial population"),
        lazy("Everybody whom the delivery was aimed at, before anybody was left out."),
    ),
    "reject": Definition(
        lazy("Rejected by rules"),
        lazy(
            "People whom the analysis has left out: no address, quarantine, denylist, doubles, typology "
            "rules, control group."
        ),
    ),
    "excludedShare": Definition(
        lazy("Share of those left out"),
        lazy("How many of all that were left out were so for this reason."),
        lazy("people of the cause / all people left out"),
    ),
    "excludedOfTarget": Definition(
        lazy("Share of the target"),
        lazy("How many of the initial population were left out for this reason."),
        lazy("people of the cause / initial population"),
    ),
    "toDeliver": Definition(
        lazy("Messages to deliver"),
        lazy("Messages that the analysis has prepared. Seed addresses are not counted."),
        lazy("initial population − rejected"),
    ),
    "processed": Definition(
        lazy("Processed messages"),
        lazy("Messages with an outcome. Those that wait, or were cancelled, are not among them."),
        lazy("success + errors"),
    ),
    "success": Definition(
        lazy("Success"),
        lazy(
            "Messages that the next server has taken, and that have not come back since. Seed addresses are "
            "not counted."
        ),
    ),
    "error": Definition(
        lazy("Errors"), lazy("Messages that were refused, or that came back later as a bounce.")
    ),
    "deliveredRate": Definition(
        lazy("Delivered"), lazy("Share of the processed messages that arrived."), lazy("success / processed")
    ),
    "errorRate": Definition(
        lazy("Rate of errors"),
        lazy("Share of the processed messages that failed."),
        lazy("errors / processed"),
    ),
    "errorBreakdown": Definition(
        lazy("Breakdown of errors"),
        lazy("Which share of all errors has this reason, or happened at this domain."),
        lazy("errors of this kind / all errors"),
    ),
    "errorContribution": Definition(
        lazy("Contribution of errors"),
        lazy("Which share of all processed messages failed for this reason."),
        lazy("errors of this kind / processed"),
    ),
    "hardBounce": Definition(
        lazy("Hard bounces"),
        lazy("Failed because the address is unknown. Above 2 % providers begin to distrust a sender."),
        lazy("errors with the reason “user unknown” / processed"),
    ),
    "softBounce": Definition(
        lazy("Soft bounces"),
        lazy(
            "Failed for a reason that may pass: unreachable, mailbox full, invalid domain, account disabled, "
            "not connected, refused. It should stay below 10 % at every provider."
        ),
        lazy("errors with one of these reasons / processed"),
    ),
    "newQuarantine": Definition(
        lazy("New quarantines"), lazy("Addresses that went into quarantine because of this delivery.")
    ),
    "domain": Definition(
        lazy("Domain"),
        lazy(
            "The provider of an address, as the enumeration “E-mail domains by provider” groups them. What "
            "belongs to none is counted as Others."
        ),
    ),
    "readerHits": Definition(
        lazy("Hits of readers"),
        lazy(
            "Opens and clicks that count: of readers, and those that the proxy of a mail provider made for "
            "them."
        ),
        lazy("all hits − hits of machines"),
        group="reception",
    ),
    "openRate": Definition(
        lazy("Rate of opens"),
        lazy("Recipients who opened at least once, as a share of the messages delivered."),
        lazy("recipients who opened / success"),
        group="reception",
    ),
    "linkClicks": Definition(
        lazy("Clicks on a link"),
        lazy("How often the link was clicked, each click counted."),
        group="clicks",
    ),
    "linkPeople": Definition(
        lazy("Recipients who clicked on a link"),
        lazy("Messages from which the link was clicked at least once."),
        group="clicks",
    ),
    "linkShare": Definition(
        lazy("Share of the clicks"),
        lazy("Which share of all cumulated clicks this is. Opt-outs and mirror pages are not among them."),
        lazy("clicks of the row / cumulated clicks"),
        group="clicks",
    ),
    "hotShare": Definition(
        lazy("Share in hot clicks"),
        lazy(
            "Which share of the clicks on all links of the message fell on this one; opt-outs, mirror "
            "pages and links of blocks count in the whole. For recipients: which share of those who clicked "
            "at all."
        ),
        lazy("clicks on the link / clicks on all links"),
        group="clicks",
    ),
    "timeToReach": Definition(
        lazy("Time to reach a share"),
        lazy("How long after the first message this share of everything counted so far had happened."),
        group="clicks",
    ),
    "averageAmount": Definition(
        lazy("Average amount of a transaction"),
        lazy("What one transaction brought on average."),
        lazy("amount / transactions"),
        group="web",
    ),
    "averageArticle": Definition(
        lazy("Average articles of a transaction"),
        lazy("How many articles one transaction had on average."),
        lazy("articles / transactions"),
        group="web",
    ),
    "averageAmountMessage": Definition(
        lazy("Average amount of a message"),
        lazy("What one message brought on average."),
        lazy("amount / messages to deliver"),
        group="web",
    ),
    "shares": Definition(
        lazy("Shares"),
        lazy("Clicks on links whose category is the network."),
        group="shares",
    ),
    "passedOn": Definition(
        lazy("Friends told"),
        lazy("Friends to whom readers have sent the message by its form for this. Each friend is told once."),
        group="shares",
    ),
    "newContacts": Definition(
        lazy("New contacts"),
        lazy(
            "Friends who have confirmed from their own mailbox that they want mail: by the invitation that "
            "comes with a message that is passed on, or by the form that a reader's link leads to."
        ),
        group="shares",
    ),
    "contactRate": Definition(
        lazy("Rate of new contacts"),
        lazy("Friends who confirmed, of the friends who were told."),
        lazy("new contacts / friends told"),
        group="shares",
    ),
    "shareBreakdown": Definition(
        lazy("Breakdown of shares"),
        lazy("Which share of all shares went through this network."),
        lazy("shares through the network / all shares"),
        group="shares",
    ),
    "shareRate": Definition(
        lazy("Sharing rate"),
        lazy("Shares through this network, of the messages to deliver."),
        lazy("shares through the network / messages to deliver"),
        group="shares",
    ),
    "visitors": Definition(
        lazy("Visitors"),
        lazy("Recipients who clicked at least once with this browser or system, as far as it is known."),
        group="clients",
    ),
    "pages": Definition(lazy("Pages viewed"), lazy("Clicks with this browser or system."), group="clients"),
    "usage": Definition(
        lazy("Usage rate"),
        lazy("Which share of all visitors used this browser or system."),
        lazy("visitors / all visitors"),
        group="clients",
    ),
    "globalRate": Definition(
        lazy("Global rate"),
        lazy("Which share of all visitors used this version."),
        lazy("visitors of the version / all visitors"),
        group="clients",
    ),
    "relativeRate": Definition(
        lazy("Relative rate"),
        lazy("Which share of the visitors with this browser or system used this version."),
        lazy("visitors of the version / visitors of the browser or system"),
        group="clients",
    ),
    "attendance": Definition(
        lazy("Attendance of a day"),
        lazy("Visitors of a day, compared with the day that had most of them."),
        lazy("visitors of the day / visitors of the best day"),
        group="clients",
    ),
    "opensShare": Definition(
        lazy("Share of the opens"),
        lazy("Which share of all opens came from this kind of system, device or browser."),
        lazy("opens of the row / all opens"),
        group="clients",
    ),
    "subscribers": Definition(
        lazy("Subscribers"), lazy("People who subscribed at the end of the time shown."), group="services"
    ),
    "subscriptions": Definition(
        lazy("Subscriptions"), lazy("How often somebody subscribed in the time shown."), group="services"
    ),
    "unsubscriptions": Definition(
        lazy("Unsubscriptions"),
        lazy("How often somebody left in the time shown, or the validity of a subscription ended."),
        group="services",
    ),
    "evolution": Definition(
        lazy("Evolution"),
        lazy("By how many the service grew; the share is of the subscribers."),
        lazy("subscriptions − unsubscriptions"),
        group="services",
    ),
    "loyalty": Definition(
        lazy("Loyalty"),
        lazy("Which share stayed, of all that could have left."),
        lazy("1 − unsubscriptions / (subscribers + subscriptions − unsubscriptions)"),
        group="services",
    ),
    "sentOnDomain": Definition(
        lazy("Sent"), lazy("Messages to this domain that arrived. The rates of the row are shares of them.")
    ),
}
DEFINITIONS: Mapping[str, Definition | tracking.Definition] = {**_OWN, **tracking.DEFINITIONS}
"""By the name that reports give each number; those of indicators are the product's."""
