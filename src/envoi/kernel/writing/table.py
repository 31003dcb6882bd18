"""What PostgreSQL and Django know of a table beyond its schema: which columns must have a value, and which
one they get.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db import connection, models

from envoi.kernel.registry import Schema


@dataclass(frozen=True)
class Column:
    """One column. `type` is PostgreSQL's own name of it, for casts."""

    type: str
    required: bool
    """It may not be NULL, and has no default in the database."""
    nullable: bool
    generated: bool


def columns(schema: Schema) -> dict[str, Column]:
    """Return the columns of a schema's table as they are now."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT attname, format_type(atttypid, NULL), attnotnull, atthasdef OR attidentity <> '',
                 attgenerated <> ''
               FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped""",
            [schema.table],
        )
        return {
            name: Column(kind, must and not given, not must, generated)
            for name, kind, must, given, generated in cursor.fetchall()
        }


def model_of(schema: Schema) -> type[models.Model] | None:
    """Return the Django model of a schema; None for one that was made at run time."""
    for model in apps.get_models():
        if model._meta.db_table == schema.table and "SCHEMA" in vars(model):
            return model
    return None


def defaults(schema: Schema) -> Mapping[str, Any]:
    """Return column -> the value that the model gives to a row that says nothing of it."""
    model = model_of(schema)
    if model is None:
        return {}
    return {
        str(each.column): each.get_default()
        for each in model._meta.concrete_fields
        if each.default is not models.NOT_PROVIDED or each.blank
    }
