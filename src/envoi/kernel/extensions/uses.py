"""What uses a field, a link or a whole table: asked before it is taken away.

Expressions are texts in many places, so this looks for the name and rather tells too much than too little.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from django.db import connection
from django.utils.translation import gettext as _
from psycopg.sql import SQL, Identifier

from envoi.kernel import registry
from envoi.kernel.hooks import Hook
from envoi.kernel.models import AddedTable, CustomIndicator, Folder, SavedView
from envoi.kernel.registry import Schema

COUNTED = 100_000
"""Rows with a value are counted up to here."""


@dataclass(frozen=True)
class Member:
    """What is asked about: a member of a schema, or the schema itself when `name` is empty."""

    schema: str
    name: str = ""
    link: bool = False

    def in_text(self, text: str) -> bool:
        """Return whether an expression, or any text with one in it, speaks of it."""
        return self._pattern().search(text) is not None

    def in_document(self, document: object) -> bool:
        """Return whether any text of a JSON document speaks of it."""
        return any(self.in_text(each) for each in _texts(document))

    @property
    def word(self) -> str:
        """What a text must have in it to speak of it; a first sieve in SQL."""
        return self.name or self.schema

    def _pattern(self) -> re.Pattern[str]:
        if not self.name:
            return re.compile(rf"(?<![\w:]){re.escape(self.schema)}(?![\w:])")
        name = re.escape(self.name)
        if self.link:
            return re.compile(rf"(?<![\w@-]){name}(?=[/\]])|@{name}-id(?![\w-])|^{name}$")
        return re.compile(rf"@{name}(?![\w-])")


@dataclass(frozen=True)
class Use:
    """One place: what kind of thing it is, in the reader's language, and what it is called."""

    kind: str
    name: str


schema_uses: Hook[[Member], Sequence[Use]] = Hook("schema_uses")
"""Where a member of a schema, or a whole schema, is spoken of, besides the places of the kernel itself."""


def uses(member: Member) -> list[Use]:
    """Return every place that speaks of a member or a schema."""
    answers = (use for answer in schema_uses.ask(member) for use in answer)
    found = [*_schemas(member), *_kept(member), *answers]
    return list(dict.fromkeys(found))


def rows_with(schema: Schema, column: str, default: Any) -> int:
    """Return how many rows say something else than the default in a column, counted up to `COUNTED`."""
    sql = SQL(
        "SELECT count(*) FROM (SELECT 1 FROM {table} WHERE {column} IS NOT NULL"
        " AND {column} IS DISTINCT FROM %s LIMIT %s) q"
    )
    with connection.cursor() as cursor:
        statement = sql.format(table=Identifier(schema.table), column=Identifier(column))
        cursor.execute(statement, [default, COUNTED])  # type: ignore[arg-type]
        row = cursor.fetchone()
    return int(row[0]) if row else 0


def _schemas(member: Member) -> Iterator[Use]:
    """Yield computed attributes, links and keys of other schemas."""
    for schema in registry.current():
        for each in schema.attributes.values():
            if each.expr and member.in_text(each.expr):
                yield Use(_("Computed attribute"), f"{schema.name} {each.xpath}")
        if not member.name and schema.name != member.schema:
            for link in schema.links.values():
                if link.target == member.schema and not link.collection:
                    yield Use(_("Link"), f"{schema.name} {link.name}")
    if member.name:
        table = AddedTable.objects.filter(name=member.schema).first()
        keys = cast("dict[str, list[str]]", table.keys) if table else {}
        for name, parts in keys.items():
            if member.name in parts:
                yield Use(_("Key"), f"{member.schema} {name}")


def _kept(member: Member) -> Iterator[Use]:
    """Yield what operators keep in the kernel's own tables."""
    for view in SavedView.objects.all():
        own = not member.name and view.schema == member.schema
        if own or member.in_document([view.columns, view.filter, f"[{view.sort}]", view.sort]):
            yield Use(_("Saved view"), f"{view.schema} {view.name}")
    for folder in Folder.objects.filter(is_view=True):
        if member.in_document(folder.view_filter):
            yield Use(_("View"), folder.path)
    schema = registry.current().schemas.get(member.schema)
    table = schema.table if schema else ""
    column = _column(schema, member) if schema and member.name else ""
    for indicator in CustomIndicator.objects.all():
        if table and _word(table, indicator.sql) and (not column or _word(column, indicator.sql)):
            yield Use(_("Own indicator"), indicator.name)


def _column(schema: Schema, member: Member) -> str:
    name = f"{member.name}-id" if member.link else member.name
    attribute = schema.attributes.get(name)
    return attribute.column if attribute else ""


def _word(word: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE) is not None


def _texts(document: object) -> Iterator[str]:
    """Yield every text of a JSON document, names included."""
    waiting = [document]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, dict):
            for name, value in cast("dict[str, Any]", each).items():
                waiting += [name, value]
        elif isinstance(each, (list, tuple)):
            waiting += cast("list[object]", each)
