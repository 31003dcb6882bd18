"""Adding to the schemas and taking away, in one transaction each: rows, columns and the audit line."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from envoi.kernel import audit, reading, registry
from envoi.kernel.errors import Conflict, Invalid, NotFound
from envoi.kernel.extensions import ddl
from envoi.kernel.extensions.additions import (
    LONGEST_TEXT,
    Additions,
    Member,
    NewLink,
    NewTable,
    Prepared,
    checked_label,
    prepare,
)
from envoi.kernel.extensions.uses import Member as Asked
from envoi.kernel.extensions.uses import Use, rows_with, uses
from envoi.kernel.hooks import Hook
from envoi.kernel.locks import Lock, in_transaction
from envoi.kernel.models import AddedField, AddedTable, SchemaStamp
from envoi.kernel.registry import Registry
from envoi.kernel.registry.added import constant
from envoi.kernel.registry.types import Type
from envoi.kernel.rights import Actor, Right

ENTITY = "xtk:srcSchema"
"""Under this name the audit trail keeps what became of a schema."""


extended_together: Hook[[], Mapping[str, str]] = Hook("extended_together")
"""`()`: schema to the one that gets each field and link that is added to it, and loses them with it."""


@dataclass(frozen=True)
class Removal:
    """What taking something away means: the places that use it, and the rows that lose a value."""

    uses: tuple[Use, ...]
    rows: int
    """Counted up to `uses.COUNTED`."""
    with_it: tuple[str, ...] = ()
    """Links of other schemas that go with a table."""


def plan(additions: Additions, *, actor: Actor) -> Prepared:
    """Return what the additions come to, and write nothing. Raises as `add` does."""
    actor.require(Right.ADMINISTRATION, to=_("extend a schema"))
    known = registry.fresh()
    return prepare(_together(additions, known), known, actor=actor)


def add(additions: Additions, *, actor: Actor) -> Prepared:
    """Add fields, links and tables; every process knows them once the caller commits.

    Columns are nullable or have a constant, so the size of a table does not matter. A statement that finds
    its table in use waits for it in short tries, 30 s in all. Indexes of links in tables that exist are made
    later, by `indexes.make`. Raises NotAllowed without ADMINISTRATION; Invalid, NotFound or Conflict with
    the place.
    """
    actor.require(Right.ADMINISTRATION, to=_("extend a schema"))
    with transaction.atomic():
        in_transaction(Lock.SCHEMAS)
        known = registry.fresh()
        prepared = prepare(_together(additions, known), known, actor=actor)
        for table in prepared.tables:
            table.save(force_insert=True)
            audit.record(actor, ENTITY, table.name, audit.CREATED, detail={"table": table.table_name})
        for field in prepared.fields:
            field.save(force_insert=True)
        for name, fields in _by_schema(prepared.fields).items():
            said = {"added": [f"{each.name} ({each.target or each.type})" for each in fields]}
            audit.record(actor, ENTITY, name, audit.MODIFIED, detail=said)
        _stamp()
        for table in prepared.tables:
            ddl.create_table(table, prepared.fields_of(table.name))
        # Last of all: from here on the tables are closed to everyone else until the commit.
        known, made = registry.current(), {table.name for table in prepared.tables}
        changed = {name: fields for name, fields in _by_schema(prepared.fields).items() if name not in made}
        for name, fields in changed.items():
            ddl.add_columns(known[name].table, fields)
        if any(known[name].table in reading.PRIVATE for name in changed):
            reading.withhold()
    return prepared


def add_field(schema: str, field: Member, *, actor: Actor) -> AddedField:
    """Add one field or link. Raises as `add` does."""
    return add(Additions(members=((schema, field),)), actor=actor).fields[0]


def add_table(table: NewTable, *, actor: Actor) -> AddedTable:
    """Add one table. Raises as `add` does."""
    return add(Additions(tables=(table,)), actor=actor).tables[0]


def change_field(
    schema: str, name: str, *, actor: Actor, label: str = "", length: int | None = None
) -> AddedField:
    """Give an added field or link another label, and let a text be longer; what is not said stays.

    Raises NotAllowed without ADMINISTRATION, NotFound for what was not added here, Invalid for a label or a
    length that cannot be, Conflict for a shorter text or a busy table.
    """
    actor.require(Right.ADMINISTRATION, to=_("extend a schema"))
    with transaction.atomic():
        in_transaction(Lock.SCHEMAS)
        field = _field(schema, name)
        before = {"label": field.label, "length": field.length}
        if label:
            field.label = checked_label(label, f"{schema} {name}")
        wider = length is not None and length != field.length
        if wider:
            _check_length(field, length or 0)
            field.length = length
        after = {"label": field.label, "length": field.length}
        changed = {key: [before[key], after[key]] for key in before if before[key] != after[key]}
        if not changed:
            return field
        field.save(update_fields=("label", "length"))
        audit.record(actor, ENTITY, schema, audit.MODIFIED, detail={"changed": name, **changed})
        _stamp()
        at = registry.current().schemas.get(schema)
        if wider and at is not None:
            ddl.widen_column(at.table, field)
        if other := _companion(schema, name):
            change_field(other, name, actor=actor, label=label, length=length)
    return field


def _check_length(field: AddedField, length: int) -> None:
    place = f"{field.schema} {field.name}"
    if field.type != Type.STRING or field.target:
        raise Invalid(
            _("%(place)s: only a text has a length, not %(type)s.") % {"place": place, "type": field.type}
        )
    if length > LONGEST_TEXT:
        raise Invalid(
            _("%(place)s: a text has 1 to %(most)s characters; use a memo for more.")
            % {"place": place, "most": LONGEST_TEXT}
        )
    if length < (field.length or 0):
        raise Conflict(
            _("%(place)s has %(length)s characters and can only become longer: rows may fill them.")
            % {"place": place, "length": field.length}
        )


# --- taking away


def removal(schema: str, name: str = "", *, actor: Actor) -> Removal:
    """Return what it means to take away a field or a link, or a whole added table when no name is given.

    Raises NotAllowed without ADMINISTRATION, NotFound for what was not added at run time.
    """
    actor.require(Right.ADMINISTRATION, to=_("take away from a schema"))
    known = registry.fresh()
    if name:
        field = _field(schema, name)
        found = uses(Asked(schema, name, bool(field.target)))
        default = None if field.default is None else constant(Type(field.type), field.default)
        at = known.schemas.get(schema)
        return Removal(tuple(found), rows_with(at, field.column_name, default) if at else 0)
    _table(schema)
    links = AddedField.objects.filter(target=schema).exclude(schema=schema)
    gone = tuple(f"{each.schema} {each.name}" for each in links)
    return Removal(tuple(uses(Asked(schema))), rows_with(known[schema], known[schema].key[0], None), gone)


def remove_field(schema: str, name: str, *, actor: Actor, force: bool = False) -> None:
    """Take away a field or a link with its data.

    Raises NotAllowed, NotFound; Conflict while something uses it and `force` is not said, and always for the
    link by which the rows of a table lie in their folders.
    """
    actor.require(Right.ADMINISTRATION, to=_("take away from a schema"))
    with transaction.atomic():
        in_transaction(Lock.SCHEMAS)
        field = _field(schema, name)
        if AddedTable.objects.filter(name=schema, parent=name).exists():
            raise Conflict(
                _("By %(name)s the rows of %(schema)s lie in their folders. Take away the whole table.")
                % {"name": name, "schema": schema}
            )
        found = removal(schema, name, actor=actor)
        _refuse(f"{schema} {name}", found.uses, force)
        _take(field, actor, found.rows)
        _stamp()
        at = registry.current().schemas.get(schema)
        if at is not None:
            ddl.drop_column(at.table, field.column_name)
        if other := _companion(schema, name):
            remove_field(other, name, actor=actor, force=force)


def remove_table(name: str, *, actor: Actor, force: bool = False) -> None:
    """Take away an added table with its rows, and with `force` the added links that lead to it.

    Raises NotAllowed, NotFound; Conflict while something uses it and `force` is not said.
    """
    actor.require(Right.ADMINISTRATION, to=_("take away from a schema"))
    with transaction.atomic():
        in_transaction(Lock.SCHEMAS)
        table = _table(name)
        found = removal(name, actor=actor)
        _refuse(name, found.uses, force)
        known = registry.current()
        links = list(AddedField.objects.filter(target=name).exclude(schema=name))
        if parents := [each for each in links if _is_parent(each)]:
            raise Conflict(
                _("The rows of %(schema)s lie in their folders by %(name)s. Take away that table first.")
                % {"schema": parents[0].schema, "name": name}
            )
        for link in links:
            _take(link, actor, None)
        AddedField.objects.filter(schema=name).delete()
        table.delete()
        audit.record(
            actor, ENTITY, name, audit.DELETED, detail={"table": table.table_name, "rows": found.rows}
        )
        _stamp()
        for link in links:
            if link.schema in known:
                ddl.drop_column(known[link.schema].table, link.column_name)
        ddl.drop_table(table.table_name)


def _is_parent(link: AddedField) -> bool:
    return AddedTable.objects.filter(name=link.schema, parent=link.name).exists()


def _take(field: AddedField, actor: Actor, rows: int | None) -> None:
    """Delete the row of a field, its name in keys, and say so in the trail."""
    table = AddedTable.objects.filter(name=field.schema).first()
    if table is not None:
        # The index of a key goes with its column.
        table.keys = {name: parts for name, parts in table.keys.items() if field.name not in parts}
        table.save(update_fields=("keys",))
    said = {"removed": f"{field.name} ({field.target or field.type})"}
    detail = said if rows is None else {**said, "rows": rows}
    field.delete()
    audit.record(actor, ENTITY, field.schema, audit.MODIFIED, detail=detail)


def _refuse(what: str, found: Sequence[Use], force: bool) -> None:
    if found and not force:
        places = ", ".join(f"{each.kind} {each.name}" for each in found[:5])
        text = ngettext(
            "%(what)s is used in %(n)d place: %(places)s. Change it first, or force the removal.",
            "%(what)s is used in %(n)d places: %(places)s. Change them first, or force the removal.",
            len(found),
        )
        raise Conflict(text % {"what": what, "n": len(found), "places": places})


def _pairs() -> dict[str, str]:
    return {of: other for answer in extended_together.ask() for of, other in answer.items()}


def _together(additions: Additions, known: Registry) -> Additions:
    """Return the additions with those to the schemas that are extended together with others."""
    pairs = _pairs()
    said = {(schema, member.name) for schema, member in additions.members}
    more: list[tuple[str, Member]] = []
    for schema, member in additions.members:
        other = pairs.get(schema, "")
        at = known.schemas.get(other)
        if at is None or (other, member.name) in said:
            continue
        if member.name not in at.attributes and member.name not in at.links:
            more.append((other, replace(member, reverse="") if isinstance(member, NewLink) else member))
    return replace(additions, members=(*additions.members, *more))


def _companion(schema: str, name: str) -> str:
    """Return the schema that has an added field because another has it; empty for none."""
    other = _pairs().get(schema, "")
    return other if AddedField.objects.filter(schema=other, name=name).exists() else ""


def _field(schema: str, name: str) -> AddedField:
    found = AddedField.objects.filter(schema=schema, name=name.removesuffix("-id")).first()
    if found is None:
        raise NotFound(
            _("%(schema)s has no %(name)s that was added here. What a package brings stays.")
            % {"schema": schema, "name": name}
        )
    return found


def _table(name: str) -> AddedTable:
    found = AddedTable.objects.filter(name=name).first()
    if found is None:
        raise NotFound(_("No table %(name)s was added here.") % {"name": name})
    return found


def _stamp() -> None:
    """Have every process read anew; what nobody has committed has a stamp that never comes back."""
    SchemaStamp.objects.update_or_create(pk=1, defaults={"stamp": uuid.uuid4()})


def _by_schema(fields: Sequence[AddedField]) -> dict[str, list[AddedField]]:
    found: dict[str, list[AddedField]] = {}
    for each in fields:
        found.setdefault(each.schema, []).append(each)
    return found
