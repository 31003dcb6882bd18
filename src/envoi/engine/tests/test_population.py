"""The seam between set activities: a population is made, read, and asked by expressions."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from envoi.engine import population, testing
from envoi.engine.activities.base import Failed, InboundEvent, Misconfigured, TaskContext
from envoi.engine.definition import Activity, Definition
from envoi.engine.population import Column
from envoi.kernel import query
from envoi.kernel.models import Group
from envoi.kernel.query import Condition, Field, QueryDef
from envoi.kernel.registry import Type
from envoi.kernel.testing import admin_actor, make_group


def context(name="query", **variables):
    workflow = testing.make_workflow((Activity("start", "start"),))
    activity = Activity("query", name)
    actor = admin_actor()
    return TaskContext(
        workflow_id=workflow.pk,
        workflow_name=workflow.internal_name,
        workflow_label="",
        task_id=7,
        run_number=1,
        activity=activity,
        definition=Definition((activity,)),
        events=(),
        variables=variables,
        instance_variables={},
        task_variables={},
        memory={},
        now=datetime(2026, 1, 1, tzinfo=UTC),
        zone=ZoneInfo("UTC"),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        woken=False,
        simulation=False,
        journal=lambda *args, **more: None,
        load_actor=lambda: actor,
    )


def groups(ctx, **more):
    """A population of groups with the length of their names."""
    made = population.create(
        ctx, dimension="xtk:group", columns=[Column("size", Type.LONG), Column("user", source=None)], **more
    )
    select = (Field("@id"), Field("Length(@name)"), Field("Upper(@name)"))
    count = population.insert(
        ctx, made, QueryDef("xtk:group", select=select, where=(Condition("@name LIKE 'pop%'"),))
    )
    return population.finish(ctx, made, count)


def event_of(made):
    return InboundEvent(1, "query", "result", population.fired("result", made).variables)


def test_a_population_is_read_as_it_was_made(db):
    for name in ("pop1", "pop22"):
        make_group(name)
    ctx = context()
    made = groups(ctx)
    assert event_of(made).variables == {
        "tableName": made.table,
        "schema": "xtk:group",
        "recCount": "2",
        "targetSchema": "temp:query",
    }
    assert population.read(context(), event_of(made)) == made
    assert made.sql_columns == (("id", "bigint"), ("size", "integer"), ("user", "text"))


def test_expressions_see_its_data_and_beyond_them_the_dimension(db):
    for name in ("pop1", "pop22"):
        make_group(name)
    ctx = context()
    made = groups(ctx)
    within = population.registry([made])
    asked = QueryDef(
        made.schema,
        select=(Field("@id"), Field("@size"), Field("@name"), Field("[target/@name]"), Field("@user")),
        where=(Condition("@name = 'pop22' AND @size > 2"),),
    )
    found = query.run(asked, actor=ctx.actor, within=within)
    key = Group.objects.get(name="pop22").pk
    assert found.rows == [(key, 5, "pop22", "pop22", "POP22")]


def test_a_population_has_no_doubles(db):
    make_group("pop1")
    ctx = context()
    made = population.create(ctx, dimension="xtk:group", columns=[Column("n", Type.LONG)])
    for number in (2, 1):
        population.run(ctx, f'INSERT INTO "{made.table}" VALUES (5, %s)', [number])
    with pytest.raises(Failed, match="twice"):
        population.finish(ctx, made, 2)
    kept = population.finish(ctx, made, 2, doubles=True)
    assert kept.count == 1
    found = query.run(
        QueryDef(made.schema, select=(Field("@n"),)), actor=ctx.actor, within=population.registry([kept])
    )
    assert found.rows == [(1,)]


def test_what_cannot_be_a_population_is_refused(db):
    ctx = context()
    with pytest.raises(Misconfigured, match="Two data"):
        population.create(ctx, columns=[Column("a"), Column("a")])
    with pytest.raises(Misconfigured, match="names no datum"):
        population.create(ctx, columns=[Column('a"; DROP')])
    with pytest.raises(Failed, match="brings no population"):
        population.read(ctx, InboundEvent(1, "start", "transition", {}))
    with pytest.raises(Failed, match="no more"):
        population.read(ctx, InboundEvent(1, "start", "transition", {"tableName": "xtk_operator"}))


def test_names_of_columns_are_free_ones():
    assert population.column_name("firstName") == "first_name"
    assert population.column_name("xmin") == "xmin_2"
    assert population.column_name("a-b", ["a_b"]) == "a_b_2"


def test_variables_reach_expressions(db):
    ctx = context(limit=3, text="a", share=0.5)
    values = population.values(ctx)
    assert (values["vars/@limit"], values["vars/@text"], str(values["vars/@share"])) == (3, "a", "0.5")
