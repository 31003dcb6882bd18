"""What a transition carried is shown within the rights of who looks (engine.md §1, ADR 0013)."""

import pytest

from envoi.engine import population, sql, targets, testing
from envoi.engine.models import Login
from envoi.engine.population import Column
from envoi.engine.testing import chain, make_workflow
from envoi.engine.testing import start as begin
from envoi.engine.tests.diagrams import call, end, start
from envoi.kernel.errors import Invalid, NotAllowed
from envoi.kernel.testing import admin_actor, allow, make_actor, make_folder, make_group, make_operator


@pytest.fixture
def carrying(monkeypatch):
    """Make a workflow whose activity carries these ids of a dimension, with a datum beside each."""

    def make(dimension, ids):
        def fill(*, actor, ctx):
            made = population.create(ctx, dimension=dimension, columns=(Column("mark"),))
            sql.run(
                f"INSERT INTO {made.table} SELECT id, 'm' || id FROM unnest(%(ids)s::bigint[]) AS id",
                {"ids": ids},
            )
            return dict(population.fired("done", population.finish(ctx, made, len(ids))).variables)

        monkeypatch.setattr(testing, "nothing", fill)
        workflow = begin(make_workflow(chain(start(), call(), end()), keep_results=True))
        assert not workflow.failed, testing.lines(workflow)
        return workflow

    return make


def rows(actor, workflow, **place):
    page = targets.page(actor, workflow.internal_name, "work", "done", **place)
    return page.columns, [row[0] for row in page.rows], page.following


def test_rows_that_the_operator_may_not_read_are_not_there(db, clock, carrying):
    private = make_folder("private", "jobs", model="xtk:workflow")
    allow(private, make_group("others"))
    open_ = [make_workflow(chain(start(), end()), name=f"open{n}").pk for n in range(3)]
    hidden = make_workflow(chain(start(), end()), folder="private").pk
    workflow = carrying("xtk:workflow", [*open_, hidden])
    ina = make_actor("ina", rights=("WORKFLOW",))
    assert rows(admin_actor(), workflow) == (("id", "target", "mark"), [*open_, hidden], "")
    assert rows(ina, workflow)[1] == open_
    _columns, first, following = rows(ina, workflow, limit=2)
    assert (first, following) == (open_[:2], str(open_[1]))
    assert rows(ina, workflow, limit=2, after=following)[1:] == (open_[2:], "")
    with pytest.raises(Invalid):
        rows(ina, workflow, after="1 OR true")


def test_the_text_of_each_row_stands_beside_it(db, clock, carrying):
    first = make_workflow(chain(start(), end()), name="first")
    workflow = carrying("xtk:workflow", [first.pk])
    page = targets.page(admin_actor(), workflow.internal_name, "work", "done")
    assert page.rows == ((first.pk, "first", f"m{first.pk}"),)
    assert page.count == 1


def test_a_dimension_that_takes_a_right_is_refused_without_it(db, clock, carrying):
    other = make_workflow(chain(start(), end()))
    login = Login.objects.create(workflow=other, operator=make_operator("sam"))
    workflow = carrying("xtk:workflowLogin", [login.pk])
    assert rows(admin_actor(), workflow)[1] == [login.pk]
    with pytest.raises(NotAllowed, match="ADMINISTRATION"):
        rows(make_actor("ina", rights=("WORKFLOW",)), workflow)


def test_data_without_a_dimension_take_the_rights_of_the_workflow_alone(db, clock, carrying):
    workflow = carrying("", [1, 2])
    assert rows(make_actor("ina", rights=("WORKFLOW",)), workflow)[1] == [1, 2]
