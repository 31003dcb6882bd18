"""What an instance has added to its schemas at run time: read from its rows, joined to what models declare.

The registry is imported by the models, so the rows are read by SQL here; `kernel.extensions` writes them.
"""

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from django.db import connection

from envoi.kernel.registry.schema import Attribute, Enumeration, EnumValue, Link, Registry, Schema
from envoi.kernel.registry.types import Type

logger = logging.getLogger(__name__)
# One statement, so that stamp and rows are of one moment.
_READ = """\
SELECT s.stamp::text,
    (SELECT coalesce(json_agg(t ORDER BY t.added_table_id), '[]') FROM xtk_added_table t),
    (SELECT coalesce(json_agg(f ORDER BY f.added_field_id), '[]') FROM xtk_added_field f)
FROM xtk_schema_stamp s WHERE s.stamp_id = 1"""
_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_TRUTHS = {"true": True, "1": True, "false": False, "0": False}
_WHOLE = (Type.BYTE, Type.SHORT, Type.LONG, Type.INT64, Type.TIMESPAN)


@dataclass(frozen=True)
class Added:
    """All rows of one moment, as columns to values."""

    stamp: str
    tables: tuple[Mapping[str, Any], ...] = ()
    fields: tuple[Mapping[str, Any], ...] = ()


def stamp() -> str:
    """Return what is another text after each change; "" when nothing can have been added."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT stamp::text FROM xtk_schema_stamp WHERE stamp_id = 1")
        row = cursor.fetchone()
    return row[0] if row else ""


def read() -> Added:
    """Return what has been added until now."""
    with connection.cursor() as cursor:
        cursor.execute(_READ)
        row = cursor.fetchone()
    return Added(row[0], tuple(_list(row[1])), tuple(_list(row[2]))) if row else Added("")


def _list(value: Any) -> list[dict[str, Any]]:
    return json.loads(value) if isinstance(value, str) else value


def join(declared: Registry, added: Added) -> Registry:
    """Return a registry with both.

    What is declared wins over what was added under the same name, and what belongs to a package that is not
    installed is left out: neither may keep a process from starting.
    """
    schemas: dict[str, Schema] = dict(declared.schemas)
    for row in added.tables:
        if row["name"] in schemas:
            logger.warning("the added table %s is declared by a package and left out", row["name"])
            continue
        schemas[row["name"]] = _table(row)
    for row in added.fields:
        schema = schemas.get(row["schema"])
        if schema is not None:
            _field(schemas, schema, row)
    for row in added.tables:
        if row["parent"] and row["name"] in schemas:
            parents = {each["name"]: each["parent"] for each in added.tables}
            schemas[row["name"]] = _under(schemas, row["name"], parents)
    return Registry(schemas)


def _table(row: Mapping[str, Any]) -> Schema:
    key = key_column(row["name"])
    return Schema(
        name=row["name"],
        table=row["table_name"],
        package="",
        label=row["label"],
        singular=row["singular"],
        key=(key,),
        attributes={"id": Attribute("id", Type.INT64, "Primary key", column=key, runtime=True)},
        links={},
        text="@id",
        keys={name: tuple(parts) for name, parts in row["keys"].items()},
        place=f"the added table {row['name']}",
        extensible=True,
        runtime=True,
    )


def _field(schemas: dict[str, Schema], schema: Schema, row: Mapping[str, Any]) -> None:
    """Put one field or link into its schema, and a link's way back into its target."""
    attribute = attribute_of(row)
    name = row["name"]
    if attribute.name in schema.attributes or name in schema.links:
        logger.warning("the added %s of %s is declared by a package and left out", name, schema.name)
        return
    attributes = {**schema.attributes, attribute.name: attribute}
    if not row["target"]:
        named = schema.runtime and (name == "label" or (name == "name" and schema.text == "@id"))
        text = f"@{name}" if named else schema.text
        schemas[schema.name] = replace(schema, attributes=attributes, text=text)
        return
    schemas[schema.name] = schema = replace(schema, attributes=attributes)
    target = schemas.get(row["target"])
    if target is None:
        return
    back = row["reverse"] if row["reverse"] not in target.links else ""
    join = ((row["column_name"], target.key[0]),)
    way = Link(name, target.name, join, row["label"], reverse=back, runtime=True)
    schemas[schema.name] = replace(schema, links={**schema.links, name: way})
    if back:
        target = schemas[target.name]
        turned = tuple((there, here) for here, there in join)
        home = Link(back, schema.name, turned, schema.label, collection=True, reverse=name, runtime=True)
        schemas[target.name] = replace(target, links={**target.links, back: home})


def attribute_of(row: Mapping[str, Any]) -> Attribute:
    """Return the attribute that a row of `xtk_added_field` makes."""
    kind, said = Type(row["type"]), row["enumeration"]
    return Attribute(
        name=f"{row['name']}-id" if row["target"] else row["name"],
        type=kind,
        label=row["label"],
        column=row["column_name"],
        length=row["length"],
        enumeration=None if said is None else enumeration(kind, said),
        list_name=row["list_name"],
        default=None if row["default"] is None else constant(kind, row["default"]),
        runtime=True,
    )


def enumeration(kind: Type, said: Mapping[str, Any]) -> Enumeration:
    """Return the enumeration that is kept as {"name": …, "values": [{"value", "name", "label"}]}."""
    values = tuple(EnumValue(each["value"], each["name"], each["label"]) for each in said["values"])
    return Enumeration(said["name"], kind, values)


def constant(kind: Type, text: str) -> Any:
    """Return the Python value of a default that is kept as text. Raises ValueError for what is none."""
    if kind is Type.BOOLEAN:
        if (word := text.strip().lower()) not in _TRUTHS:
            raise ValueError(text)
        return _TRUTHS[word]
    if kind in _WHOLE:
        return int(text)
    if kind in (Type.FLOAT, Type.DOUBLE):
        return float(text)
    if kind is Type.DATE:
        return date.fromisoformat(text)
    if kind is Type.DATETIME:
        return datetime.fromisoformat(text)
    return text


def key_column(name: str) -> str:
    """Return the primary key's column of an added table: `cus:loyaltyCard` has loyalty_card_id."""
    return f"{snake(name.partition(':')[2])}_id"


def snake(name: str) -> str:
    """Return `internalName` as `internal_name`, `customerID` as `customer_id`."""
    return _WORD.sub("_", name).lower()


def _under(
    schemas: Mapping[str, Schema], name: str, parents: Mapping[str, str], seen: tuple[str, ...] = ()
) -> Schema:
    """Return an added table with the folders and the rights of what the link named its parent leads to."""
    schema = schemas[name]
    link = schema.links.get(parents.get(name, ""))
    if link is None or name in seen:
        return schema
    target = schemas[link.target]
    if target.runtime:
        target = _under(schemas, target.name, parents, (*seen, name))
    folder = None if target.folder is None else (link.name, *target.folder)
    return replace(schema, folder=folder, reading=target.reading, writing=target.writing)
