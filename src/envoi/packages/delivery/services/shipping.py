"""Plants the rows that delivery ships beside its seed files: countries and target mappings."""

import csv
from pathlib import Path
from typing import Any

from django.db import connection

from envoi.kernel import shipped
from envoi.packages.delivery.models import DeliveryMapping

DATA = Path(__file__).parent.parent / "data"
PACKAGE = "delivery"
_ADDRESSES = {
    "email": "@email",
    "mobile": "@mobilePhone",
    "phone": "@phone",
    "fax": "@fax",
    "postal": "[postalAddress/@addrDefined]",
    "language": "@language",
    "country": "[location/@countryCode]",
    "format": "@emailFormat",
}
_REFUSALS = {
    "blackList": "@blackList",
    "blackListEmail": "@blackListEmail",
    "blackListMobile": "@blackListMobile",
    "blackListPhone": "@blackListPhone",
    "blackListPostalMail": "@blackListPostalMail",
    "blackListFax": "@blackListFax",
}


def _behind(link: str, expressions: dict[str, str]) -> dict[str, str]:
    return {name: f"[{link}/{text.strip('[]')}]" for name, text in expressions.items()}


# name, label, French label, dimension, storage, link to the person, addresses
_MAPPINGS: tuple[tuple[str, str, str, str, str, str, dict[str, str]], ...] = (
    (
        "mapRecipient", "Recipients", "Destinataires", "nms:recipient", "rcp", "",
        {**_ADDRESSES, **_REFUSALS},
    ),
    ("mapVisitor", "Visitors", "Visiteurs", "nms:visitor", "visitor", "", _ADDRESSES),
    (
        "mapSubscribe", "Subscriptions", "Abonnements", "nms:subscription", "sub", "recipient",
        _behind("recipient", {**_ADDRESSES, **_REFUSALS}),
    ),
    (
        "mapVisitorSub", "Subscriptions of visitors", "Abonnements de visiteurs", "nms:visitorSub",
        "visitor_sub", "visitor", _behind("visitor", _ADDRESSES),
    ),
    ("mapService", "Services", "Services", "nms:service", "service", "", {}),
    ("mapOperator", "Operators", "Opérateurs", "xtk:operator", "operator", "", {"email": "@email"}),
    ("mapExternalFile", "External file", "Fichier externe", "", "file", "", {}),
)  # fmt: skip


def plant() -> list[str]:
    """Plant what is not there yet; return one line for each row that an operator's change kept as it was."""
    _plant_countries()
    return [line for each in _MAPPINGS for line in _plant_mapping(*each)]


def _plant_countries() -> None:
    """Countries are facts: those that are missing are added, what an operator changed stays."""
    with (DATA / "countries.tsv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO nms_country (iso_a2, iso_a3, iso_num, label, labels)
               SELECT iso_a2, iso_a3, iso_num, label,
                 jsonb_build_object('fr', fr, 'sv', sv, 'ko', ko, 'zh-hant', zh)
               FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
                 %s::text[]) AS shipped (iso_a2, iso_a3, iso_num, label, fr, sv, ko, zh)
               ON CONFLICT (iso_a2) DO NOTHING""",
            [
                [row[column] for row in rows]
                for column in ("iso_a2", "iso_a3", "iso_num", "en", "fr", "sv", "ko", "zh-hant")
            ],
        )


def _plant_mapping(
    name: str, label: str, french: str, schema: str, storage: str, path: str, addresses: dict[str, str]
) -> list[str]:
    from envoi.packages.delivery.services.mappings import log_schemas

    values: dict[str, Any] = {
        "label": label,
        "labels": {"fr": french},
        "schema": schema,
        "storage": storage,
        "recipient_path": path,
        "addresses": addresses,
        **log_schemas(storage),
    }
    row = DeliveryMapping.objects.filter(name=name).first()
    present = None if row is None else {field: getattr(row, field) for field in values}
    outcome = shipped.settle("nms:deliveryMapping", name, package=PACKAGE, values=values, present=present)
    if outcome in (shipped.Outcome.CREATE, shipped.Outcome.UPDATE):
        fields = {**values, "built_in": True, "package": PACKAGE}
        DeliveryMapping.objects.update_or_create(name=name, defaults=fields)
    return [f"nms:deliveryMapping {name}"] if outcome is shipped.Outcome.KEPT else []
