"""Where expressions of a query stand: schemas under aliases, joined as paths ask for it, within rights.

Every schema that a query passes is bound by its actor: a row that the actor may not read is never joined, so
that it reads as NULL and is counted nowhere.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from django.db import connection
from psycopg import sql as composed

from envoi.kernel import folders
from envoi.kernel.errors import Invalid
from envoi.kernel.expression import ExpressionError, Fragment, Kind, Path, Variable, compile_node, parse
from envoi.kernel.expression.kinds import AS_TEXT, OF_TYPE
from envoi.kernel.expression.nodes import Value
from envoi.kernel.registry import Attribute, Link, Registry, Schema
from envoi.kernel.rights import Actor, Right

MOST_JOINS = 40
MOST_STEPS = 12
MOST_VALUES = 20_000


def quoted(name: str) -> str:
    """Return an identifier as SQL quotes it."""
    return composed.Identifier(name).as_string(None).replace("%", "%%")


@dataclass
class Statement:
    """What all parts of one statement share."""

    registry: Registry
    actor: Actor
    now: datetime
    zone: str
    variables: Mapping[str, Value]
    params: dict[str, object] = field(default_factory=dict[str, object])
    aliases: int = 0
    joins: int = 0
    folders: list[int] | None = None
    """Which folders the actor may read, once some part has asked."""
    bound: dict[tuple[type, str, str], str] = field(default_factory=dict[tuple[type, str, str], str])

    def alias(self) -> str:
        """Return a new alias of a table."""
        self.aliases += 1
        return f"t{self.aliases}"

    def bind(self, value: object, sql_type: str) -> str:
        """Bind a value once and return its placeholder."""
        key = (type(value), str(value), sql_type)
        if key not in self.bound:
            if len(self.params) >= MOST_VALUES:
                raise Invalid(f"A query holds at most {MOST_VALUES} values.")
            name = f"p{len(self.params)}"
            self.params[name] = value
            self.bound[key] = f"%({name})s::{sql_type}"
        return self.bound[key]

    def require(self, schema: Schema) -> None:
        """Raise NotAllowed when the actor lacks the right that reading a schema takes."""
        if schema.reading:
            self.actor.require(Right(schema.reading), to=f"read {schema.name}")

    def restriction(self, schema: Schema, alias: str) -> str:
        """Return the condition under which the actor may read a row; empty when all may be read."""
        if schema.folder is None or (self.actor.is_administrator and self.actor.root_path == "/"):
            return ""
        return self._within(schema, alias, schema.folder)

    def _within(self, schema: Schema, alias: str, steps: tuple[str, ...]) -> str:
        if not steps:
            return f"{alias}.{quoted(schema.key[0])} = ANY({self.readable()})"
        link = schema.links[steps[0]]
        own, theirs = link.join[0]
        column = f"{alias}.{quoted(own)}"
        if len(steps) == 1:
            return f"{column} = ANY({self.readable()})"
        target, inner = self.registry[link.target], self.alias()
        below = self._within(target, inner, steps[1:])
        table = quoted(target.table)
        return f"{column} IN (SELECT {inner}.{quoted(theirs)} FROM {table} {inner} WHERE {below})"  # noqa: S608 quoted

    def readable(self) -> str:
        """Return the folders that the actor may read, as an array.

        They are looked up before the statement is planned: the planner then knows how many rows they leave.
        """
        if self.folders is None:
            allowed = folders.readable(self.actor)
            with connection.cursor() as cursor:
                cursor.execute(allowed.sql, allowed.params)
                self.folders = sorted(number for (number,) in cursor.fetchall())
        return self.bind(self.folders, "bigint[]")


@dataclass
class Scope:
    """One FROM clause: its first table, and the joins that paths have asked for."""

    statement: Statement
    schema: Schema
    alias: str
    joins: list[str] = field(default_factory=list[str])
    known: dict[tuple[str, str], "Place"] = field(default_factory=dict[tuple[str, str], "Place"])
    multiplied: bool = False
    """A collection is joined: a row may come several times."""

    @classmethod
    def of(cls, statement: Statement, name: str) -> "Scope":
        """Return the scope of a query on a schema. Raises NotFound, or NotAllowed without its right."""
        schema = statement.registry[name]
        statement.require(schema)
        return cls(statement, schema, statement.alias())

    @property
    def root(self) -> "Place":
        """The first table."""
        return Place(self, self.schema, self.alias)

    def from_clause(self) -> str:
        """Return the tables; call it when every expression has been compiled."""
        return f"{quoted(self.schema.table)} {self.alias}{''.join(self.joins)}"

    def conditions(self) -> list[str]:
        """Return what bounds the first table."""
        found = self.statement.restriction(self.schema, self.alias)
        return [found] if found else []

    def join(self, place: "Place", link: Link, at: int) -> "Place":
        """Return the place that a link leads to, joined at most once."""
        key = (place.alias, link.name)
        if key not in self.known:
            statement = self.statement
            target = statement.registry[link.target]
            statement.require(target)
            statement.joins += 1
            if statement.joins > MOST_JOINS:
                raise ExpressionError(f"a query passes at most {MOST_JOINS} links.", position=at)
            alias = statement.alias()
            conditions = [f"{alias}.{quoted(t)} = {place.alias}.{quoted(o)}" for o, t in link.join]
            if not lies_with(place.schema, link, target) and (bound := statement.restriction(target, alias)):
                conditions.append(bound)
            self.joins.append(f" LEFT JOIN {quoted(target.table)} {alias} ON {' AND '.join(conditions)}")
            self.multiplied = self.multiplied or link.collection
            self.known[key] = Place(self, target, alias)
        return self.known[key]


@dataclass(frozen=True)
class Place:
    """A schema under its alias: the context in which expressions are compiled."""

    scope: Scope
    schema: Schema
    alias: str
    expanding: tuple[tuple[str, str], ...] = ()
    """Computed attributes whose expression this is part of."""

    @property
    def now(self) -> datetime:
        """The time that GetDate gives."""
        return self.scope.statement.now

    @property
    def zone(self) -> str:
        """Name of the zone in which days are counted."""
        return self.scope.statement.zone

    def bind(self, value: Value, sql_type: str) -> str:
        """Bind a value and return what stands for it."""
        return self.scope.statement.bind(value, sql_type)

    def variable(self, node: Variable) -> Value:
        """Return the value of a variable. Raises ExpressionError when the query has none of this name."""
        known = self.scope.statement.variables
        if node.name not in known:
            raise ExpressionError(f"there is no variable {node.name} here.", position=node.at)
        return known[node.name]

    def column(self, path: Path) -> Fragment:
        """Return what a path leads to; a link alone stands for the key of its target."""
        behind = self._behind(path)
        if behind is not self:
            return behind.column(path)
        links = self._links(path)
        if path.attribute and len(links) < len(path.steps):
            # Elements of a document: one table, names with slashes.
            place = self.walk(Path(links, "", path.at))
            inside = place.schema.attributes.get("/".join((*path.steps[len(links) :], path.attribute)))
            if inside is not None:
                return place._attribute(inside, path)
        place = self.walk(path)
        if not path.attribute:
            key = place.schema.key[0]
            held = place.schema.attribute_of(key)
            kind = OF_TYPE[held.type] if held is not None else Kind.INTEGER
            return Fragment(f"{place.alias}.{quoted(key)}", kind, bare=True)
        attribute = place.schema.attributes.get(path.attribute)
        if attribute is None:
            raise ExpressionError(_unknown_attribute(place.schema, path.attribute), position=path.at)
        return place._attribute(attribute, path)

    def walk(self, path: Path) -> "Place":
        """Return the place at the end of a path's links."""
        if len(path.steps) > MOST_STEPS:
            raise ExpressionError(f"a path has at most {MOST_STEPS} links.", position=path.at)
        place = self._behind(path)
        for step in path.steps:
            place = self.scope.join(place, place.link(step, path.at), path.at)
        return Place(place.scope, place.schema, place.alias, self.expanding)

    def _links(self, path: Path) -> tuple[str, ...]:
        """Return the steps at the beginning of a path that are links."""
        schema, found = self.schema, list[str]()
        for step in path.steps:
            link = schema.links.get(step)
            if link is None:
                break
            found.append(step)
            schema = self.scope.statement.registry[link.target]
        return tuple(found)

    def before(self, link: str) -> "Place":
        """Return the place that has a link of this name: this one, or the one beyond it."""
        return self._behind(Path((link,), ""))

    def _behind(self, path: Path) -> "Place":
        """Return the place where a path begins: this one, or the one beyond it when it begins with a name
        that is known only there.
        """
        beyond = self.schema.beyond
        if not beyond or not (path.steps or path.attribute):
            return self
        whole = "/".join((*path.steps, path.attribute))
        if whole in self.schema.attributes or (path.steps and path.steps[0] in self.schema.links):
            return self
        further = self.scope.statement.registry[self.schema.links[beyond].target]
        if path.steps:
            known = path.steps[0] in further.links or whole in further.attributes
        else:
            known = path.attribute in further.attributes
        if not known:
            return self
        place = self.scope.join(self, self.link(beyond, path.at), path.at)
        return Place(place.scope, place.schema, place.alias, self.expanding)

    def link(self, name: str, at: int) -> Link:
        """Return a link of the schema. Raises ExpressionError with the nearest name."""
        found = self.schema.links.get(name)
        if found is None:
            close = difflib.get_close_matches(name, list(self.schema.links), n=1)
            hint = f"; did you mean {close[0]}?" if close else "."
            if name in self.schema.attributes:
                hint = f"; did you mean @{name}?"
            raise ExpressionError(f"{self.schema.name} has no link {name}{hint}", position=at)
        return found

    def _attribute(self, attribute: Attribute, path: Path) -> Fragment:
        if attribute.right:
            to = f"read @{attribute.name} of {self.schema.name}"
            self.scope.statement.actor.require(Right(attribute.right), to=to)
        if attribute.expr:
            return self._computed(attribute, path)
        sql = f"{self.alias}.{quoted(attribute.column)}"
        if attribute.type in AS_TEXT:
            sql = f"({sql})::text"
        return Fragment(sql, OF_TYPE[attribute.type], bare=True, attribute=attribute)

    def _computed(self, attribute: Attribute, path: Path) -> Fragment:
        key = (self.schema.name, attribute.name)
        if key in self.expanding:
            circle = " → ".join(f"{name}/@{each}" for name, each in (*self.expanding, key))
            raise ExpressionError(f"computed attributes go in a circle: {circle}.", position=path.at)
        inside = Place(self.scope, self.schema, self.alias, (*self.expanding, key))
        try:
            found = compile_node(parse(attribute.expr), inside)
        except ExpressionError as error:
            problem = f"the computed @{attribute.name} of {self.schema.name} is wrong: {error.problem}"
            raise ExpressionError(problem, position=path.at) from error
        kind = OF_TYPE[attribute.type]
        if found.kind not in (kind, Kind.NULL) and not (found.kind.is_number and kind.is_number):
            problem = f"the computed @{attribute.name} of {self.schema.name} gives {found.kind}, not {kind}."
            raise ExpressionError(problem, position=path.at)
        return Fragment(f"({found.sql})", kind, found.aggregate, found.bare, attribute)


def lies_with(schema: Schema, link: Link, target: Schema) -> bool:
    """Return whether a row behind a link lies where the row lies that it is reached from.

    So it is for the members of a recipient, which lie in the recipient's folder, and back. Every place of a
    query is bound by what the actor may read, so that the second row needs no bound of its own.
    """
    if target.folder:
        back = target.links[target.folder[0]]
        turned = {(theirs, own) for own, theirs in link.join}
        if (back.target, set(back.join), target.folder[1:]) == (schema.name, turned, schema.folder):
            return True
    if schema.folder:
        way = schema.links[schema.folder[0]]
        return (way.target, way.join, schema.folder[1:]) == (target.name, link.join, target.folder)
    return False


def _unknown_attribute(schema: Schema, name: str) -> str:
    close = difflib.get_close_matches(name, list(schema.attributes), n=1)
    hint = f"; did you mean {schema.attributes[close[0]].xpath}?" if close else "."
    if name in schema.links:
        hint = f"; {name} is a link: [{name}/@…]."
    return f"{schema.name} has no attribute @{name}{hint}"
