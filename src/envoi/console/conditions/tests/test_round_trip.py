"""Random rows and random conditions: on the way through the editor nothing is lost and the meaning stays."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from envoi.console.conditions import (
    changing,
    drawing,
    fields,
    operators,
    read,
    sentence,
    text,
    translating,
    write,
)
from envoi.console.conditions.fields import Field, Sort
from envoi.console.conditions.operators import DAYS, Form
from envoi.console.conditions.rows import Free, Group, Has, Join, Line, Row, from_document, to_document
from envoi.kernel import registry
from envoi.kernel.errors import Invalid, Refused
from envoi.kernel.expression import parse
from envoi.kernel.query import Condition, QueryDef, run
from envoi.kernel.query import Field as Node
from envoi.kernel.registry import Registry
from envoi.kernel.testing import admin_actor, make_folder
from envoi.kernel.tests.query import world

PERSON, TEAM = "tst:person", "tst:team"
PATHS = {
    PERSON: ["@name", "@age", "@score", "@active", "@born", "@seen", "@colour", "[location/@city]", "[team]",
             "[team/@name]", "[team/boss/@age]", "@teamName"],
    TEAM: ["@name", "@size", "[boss]", "[boss/@seen]", "@id"],
}  # fmt: skip
COLLECTIONS = {PERSON: "[led]", TEAM: "[person]"}
OTHER = {PERSON: TEAM, TEAM: PERSON}
LOOSE = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8) | st.sampled_from(
    ["a%b", "_", "\\", "'; DROP TABLE tst_person --", "o'x", "%", "ann"]
)
NUMBERS = st.integers(-50, 50).map(str) | st.sampled_from(["1.5", "-2.25", "12345678901234567890"])
COUNTS = st.integers(0, 400).map(str)
DAY = (
    st.dates().map(lambda day: ("date", day.isoformat()))
    | st.just(("today", ""))
    | st.tuples(st.sampled_from([each for each in DAYS if "_" in each]), COUNTS)
)


@pytest.fixture
def known(db: None) -> Iterator[Registry]:
    """The small world of the queries' own tests, with its rows, in a registry of its own."""
    with connection.cursor() as cursor:
        cursor.execute(world.DDL)
    rows = world.small(make_folder("tShown").folder_id, make_folder("tClosed").folder_id)
    world.insert("tst_team", rows.teams)
    world.insert("tst_person", rows.persons)
    registry.reset(to=world.registry(registry.current()["xtk:folder"]))
    yield registry.current()
    registry.reset()


def values_of(field: Field, form: Form) -> st.SearchStrategy[tuple[str, ...]]:
    one = {
        Sort.TEXT: TEXTS,
        Sort.CHOICE: st.sampled_from(["0", "1", "2"]),
        Sort.LINK: st.integers(0, 20).map(str),
    }.get(field.sort, NUMBERS)
    return {
        Form.NONE: st.just(()),
        Form.ONE: st.tuples(one),
        Form.MANY: st.lists(one, min_size=1, max_size=4).map(tuple),
        Form.TWO: st.tuples(one, one),
        Form.DAY: DAY,
        Form.DAYS: st.tuples(DAY, DAY).map(lambda pair: (*pair[0], *pair[1])),
        Form.SPAN: st.tuples(COUNTS, st.sampled_from(list(operators.units_of(field)))),
    }[form]


def a_line(schema: str, known: Registry) -> st.SearchStrategy[Line]:
    def of(path: str) -> st.SearchStrategy[Line]:
        field = fields.find(known[schema], path, known)
        assert field is not None, path
        return st.sampled_from(operators.offered(field)).flatmap(
            lambda operator: values_of(field, operator.form).map(lambda v: Line(field.text, operator.name, v))
        )

    return st.sampled_from(PATHS[schema]).flatmap(of)


def a_group(schema: str, known: Registry, depth: int = 2) -> st.SearchStrategy[Group]:
    row: st.SearchStrategy[Row] = a_line(schema, known) | st.just(Free("Length(@name) > 3"))
    if depth:
        has = st.tuples(st.booleans(), a_group(OTHER[schema], known, depth - 1)).map(
            lambda pair: Has(COLLECTIONS[schema], *pair)
        )
        row = row | a_group(schema, known, depth - 1) | has
    return st.tuples(st.sampled_from(Join), st.lists(row, max_size=3)).map(
        lambda pair: Group(pair[0], tuple(pair[1]))
    )


def found(where: tuple[Condition, ...], schema: str = PERSON) -> object:
    """The rows that conditions hold for, or that they cannot be calculated."""
    query = QueryDef(schema, select=(Node("@id"),), where=where, order_by=(Node("@id"),))
    try:
        return run(query, actor=admin_actor()).rows
    except Invalid as error:
        return type(error)


