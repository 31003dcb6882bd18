"""Populations: what transitions carry between activities (ADR 0013, engine.md §5.7).

An activity that makes one calls `create`, fills the table with one statement (`insert`, or `INSERT …
SELECT` and COPY of its own), calls `finish`, and fires `fired(transition, population)`. An activity that is
fed with some calls `inbound` (or `read` for one event) and compiles expressions with
`within=registry(populations)`: there a population is a schema of its own name, whose attributes are the
data that came along, with a link `target` to the rows of the targeting dimension. Everything happens in the
activity's transaction.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, cast

from django.db import DataError, IntegrityError, connection, transaction
from django.utils.translation import gettext_noop as _
from psycopg import sql as composed

from envoi.engine import access, sql, worktable
from envoi.engine.activities.base import Failed, Fired, InboundEvent, Misconfigured, TaskContext
from envoi.engine.scripting.values import decode
from envoi.kernel import options, query
from envoi.kernel import registry as registries
from envoi.kernel.expression import Kind
from envoi.kernel.expression.nodes import Value
from envoi.kernel.registry import Attribute, Link, Registry, Schema, Type

VARIABLES = ("tableName", "schema", "recCount", "targetSchema")
TARGET = "target"
"""The link from a population to the rows of its dimension."""
ID = "id"
SEGMENT = "segmentCode"
"""The attribute that holds the code of a segment (engine.md §6.5)."""
THRESHOLD = "Workflow_AnalysisThreshold"
NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_-]{0,55}$")
"""Of an attribute that is added to a population."""
_SYSTEM = {"id", "ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"}
_PLAIN = {
    Type.BYTE: "smallint",
    Type.SHORT: "smallint",
    Type.LONG: "integer",
    Type.INT64: "bigint",
    Type.FLOAT: "double precision",
    Type.DOUBLE: "double precision",
    Type.STRING: "text",
    Type.MEMO: "text",
    Type.DATETIME: "timestamptz",
    Type.DATE: "date",
    Type.TIMESPAN: "bigint",
    Type.BOOLEAN: "boolean",
    Type.UUID: "uuid",
    Type.JSON: "text",
}
_OF_KIND = {
    Kind.TEXT: Type.MEMO,
    Kind.INTEGER: Type.INT64,
    Kind.REAL: Type.DOUBLE,
    Kind.BOOLEAN: Type.BOOLEAN,
    Kind.DATETIME: Type.DATETIME,
    Kind.DATE: Type.DATE,
    Kind.NULL: Type.MEMO,
}


@dataclass(frozen=True)
class Column:
    """One datum that a population carries beside `id`. `attribute` is what expressions call it, without
    "@".
    """

    attribute: str
    type: Type = Type.STRING
    label: str = ""
    column: str = ""
    """Its name in the table; `create` makes one of the attribute's when this is empty."""
    source: tuple[str, str] | None = None
    """Schema and attribute that it is a copy of: its enumeration and the right to read it are taken from
    there.
    """

    @property
    def sql_type(self) -> str:
        """The plain type of the column in the work table."""
        return _PLAIN[self.type]


@dataclass(frozen=True)
class Population:
    """A work table and what it means. `schema` is `temp:<activity>`; `dimension` is empty for data without
    one.
    """

    table: str
    schema: str
    dimension: str = ""
    columns: tuple[Column, ...] = ()
    links: tuple[Link, ...] = ()
    """Beside `target`: to installed schemas, or to the work tables of `beside`; joins name columns of the
    tables.
    """
    beside: Mapping[str, str] = field(default_factory=dict[str, str])
    """Schema names of further work tables, such as the lines of a collection, to those tables."""
    count: int = 0

    @property
    def sql_columns(self) -> tuple[tuple[str, str], ...]:
        """(name, plain SQL type) of every column of the table, `id` first."""
        return ((ID, "bigint"), *((each.column, each.sql_type) for each in self.columns))

    def column(self, attribute: str) -> Column | None:
        """Return the column behind an attribute, or None."""
        return next((each for each in self.columns if each.attribute == attribute), None)


