"""What an actor may write: which attributes, in which rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.utils.translation import gettext as _

from envoi.kernel import folders, registry
from envoi.kernel.errors import NotAllowed, NotFound
from envoi.kernel.folders import Access
from envoi.kernel.hooks import Hook
from envoi.kernel.models import Folder
from envoi.kernel.query.scope import quoted
from envoi.kernel.registry import Attribute, Schema, Type
from envoi.kernel.rights import Actor, Right

PLATFORM = frozenset({"kernel", "engine"})
"""What these hold is written through services alone: a generated statement knows no life cycle."""
STAMPS = ("created_at", "created_by", "created_by_id", "modified_at", "modified_by", "modified_by_id")
"""Columns that the write itself fills in."""


@dataclass(frozen=True)
class Writer:
    """How an entity is written through its service. What is None cannot be done.

    `insert(values, actor)` returns the key, `update(key, values, actor)` and `remove(key, actor)` return
    nothing. Values are typed by their attributes; each audits for itself, raises Refused, and never commits.
    """

    fields: frozenset[str] = frozenset()
    """Attributes that an update takes; an insert takes `fields` and `first`."""
    first: frozenset[str] = frozenset()
    """Attributes that are said once, when the row is made."""
    insert: Callable[[Mapping[str, Any], Actor], int] | None = None
    update: Callable[[int, Mapping[str, Any], Actor], None] | None = None
    remove: Callable[[int, Actor], None] | None = None


writers: Hook[[], Mapping[str, Writer]] = Hook("writers")
"""Schema name to its writer. `Writer()` makes an entity read-only."""


Preparer = Callable[[Mapping[str, Any], int | None, Actor], dict[str, Any]]
preparers: Hook[[], Mapping[str, Preparer]] = Hook("preparers")
"""Schema name to what brings typed values into the form in which the entity keeps them (an e-mail address in
small letters). It is called with the values by attribute, the key of the row (None for a new row, and for a
set of rows) and the actor; raises WrongValues.
"""


def writer_of(schema: Schema) -> Writer | None:
    """Return the writer of a schema; None when generated SQL may write it."""
    for answer in writers.ask():
        if schema.name in answer:
            return answer[schema.name]
    return Writer() if schema.package in PLATFORM else None


def writable(schema: Schema, *, actor: Actor, creating: bool = False) -> dict[str, Attribute]:
    """Return the attributes that an actor may set in a row, by name; empty when it may write none."""
    writer = writer_of(schema)
    if not _allowed(schema, actor) or (
        writer is not None and (writer.insert if creating else writer.update) is None
    ):
        return {}
    found = {each.name: each for each in schema.attributes.values() if _is_written(schema, each, actor)}
    if writer is not None:
        taken = writer.fields | writer.first if creating else writer.fields
        found = {name: each for name, each in found.items() if name in taken}
    return found


def may_create(schema: Schema, *, actor: Actor) -> bool:
    """Return whether the actor may make rows of a schema, in some folder."""
    return bool(writable(schema, actor=actor, creating=True))


def may_write(schema: Schema, key: int, *, actor: Actor) -> bool:
    """Return whether the actor may change one row."""
    return bool(writable(schema, actor=actor)) and key in within(schema, [key], actor, Access.WRITE)


def may_remove(schema: Schema, key: int, *, actor: Actor) -> bool:
    """Return whether the actor may delete one row, as far as rights go."""
    writer = writer_of(schema)
    if not _allowed(schema, actor) or (writer is not None and writer.remove is None):
        return False
    return key in within(schema, [key], actor, Access.DELETE)


def require_schema(schema: Schema, actor: Actor, *, to: str) -> None:
    """Raise NotAllowed when the actor may write no row of a schema, wherever it lies."""
    if schema.reading:
        actor.require(Right(schema.reading), to=to)
    if schema.writing:
        actor.require(Right(schema.writing), to=to)
    elif schema.folder is None:
        # No right and no folder guards its rows: administrators alone.
        actor.require(Right.ADMINISTRATION, to=to)


def require_row(schema: Schema, key: int, actor: Actor, access: Access) -> None:
    """Raise NotFound for a row that the actor does not see, NotAllowed where its folder forbids `access`."""
    if key not in within(schema, [key], actor, Access.READ):
        raise NotFound(
            _("There is no %(schema)s with the number %(key)s, or you have no right to see it.")
            % {"schema": registry.translate(schema.singular), "key": key}
        )
    if key not in within(schema, [key], actor, access):
        raise NotAllowed(
            _(
                "%(actor)s may not change what lies in this folder. An administrator can give "
                "that right on the folder."
            )
            % {"actor": actor.name}
        )


def require_folder(schema: Schema, folder_id: int, actor: Actor) -> Folder:
    """Return the folder that a row is to lie in. Raises NotFound, NotAllowed without the right to write."""
    folder = folders.readable_folders(actor).filter(folder_id=folder_id).first()
    if folder is None:
        raise NotFound(_("There is no folder with the number %(key)s.") % {"key": folder_id})
    folders.require(actor, folder, Access.WRITE)
    return folder


def within(schema: Schema, keys: Sequence[int], actor: Actor, access: Access) -> set[int]:
    """Return those of the keys whose rows exist and lie where the actor has `access`."""
    params: dict[str, Any] = {"keys": list(keys)}
    bound = restriction(schema, "t", actor, access, params)
    key = quoted(schema.key[0])
    sql = f"SELECT t.{key} FROM {quoted(schema.table)} t WHERE t.{key} = ANY(%(keys)s) AND {bound}"  # noqa: S608 quoted
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return {key for (key,) in cursor.fetchall()}


def restriction(schema: Schema, alias: str, actor: Actor, access: Access, params: dict[str, Any]) -> str:
    """Return the condition under which the actor has `access` to a row, its values added to `params`."""
    if schema.folder is None or (actor.is_administrator and actor.root_path == "/"):
        return "true"
    allowed = folders.allowed(actor, access)
    names: list[str] = []
    for value in allowed.params:
        name = f"{access.value}{len(names)}"
        params[name] = value
        names.append(f"%({name})s")
    inner = allowed.sql % tuple(names)
    schemas, at = registry.current(), schema
    steps: list[tuple[Schema, str]] = []  # from which schema, by which of its columns
    for step in schema.folder:
        link = at.links[step]
        steps.append((at, link.join[0][0]))
        at = schemas[link.target]
    if not steps:
        return f"{alias}.{quoted(schema.key[0])} IN ({inner})"
    for above, own in reversed(steps[1:]):
        inner = f"SELECT {quoted(above.key[0])} FROM {quoted(above.table)} WHERE {quoted(own)} IN ({inner})"  # noqa: S608 quoted
    return f"{alias}.{quoted(steps[0][1])} IN ({inner})"


def _allowed(schema: Schema, actor: Actor) -> bool:
    try:
        require_schema(schema, actor, to="")
    except NotAllowed:
        return False
    return len(schema.key) == 1


def _is_written(schema: Schema, each: Attribute, actor: Actor) -> bool:
    return (
        bool(each.column)
        and not each.read_only
        and each.column not in schema.key
        and each.column not in STAMPS
        and each.type is not Type.UUID
        and (not each.right or actor.has(Right(each.right)))
    )
