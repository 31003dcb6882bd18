"""For how many of those whom a delivery is for a field of its content is empty."""

from collections.abc import Mapping

from envoi.engine import targeting as engine_targeting
from envoi.kernel import query
from envoi.kernel.query import Field, QueryDef
from envoi.kernel.rights import Actor
from envoi.packages.delivery.models import Delivery
from envoi.packages.delivery.services import file_target, variants
from envoi.packages.delivery.services.content import blocks, freezing, loops, reading, settings, templates
from envoi.packages.delivery.services.deliveries import targeting

MOST = 20
"""Fields that are counted."""


def count(delivery: Delivery, *, actor: Actor) -> tuple[int, Mapping[str, int]] | None:
    """Return how many the filter of a delivery finds, and of them how many lack each field, by one statement
    with the rights of the actor; None where the target is none of a filter (lists, files).

    Raises Invalid for a content or a target that is wrong, NotAllowed.
    """
    said = targeting.read(delivery.targeting, proof=delivery.fcp)
    if said.where is None or said.lists or said.table or file_target.concerns(delivery.mapping):
        return None
    sources = freezing.expanded(delivery, settings.read(delivery.content))
    if not delivery.variant:
        sources |= blocks.expanded(variants.parts(delivery))
    fields = reading.of_dimension(
        templates.fields(sources) - loops.of(sources).keys(), delivery.mapping, actor=actor
    )
    chosen = dict(sorted(fields.items())[:MOST])
    sums = [Field(_lacks(expr, text)) for expr, text in chosen.values()]
    found = query.run(
        QueryDef(
            delivery.mapping.schema,
            select=(Field("Count()"), *sums),
            where=said.where,
            line_count=engine_targeting.EVERY,
        ),
        actor=actor,
    ).rows[0]
    lacking = {path: int(value or 0) for path, value in zip(chosen, found[1:], strict=True)}
    return int(found[0]), {path: quantity for path, quantity in lacking.items() if quantity}


def _lacks(expr: str, text: bool) -> str:
    empty = f" or {expr} = ''" if text else ""
    return f"Sum(Iif({expr} IS NULL{empty}, 1, 0))"
