"""What is to be added to the schemas, and the checks that it can be: names, types, columns, links."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import connection
from django.utils.translation import gettext as _

from envoi.kernel import clock
from envoi.kernel.errors import Conflict, Invalid, NotFound
from envoi.kernel.models import AddedField, AddedTable, Enum
from envoi.kernel.models.extension import IndexState
from envoi.kernel.registry import Enumeration, EnumValue, Registry, Schema, Type
from envoi.kernel.registry.added import constant, key_column, snake
from envoi.kernel.rights import Actor

TYPES = (
    Type.STRING, Type.MEMO, Type.LONG, Type.INT64, Type.DOUBLE, Type.BOOLEAN, Type.DATE, Type.DATETIME,
    Type.BYTE, Type.SHORT, Type.FLOAT, Type.TIMESPAN,
)  # fmt: skip
"""Types that a field may have."""
LONGEST_TEXT = 4000
USUAL_TEXT = 255
MOST_FIELDS = 400
"""Added fields of one schema; a table of PostgreSQL holds 1,600 columns at most."""
RESERVED = frozenset({"xtk", "nms", "nl", "ncm", "crm", "temp", "wkf", "grp", "pg", "sys"})
"""Name spaces that no added table may lie in, besides those of installed packages."""
_SYSTEM = frozenset({"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"})
_MEMBER = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
_TABLE = re.compile(r"([a-z][a-z0-9]{1,15}):([A-Za-z][A-Za-z0-9]{0,39})")
_ENUMERATED = (Type.BYTE, Type.SHORT, Type.LONG, Type.STRING)
_RANGES = {Type.BYTE: 7, Type.SHORT: 15, Type.LONG: 31, Type.INT64: 63, Type.TIMESPAN: 63}


@dataclass(frozen=True)
class NewField:
    """A field. Without a label its name in words is one; a text without a length has 255 characters."""

    name: str
    label: str = ""
    type: Type = Type.STRING
    length: int | None = None
    default: str | None = None
    """A constant as text; a boolean without one is false."""
    list_name: str = ""
    """The itemized list that its values come from."""
    enumeration: Enumeration | None = None
    """Values that it is confined to."""


@dataclass(frozen=True)
class NewLink:
    """A link to another schema, which sees the rows as a collection under `reverse`, or a name made up."""

    name: str
    target: str
    label: str = ""
    reverse: str = ""
    indexed: bool = True


Member = NewField | NewLink


@dataclass(frozen=True)
class NewTable:
    """A table of a name space of the instance's own, `cus:store`."""

    name: str
    label: str = ""
    singular: str = ""
    members: tuple[Member, ...] = ()
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """Keys beside the primary one: name to names of fields and links that are unique together."""
    parent: str = ""
    """The link whose target's folder is that of the row; empty when everyone may read all rows."""


@dataclass(frozen=True)
class Additions:
    """Tables, and members (schema, field or link) of schemas that are there already."""

    tables: tuple[NewTable, ...] = ()
    members: tuple[tuple[str, Member], ...] = ()


@dataclass(frozen=True)
class Prepared:
    """Additions that can be made, as the rows that will say so; nothing of it is written yet."""

    tables: tuple[AddedTable, ...]
    fields: tuple[AddedField, ...]

    def fields_of(self, schema: str) -> tuple[AddedField, ...]:
        """Return the fields of one schema, in their order."""
        return tuple(each for each in self.fields if each.schema == schema)


def prepare(additions: Additions, registry: Registry, *, actor: Actor) -> Prepared:
    """Return what the additions come to.

    Raises Invalid, NotFound or Conflict with the thing, the reason and the remedy; nothing is written.
    """
    return _Preparation(additions, registry, actor).whole()


