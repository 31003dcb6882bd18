"""What delivery brings to the console: addresses, pages under the words, folders, forms."""

from django.urls import include, path, reverse
from django.utils.translation import gettext_lazy as lazy

from envoi.console.folder_kinds import FolderKind
from envoi.console.hooks import Pages, pages
from envoi.console.navigation import Entry, Word
from envoi.console.records.form import Form, Section, Tab
from envoi.kernel.rights import Right
from envoi.packages.delivery.console import (
    calendar,
    delivery_tabs,
    inbound,
    mailbox,
    mx_rules,
    qualification,
    quarantine,
    sending_addresses,
    sending_domains,
    suppression,
    typologies,
)
from envoi.packages.delivery.models import Recipient

_IMPORT = frozenset({Right.RECIPIENT_IMPORT, Right.IMPORT})
_PREPARE = frozenset({Right.PREPARE_DELIVERIES})
_ADMINISTER = frozenset({Right.ADMINISTRATION})
_SEND = frozenset({Right.PREPARE_DELIVERIES, Right.START_DELIVERIES})
_PERSON = (
    Section(
        lazy("Person"),
        ("salutation", "firstName", "middleName", "lastName", "company", "birthDate", "gender", "language"),
    ),
    Section(lazy("Contact"), ("email", "emailFormat", "mobilePhone", "phone", "fax")),
    Section(
        lazy("Postal address"),
        (
            "location/address1",
            "location/address2",
            "location/address3",
            "location/address4",
            "location/zipCode",
            "location/city",
            "location/stateCode",
            "location/countryCode",
        ),
    ),
    Section(
        lazy("No longer contact"),
        (
            "blackList",
            "blackListEmail",
            "blackListMobile",
            "blackListPhone",
            "blackListPostalMail",
            "blackListFax",
        ),
    ),
    Section(lazy("More"), ("account", "origin", "image", "text1", "text2", "text3")),
)


@pages.answer
def own_pages() -> Pages:
    """Return the pages of profiles, lists, services and the suppression list."""
    return Pages(
        urls=(path("", include("envoi.packages.delivery.console.urls")),),
        entries=(
            Entry(Word.DELIVERIES, lazy("All deliveries"), "delivery:deliveries", position=0),
            Entry(Word.DELIVERIES, lazy("Approvals"), "delivery:approvals", position=5),
            Entry(Word.DELIVERIES, lazy("New delivery"), "delivery:new-delivery", _PREPARE, position=5),
            Entry(Word.DELIVERIES, lazy("Calendar"), "delivery:calendar", position=10),
            Entry(Word.DELIVERIES, lazy("Typologies"), "delivery:typologies", position=60),
            Entry(Word.REPORTS, lazy("Deliveries"), "delivery:reports", position=0),
            Entry(Word.REPORTS, lazy("Subscription tracking"), "delivery:subscriptions-reports", position=20),
            Entry(Word.REPORTS, lazy("What the numbers mean"), "delivery:indicators", position=40),
            Entry(Word.REPORTS, lazy("Delivery throughput"), "delivery:throughput", position=10),
            *(
                [Entry(Word.DELIVERIES, lazy("Mailbox"), "delivery:mailbox", _PREPARE, position=90)]
                if mailbox.shown()
                else []
            ),
            Entry(Word.MONITORING, lazy("Health of sending"), "delivery:health", _SEND, position=20),
            Entry(Word.DELIVERIES, lazy("Non deliverables"), "delivery:quarantine", position=60),
            Entry(Word.DELIVERIES, lazy("Qualification"), "delivery:qualification", position=70),
            Entry(Word.DELIVERIES, lazy("Inbound mails"), "delivery:inbound-mails", _PREPARE, position=80),
            Entry(Word.PROFILES, lazy("Recipients"), "delivery:recipients", position=0),
            Entry(Word.PROFILES, lazy("Lists"), "delivery:lists", position=10),
            Entry(Word.PROFILES, lazy("Services"), "delivery:services", position=20),
            Entry(Word.PROFILES, lazy("Reader pages"), "delivery:reader-pages", _PREPARE, position=30),
            Entry(Word.PROFILES, lazy("Web tracking"), "delivery:web-tracking", _ADMINISTER, position=40),
            Entry(Word.PROFILES, lazy("Imports"), "delivery:imports", _IMPORT, position=70),
            Entry(Word.PROFILES, lazy("Suppression list"), "delivery:suppression", position=80),
        ),
        folders={
            "nms:suppression": FolderKind(suppression.folder_page, "shield"),
            "nms:address": FolderKind(quarantine.folder_page, "shield"),
            "nms:broadLogMsg": FolderKind(qualification.folder_page, "list"),
            "nms:inboundMail": FolderKind(inbound.folder_page, "mail"),
            "nms:sendingDomain": FolderKind(sending_domains.folder_page, "key"),
            "nms:ip": FolderKind(sending_addresses.folder_page, "xfer"),
            "nms:mxRule": FolderKind(mx_rules.folder_page, "late"),
            "nms:typology": FolderKind(typologies.folder_page, "filter"),
        },
        forms={
            "nms:recipient": Form(
                sections=_PERSON,
                columns=(
                    Recipient.SCHEMA.text,
                    "@email",
                    "@mobilePhone",
                    "[location/@city]",
                    "[country/@label]",
                    "@lastModified",
                ),
                tabs=(Tab(lazy("Profile"), "delivery:recipient"),),
                page=lambda key: reverse("delivery:recipient", args=[key]),
            ),
            "nms:visitor": Form(sections=_PERSON),
            "nms:typology": Form(page=lambda key: reverse("delivery:typology", args=[key])),
            "nms:typologyRule": Form(page=lambda key: reverse("delivery:typology-rule", args=[key])),
            "nms:seedMember": Form(sections=_PERSON),
            "nms:group": Form(
                tabs=(Tab(lazy("Members"), "delivery:list"),),
                page=lambda key: reverse("delivery:list", args=[key]),
            ),
            "nms:delivery": Form(
                tabs=(Tab(lazy("Dashboard"), "delivery:delivery"),),
                columns=(
                    "@label",
                    "@state",
                    "@messageType",
                    "[properties/@toDeliver]",
                    "[indicators/@processed]",
                    "@successRate",
                    "[scheduling/@contactDate]",
                ),
                sort="-@id",
                faces={"state": delivery_tabs.face},
                filters=calendar.ready_filters(),
                hidden=frozenset({"targeting"}),
                page=lambda key: reverse("delivery:delivery", args=[key]),
            ),
            "nms:service": Form(
                tabs=(Tab(lazy("Subscribers"), "delivery:service"),),
                page=lambda key: reverse("delivery:service", args=[key]),
            ),
        },
    )
