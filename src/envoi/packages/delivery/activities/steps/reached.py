"""Whom a delivery is for, as the population that goes on (engine.md §6.5)."""

from typing import Any

from envoi.engine import population, targeting
from envoi.engine.activities.base import Fired, Outcome, TaskContext
from envoi.kernel.query.scope import quoted
from envoi.packages.delivery.activities.steps import progress
from envoi.packages.delivery.models import Delivery, DeliveryRun, Flag, MessageStatus
from envoi.packages.delivery.services import file_target, log_tables

COMPLEMENT = "complement"
_GONE = ("tableName", "schema", "recCount", "targetSchema")
PARAMETER = "keepTarget"
"""False: the target is not recovered."""


def outcome(ctx: TaskContext, delivery: Delivery, *, recover: bool = True) -> Outcome:
    """Complete, firing the way out that is drawn, if one is, with the target, and the complement with those
    who were left out. Without messages (only saved, or estimated) what came in goes on.
    """
    ways = [way for way in ctx.activity.transitions if way.enabled and way.kind != "error"]
    shared: dict[str, Any] = {"deliveryId": str(delivery.pk)}
    recover = recover and ctx.parameters.get(PARAMETER) is not False
    run = progress.run_of(ctx, delivery)
    written = run is not None and not run.counts.get("estimate") and "written" in run.counts
    kept = {} if run is not None and written and recover else _kept(ctx, delivery, recover=recover)
    fired: list[Fired] = []
    for way in ways:
        if run is not None and written and recover:
            found = _population(ctx, delivery, run, left_out=way.kind == COMPLEMENT)
            fired.append(population.fired(way.name, found, **shared))
        elif way.kind != COMPLEMENT:
            fired.append(Fired(way.name, {**shared, **kept}))
    return Outcome(tuple(fired))


def nothing(ctx: TaskContext) -> Outcome:
    """Complete without a delivery: what came in goes on."""
    ways = [way for way in ctx.activity.transitions if way.enabled and way.kind not in ("error", COMPLEMENT)]
    return Outcome(tuple(Fired(way.name) for way in ways))


def _kept(ctx: TaskContext, delivery: Delivery, *, recover: bool) -> dict[str, Any]:
    """Return what goes on beside what came in; without `recover`, take that away."""
    if recover:
        counted = delivery.run_id is not None and not ctx.variables.get("tableName")
        return {"recCount": str(delivery.to_deliver)} if counted else {}
    # The table stays as long as the delivery may be analysed further on in the workflow.
    table = {"deliveryTable": str(ctx.variables["tableName"])} if ctx.variables.get("tableName") else {}
    for name in _GONE:
        ctx.variables.pop(name, None)
    return table


def _population(
    ctx: TaskContext, delivery: Delivery, run: DeliveryRun, *, left_out: bool
) -> population.Population:
    """Make the population of those with a message, or of those who are excluded; with the data that came in
    when the target is the population that came in.
    """
    log = quoted(log_tables.partition("broad_log", run.storage, run.pk))
    sign = "=" if left_out else "<>"
    params = {"run": run.pk, "ignored": int(MessageStatus.IGNORED)}
    where = f"b.run_id = %(run)s AND b.status {sign} %(ignored)s AND b.flags & {int(Flag.SEED)} = 0"
    tables = [log]
    if left_out:
        tables.append(quoted(log_tables.partition("excl_log", run.storage, run.pk)))
    if ctx.events and ctx.parameters.get("recipients") == "transition":
        source = population.inbound(ctx)[0]
        key = file_target.key(delivery.mapping, run.pk, "p.id")
        there = [f"EXISTS (SELECT 1 FROM {log} b WHERE b.target_id = {key} AND {where})"]  # noqa: S608 quoted
        if left_out:
            there.append(
                f"EXISTS (SELECT 1 FROM {tables[1]} b WHERE b.target_id = {key} AND b.run_id = %(run)s)"  # noqa: S608
            )
        return targeting.copy_rows(ctx, source, f"({' OR '.join(there)})", params)
    schema = f"temp:{ctx.activity.name}"
    made = population.create(ctx, dimension=delivery.mapping.schema, schema=schema)
    shown = (
        f"b.target_id - ({file_target.base(run.pk)})"
        if file_target.concerns(delivery.mapping)
        else "b.target_id"
    )
    selects = [f"SELECT {shown} FROM {log} b WHERE {where}"]  # noqa: S608 quoted
    if left_out:
        selects.append(f"SELECT {shown} FROM {tables[1]} b WHERE b.run_id = %(run)s")  # noqa: S608 quoted
    statement = f"INSERT INTO {quoted(made.table)} (id) {' UNION '.join(selects)}"
    return population.finish(ctx, made, population.run(ctx, statement, params))
