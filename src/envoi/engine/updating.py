"""Rows of a population written into an entity, set by set (engine.md §6.5, update data).

One batch is: stage (source values, the row that they are for, what is wrong with them), then one UPDATE and
one INSERT, or one DELETE. The rights are those of `kernel.writing`: of the schema, and of the folder of
each row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.utils.translation import gettext as _

from envoi.engine import combining, population, targeting, worktable
from envoi.engine.activities.base import Failed, Misconfigured, TaskContext
from envoi.engine.population import ID, Population
from envoi.engine.targeting import quoted
from envoi.kernel import audit, folders
from envoi.kernel import registry as registries
from envoi.kernel.big_tables import BIG_TABLES, reserve_ids
from envoi.kernel.expression import Kind, Path, parse
from envoi.kernel.expression.kinds import OF_TYPE
from envoi.kernel.folders import Access
from envoi.kernel.query import Condition, Field, QueryDef
from envoi.kernel.registry import Attribute, Registry, Schema, Type
from envoi.kernel.writing import access, rows, table
from envoi.kernel.writing.rows import WrongValues

OPERATIONS = ("insertOrUpdate", "insert", "update", "delete")
BLOCK = 2_000
"""Rows that are brought into the entity's form at a time, where the entity has such a form."""
_BOUNDS = {Type.BYTE: 2**7, Type.SHORT: 2**15, Type.LONG: 2**31, Type.INT64: 2**63, Type.TIMESPAN: 2**63}
_STAGED = {
    Kind.TEXT: "text",
    Kind.INTEGER: "numeric",
    Kind.REAL: "numeric",
    Kind.BOOLEAN: "boolean",
    Kind.DATETIME: "timestamptz",
    Kind.DATE: "date",
    Kind.NULL: "text",
}
Said = Mapping[str, Any]


@dataclass(frozen=True)
class Goal:
    """A column that is written: `place` is its number in the stage, `link` the schema that a key is looked
    up in.
    """

    place: int
    said: str
    attribute: Attribute
    expr: str
    enabled_if: str
    operation: str
    link: str = ""
    by: str = ""
    kind: Kind = Kind.NULL


