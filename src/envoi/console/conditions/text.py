"""Conditions as the text of a form's field."""

import json
from typing import Any, cast

from django.utils.translation import gettext as _

from envoi.console.conditions import rows, translating
from envoi.console.conditions.rows import Group
from envoi.kernel import registry
from envoi.kernel.errors import Invalid
from envoi.kernel.expression import parse
from envoi.kernel.query import Condition, QueryDef, from_json, to_json
from envoi.kernel.registry import Registry

LONGEST = 200_000


def read(text: str, *, within: Registry | None = None) -> tuple[Condition, ...]:
    """Return the conditions that a text says: what `write` gives, the rows of an editor, or an expression.

    `within` are the schemas in which rows are looked up, by default the installed ones. Raises Invalid with
    the place for what is none of these, and for a row without its value.
    """
    text = text.strip()
    if not text:
        return ()
    if not text.startswith(("{", "[{", "[]")):
        parse(text)
        return (Condition(expr=text),)
    document = _document(text)
    if isinstance(document, dict) and "rows" in document:
        found = cast("dict[str, Any]", document)
        known = within or registry.current()
        schema = known[str(found.get("schema", ""))]
        return translating.conditions_of(rows.from_document(found), schema, known)
    where = document if isinstance(document, dict) else {"condition": document}
    return from_json({"schema": "x", "where": where}).where


def rows_in(text: str, schema: str, *, within: Registry | None = None) -> Group:
    """Return the rows that a text says, also such as have no value yet. Raises as `read` does."""
    known = within or registry.current()
    text = text.strip()
    if text.startswith("{"):
        document = _document(text)
        if isinstance(document, dict) and "rows" in document:
            return rows.from_document(cast("dict[str, Any]", document))
    return translating.rows_of(read(text, within=known), known[schema], known)


def of_rows(group: Group, schema: str, *, within: Registry | None = None) -> str:
    """Return the text of rows: that of their conditions when those say all, else the rows themselves."""
    known = within or registry.current()
    try:
        conditions = translating.conditions_of(group, known[schema], known)
        if translating.rows_of(conditions, known[schema], known) == group:
            return write(conditions)
    except Invalid:
        pass
    return json.dumps({"schema": schema, **rows.to_document(group)}, ensure_ascii=False)


def write(conditions: tuple[Condition, ...]) -> str:
    """Return the text of conditions, empty for none: `{"condition": […]}` as query definitions have it."""
    if not conditions:
        return ""
    return json.dumps(to_json(QueryDef("x", where=conditions))["where"], ensure_ascii=False)


def _document(text: str) -> object:
    if len(text) > LONGEST:
        raise Invalid(_("The conditions are too long."))
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        at = f" ({error.lineno}:{error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        raise Invalid(_("These conditions cannot be read%(at)s.") % {"at": at}) from error