# --- making one


def create(
    ctx: TaskContext,
    *,
    dimension: str = "",
    columns: Iterable[Column] = (),
    links: Iterable[Link] = (),
    beside: Mapping[str, str] | None = None,
    schema: str = "",
    like: Population | None = None,
) -> Population:
    """Create an empty population in the activity's transaction; `finish` it when it is filled.

    `columns` come after `id` (bigint, a key of the dimension, or a line number without one). Raises
    Misconfigured for a dimension whose key is not one whole number, or for two columns of one name.
    `like` gives its links, as far as the columns that they need are here too.
    """
    if dimension:
        key_of(dimension)
    named = _named(columns)
    if like is not None:
        links = (*_links_of(like, named), *links)
        beside = {**like.beside, **(beside or {})}
    made = Population(
        "",
        schema or f"temp:{ctx.activity.name}",
        dimension,
        named,
        tuple(links),
        dict(beside or {}),
    )
    plain = [worktable.Column(name, kind) for name, kind in made.sql_columns]
    return replace(made, table=worktable.create(ctx.workflow_id, ctx.run_number, plain, None, _shape(made)))


def insert(
    ctx: TaskContext, into: Population, definition: query.QueryDef, *, within: Registry | None = None
) -> int:
    """Fill a population with a select whose first node is its `id`, then one node for each column; returns
    how many.

    The rights are those of the workflow's actor. See `query.compile` for what is raised.
    """
    compiled = query.compile_insert_select(
        definition,
        into.table,
        into.sql_columns,
        actor=ctx.actor,
        zone=str(ctx.zone),
        variables=values(ctx),
        now=ctx.now,
        within=within,
    )
    return run(ctx, compiled.sql, compiled.params)


def finish(ctx: TaskContext, population: Population, count: int, *, doubles: bool = False) -> Population:
    """Give a filled population its primary key, and statistics when it is large; returns it with its count.

    `doubles`: of rows with one id the first in the order of all columns is kept. Without it, Failed is
    raised when an id comes twice.
    """
    if doubles:
        count -= _drop_doubles(ctx, population)
    try:
        with transaction.atomic():
            worktable.add_key(population.table, ID)
    except IntegrityError as error:
        raise Failed(
            f"Activity {ctx.activity.name} gives a row twice, or one without a key. A population has each row"
            " once: remove the doubles first, or choose a key that is unique."
        ) from error
    if count > int(cast("int", options.get(THRESHOLD, actor=ctx.actor, default=10_000)) or 0):
        worktable.analyze(population.table)
    return replace(population, count=count)


def fired(transition: str, population: Population, **variables: Any) -> Fired:
    """Return the firing of a transition with a population: its four variables, all strings, and those
    given.
    """
    carried = {
        "tableName": population.table,
        "schema": population.dimension,
        "recCount": str(population.count),
        "targetSchema": population.schema,
    }
    return Fired(transition, {**carried, **variables})


def of_expression(name: str, column: query.Column) -> Column:
    """Return the column that holds what a compiled node gives, under the attribute `name`."""
    attribute = column.attribute
    if attribute is None:
        return Column(name, _OF_KIND[column.kind], name)
    return Column(name, attribute.type, attribute.label)


def reshape(
    population: Population, *, links: tuple[Link, ...], beside: Mapping[str, str] | None = None
) -> Population:
    """Give a population that this activity has made other links."""
    made = replace(population, links=links, beside=population.beside if beside is None else beside)
    sql.run(
        "UPDATE xtk_work_table SET shape = %(shape)s WHERE name = %(name)s",
        {"shape": sql.json(_shape(made)), "name": made.table},
    )
    return made