@dataclass
class Done:
    """What became of the rows."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    rejected: int = 0
    last: int = 0
    seen: int = 0


@dataclass
class Plan:
    """The settings of an update, checked."""

    schema: Schema
    operation: str
    goals: list[Goal] = field(default_factory=list[Goal])
    joins: tuple[tuple[str, str], ...] = ()
    where: tuple[Condition, ...] = ()
    keeps_empty: bool = True
    folder: str = ""
    batch: int = 0


def plan(ctx: TaskContext, source: Population) -> Plan:
    """Read the settings. Raises Misconfigured, NotFound, and NotAllowed for what the actor may not write."""
    said = ctx.parameters
    name = str(said.get("schema") or source.dimension)
    if not name:
        raise Misconfigured(f"Activity {ctx.activity.name} does not say which entity it writes.")
    schema = registries.fresh()[name]
    operation = str(said.get("operation") or OPERATIONS[0])
    if operation not in OPERATIONS:
        raise Misconfigured(f"Activity {ctx.activity.name} cannot do {operation!r}.")
    if access.writer_of(schema) is not None:
        raise Misconfigured(
            f"{name} is written by a service of its own; {ctx.activity.name} cannot change it."
        )
    access.require_schema(schema, ctx.actor, to=_("write %(schema)s") % {"schema": name})
    joins = targeting.pairs(said.get("joins"), "joins") if said.get("joins") else ()
    if not joins and operation != "insert" and source.dimension != schema.name:
        raise Misconfigured(
            f"Activity {ctx.activity.name} needs pairs of fields by which {name} is found: its data are of"
            f" {source.dimension or 'no dimension'}."
        )
    found = Plan(
        schema,
        operation,
        joins=joins,
        where=targeting.conditions(said.get("enabledIf"), "enabledIf"),
        keeps_empty=said.get("emptyIfNull") is False,
        folder=str(said.get("folder") or ""),
        batch=targeting.whole(said.get("batch") or 0, "batch"),
    )
    may = access.writable(schema, actor=ctx.actor, creating=True)
    for number, each in enumerate(targeting.listed(said.get("columns"), "columns")):
        found.goals.append(_goal(ctx, found, number, each, may))
    if not found.goals and operation != "delete":
        raise Misconfigured(f"Activity {ctx.activity.name} does not say which columns it writes.")
    return found


def _goal(ctx: TaskContext, found: Plan, number: int, said: Said, may: Mapping[str, Attribute]) -> Goal:
    destination = str(said.get("destination") or "")
    text = destination if destination.startswith(("@", "[")) else f"@{destination}"
    node = parse(text)
    if not isinstance(node, Path):
        raise Misconfigured(f"columns[{number + 1}] of {ctx.activity.name}: {destination!r} is no field.")
    expr = str(said.get("expr") or said.get("source") or "")
    operation = str(said.get("operation") or "both")
    if not expr.strip() or operation not in ("both", "insert", "update"):
        raise Misconfigured(f"columns[{number + 1}] of {ctx.activity.name} is not complete.")
    name = "/".join((*node.steps, node.attribute)) if node.attribute else ""
    link, by = "", ""
    if name not in found.schema.attributes:
        way = found.schema.links.get(node.steps[0]) if len(node.steps) == 1 else None
        if way is None or way.collection:
            raise Misconfigured(
                f"{found.schema.name} has no field {destination}, to which {ctx.activity.name} writes."
            )
        own = found.schema.attribute_of(way.join[0][0])
        link, by, name = way.target, node.attribute, own.name if own else ""
    if name not in may:
        raise Misconfigured(f"{destination} of {found.schema.name} cannot be written by {ctx.activity.name}.")
    return Goal(number, destination, may[name], expr, str(said.get("enabledIf") or ""), operation, link, by)


def batch(ctx: TaskContext, source: Population, found: Plan, last: int, rejects: Population | None) -> Done:
    """Write the rows above the id `last`, all or as many as a batch holds. Rows that do not fit are rejected.

    Raises Misconfigured where kinds do not fit, Failed for a key that is taken.
    """
    stage, goals = _stage(ctx, source, found, last)
    done = Done()
    try:
        done.seen, done.last = _measured(stage)
        _prepared(ctx, found.schema, stage, goals)
        _check(ctx, found, stage, goals)
        with transaction.atomic():
            if found.operation == "delete":
                done.deleted = _delete(ctx, found.schema, stage)
            if found.operation in ("insertOrUpdate", "update"):
                done.updated = _update(ctx, found, stage, goals)
            if found.operation in ("insertOrUpdate", "insert"):
                done.inserted = _insert(ctx, found, stage, goals)
        done.rejected = _rejected(ctx, source, stage, rejects)
    except IntegrityError as error:
        raise Failed(
            f"{found.schema.name} refuses a row of {ctx.activity.name}: {str(error).partition(chr(10))[0]}."
        ) from error
    worktable.drop(stage)
    if done.inserted or done.updated or done.deleted:
        detail = {
            "workflow": ctx.workflow_name,
            "activity": ctx.activity.name,
            "inserted": done.inserted,
            "updated": done.updated,
            "deleted": done.deleted,
        }
        audit.record(ctx.actor, found.schema.name, "", "Bulk change", None, detail)
    return done


# --- the stage


def _stage(ctx: TaskContext, source: Population, found: Plan, last: int) -> tuple[str, list[Goal]]:
    within = population.registry([source])
    where: list[Condition] = []
    if found.where:
        where.append(Condition(conditions=found.where))
    if found.batch and last:
        where.append(Condition(f"@id > {last}"))
    enabled = [goal for goal in found.goals if goal.enabled_if]
    select = (
        Field("@id"),
        *(Field(here) for here, _there in found.joins),
        *(Field(goal.expr) for goal in found.goals),
        *(Field(f"Iif({goal.enabled_if}, 1, 0)") for goal in enabled),
    )
    definition = QueryDef(source.schema, select=select, where=tuple(where))
    if targeting.multiplies(definition, within):
        raise Misconfigured(
            f"Activity {ctx.activity.name} reads a link with many rows: which of them is meant?"
        )
    if found.batch:
        definition = QueryDef(
            source.schema, select=select, where=tuple(where), order_by=(Field("@id"),), line_count=found.batch
        )
    ours = targeting.select(ctx, definition, within=within, prefix="s_")
    keys = len(found.joins)
    kinds = [ours.columns[1 + keys + n].kind for n in range(len(found.goals))]
    goals = [
        replace(goal, kind=Kind.INTEGER if goal.link else kind)
        for goal, kind in zip(found.goals, kinds, strict=True)
    ]
    for goal, kind in zip(goals, kinds, strict=True):
        _fits(ctx, goal, kind)
    theirs = _destination(ctx, found, within)
    params = {**ours.params, **theirs.params}
    equal = [
        combining.equality(
            f"s.c{n + 1}", ours.columns[n + 1].kind, f"d.c{n + 1}", theirs.columns[n + 1].kind, ctx
        )
        for n in range(keys)
    ] or ["d.c0 = s.c0" if source.dimension == found.schema.name else "false"]
    joins = [f" LEFT JOIN ({theirs.sql}) d ON {' AND '.join(equal)}"]
    values: list[str] = []
    wrong: list[str] = []
    order = ["s.c0", "d.c0"]
    for goal, kind in zip(goals, kinds, strict=True):
        value = f"s.c{1 + keys + goal.place}"
        if goal.link:
            alias = f"l{goal.place}"
            target = targeting.select(
                ctx,
                QueryDef(
                    goal.link, select=(Field(targeting.key_path(goal.link)), Field(targeting.xpath(goal.by)))
                ),
                within=within,
                prefix=f"{alias}_",
            )
            params |= target.params
            same = combining.equality(value, kind, f"{alias}.c1", target.columns[1].kind, ctx)
            joins.append(f" LEFT JOIN ({target.sql}) {alias} ON {same}")
            order.append(f"{alias}.c0")
            params[f"m{goal.place}"] = _("%(field)s: nothing has this value") % {"field": goal.said}
            wrong.append(
                f"CASE WHEN {alias}.c0 IS NULL AND coalesce({value}::text, '') <> ''"
                f" THEN %(m{goal.place})s END"
            )
            value = f"{alias}.c0"
        values.append(f"({value})::{_STAGED[goal.kind]}")
    flags = [f"(s.c{1 + keys + len(goals) + n} = 1)" for n in range(len(enabled))]
    kept = [f"(s.c{n + 1})::text" for n in range(keys)]
    columns = [
        worktable.Column("id", "bigint"),
        worktable.Column("target", "bigint"),
        worktable.Column("reason", "text"),
        *(worktable.Column(f"k{n}", "text") for n in range(keys)),
        *(worktable.Column(f"v{goal.place}", _STAGED[goal.kind]) for goal in goals),
        *(worktable.Column(f"e{goal.place}", "boolean") for goal in enabled),
    ]
    stage = worktable.create(ctx.workflow_id, ctx.run_number, columns, None)
    reason = f"coalesce({', '.join(wrong)})" if wrong else "NULL"
    listed = ", ".join(("s.c0", "d.c0", reason, *kept, *values, *flags))
    population.run(
        ctx,
        f"INSERT INTO {quoted(stage)} SELECT DISTINCT ON (s.c0) {listed} FROM ({ours.sql}) s{''.join(joins)}"  # noqa: S608
        f" ORDER BY {', '.join(order)}",
        params,
    )
    worktable.analyze(stage)
    return stage, goals


def _destination(ctx: TaskContext, found: Plan, within: Registry) -> targeting.Selected:
    key = Field(targeting.key_path(found.schema.name, within))
    select = (key, *(Field(there) for _here, there in found.joins))
    return targeting.select(ctx, QueryDef(found.schema.name, select=select), within=within, prefix="d_")


def _fits(ctx: TaskContext, goal: Goal, kind: Kind) -> None:
    if goal.link or kind is Kind.NULL:
        return
    wanted = OF_TYPE[goal.attribute.type]
    fits = (
        kind is wanted
        or wanted is Kind.TEXT
        or (kind.is_number and (wanted.is_number or wanted is Kind.BOOLEAN))
    )
    fits = fits or (kind is Kind.DATE and wanted is Kind.DATETIME)
    if not fits:
        raise Misconfigured(
            f"Activity {ctx.activity.name} writes {kind} into {goal.said}, which takes {wanted}."
            " Convert it first."
        )


def _measured(stage: str) -> tuple[int, int]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*), coalesce(max(id), 0) FROM {quoted(stage)}")  # noqa: S608 quoted names
        row = cursor.fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


def _prepared(ctx: TaskContext, schema: Schema, stage: str, goals: Sequence[Goal]) -> None:
    """Bring values into the form in which the entity keeps them, in blocks; what has none is rejected."""
    prepare = next((answer[schema.name] for answer in access.preparers.ask() if schema.name in answer), None)
    texts = [goal for goal in goals if goal.kind is Kind.TEXT and not goal.link]
    if prepare is None or not texts:
        return
    columns = ", ".join(f"v{goal.place}" for goal in texts)
    last = -(2**63)
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT id, {columns} FROM {quoted(stage)} WHERE id > %s AND reason IS NULL"  # noqa: S608
                " ORDER BY id LIMIT %s",
                [last, BLOCK],
            )
            block = cursor.fetchall()
        if not block:
            return
        last = int(block[-1][0])
        changed: list[tuple[Any, ...]] = []
        for key, *values in block:
            said = {goal.attribute.name: value for goal, value in zip(texts, values, strict=True) if value}
            reason = None
            try:
                made: Mapping[str, Any] = prepare(said, None, ctx.actor) if said else {}
            except WrongValues as error:
                made, reason = {}, str(error)
            kept = [
                made.get(goal.attribute.name, value) if value else value
                for goal, value in zip(texts, values, strict=True)
            ]
            if reason is not None or kept != values:
                changed.append((key, reason, *kept))
        if changed:
            sets = ", ".join(f"v{goal.place} = n.v{goal.place}" for goal in texts)
            names = ", ".join(f"v{goal.place}" for goal in texts)
            arrays = ", ".join("%s::text[]" for _goal in texts)
            with connection.cursor() as cursor:
                cursor.execute(
                    f"UPDATE {quoted(stage)} s SET reason = n.reason, {sets} FROM"  # noqa: S608 quoted names
                    f" unnest(%s::bigint[], %s::text[], {arrays}) AS n (id, reason, {names})"
                    " WHERE s.id = n.id",
                    [list(column) for column in zip(*changed, strict=True)],
                )


# --- what is wrong with a row


def _check(ctx: TaskContext, found: Plan, stage: str, goals: Sequence[Goal]) -> None:
    known = table.columns(found.schema)
    params: dict[str, Any] = {}
    wrong: list[str] = []

    def says(when: str, message: str, goal: Goal) -> None:
        name = f"w{len(wrong)}"
        params[name] = message % {"field": goal.said}
        wrong.append(f"WHEN {when} THEN %({name})s")

    for goal in goals:
        value, attribute = f"s.v{goal.place}", goal.attribute
        if attribute.length and goal.kind is Kind.TEXT:
            says(f"length({value}) > {int(attribute.length)}", _("%(field)s: the text is too long"), goal)
        if attribute.type in _BOUNDS and goal.kind.is_number:
            bound = _BOUNDS[attribute.type]
            says(
                f"NOT {value} BETWEEN -{bound} AND {bound - 1}", _("%(field)s: the number is too large"), goal
            )
        if attribute.enumeration is not None and goal.kind is not Kind.NULL:
            params[f"n{goal.place}"] = [str(each.value) for each in attribute.enumeration.values]
            plain = f"trim_scale({value})::text" if goal.kind.is_number else f"{value}::text"
            says(
                f"{value} IS NOT NULL AND NOT {plain} = ANY(%(n{goal.place})s)",
                _("%(field)s: this is no value of the enumeration"),
                goal,
            )
        column = known.get(attribute.column)
        needs = column is not None and not column.nullable and OF_TYPE[attribute.type] is not Kind.TEXT
        if needs and not found.keeps_empty:
            says(f"{value} IS NULL AND {_enabled(goal)}", _("%(field)s needs a value"), goal)
    params["denied"] = _("the workflow's operator may not write this row")
    needed = Access.DELETE if found.operation == "delete" else Access.WRITE
    bound = access.restriction(found.schema, "t", ctx.actor, needed, params)
    key = quoted(found.schema.key[0])
    if bound != "true":
        wrong.append(
            f"WHEN s.target IS NOT NULL AND NOT EXISTS (SELECT 1 FROM {quoted(found.schema.table)} t"  # noqa: S608
            f" WHERE t.{key} = s.target AND {bound}) THEN %(denied)s"
        )
    if wrong:
        population.run(
            ctx,
            f"UPDATE {quoted(stage)} s SET reason = CASE {' '.join(wrong)} END"  # noqa: S608 quoted names
            " WHERE s.reason IS NULL",
            params,
        )
    # Of several rows for one destination the first is written; the others are neither written nor wrong.
    keys = ", ".join(f"k{n}" for n in range(len(found.joins)))
    same = f"target{', ' + keys if keys else ''}"
    empty = " AND ".join(f"coalesce(k{n}, '') = ''" for n in range(len(found.joins)))
    single = f"CASE WHEN target IS NULL{' AND ' + empty if empty else ''} THEN id END"
    population.run(
        ctx,
        f"UPDATE {quoted(stage)} s SET reason = '' FROM"  # noqa: S608 quoted names
        f" (SELECT id, row_number() OVER (PARTITION BY {same}, {single} ORDER BY id) AS place"
        f" FROM {quoted(stage)} WHERE reason IS NULL) q WHERE q.id = s.id AND q.place > 1",
    )


def _enabled(goal: Goal) -> str:
    return f"s.e{goal.place}" if goal.enabled_if else "true"


# --- writing


def _value(goal: Goal, column: table.Column) -> str:
    """Return a staged value as its column takes it; a text is never NULL."""
    wanted = OF_TYPE[goal.attribute.type]
    value = f"s.v{goal.place}"
    if wanted is Kind.TEXT and not goal.link:
        if goal.kind.is_number:
            value = f"trim_scale({value})::text"
        elif goal.kind is Kind.BOOLEAN:
            value = f"{value}::int::text"
        elif goal.kind is not Kind.TEXT:
            value = f"{value}::text"
        return value if column.nullable else f"coalesce({value}, '')"
    if wanted is Kind.BOOLEAN and goal.kind.is_number:
        return f"({value} <> 0)"
    return f"({value})::{column.type}"


def _update(ctx: TaskContext, found: Plan, stage: str, goals: Sequence[Goal]) -> int:
    known = table.columns(found.schema)
    sets: list[str] = []
    differs: list[str] = []
    for goal in goals:
        if goal.operation == "insert":
            continue
        column = quoted(goal.attribute.column)
        value = _value(goal, known[goal.attribute.column])
        if found.keeps_empty:
            empty = f"nullif({value}, '')" if OF_TYPE[goal.attribute.type] is Kind.TEXT else value
            value = f"coalesce({empty}, u.{column})"
        if goal.enabled_if:
            value = f"CASE WHEN s.e{goal.place} THEN {value} ELSE u.{column} END"
        sets.append(f"{column} = {value}")
        differs.append(f"u.{column} IS DISTINCT FROM {value}")
    if not sets:
        return 0
    params: dict[str, Any] = {}
    for name, value in rows.stamps(found.schema, known, ctx.actor, created=False).items():
        params[f"stamp_{name}"] = value
        sets.append(f"{quoted(name)} = %(stamp_{name})s::{known[name].type}")
    key = quoted(found.schema.key[0])
    return population.run(
        ctx,
        f"UPDATE {quoted(found.schema.table)} u SET {', '.join(sets)} FROM {quoted(stage)} s"  # noqa: S608 quoted
        f" WHERE u.{key} = s.target AND s.reason IS NULL AND ({' OR '.join(differs)})",
        params,
    )


def _insert(ctx: TaskContext, found: Plan, stage: str, goals: Sequence[Goal]) -> int:
    schema, known = found.schema, table.columns(found.schema)
    key = schema.key[0]
    bounds = "s.target IS NULL AND s.reason IS NULL"
    params: dict[str, Any] = {}
    names: list[str] = []
    values: list[str] = []
    for goal in goals:
        if goal.operation == "update":
            continue
        column = known[goal.attribute.column]
        value = _value(goal, column)
        default = _default(schema, goal.attribute.column, params)
        if goal.enabled_if or (not column.nullable and OF_TYPE[goal.attribute.type] is not Kind.TEXT):
            enabled = f"CASE WHEN {_enabled(goal)} THEN {value} END"
            value = f"coalesce({enabled}, {default}::{column.type})" if default else enabled
        names.append(goal.attribute.column)
        values.append(value)
    if not _counted(stage, bounds, params):
        return 0
    bounds += _in_folder(ctx, found, names, values, params)
    count = _counted(stage, bounds, params)
    if not count:
        return 0
    for name, value in rows.stamps(schema, known, ctx.actor, created=True).items():
        params[f"stamp_{name}"] = value
        names.append(name)
        values.append(f"%(stamp_{name})s::{known[name].type}")
    if schema.table in BIG_TABLES or known[key].required:
        number, blocks = reserve_ids(count).in_block("row_number() OVER (ORDER BY s.id)")
        params["blocks"] = blocks[0]
        names.append(key)
        values.append(number.replace("%s", "%(blocks)s"))
    for name, column in known.items():
        if column.required and name not in names:
            default = _default(schema, name, params)
            if not default:
                raise Misconfigured(
                    f"New rows of {schema.name} need {name}, which {ctx.activity.name} does not write."
                )
            names.append(name)
            values.append(f"{default}::{column.type}")
    listed = ", ".join(quoted(name) for name in names)
    made = population.run(
        ctx,
        f"INSERT INTO {quoted(schema.table)} ({listed}) SELECT {', '.join(values)} FROM {quoted(stage)} s"  # noqa: S608
        f" WHERE {bounds} ORDER BY s.id ON CONFLICT DO NOTHING",
        params,
    )
    if made < count:
        ctx.warning("%(count)s new row(s) were left out: another row has their key", count=count - made)
    return made


def _counted(stage: str, bounds: str, params: Mapping[str, Any]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {quoted(stage)} s WHERE {bounds}", params)  # noqa: S608 quoted
        row = cursor.fetchone()
    return int(row[0]) if row else 0


def _in_folder(
    ctx: TaskContext, found: Plan, names: list[str], values: list[str], params: dict[str, Any]
) -> str:
    """Return the condition that new rows lie where the actor may write; adds the folder that settings
    name.
    """
    schema = found.schema
    if schema.folder is None or len(schema.folder) != 1:
        return ""
    column = schema.links[schema.folder[0]].join[0][0]
    if column not in names:
        folder = folders.readable_folders(ctx.actor).filter(name=found.folder).first()
        if folder is None:
            raise Misconfigured(
                f"Activity {ctx.activity.name} makes rows of {schema.name}: name the folder for them."
            )
        access.require_folder(schema, folder.folder_id, ctx.actor)
        params["folder"] = folder.folder_id
        names.append(column)
        values.append("%(folder)s::bigint")
        return ""
    allowed = folders.allowed(ctx.actor, Access.WRITE)
    places: list[str] = []
    for number, value in enumerate(allowed.params):
        params[f"allowed{number}"] = value
        places.append(f"%(allowed{number})s")
    return f" AND {values[names.index(column)]} IN ({allowed.sql % tuple(places)})"


def _default(schema: Schema, column: str, params: dict[str, Any]) -> str:
    given = table.defaults(schema)
    if column not in given or given[column] is None:
        return ""
    value = given[column]
    params[f"default_{column}"] = getattr(value, "value", value)
    return f"%(default_{column})s"


def _delete(ctx: TaskContext, schema: Schema, stage: str) -> int:
    key = quoted(schema.key[0])
    return population.run(
        ctx,
        f"DELETE FROM {quoted(schema.table)} u USING {quoted(stage)} s WHERE u.{key} = s.target"  # noqa: S608 quoted
        " AND s.reason IS NULL",
    )


def _rejected(ctx: TaskContext, source: Population, stage: str, rejects: Population | None) -> int:
    count = _counted(stage, "s.reason <> ''", {})
    if count and rejects is not None:
        names = ", ".join(quoted(name) for name, _type in rejects.sql_columns)
        values = "".join(f", p.{quoted(each.column)}" for each in source.columns)
        population.run(
            ctx,
            f"INSERT INTO {quoted(rejects.table)} ({names}) SELECT p.{ID}{values}, s.reason"  # noqa: S608 quoted
            f" FROM {quoted(source.table)} p JOIN {quoted(stage)} s ON s.id = p.{ID} WHERE s.reason <> ''",
        )
    return count
