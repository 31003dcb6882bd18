"""Writes one row: made, changed or deleted in an actor's name, with a line in the audit trail."""

import json
import re
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import DataError, IntegrityError, connection, transaction
from django.db.models import ProtectedError, RestrictedError
from django.utils.translation import gettext as _

from envoi.kernel import audit, clock, enumerations, query, registry
from envoi.kernel.big_tables import BIG_TABLES, reserve_ids
from envoi.kernel.errors import Conflict, Invalid, NotAllowed, NotFound, Refused
from envoi.kernel.expression import Literal
from envoi.kernel.folders import Access
from envoi.kernel.models import Enum
from envoi.kernel.query import Condition, Field, QueryDef
from envoi.kernel.query.scope import quoted
from envoi.kernel.registry import Attribute, Schema, Type, translate
from envoi.kernel.rights import Actor
from envoi.kernel.writing import access, table
from envoi.kernel.writing.values import TEXTS, digest, plain, typed

OPERATIONS = ("insert", "update", "insertOrUpdate")
_KEY = re.compile(r"Key \((.*?)\)=")


class WrongValues(Invalid):
    """Some values are wrong. `problems` says of each attribute, by its name, what is."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        self.problems = dict(problems)
        super().__init__(" ".join(f"{name}: {text}" for name, text in self.problems.items()))


class Changed(Conflict):
    """Somebody else changed the same attributes since they were read. `theirs` holds what they are now."""

    def __init__(self, theirs: Mapping[str, Any]) -> None:
        self.theirs = dict(theirs)
        super().__init__(
            _("Changed by somebody else meanwhile: %(names)s. Look at both, then keep yours or theirs.")
            % {"names": ", ".join(theirs)}
        )


@dataclass(frozen=True)
class Written:
    """What a write did: the key of the row, and the attributes that have other values now."""

    key: int
    changed: tuple[str, ...]
    created: bool = False


@dataclass(frozen=True)
class Dependent:
    """Rows of another entity that lead to the one in question."""

    schema: str
    label: str
    link: str
    count: int


def write(
    name: str,
    values: Mapping[str, Any],
    *,
    actor: Actor,
    operation: str = "insertOrUpdate",
    key: int | Sequence[str] | None = None,
    seen: Mapping[str, str] | None = None,
    confirmed: frozenset[str] = frozenset(),
    zone: str = "UTC",
) -> Written:
    """Insert or update one row of the schema `name` (soap-api.md §7.4).

    `values` are attribute names (`label`, `folder-id`) with typed values or texts. The row is found by `key`:
    its number, or the names of attributes whose values identify it; without either by `id` in the values,
    else by the first key of the schema that they hold whole. `seen` are digests of the values that the writer
    has read: an attribute that is unchanged against it is not written, one that somebody else has changed
    raises Changed. `confirmed` names attributes whose new value may join its open enumeration.

    Raises WrongValues with a text for each attribute, NotFound, NotAllowed without the right of the schema or
    of the folder, Conflict naming the key that is taken.
    """
    schema = registry.find(name)
    if operation not in OPERATIONS:
        raise Invalid(
            _("%(name)r is none of %(known)s.") % {"name": operation, "known": ", ".join(OPERATIONS)}
        )
    access.require_schema(schema, actor, to=_("write %(schema)s") % {"schema": schema.name})
    if len(schema.key) != 1:
        raise Invalid(_("%(schema)s has no single key and is not written row by row.") % {"schema": name})
    with transaction.atomic(), refusals(schema):
        given = {name: value for name, value in values.items() if name != _key_name(schema)}
        number = None if operation == "insert" else _found(schema, values, key, actor)
        if number is None and operation == "update":
            raise NotFound(_("There is no %(schema)s with these properties.") % {"schema": name})
        if number is None:
            return _insert(schema, given, actor, confirmed, zone)
        return _update(schema, number, given, actor, seen, confirmed, zone)


def remove(name: str, key: int, *, actor: Actor) -> None:
    """Delete one row; what only exists as part of it goes too.

    Raises NotFound, NotAllowed without the right to delete in its folder, Conflict naming what depends on it.
    """
    schema = registry.find(name)
    access.require_schema(schema, actor, to=_("delete %(schema)s") % {"schema": name})
    with transaction.atomic(), refusals(schema):
        access.require_row(schema, key, actor, Access.DELETE)
        writer = access.writer_of(schema)
        if writer is not None:
            if writer.remove is None:
                raise _read_only(schema)
            writer.remove(key, actor)
            return
        text = text_of(schema, key, actor)
        if holding := uses(schema, [key]):
            raise Conflict(
                _("%(name)s is used: %(uses)s. Delete or change these first.")
                % {"name": text, "uses": ", ".join(f"{each.label} ({each.count})" for each in holding)}
            )
        delete(schema, [key])
        # Big tables hold people: once one is gone, the trail keeps that it was, not who.
        audit.forget(name, [key])
        audit.record(actor, name, str(key) if schema.table in BIG_TABLES else text, audit.DELETED, key)


def dependents(name: str, key: int, *, actor: Actor) -> list[Dependent]:
    """Return which rows of which entities lead to a row; those that the actor may not see are counted too.

    Raises NotFound for a row that the actor does not see.
    """
    access.require_row(registry.find(name), key, actor, Access.READ)
    return _leading(name, [key])


def uses(schema: Schema, keys: Sequence[int]) -> list[Dependent]:
    """Return which rows keep those with `keys` from being deleted."""
    return [each for each in _leading(schema.name, keys) if _holds(schema, each)]


def _leading(name: str, keys: Sequence[int]) -> list[Dependent]:
    schemas, found = registry.current(), list[Dependent]()
    for other in schemas:
        for link in other.links.values():
            # A link over the other's own key is a collection seen from its unique side.
            if link.collection or link.target != name or link.join[0][0] in other.key:
                continue
            own = link.join[0][0]
            with connection.cursor() as cursor:
                cursor.execute(
                    f"SELECT count(*) FROM {quoted(other.table)} WHERE {quoted(own)} = ANY(%s)",  # noqa: S608 quoted
                    [list(keys)],
                )
                row = cursor.fetchone()
            if row and row[0]:
                found.append(Dependent(other.name, translate(other.label), link.name, row[0]))
    return found


def delete(schema: Schema, keys: Sequence[int]) -> int:
    """Delete rows, by their model where there is one, so that what belongs to them goes too."""
    model = table.model_of(schema)
    if model is not None:
        return model._default_manager.filter(pk__in=list(keys)).delete()[1].get(model._meta.label, 0)
    with connection.cursor() as cursor:
        cursor.execute(
            f"DELETE FROM {quoted(schema.table)} WHERE {quoted(schema.key[0])} = ANY(%s)",  # noqa: S608 quoted
            [list(keys)],
        )
        return cursor.rowcount


def text_of(schema: Schema, key: int, actor: Actor) -> str:
    """Return what a person calls a row."""
    asked = QueryDef(
        schema.name, query.Operation.GET_IF_EXISTS, select=(Field(schema.text),), where=(_is(schema, key),)
    )
    found = query.run(asked, actor=actor).rows
    return str(found[0][0] if found and found[0][0] not in (None, "") else key)[:255]


def checked(
    schema: Schema,
    values: Mapping[str, Any],
    actor: Actor,
    confirmed: frozenset[str],
    zone: str,
    *,
    creating: bool = False,
    key: int | None = None,
) -> dict[str, Any]:
    """Return attribute names with values that their columns take. Raises WrongValues, NotAllowed."""
    may = access.writable(schema, actor=actor, creating=creating)
    known = table.columns(schema)
    problems: dict[str, str] = {}
    found: dict[str, Any] = {}
    for name, value in values.items():
        attribute = schema.attributes.get(name)
        if attribute is None:
            raise Invalid(_("%(schema)s has no attribute @%(name)s.") % {"schema": schema.name, "name": name})
        if name not in may or known[attribute.column].generated:
            raise NotAllowed(
                _("@%(name)s of %(schema)s cannot be written by %(actor)s.")
                % {"name": name, "schema": schema.name, "actor": actor.name}
            )
        try:
            found[name] = _value(schema, attribute, value, actor, name in confirmed, zone)
            if found[name] is None and not known[attribute.column].nullable:
                found[name] = _empty(schema, attribute)
        except Refused as refusal:
            problems[name] = str(refusal)
    if problems:
        raise WrongValues(problems)
    for answer in access.preparers.ask():
        if schema.name in answer:
            found = answer[schema.name](found, key, actor)
    return found


def bound(column: table.Column, value: Any) -> tuple[str, Any]:
    """Return the placeholder of a value with the type of its column, and the value as it is bound."""
    if column.type in ("json", "jsonb") and value is not None:
        value = json.dumps(value)
    return f"%s::{column.type}", value


def stamps(
    schema: Schema, known: Mapping[str, table.Column], actor: Actor, *, created: bool
) -> dict[str, Any]:
    """Return the columns that say when and by whom, as far as the table has them."""
    names = access.STAMPS if created else access.STAMPS[3:]
    found: dict[str, Any] = {}
    for name in names:
        if name in known and not known[name].generated:
            whole = known[name].type in ("bigint", "integer")
            who = (actor.operator_id or None) if whole else actor.name
            found[name] = clock.now() if name.endswith("_at") else who
    return found


def _insert(
    schema: Schema, values: Mapping[str, Any], actor: Actor, confirmed: frozenset[str], zone: str
) -> Written:
    writer = access.writer_of(schema)
    if writer is not None and writer.insert is None:
        raise _read_only(schema)
    found = checked(schema, values, actor, confirmed, zone, creating=True)
    check_folder(schema, found, actor, creating=True)
    if writer is not None and writer.insert is not None:
        return Written(writer.insert(found, actor), tuple(found), created=True)
    known = table.columns(schema)
    row = {schema.attributes[name].column: value for name, value in found.items()}
    row |= stamps(schema, known, actor, created=True)
    given = table.defaults(schema)
    missing: dict[str, str] = {}
    for column, each in known.items():
        if each.required and row.get(column) is None and column not in schema.key:
            attribute = schema.attribute_of(column)
            if attribute is not None and attribute.required:
                missing[attribute.name] = _("A value is needed here.")
            elif column in given:
                row[column] = given[column]
    for attribute in schema.attributes.values():
        if attribute.required and row.get(attribute.column, "") in (None, ""):
            missing.setdefault(attribute.name, _("A value is needed here."))
    if missing:
        raise WrongValues(missing)
    key = schema.key[0]
    if schema.table in BIG_TABLES or known[key].required:
        row[key] = next(iter(reserve_ids(1)))
    places = {column: bound(known[column], value) for column, value in row.items()}
    names = ", ".join(quoted(column) for column in places)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {quoted(schema.table)} ({names}) "  # noqa: S608 quoted
            f"VALUES ({', '.join(place for place, _ in places.values())}) RETURNING {quoted(key)}",
            [value for _, value in places.values()],
        )
        made = cursor.fetchone()
    assert made is not None  # noqa: S101 RETURNING gives a row
    shown = {name: [None, plain(value)] for name, value in found.items() if value not in (None, "")}
    audit.record(
        actor, schema.name, text_of(schema, made[0], actor), audit.CREATED, made[0], {"values": shown}
    )
    return Written(made[0], tuple(found), created=True)


def _update(
    schema: Schema,
    key: int,
    values: Mapping[str, Any],
    actor: Actor,
    seen: Mapping[str, str] | None,
    confirmed: frozenset[str],
    zone: str,
) -> Written:
    access.require_row(schema, key, actor, Access.WRITE)
    writer = access.writer_of(schema)
    if writer is not None and writer.update is None:
        raise _read_only(schema)
    found = checked(schema, values, actor, confirmed, zone, key=key)
    if seen is not None:
        found = {name: value for name, value in found.items() if digest(value) != seen.get(name)}
    before = stored(schema, key, list(found))
    changes = {name: value for name, value in found.items() if digest(value) != digest(before[name])}
    if seen is not None:
        theirs = {name: before[name] for name in changes if digest(before[name]) != seen.get(name)}
        if theirs:
            raise Changed(theirs)
    if not changes:
        return Written(key, ())
    check_needed(schema, changes)
    check_folder(schema, changes, actor)
    if writer is not None and writer.update is not None:
        writer.update(key, changes, actor)
        return Written(key, tuple(changes))
    known = table.columns(schema)
    row = {schema.attributes[name].column: value for name, value in changes.items()}
    row |= stamps(schema, known, actor, created=False)
    # A lock of the row would keep big tables from being distributed: the old values are compared instead.
    sets, params, same = list[str](), list[Any](), list[str]()
    for column, value in row.items():
        place, value = bound(known[column], value)
        sets.append(f"{quoted(column)} = {place}")
        params.append(value)
    params.append(key)
    for name in changes:
        column = schema.attributes[name].column
        place, value = bound(known[column], before[name])
        same.append(f"{quoted(column)} IS NOT DISTINCT FROM {place}")
        params.append(value)
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {quoted(schema.table)} SET {', '.join(sets)} "  # noqa: S608 quoted
            f"WHERE {quoted(schema.key[0])} = %s AND {' AND '.join(same)}",
            params,
        )
        if cursor.rowcount != 1:
            raise Changed(stored(schema, key, list(changes)))
    shown = {name: [plain(before[name]), plain(value)] for name, value in changes.items()}
    audit.record(actor, schema.name, text_of(schema, key, actor), audit.MODIFIED, key, {"values": shown})
    return Written(key, tuple(changes))


def stored(schema: Schema, key: int, names: Sequence[str]) -> dict[str, Any]:
    """Return the values that a row has now, whoever may read them. Raises NotFound."""
    if not names:
        return {}
    columns = ", ".join(quoted(schema.attributes[name].column) for name in names)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {columns} FROM {quoted(schema.table)} WHERE {quoted(schema.key[0])} = %s",  # noqa: S608 quoted
            [key],
        )
        row = cursor.fetchone()
    if row is None:
        raise NotFound(_("The row is no longer there."))
    return {
        name: json.loads(value)
        if schema.attributes[name].type is Type.JSON and isinstance(value, str)
        else value
        for name, value in zip(names, row, strict=True)
    }


def _found(
    schema: Schema, values: Mapping[str, Any], key: int | Sequence[str] | None, actor: Actor
) -> int | None:
    """Return the number of the row that is meant; None when there is none yet."""
    own = _key_name(schema)
    if isinstance(key, int):
        return key
    if key is None and values.get(own) not in (None, "", 0, "0"):
        return int(typed(schema.attributes[own], values[own]))
    names = key
    if names is None:
        names = next(
            (
                names
                for names in schema.keys.values()
                if all(_attribute(schema, each) in values for each in names)
            ),
            None,
        )
    if not names:
        return None
    wanted = {_attribute(schema, each): values.get(_attribute(schema, each)) for each in names}
    parts, params = list[str](), list[Any]()
    known = table.columns(schema)
    for name, value in wanted.items():
        attribute = schema.attributes.get(name)
        if attribute is None or not attribute.column:
            raise Invalid(_("%(schema)s has no attribute @%(name)s.") % {"schema": schema.name, "name": name})
        place, made = bound(known[attribute.column], typed(attribute, value))
        parts.append(f"{quoted(attribute.column)} = {place}")
        params.append(made)
    bounds: dict[str, Any] = {}
    readable = access.restriction(schema, "t", actor, Access.READ, bounds)
    named = {f"k{index}": value for index, value in enumerate(params)}
    where = " AND ".join(f"t.{part.replace('%s', f'%(k{index})s')}" for index, part in enumerate(parts))
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT t.{quoted(schema.key[0])} FROM {quoted(schema.table)} t "  # noqa: S608 quoted
            f"WHERE {where} AND {readable} LIMIT 2",
            {**named, **bounds},
        )
        rows = cursor.fetchall()
    if len(rows) > 1:
        raise Conflict(
            _("Several rows of %(schema)s have these values; name a key that only one has.")
            % {"schema": schema.name}
        )
    return rows[0][0] if rows else None


def _value(
    schema: Schema, attribute: Attribute, value: object, actor: Actor, confirmed: bool, zone: str
) -> Any:
    found = typed(attribute, value, zone=zone)
    # While nobody has made the list, its fields take any text.
    if attribute.list_name and found and Enum.objects.filter(name=attribute.list_name).exists():
        settled = enumerations.settle(attribute.list_name, str(found), actor=actor, confirmed=confirmed)
        return settled.value or found
    link = link_of(schema, attribute)
    # A link by a code, as that to a country, is looked after by the preparer of the entity.
    if link is not None and isinstance(found, int):
        target = registry.find(link)
        if target.folder == ():
            access.require_folder(schema, found, actor)
        else:
            there = QueryDef(target.name, where=(_is(target, found),))
            if not query.exists(there, actor=actor):
                raise NotFound(
                    _("There is no %(schema)s with the number %(key)s.")
                    % {"schema": translate(target.singular), "key": found}
                )
    return found


def link_of(schema: Schema, attribute: Attribute) -> str | None:
    """Return the schema that a column leads to; None for a column that holds a value of its own."""
    for link in schema.links.values():
        if not link.collection and link.join[0][0] == attribute.column and attribute.column not in schema.key:
            return link.target
    return None


def check_needed(schema: Schema, values: Mapping[str, Any]) -> None:
    """Raise WrongValues for attributes that must have a value and get none."""
    empty = {
        name: _("A value is needed here.")
        for name, value in values.items()
        if schema.attributes[name].required and value in (None, "")
    }
    if empty:
        raise WrongValues(empty)


def check_folder(schema: Schema, values: Mapping[str, Any], actor: Actor, *, creating: bool = False) -> None:
    """Refuse a place where the actor may not write: a folder, or what lies in one."""
    if schema.folder is None or not schema.folder:
        return
    link = schema.links[schema.folder[0]]
    attribute = schema.attribute_of(link.join[0][0])
    if attribute is None or (attribute.name not in values and not creating):
        return
    number = values.get(attribute.name)
    if number is None:
        raise WrongValues({attribute.name: _("A value is needed here.")})
    if len(schema.folder) > 1:
        access.require_row(registry.find(link.target), number, actor, Access.WRITE)
        return
    folder = access.require_folder(schema, number, actor)
    if folder.model not in ("", schema.name) or folder.is_view:
        raise WrongValues(
            {attribute.name: _("%(folder)s is no folder for these rows.") % {"folder": folder.label}}
        )


def _empty(schema: Schema, attribute: Attribute) -> Any:
    """Return what stands for nothing in a column that may not be NULL. Raises Invalid where nothing does."""
    if link_of(schema, attribute) is not None:
        raise Invalid(_("A value is needed here."))
    if attribute.type in TEXTS:
        return ""
    if attribute.type is Type.BOOLEAN:
        return False
    if attribute.default is not None and not attribute.required:
        return attribute.default
    if attribute.enumeration is not None or attribute.required:
        raise Invalid(_("A value is needed here."))
    return {} if attribute.type is Type.JSON else 0


def _is(schema: Schema, key: Any) -> Condition:
    attribute = schema.attributes[_key_name(schema)]
    return Condition(f"{attribute.xpath} = {Literal(key)}")


def _key_name(schema: Schema) -> str:
    attribute = schema.attribute_of(schema.key[0]) if schema.key else None
    return attribute.name if attribute else "id"


def _attribute(schema: Schema, name: str) -> str:
    """Return the attribute that a key names: itself, or the one under a link."""
    return name if name in schema.attributes else f"{name}-id"


def _holds(schema: Schema, each: Dependent) -> bool:
    """Return whether rows keep what they lead to from going: all but those that the model takes along."""
    model = table.model_of(schema)
    other = table.model_of(registry.find(each.schema))
    if model is None or other is None:
        return True
    own = registry.find(each.schema).links[each.link].join[0][0]
    for relation in model._meta.related_objects:
        field = relation.field
        if relation.related_model is other and getattr(field, "column", "") == own:
            name = getattr(relation.on_delete, "__name__", "")  # pyright: ignore[reportAttributeAccessIssue]
            return name not in ("CASCADE", "SET_NULL", "SET_DEFAULT", "DO_NOTHING")
    return True


def _read_only(schema: Schema) -> NotAllowed:
    return NotAllowed(
        _("%(schema)s is changed by the product itself, on its own pages.")
        % {"schema": translate(schema.label)}
    )


@contextmanager
def refusals(schema: Schema) -> Generator[None]:
    """Turn what the database refuses into the words of an operator."""
    try:
        with transaction.atomic():
            yield
    except (ProtectedError, RestrictedError) as error:
        raise Conflict(_("It is used by others. Delete or change these first.")) from error
    except IntegrityError as error:
        cause = error.__cause__
        state = getattr(cause, "sqlstate", "")
        said = str(getattr(getattr(cause, "diag", None), "message_detail", "") or "")
        match = _KEY.search(said)
        columns = [each.strip().strip('"') for each in match[1].split(",")] if match else []
        names = [found.name if (found := schema.attribute_of(each)) else each for each in columns]
        if state == "23505":
            raise Conflict(
                _("Another %(schema)s has the same %(key)s already. Choose another value.")
                % {"schema": translate(schema.singular), "key": ", ".join(f"@{name}" for name in names)}
            ) from error
        if state == "23503":
            raise Conflict(_("It is used by others. Delete or change these first.")) from error
        raise Invalid(
            _("The table of %(schema)s does not take these values: %(reason)s.")
            % {"schema": schema.name, "reason": str(error).partition("\n")[0]}
        ) from error
    except DataError as error:
        raise Invalid(
            _("The table of %(schema)s does not take these values: %(reason)s.")
            % {"schema": schema.name, "reason": str(error).partition("\n")[0]}
        ) from error