def view(
    population: Population,
    schema: str,
    *,
    columns: Sequence[Column],
    links: Iterable[Link],
    beside: Mapping[str, str],
) -> Population:
    """Return the same table under another schema name, with other columns and links; whoever knows it under
    the first name sees it as before.
    """
    made = replace(population, schema=schema, columns=tuple(columns), links=tuple(links), beside=dict(beside))
    # What lies beside any view stays as long as the table does.
    sql.run(
        """UPDATE xtk_work_table SET shape = shape
             || jsonb_build_object('views', coalesce(shape->'views', '{}') || %(view)s::jsonb)
             || jsonb_build_object('beside', coalesce(shape->'beside', '{}') || %(beside)s::jsonb)
           WHERE name = %(name)s""",
        {
            "view": sql.json({schema: _shape(made)}),
            "beside": sql.json(dict(beside)),
            "name": population.table,
        },
    )
    return made


def counted(population: Population) -> int:
    """Count the rows of a population that a foreign statement has filled."""
    return _count(population.table)


# --- reading


def read(ctx: TaskContext, event: InboundEvent) -> Population:
    """Return the population that an event brings.

    Raises Failed when it brings none, when its table is gone, or when it is that of a workflow that is out
    of sight for the actor.
    """
    table = event.variables.get("tableName")
    if not isinstance(table, str) or not table:
        raise Failed(
            f"Transition {event.transition} of {event.source} brings no population to {ctx.activity.name}."
        )
    found = stored(table, str(event.variables.get("targetSchema") or ""))
    if found is None or not _may_read(ctx, found[1]):
        raise Failed(
            f"The population {table} that {event.source} has given to {ctx.activity.name} is there no more."
        )
    count = str(event.variables.get("recCount", ""))
    return replace(found[0], count=int(count) if count.isdecimal() else _count(table))


def inbound(ctx: TaskContext) -> tuple[Population, ...]:
    """Return what every event of the task brings, in the order of arrival, each under a schema name of its
    own.

    Raises Failed as `read`, and when there is none at all.
    """
    if not ctx.events:
        raise Failed(f"Activity {ctx.activity.name} works on a population, and no transition leads to it.")
    found: list[Population] = []
    tables: dict[str, str] = {}
    for event in ctx.events:
        population = read(ctx, event)
        name, number = population.schema, 1
        while tables.get(name, population.table) != population.table:
            number += 1
            name = f"{population.schema}_{number}"
        tables[name] = population.table
        found.append(replace(population, schema=name))
    return tuple(found)


def stored(table: str, schema: str = "") -> tuple[Population, int] | None:
    """Return what is known of a work table and the number of its workflow; None when there is no such
    table. `schema`: as it is seen under that name.
    """
    row = sql.one(
        "SELECT name, workflow_id, columns, shape FROM xtk_work_table WHERE name = %(name)s", {"name": table}
    )
    if row is None:
        return None
    shape = row["shape"]
    shape = shape.get("views", {}).get(schema, shape)
    return _of_shape(str(row["name"]), row["columns"], shape), int(row["workflow_id"])


def registry(populations: Iterable[Population]) -> Registry:
    """Return the installed schemas with those of these populations beside them."""
    schemas = dict(registries.fresh().schemas)
    for each in populations:
        schemas[each.schema] = schema_of(each)
        for name, table in each.beside.items():
            other = stored(table)
            if other is not None:
                schemas[name] = replace(schema_of(other[0]), name=name)
    return Registry(schemas)