class _Preparation:
    def __init__(self, additions: Additions, registry: Registry, actor: Actor) -> None:
        self.additions, self.registry = additions, registry
        self.made = {"created_at": clock.now(), "created_by_id": actor.operator_id or None}
        self.tables = {each.name: each for each in additions.tables}
        self.columns: dict[str, set[str]] = {}
        self.members: dict[str, set[str]] = {}
        self.backs: dict[str, set[str]] = {}
        self.fields: list[AddedField] = []

    def whole(self) -> Prepared:
        if not self.additions.tables and not self.additions.members:
            raise Invalid(_("There is nothing to add."))
        tables = [self.table(each) for each in self.additions.tables]
        for table in self.additions.tables:
            for member in table.members:
                self.member(table.name, member)
        for schema, member in self.additions.members:
            self.extensible(schema)
            self.member(schema, member)
        for table in self.additions.tables:
            self.keys(table)
        return Prepared(tuple(tables), tuple(self.fields))

    # --- tables

    def table(self, new: NewTable) -> AddedTable:
        match = _TABLE.fullmatch(new.name)
        if match is None:
            raise Invalid(
                _(
                    "%(name)r cannot name a table. Write a name space of small letters, a colon and a name "
                    "of letters and digits: cus:store."
                )
                % {"name": new.name}
            )
        taken = RESERVED | {each.namespace for each in self.registry if not each.runtime}
        if match[1] in taken:
            raise Invalid(
                _("The name space %(space)s belongs to the product. Choose one of your own, such as cus.")
                % {"space": match[1]}
            )
        name = f"{match[1]}_{snake(match[2])}"
        alike = {each.name.lower() for each in self.registry}
        if new.name.lower() in alike or len([each for each in self.tables if each == new.name]) > 1:
            raise Conflict(_("There is a schema %(name)s already. Extend it instead.") % {"name": new.name})
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass(quote_ident(%s)) IS NOT NULL", [name])
            if cursor.fetchone() == (True,):
                raise Conflict(
                    _("The database has a table %(table)s already. Choose another name than %(name)s.")
                    % {"table": name, "name": new.name}
                )
        self.columns[new.name] = {key_column(new.name)}
        self.members[new.name] = {"id"}
        links = [each.name for each in new.members if isinstance(each, NewLink)]
        if new.parent and new.parent not in links:
            raise Invalid(
                _("%(name)s: the link %(link)s that should lead to the folder is not among its links.")
                % {"name": new.name, "link": new.parent}
            )
        return AddedTable(
            name=new.name,
            table_name=name,
            label=checked_label(new.label or words(match[2]), new.name),
            singular=checked_label(new.singular or new.label or words(match[2]), new.name),
            keys={name: list(parts) for name, parts in new.keys.items()},
            parent=new.parent,
            **self.made,
        )

    def keys(self, new: NewTable) -> None:
        for name, parts in new.keys.items():
            for part in parts:
                if part not in self.members[new.name]:
                    raise Invalid(
                        _("%(schema)s: the key %(key)s names %(part)s, which the table does not have.")
                        % {"schema": new.name, "key": name, "part": part}
                    )
            if not parts or len(set(parts)) != len(parts):
                raise Invalid(
                    _("%(schema)s: the key %(key)s names nothing, or one thing twice.")
                    % {"schema": new.name, "key": name}
                )

    # --- fields and links

    def extensible(self, name: str) -> Schema:
        schema = self.registry[name]
        if not schema.extensible:
            raise Conflict(
                _("%(schema)s belongs to the platform and takes no fields. Add a table that links to it.")
                % {"schema": name}
            )
        return schema

    def member(self, schema: str, new: Member) -> None:
        place = f"{schema} {new.name}"
        if not _MEMBER.fullmatch(new.name):
            raise Invalid(
                _(
                    "%(schema)s: %(name)r cannot name a field. Begin with a letter; then letters, digits "
                    "and _, 63 at most."
                )
                % {"schema": schema, "name": new.name[:80]}
            )
        column = snake(new.name) + ("_id" if isinstance(new, NewLink) else "")
        if len(column) > 63 or column in _SYSTEM:
            raise Invalid(
                _("%(place)s: PostgreSQL takes no column %(column)s. Choose another name.")
                % {"place": place, "column": column}
            )
        members, columns = self.known(schema)
        if new.name.lower() in members or column in columns:
            raise Conflict(
                _("%(schema)s has %(name)s already (column %(column)s). Choose another name.")
                % {"schema": schema, "name": new.name, "column": column}
            )
        if len([each for each in self.fields if each.schema == schema]) + self.added(schema) >= MOST_FIELDS:
            raise Conflict(
                _("%(schema)s has %(most)s added fields already. Put more into a linked table.")
                % {"schema": schema, "most": MOST_FIELDS}
            )
        members.add(new.name.lower())
        members.add(new.name)
        columns.add(column)
        said: dict[str, Any] = {
            "schema": schema,
            "name": new.name,
            "column_name": column,
            "label": checked_label(new.label or words(new.name), place),
            **self.made,
        }
        more = self.link(schema, place, new) if isinstance(new, NewLink) else self.field(place, new)
        self.fields.append(AddedField(**said, **more))

    def field(self, place: str, new: NewField) -> dict[str, Any]:
        if new.type not in TYPES:
            known = ", ".join(each.value for each in TYPES)
            raise Invalid(
                _("%(place)s: no field has the type %(type)s. Known are %(known)s.")
                % {"place": place, "type": new.type.value, "known": known}
            )
        length = new.length
        if new.type is Type.STRING:
            length = USUAL_TEXT if length is None else length
            if not 1 <= length <= LONGEST_TEXT:
                raise Invalid(
                    _("%(place)s: a text has 1 to %(most)s characters; use a memo for more.")
                    % {"place": place, "most": LONGEST_TEXT}
                )
        elif length is not None:
            raise Invalid(
                _("%(place)s: only a text has a length, not %(type)s.")
                % {"place": place, "type": new.type.value}
            )
        if new.list_name:
            self.listed(place, new)
        return {
            "type": new.type.value,
            "length": length,
            "default": _default(place, new, length),
            "list_name": new.list_name,
            "enumeration": None if new.enumeration is None else _enumerated(place, new, length),
        }

    def listed(self, place: str, new: NewField) -> None:
        """Refuse a list that is not there, or a field that cannot hold its texts."""
        if new.enumeration is not None or new.type not in (Type.STRING, Type.MEMO):
            raise Invalid(
                _("%(place)s: values of a list are texts. Choose a text, without values of its own.")
                % {"place": place}
            )
        names = list(Enum.objects.values_list("name", flat=True))
        if new.list_name not in names:
            close = difflib.get_close_matches(new.list_name, names, n=1)
            hint = _("Did you mean %(name)s?") % {"name": close[0]} if close else _("Create it first.")
            raise NotFound(
                _("%(place)s: there is no enumeration %(name)s.") % {"place": place, "name": new.list_name}
                + f" {hint}"
            )

    def link(self, schema: str, place: str, new: NewLink) -> dict[str, Any]:
        fresh = new.target in self.tables
        target = None if fresh else self.registry[new.target]
        kind, length = Type.INT64, None
        if target is not None:
            key = target.attribute_of(target.key[0])
            if len(target.key) != 1 or key is None:
                raise Conflict(
                    _("%(place)s: %(target)s has no simple key that a link could hold.")
                    % {"place": place, "target": new.target}
                )
            kind, length = key.type, key.length
        partitioned = not self._new(schema) and _is_partitioned(self.registry[schema].table)
        if new.indexed and partitioned:
            raise Invalid(
                _("%(place)s: %(schema)s is partitioned; add the link without an index.")
                % {"place": place, "schema": schema}
            )
        state = IndexState.NONE
        if new.indexed:
            # The index of an empty table is made with it.
            state = IndexState.READY if self._new(schema) else IndexState.MAKING
        return {
            "type": kind.value,
            "length": length,
            "target": new.target,
            "reverse": self.back(schema, place, new),
            "index_state": state,
        }

    def back(self, schema: str, place: str, new: NewLink) -> str:
        """Return the name under which the target sees the rows."""
        if new.target not in self.backs:
            links = set[str]() if self._new(new.target) else set(self.registry[new.target].links)
            self.backs[new.target] = links | self.known(new.target)[0]
        taken = self.backs[new.target]
        local = schema.partition(":")[2]
        free = (each for each in (local, f"{local}{new.name[:1].upper()}{new.name[1:]}") if each not in taken)
        name = new.reverse or next(free, "")
        if new.reverse and (new.reverse in taken or not _MEMBER.fullmatch(new.reverse)):
            raise Conflict(
                _("%(place)s: %(target)s has something called %(name)s already, or it names no collection.")
                % {"place": place, "target": new.target, "name": new.reverse}
            )
        if name:
            taken.add(name)
        return name

    # --- what is there

    def _new(self, schema: str) -> bool:
        return schema in self.tables

    def known(self, schema: str) -> tuple[set[str], set[str]]:
        """Return the names of members (as they are, and in small letters) and of columns of a schema."""
        if schema not in self.columns:
            found = self.registry[schema]
            names = {each.removesuffix("-id") for each in found.attributes} | set(found.links)
            self.members[schema] = names | {each.lower() for each in names}
            with connection.cursor() as cursor:
                cursor.execute(
                    """SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(quote_ident(%s))
                       AND attnum > 0 AND NOT attisdropped""",
                    [found.table],
                )
                self.columns[schema] = {name for (name,) in cursor.fetchall()}
        return self.members[schema], self.columns[schema]

    def added(self, schema: str) -> int:
        if self._new(schema):
            return 0
        return sum(each.runtime for each in self.registry[schema].attributes.values())


