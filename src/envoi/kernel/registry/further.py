"""Schemas that packages make of rows of theirs, such as the logs of a target mapping: they come and go with
these rows, and no model declares them.

A package registers at import what reads its rows (`brings`), and calls `changed` in the transaction that
changes them; every process then reads anew.
"""

import logging
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from django.db import connection

from envoi.kernel.registry.schema import Link, Registry, Schema

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Further:
    """A schema, and the ways to it from others: (schema, link). A name that is taken there is left out."""

    schema: Schema
    ways: tuple[tuple[str, Link], ...] = ()


Source = Callable[[Registry], Iterable[Further]]
"""Reads the rows of now and returns their schemas; the registry holds what is declared and added."""
_sources: list[Source] = []


def brings(source: Source) -> Source:
    """Register a source; a decorator."""
    if source not in _sources:
        _sources.append(source)
    return source


def join(registry: Registry) -> Registry:
    """Return the registry with what the sources bring. What is declared wins over a name that is brought."""
    schemas = dict(registry.schemas)
    for source in _sources:
        for each in source(registry):
            if each.schema.name in schemas:
                logger.debug("%s is declared already", each.schema.name)
                continue
            schemas[each.schema.name] = each.schema
            for name, way in each.ways:
                at = schemas[name]
                if way.name not in at.links and way.name not in at.attributes:
                    schemas[name] = replace(at, links={**at.links, way.name: way})
    return Registry(schemas)


def changed() -> None:
    """Have every process read anew once the caller's transaction has committed."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE xtk_schema_stamp SET stamp = %s WHERE stamp_id = 1", [uuid.uuid4()])
