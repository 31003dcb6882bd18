"""Hits of one delivery, row by row, newest first, as its tracking log tells them.

Rows are read through the registry, so that nobody sees a hit of a profile that they may not see. Pages go
along the index (run, id).
"""

from dataclasses import dataclass
from datetime import datetime

from envoi.kernel import query, registry
from envoi.kernel.query import Condition, Field, QueryDef
from envoi.kernel.rights import Actor
from envoi.packages.delivery.models import Delivery
from envoi.packages.delivery.services.reports.scope import Scope

MAKERS = {"readers": "@automatic <= 0", "machines": "@automatic > 0"}
"""Who made it -> condition."""


@dataclass(frozen=True)
class HitRow:
    """One hit: on whose message, on which link, when, with what; `automatic` is a code of `Automatic`."""

    id: int
    target: int
    address: str
    url: int
    type: int
    at: datetime
    automatic: int
    browser: str
    os: str


def schema_of(delivery: Delivery) -> str:
    """Return the name of the schema of a delivery's tracking log; empty when the registry has none."""
    name = delivery.mapping.tracking_log_schema
    return name if name and name in registry.fresh() else ""


def read(
    delivery: Delivery,
    scope: Scope,
    *,
    actor: Actor,
    most: int,
    maker: str = "",
    url: int | None = None,
    before: int | None = None,
) -> tuple[list[HitRow], int | None]:
    """Return a page of hits, and the id before which the next one begins."""
    name = schema_of(delivery)
    runs = [number for numbers in scope.runs.values() for number in numbers]
    if not name or not runs:
        return [], None
    schema = registry.fresh()[name]
    target = next(each for each in schema.attributes.values() if each.column == "target_id")
    link = next(
        (key for key, each in schema.links.items() if each.join and each.join[0][0] == "target_id"), ""
    )
    person = registry.fresh()[schema.links[link].target] if link else None
    address = f"[{link}/@email]" if person is not None and "email" in person.attributes else "''"
    where = [
        Condition(conditions=tuple(Condition(f"[@run-id] = {number}", operator="OR") for number in runs))
    ]
    if maker in MAKERS:
        where.append(Condition(MAKERS[maker]))
    if url is not None:
        where.append(Condition(f"[@url-id] = {url}"))
    if before is not None:
        where.append(Condition(f"@id < {before}"))
    select = (
        "@id", target.xpath, address, "[@url-id]", "@type", "@logDate", "@automatic",
        "[userAgent/@browser]", "[userAgent/@os]",
    )  # fmt: skip
    rows = query.run(
        QueryDef(
            name,
            select=tuple(Field(each) for each in select),
            where=tuple(where),
            order_by=(Field("@id", descending=True),),
            line_count=most + 1,
        ),
        actor=actor,
    ).rows
    found = [
        HitRow(row[0], row[1], row[2] or "", row[3], row[4], row[5], row[6], row[7] or "", row[8] or "")
        for row in rows[:most]
    ]
    return found, found[-1].id if len(rows) > most else None