def _is_partitioned(table: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT relkind = 'p' FROM pg_class WHERE oid = to_regclass(quote_ident(%s))", [table])
        return cursor.fetchone() == (True,)


def _default(place: str, new: NewField, length: int | None) -> str | None:
    """Return the constant as it is kept, having read it."""
    if new.default is None or (new.default == "" and new.type not in (Type.STRING, Type.MEMO)):
        return "false" if new.type is Type.BOOLEAN else None
    try:
        value = constant(new.type, new.default)
        if new.type in _RANGES and not -(1 << _RANGES[new.type]) <= value < 1 << _RANGES[new.type]:
            raise ValueError(new.default)
        if isinstance(value, float) and value - value != 0:
            raise ValueError(new.default)
        if isinstance(value, str) and ("\0" in value or len(value) > (length or USUAL_TEXT)):
            raise ValueError(new.default)
    except (ValueError, OverflowError) as error:
        raise Invalid(
            _("%(place)s: %(value)r is no constant of the type %(type)s.")
            % {"place": place, "value": new.default[:80], "type": new.type.value}
        ) from error
    return str(value).lower() if isinstance(value, bool) else str(value)


def _enumerated(place: str, new: NewField, length: int | None) -> dict[str, Any]:
    """Return the values that a field is confined to as they are kept."""
    said = new.enumeration
    assert said is not None  # noqa: S101 the caller asked
    bad = [each for each in said.values if not _fits(each, new.type, length)]
    if bad:
        raise Invalid(
            _("%(place)s: the value %(value)r called %(name)r does not fit a field of the type %(type)s.")
            % {"place": place, "value": bad[0].value, "name": bad[0].name[:80], "type": new.type.value}
        )
    for kind in ("value", "name"):
        if len({getattr(each, kind) for each in said.values}) != len(said.values) or not said.values:
            raise Invalid(
                _("%(place)s: the enumeration has no values, or one of them twice.") % {"place": place}
            )
    values = [
        {"value": each.value, "name": each.name, "label": each.label or each.name} for each in said.values
    ]
    return {"name": said.name, "values": values}


def _fits(value: EnumValue, kind: Type, length: int | None) -> bool:
    """Return whether a field can hold a value of its enumeration, and expressions can name it."""
    if kind not in _ENUMERATED or not _MEMBER.fullmatch(value.name):
        return False
    if isinstance(value.value, str):
        return kind is Type.STRING and len(value.value) <= (length or 0)
    return kind in _RANGES and -(1 << _RANGES[kind]) <= value.value < 1 << _RANGES[kind]


def checked_label(text: str, place: str) -> str:
    """Return a label without blanks around it. Raises Invalid when it is none."""
    text = text.strip()
    if not text or len(text) > 128 or not text.isprintable():
        raise Invalid(_("%(place)s: a label has 1 to 128 printable characters.") % {"place": place})
    return text


def words(name: str) -> str:
    """Return `favouriteStore` as "Favourite store"."""
    text = snake(name).replace("_", " ").strip()
    return text[:1].upper() + text[1:]