def schema_of(population: Population) -> Schema:
    """Return a population as a schema: `@id`, its columns, `target` and its other links."""
    attributes = {ID: Attribute(ID, Type.INT64, "Primary key", column=ID)}
    for each in population.columns:
        origin = _origin(each)
        attributes[each.attribute] = Attribute(
            each.attribute,
            each.type,
            each.label or each.attribute,
            column=each.column,
            enumeration=origin.enumeration if origin else None,
            right=origin.right if origin else "",
        )
    links: dict[str, Link] = {}
    dimension = registries.current().schemas.get(population.dimension)
    if dimension is not None:
        links[TARGET] = Link(TARGET, dimension.name, ((ID, dimension.key[0]),), dimension.singular)
    known = registries.current().schemas
    links |= {
        each.name: each
        for each in population.links
        if each.target in known or each.target in population.beside
    }
    return Schema(
        name=population.schema,
        table=population.table,
        package="",
        label=population.schema,
        singular=population.schema,
        key=(ID,),
        attributes=attributes,
        links=links,
        text="@id",
        beyond=TARGET if dimension is not None else "",
    )


def key_of(dimension: str) -> str:
    """Return the column of a dimension's key. Raises NotFound, or Misconfigured unless it is one whole
    number.
    """
    schema = registries.fresh()[dimension]
    attribute = schema.attribute_of(schema.key[0])
    whole = {Type.BYTE, Type.SHORT, Type.LONG, Type.INT64}
    if len(schema.key) != 1 or (attribute is not None and attribute.type not in whole):
        raise Misconfigured(f"{dimension} cannot be targeted: its key is not one whole number.")
    return schema.key[0]


def values(ctx: TaskContext) -> dict[str, Value]:
    """Return what `$(vars/@x)` and `$(instance/vars/@x)` mean in the expressions of an activity."""
    found: dict[str, Value] = {}
    scopes = (
        ("vars", ctx.variables),
        ("instance/vars", ctx.instance_variables),
        ("task/vars", ctx.task_variables),
    )
    for scope, variables in scopes:
        for name, value in variables.items():
            found[f"{scope}/@{name}"] = _value(value)
    return found


def run(ctx: TaskContext, statement: str, params: Mapping[str, Any] | Sequence[Any] | None = None) -> int:
    """Carry out a statement of the activity and return how many rows it touched.

    It stands in the journal if the workflow says so, without its values. Raises Failed for a value that
    cannot be calculated.
    """
    ctx.log_sql(statement, params or ())
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement, params)
            return cursor.rowcount
    except DataError as error:
        reason = str(error).partition("\n")[0]
        raise Failed(
            f"Activity {ctx.activity.name} meets a value that cannot be calculated: {reason}."
        ) from error


def says(ctx: TaskContext, population: Population, transition: str) -> None:
    """Write how many rows a transition carries into the journal."""
    ctx.info(
        _("Activity '%(activity)s': %(count)s row(s) in '%(transition)s'"),
        activity=ctx.activity.name,
        count=population.count,
        transition=transition,
    )


# --- inside


def column_name(attribute: str, taken: Iterable[str] = ()) -> str:
    """Return a name for the column of an attribute: in snake case, free, none of PostgreSQL's own."""
    plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", attribute).lower()
    plain = re.sub(r"[^a-z0-9_]", "_", plain)[:55] or "datum"
    if plain[0].isdigit():
        plain = f"_{plain}"
    names, name, number = _SYSTEM | set(taken), plain, 1
    while name in names:
        number += 1
        name = f"{plain}_{number}"
    return name


def _named(columns: Iterable[Column]) -> tuple[Column, ...]:
    found: list[Column] = []
    attributes: set[str] = {ID}
    for each in columns:
        if not NAME.match(each.attribute):
            raise Misconfigured(f"{each.attribute!r} names no datum: use letters, digits and underscores.")
        if each.attribute in attributes:
            raise Misconfigured(
                f"Two data of the population are called @{each.attribute}; rename one of them."
            )
        attributes.add(each.attribute)
        taken = [column.column for column in found]
        found.append(replace(each, column=column_name(each.attribute, taken)))
    return tuple(found)