def test_each_line_is_found_again_in_its_expression(known: Registry) -> None:
    @given(st.data())
    @settings(LOOSE, max_examples=200)
    def holds(data: st.DataObject) -> None:
        schema = data.draw(st.sampled_from([PERSON, TEAM]))
        line = data.draw(a_line(schema, known))
        field = fields.find(known[schema], line.field, known)
        assert field is not None
        node = operators.build(field, line.operator, line.values)
        again = operators.match(field, parse(str(node)))
        assert again is not None
        # It says the same, and in the same way unless there are two.
        assert operators.build(field, *again) == node or again[1] == ("today", "")
        today = "0" in line.values and "days_ago" in line.values
        if line.operator not in ("days", "like", "nlike", "before") and not today:
            assert again == (line.operator, line.values)

    holds()


def test_rows_come_back_from_their_conditions(known: Registry) -> None:
    @given(a_group(PERSON, known))
    @LOOSE
    def holds(group: Group) -> None:
        assert from_document(json.loads(json.dumps(to_document(group)))) == group
        first = translating.conditions_of(group, known[PERSON], known)
        rows = translating.rows_of(first, known[PERSON], known)
        second = translating.conditions_of(rows, known[PERSON], known)
        # One way through makes the usual shape; from then on nothing changes any more.
        assert translating.rows_of(second, known[PERSON], known) == rows
        assert read(write(second)) == second
        assert found(first) == found(second)
        assert text.rows_in(text.of_rows(group, PERSON, within=known), PERSON, within=known) in (group, rows)
        assert sentence(second, PERSON, within=known) or not second

    holds()


def conditions() -> st.SearchStrategy[tuple[Condition, ...]]:
    """Conditions as other clients write them: every operator, expressions with AND and NOT inside."""
    leaf = st.sampled_from(
        ["@age = 30", "@name LIKE 'a%' OR @age > 40", "NOT (@active = true)", "@active", "Length(@name) = 3",
         "[team/@size] >= 3 AND @age > 1", "@born < #1999-01-01#", "30 = @age", "@colour = 'red'",
         "NOT [team] IS NULL", ""]
    )  # fmt: skip
    logic = st.sampled_from(["AND", "OR", "AND NOT", "OR NOT"])

    def deeper(inner: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
        several = st.lists(inner, max_size=3).map(tuple)
        group = st.builds(Condition, expr=leaf, operator=logic, conditions=several)
        exists = st.builds(
            Condition,
            expr=st.just("led"),
            operator=logic,
            set_operator=st.sampled_from(["EXISTS", "NOT EXISTS"]),
            conditions=st.sampled_from(
                [(), (Condition("@size > 2"),), (Condition("@name = 'north'", "AND NOT"),)]
            ),
        )
        return group | exists

    one = st.builds(Condition, expr=leaf, operator=logic)
    tree = st.recursive(one, deeper, max_leaves=6)
    return st.lists(tree, max_size=3).map(tuple)


def test_random_conditions_mean_the_same_as_their_rows(known: Registry) -> None:
    @given(conditions())
    @LOOSE
    def holds(where: tuple[Condition, ...]) -> None:
        assert read(write(where)) == where
        rows = translating.rows_of(where, known[PERSON], known)
        again = translating.conditions_of(rows, known[PERSON], known)
        assert translating.rows_of(again, known[PERSON], known) == rows
        assert found(where) == found(again)

    holds()


def test_an_editor_draws_and_changes_whatever_it_is_given(known: Registry) -> None:
    """Each button at each place gives rows that can be drawn, or says that there is no such row."""

    @given(
        a_group(PERSON, known),
        st.sampled_from(["add", "group", "expression", "field", "remove", "up", "down", "tidy"]),
        st.sampled_from(["", "0", "1", "0.0", "1.1", "0.0.0"]),
        st.sampled_from(["@name", "@seen", "[team]", "[led]", "[team/@name]", "@nothing"]),
    )
    @LOOSE
    def holds(group: Group, do: str, at: str, field: str) -> None:
        try:
            changed, _place = changing.change(group, do, changing.place_of(at), field, known[PERSON], known)
        except Invalid:
            return
        editor = drawing.of_rows(PERSON, "where", changed, actor=admin_actor(), within=known)
        assert text.rows_in(editor.text, PERSON, within=known)

    holds()


@pytest.mark.parametrize(
    "value", ["' OR 1=1 --", "'; DELETE FROM tst_person; --", '" OR ""="', "%' OR '1'='1", "\\' OR 1=1"]
)
def test_injected_texts_find_nothing(known: Registry, value: str) -> None:
    for operator in ("eq", "contains", "starts", "ends", "in"):
        rows = Group(rows=(Line("@name", operator, (value,)),))
        where = translating.conditions_of(rows, known[PERSON], known)
        assert found(where) == []
        assert translating.rows_of(where, known[PERSON], known) == rows
    for field in (f"@name = {value}", f"@name{value}", f"[team{value}]"):
        with pytest.raises(Refused):
            translating.conditions_of(
                Group(rows=(replace(Line("", "eq", ("x",)), field=field),)), known[PERSON], known
            )


def test_values_take_the_shape_of_their_operator(known: Registry) -> None:
    for values in ((), ("x",), ("a", "b"), ("date", "2026-11-24"), ("30", "Days"), ("date", "", "today", "")):
        for form in Form:
            fitted: Any = changing.fitted(form, values)
            assert changing.fitted(form, fitted) == fitted
