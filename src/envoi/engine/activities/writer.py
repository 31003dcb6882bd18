"""Update data: a population is written into an entity (engine.md §6.1, §6.5).

XML tag: writer (our choice).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.translation import gettext_noop as _

from envoi.engine import population, targeting, updating
from envoi.engine.activities.base import ActivityType, Fired, Outcome, TaskContext, wait
from envoi.engine.activities.query import dimensions_exist
from envoi.engine.definition import Activity, Definition
from envoi.engine.population import Column, Population

COUNTS = ("inserted", "updated", "deleted", "rejected")


class Writer(ActivityType):
    """Parameters: `schema` (the entity; else the dimension), `operation` ("insertOrUpdate", "insert",
    "update" or "delete"), `joins` (`{"source", "destination"}`: how a row of the entity is found; without
    them by its key), `columns` (`{"destination": field or link with a field of its target, "expr",
    "enabledIf", "operation": "both" | "insert" | "update"}`), `enabledIf` (rows that count), `emptyIfNull`
    (true: an empty value empties the field), `folder` (internal name, for new rows), `batch` (rows of one
    transaction; 0: all in one).

    Rows are changed only where a value differs. Of several rows for one destination the first is written. A
    row that does not fit (too long, no such link, no right) is left out; a way of kind "rejects" carries
    those, with @reason. Deleting does not delete what leads to the row. Has no way out of its own; one that
    is drawn carries the population on.
    """

    type = "writer"
    family = "action"
    ways = ()
    effects = True

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """See that entity, operation and columns are there."""
        yield from dimensions_exist(activity, "schema")
        operation = activity.parameters.get("operation", "insertOrUpdate")
        if operation not in updating.OPERATIONS:
            yield _("Activity %(activity)s cannot do %(operation)s"), {"operation": str(operation)}
        if not activity.parameters.get("columns") and operation != "delete":
            yield _("Activity %(activity)s does not say which columns it writes"), {}

    def run(self, ctx: TaskContext) -> Outcome:
        """Write, one batch at a time."""
        source = population.inbound(ctx)[0]
        plan = updating.plan(ctx, source)
        rejects = _rejects(ctx, source)
        done = updating.batch(ctx, source, plan, int(ctx.memory.get("last", 0)), rejects)
        for name in COUNTS:
            ctx.memory[name] = int(ctx.memory.get(name, 0)) + getattr(done, name)
        if plan.batch and done.seen == plan.batch:
            ctx.memory["last"] = done.last
            return wait(ctx.now)
        ctx.info(
            _(
                "%(schema)s: %(inserted)s inserted, %(updated)s updated, %(deleted)s deleted,"
                " %(rejected)s rejected"
            ),
            schema=plan.schema.name,
            **{name: ctx.memory[name] for name in COUNTS},
        )
        fired = [
            Fired(way.name)
            for way in ctx.activity.transitions
            if way.enabled and way.kind not in ("error", "rejects")
        ][:1]
        if rejects is not None:
            finished = population.finish(ctx, rejects, ctx.memory["rejected"])
            way = targeting.way_of(ctx, "rejects")
            fired.append(population.fired(way.name if way else "rejects", finished))
        return Outcome(tuple(fired))


def _rejects(ctx: TaskContext, source: Population) -> Population | None:
    """Return the table of rejected rows, made by the first batch and kept in the task's memory."""
    if targeting.way_of(ctx, "rejects") is None:
        return None
    found = population.stored(str(ctx.memory.get("rejects") or ""))
    if found is not None:
        return found[0]
    columns = [*source.columns, Column(targeting.free("reason", [each.attribute for each in source.columns]))]
    made = population.create(
        ctx, dimension=source.dimension, columns=columns, schema=f"temp:{ctx.activity.name}_rejects"
    )
    ctx.memory["rejects"] = made.table
    return made