def _links_of(like: Population, columns: Sequence[Column]) -> Iterable[Link]:
    """Yield the links of another population on the same rows, with the columns that are called otherwise
    here.
    """
    attributes = {each.column: each.attribute for each in like.columns}
    names = {each.attribute: each.column for each in columns}
    for link in like.links:
        own = [column if column == ID else names.get(attributes.get(column, "")) for column, _ in link.join]
        if all(own):
            theirs = [column for _, column in link.join]
            yield replace(link, join=tuple((str(a), b) for a, b in zip(own, theirs, strict=True)))


def _shape(population: Population) -> dict[str, Any]:
    return {
        "schema": population.schema,
        "dimension": population.dimension,
        "columns": [
            {
                "attribute": each.attribute,
                "type": each.type.value,
                "label": each.label,
                "column": each.column,
                "source": each.source,
            }
            for each in population.columns
        ],
        "links": [
            {
                "name": each.name,
                "target": each.target,
                "join": [list(pair) for pair in each.join],
                "label": each.label,
                "collection": each.collection,
                "unique": each.unique,
            }
            for each in population.links
        ],
        "beside": dict(population.beside),
    }


def _of_shape(table: str, columns: Sequence[Sequence[str]], shape: Mapping[str, Any]) -> Population:
    if not shape:
        # A table that was made by hand: its own columns, if it has a key to be known by.
        kinds = {plain: kind for kind, plain in reversed(_PLAIN.items())}
        own = [Column(name, kinds.get(kind, Type.STRING), name, name) for name, kind in columns if name != ID]
        return Population(table, "temp:table", columns=tuple(own))
    return Population(
        table=table,
        schema=shape["schema"],
        dimension=shape["dimension"],
        columns=tuple(
            Column(
                each["attribute"],
                Type(each["type"]),
                each["label"],
                each["column"],
                tuple(each["source"]) if each["source"] else None,
            )
            for each in shape["columns"]
        ),
        links=tuple(
            Link(
                each["name"],
                each["target"],
                tuple((own, theirs) for own, theirs in each["join"]),
                each["label"],
                each["collection"],
                unique=each["unique"],
            )
            for each in shape["links"]
        ),
        beside=shape["beside"],
    )


def _origin(column: Column) -> Attribute | None:
    if column.source is None:
        return None
    schema = registries.current().schemas.get(column.source[0])
    return schema.attributes.get(column.source[1]) if schema else None


def _may_read(ctx: TaskContext, owner: int) -> bool:
    if owner == ctx.workflow_id:
        return True
    above = sql.one(
        """SELECT t.workflow_id FROM xtk_workflow w JOIN xtk_workflow_task t ON t.task_id = w.parent_task_id
           WHERE w.workflow_id = %(workflow)s""",
        {"workflow": ctx.workflow_id},
    )
    if above is not None and above["workflow_id"] == owner:
        return True
    return access.visible(ctx.actor).filter(pk=owner).exists()


def _count(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(composed.SQL("SELECT count(*) FROM {}").format(composed.Identifier(table)).as_string())
        row = cursor.fetchone()
    return int(row[0]) if row else 0


def _drop_doubles(ctx: TaskContext, population: Population) -> int:
    order = [composed.Identifier(each.column) for each in population.columns] or [composed.Identifier(ID)]
    statement = composed.SQL(
        "DELETE FROM {table} AS t USING (SELECT ctid AS place, row_number() OVER"
        " (PARTITION BY {id} ORDER BY {order}) AS number FROM {table}) AS q"
        " WHERE t.ctid = q.place AND q.number > 1"
    ).format(
        table=composed.Identifier(population.table),
        id=composed.Identifier(ID),
        order=composed.SQL(", ").join(order),
    )
    return run(ctx, statement.as_string())


def _value(value: Any) -> Value:
    try:
        found = decode(value)
    except ValueError:
        return str(value)
    if isinstance(found, float):
        return Decimal(repr(found))
    if isinstance(found, (str, int, bool, datetime)) or found is None:
        return found
    return str(found)
