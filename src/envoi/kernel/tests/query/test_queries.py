import dataclasses
from datetime import date
from typing import Any

import pytest
from django.db import connection

from envoi.kernel import query, registry
from envoi.kernel.errors import Invalid, NotAllowed, NotFound
from envoi.kernel.query import Condition, Field, Operation, QueryDef
from envoi.kernel.rights import Actor
from envoi.kernel.testing import make_actor

pytestmark = pytest.mark.usefixtures("world")


def ids(actor: Actor, *conditions: Condition | str, schema: str = "tst:person", **more: Any) -> list[int]:
    where = tuple(Condition(each) if isinstance(each, str) else each for each in conditions)
    definition = QueryDef(schema, select=(Field("@id"),), where=where, order_by=(Field("@id"),), **more)
    return [row[0] for row in query.run(definition, actor=actor).rows]


def rows(actor: Actor, *select: str, schema: str = "tst:person", **more: Any) -> list[tuple[Any, ...]]:
    definition = QueryDef(schema, select=tuple(Field(each) for each in select), **more)
    return query.run(definition, actor=actor).rows


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("@age = 30", [11, 16]),
        ("@age != 30", [13, 14, 15]),
        ("NOT @age = 30", [13, 14, 15]),
        ("@age IS NULL", [12]),
        ("@name IS NULL", [15]),
        ("@name IS NOT NULL AND @age IS NOT NULL", [11, 13, 14, 16]),
        ("@age IN (0, 41)", [13, 14]),
        ("@age NOT IN (0, 41)", [11, 15, 16]),
        ("@age NOT IN (0, NULL)", []),
        ("@age BETWEEN -7 AND 0", [14, 15]),
        ("@age NOT BETWEEN -7 AND 40", [13]),
        ("@colour = 'red'", [11, 14]),
        ("@colour IN ('red', 'blue')", [11, 12, 14]),
        ("@colour = '2'", [12]),
        ("@active = 1", [11, 13]),
        ("@active", [11, 13]),
        ("NOT @active", [12, 15]),
        ("@active = true OR @age", [11, 13, 15, 16]),
        ("@score = 1.5", [11, 16]),
        ("@age / 2 = 15", [11, 16]),
        ("@age % 2 = 1", [13]),
        ("100 / @age > 2", [11, 13, 16]),
        ("@born = #1996-02-29#", [11]),
        ("@born = #1996-02-29T00:00:00.000Z#", [11]),
        ("@born < '2000-01-01'", [11, 15]),
        ("@seen >= #2026-11-24#", [11]),
        ("ToDate(@seen) = #2026-03-29#", [12]),
        ("[team/@name] = 'north'", [11, 14]),
        ("team IS NULL", [16]),
        ("[team/boss/@name] = 'bob'", [12, 15]),
        ("[team/boss/team/@size] = 3", [11, 14]),
        ("[location/@city] = 'Lyon'", [11]),
        ("@loud = 'ANN'", [11]),
        ("@louder LIKE '%B!'", [12]),
        ("@teamName = 'south'", [12, 15]),
        ("[team/boss/@louder] = 'CAROL!'", [13]),
        ("@name LIKE '%n%'", [11]),
        ("@name NOT LIKE '%n%'", [12, 13, 14, 15, 16]),
        ("@name LIKE '100\\% %'", [14]),
        ("@name LIKE '%d\\_ve%'", [14]),
        ("@name LIKE 'ann\\_'", []),
        ("@name LIKE 'ANN'", []),
        ("@name LIKE '%\\\\\\\\'", [14]),
        ("@name LIKE @name", [11, 12, 13, 14, 15, 16]),
        ("@name LIKE '%' + '\\\\'", [14]),
        ("@id > 14.5", [15, 16]),
        ("@age + NULL IS NULL", [11, 12, 13, 14, 15, 16]),
        ("1 = 0 OR NULL", []),
        ("@data IS NULL", [11, 12, 13, 14, 15, 16]),
    ],
)
def test_conditions(condition: str, found: list[int], admin: Actor) -> None:
    assert ids(admin, condition) == found


def test_conditions_are_tied_and_nested(admin: Actor) -> None:
    young = Condition(conditions=(Condition("@age < 20"), Condition("@active IS NULL", operator="AND NOT")))
    assert ids(admin, young) == [15]
    assert ids(admin, "@age = 41", Condition("@age = 0", operator="OR")) == [13, 14]
    tied = (
        "@age = 41",
        Condition("@age = 30", operator="OR"),
        "@team-id IS NULL".replace("@team-id", "team"),
    )
    assert ids(admin, *tied) == [13, 16]
    assert ids(admin, "@age = 30", Condition("@name = 'zoe'", operator="AND NOT")) == [11]
    assert ids(admin, Condition()) == [11, 12, 13, 14, 15, 16]
    assert ids(admin, Condition("@age = 30", conditions=(Condition("@name = 'zoe'"),))) == [16]


def test_a_condition_can_be_switched_off(admin: Actor) -> None:
    switched = Condition("@age = 30", enabled_if="$(vars/@mode) = 'on' AND NOT $(vars/@other) IS NULL")
    definition = QueryDef("tst:person", select=(Field("@id"),), where=(switched,))
    for mode, other, count in (("on", "x", 2), ("off", "x", 6), ("on", "", 6)):
        given = {"vars/@mode": mode, "vars/@other": other}
        assert len(query.run(definition, actor=admin, variables=given).rows) == count
    with pytest.raises(Invalid, match="no variable vars/@mode"):
        query.run(definition, actor=admin)


def test_a_variable_is_a_value(admin: Actor) -> None:
    definition = QueryDef("tst:person", select=(Field("@id"),), where=(Condition("@name = $(vars/@who)"),))
    assert query.run(definition, actor=admin, variables={"vars/@who": "bob"}).rows == [(12,)]
    assert query.run(definition, actor=admin, variables={"vars/@who": "' OR 1=1 --"}).rows == []


def test_collections_are_asked_about_by_exists(admin: Actor) -> None:
    def teams(*conditions: Condition) -> list[int]:
        return ids(admin, *conditions, schema="tst:team")

    old = (Condition("@age > 30"),)
    assert teams(Condition("person", set_operator="EXISTS")) == [1, 2, 3]
    assert teams(Condition("person", set_operator="EXISTS", conditions=old)) == [3]
    assert teams(Condition("person", set_operator="NOT EXISTS", conditions=old)) == [1, 2]
    same = (Condition("@age = 30"), Condition("@active = false"))
    assert teams(Condition("[person]", set_operator="EXISTS", conditions=same)) == []
    led = Condition("[boss/led]", set_operator="EXISTS", conditions=(Condition("[boss/@age] = 41"),))
    assert teams(led) == [3]
    deep = Condition("person", set_operator="EXISTS", conditions=(Condition("led", set_operator="EXISTS"),))
    assert teams(deep) == [1, 2, 3]
    with pytest.raises(Invalid, match="EXISTS takes the path of a link"):
        teams(Condition("@name", set_operator="EXISTS"))
    with pytest.raises(Invalid, match="did you mean person"):
        teams(Condition("persn", set_operator="EXISTS"))


def test_subqueries(admin: Actor) -> None:
    bosses = QueryDef("tst:team", select=(Field("[@boss-id]"),), where=(Condition("@size IS NOT NULL"),))
    assert ids(admin, Condition("@id", set_operator="IN", subquery=bosses)) == [11, 13]
    assert ids(admin, Condition("@id", set_operator="NOT IN", subquery=bosses)) == [12, 14, 15, 16]
    none = QueryDef("tst:team", where=(Condition("@size > 100"),))
    assert ids(admin, Condition(set_operator="EXISTS", subquery=none)) == []
    wrong = dataclasses.replace(bosses, select=(Field("@name"),))
    with pytest.raises(Invalid, match="each is a text"):
        ids(admin, Condition("@id", set_operator="IN", subquery=wrong))
    with pytest.raises(Invalid, match="selects one node"):
        ids(admin, Condition("@id", set_operator="IN"))
    with pytest.raises(Invalid, match="needs a setOperator"):
        ids(admin, Condition("@id", subquery=bosses))


def test_groups(admin: Actor) -> None:
    by_team = rows(
        admin, "[team/@name]", "Count(@id)", "Avg(@age)",
        group_by=(Field("[team/@name]"),), order_by=(Field("[team/@name]"),),
    )  # fmt: skip
    assert by_team == [("hidden", 1, 41.0), ("north", 2, 15.0), ("south", 2, -7.0), (None, 1, 30.0)]
    large = rows(
        admin, "[team/@name]", group_by=(Field("[team/@name]"),), having=(Condition("Count() > 1"),),
        order_by=(Field("Max(@age)", descending=True),),
    )  # fmt: skip
    assert large == [("north",), ("south",)]
    definition = QueryDef("tst:person", select=(Field("Year(@born) + 1", group=True), Field("Count()")))
    assert sorted(query.run(definition, actor=admin).rows, key=str)[:2] == [(1981, 1), (1997, 1)]
    assert query.count(definition, actor=admin) == 4
    over = rows(admin, "@name", "Count([person/@id])", schema="tst:team", group_by=(Field("@name"),))
    assert sorted(over) == [("hidden", 1), ("north", 2), ("south", 2)]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"select": (Field("@name"), Field("Count()"))}, "@name has several values in a group"),
        ({"select": (Field("Count(Count())"),)}, "cannot hold another aggregate"),
        ({"where": (Condition("Count() > 1"),)}, "aggregates stand in having"),
        ({"group_by": (Field("Count()"),)}, "cannot be grouped by an aggregate"),
        ({"group_by": (Field("@age"),), "having": (Condition("@id > 1"),)}, "several values"),
        ({"distinct": True, "order_by": (Field("@name"),)}, "distinct rows can be sorted"),
        ({"select": ()}, "at least one node"),
        ({"select": (Field("@emial"),)}, "no attribute @emial"),
        ({"select": (Field("@nmae"),)}, "did you mean @name"),
        ({"select": (Field("[taem/@name]"),)}, "did you mean team"),
        ({"select": (Field("@team"),)}, "team is a link"),
        ({"select": (Field("[name/@x]"),)}, "did you mean @name"),
        ({"select": (Field("@circle"),)}, "go in a circle: tst:person/@circle"),
        ({"select": (Field("@wrong"),)}, "computed @wrong of tst:person gives a whole number, not a text"),
        ({"select": (Field("@name + "),)}, r"expected a value, found the end. \(queryDef/select/node\[1\]"),
        ({"where": (Condition("@name > 5"),)}, "a text and a whole number cannot be compared"),
        ({"where": (Condition("@age = 'x'"),)}, "no value of an enumeration"),
        ({"where": (Condition("@born = 'x'"),)}, "'x' is no date"),
        ({"where": (Condition("@born + 1 > 2"),)}, "Use AddDays"),
        ({"where": (Condition("@name"),)}, "expected a condition, found a text"),
        ({"where": (Condition("Upper(@age) = 'X'"),)}, "ToString makes one of it"),
        ({"where": (Condition("Iif(@age, 'x', 1) = 1"),)}, "cannot be values of one expression"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(more: dict[str, Any], said: str, admin: Actor) -> None:
    definition = QueryDef("tst:person", **{"select": (Field("@age"),), **more})
    with pytest.raises(Invalid, match=said):
        query.run(definition, actor=admin)


def test_operations(admin: Actor) -> None:
    one = QueryDef("tst:person", Operation.GET, select=(Field("@name"),), where=(Condition("@id = 11"),))
    none = dataclasses.replace(one, where=(Condition("@id = 99"),))
    assert query.run(one, actor=admin).dicts() == [{"@name": "ann"}]
    with pytest.raises(NotFound, match="no tst:person"):
        query.run(none, actor=admin)
    assert query.run(dataclasses.replace(none, operation=Operation.GET_IF_EXISTS), actor=admin).rows == []
    every = QueryDef("tst:person")
    assert query.count(every, actor=admin) == 6
    assert query.count(dataclasses.replace(every, line_count=4), actor=admin) == 4
    assert query.count(dataclasses.replace(one, where=(Condition("@age = 30"),)), actor=admin) == 2
    assert query.count(QueryDef("tst:person", select=(Field("@age"),), distinct=True), actor=admin) == 5
    assert query.exists(one, actor=admin)
    assert not query.exists(none, actor=admin)
    with pytest.raises(NotFound, match="Did you mean tst:person"):
        query.run(QueryDef("tst:persn", select=(Field("@id"),)), actor=admin)


def test_order_and_lines(admin: Actor) -> None:
    by_age = (Field("@age", descending=True), Field("@id"))
    assert [row[0] for row in rows(admin, "@id", order_by=by_age)] == [12, 13, 11, 16, 14, 15]
    assert ids(admin, line_count=2, start_line=3) == [14, 15]
    assert ids(admin, line_count=0) == []
    assert rows(admin, "@age", distinct=True, order_by=(Field("@age"),), line_count=2) == [(-7,), (0,)]
    assert rows(admin, "1", "'x'", "NULL", "true", "#2026-11-24#", line_count=1, order_by=(Field("5"),)) == [
        (1, "x", None, True, date(2026, 11, 24))
    ]


@pytest.mark.parametrize(
    "order",
    [
        (),
        (Field("@age"),),
        (Field("@age", descending=True),),
        (Field("[team/@name]", descending=True), Field("@score")),
        (Field("@seen"), Field("@name", descending=True)),
        (Field("@active"), Field("@born")),
        (Field("@age / 7"),),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 4])
def test_pages_by_key_give_each_row_once(order: tuple[Field, ...], size: int, admin: Actor) -> None:
    definition = QueryDef("tst:person", select=(Field("@id"),), order_by=order, line_count=size)
    found, after = [], None
    for _ in range(10):
        page = query.run(dataclasses.replace(definition, after=after), actor=admin, keyset=True)
        found += page.rows
        after = page.next
        if after is None:
            break
    whole = dataclasses.replace(definition, line_count=None, order_by=(*order, Field("@id")))
    assert found == query.run(whole, actor=admin).rows


def test_pages_by_key_need_single_rows(admin: Actor) -> None:
    many = QueryDef("tst:team", select=(Field("[person/@id]"),))
    for definition in (many, QueryDef("tst:person", select=(Field("@age"),), distinct=True)):
        with pytest.raises(Invalid, match="pages by key need single rows"):
            query.run(definition, actor=admin, keyset=True)
    with pytest.raises(Invalid, match="does not belong"):
        query.run(QueryDef("tst:person", select=(Field("@id"),), after=(1, 2)), actor=admin)


def test_an_enumeration_is_analyzed(admin: Actor) -> None:
    select = (Field("@colour", analyze=True), Field("@name", alias="@who", analyze=True))
    result = query.run(QueryDef("tst:person", select=select, where=(Condition("@id = 11"),)), actor=admin)
    assert result.dicts() == [{"@colour": 1, "@who": "ann", "@colourName": "red", "@colourLabel": "Red"}]
    missing = query.run(QueryDef("tst:person", select=select, where=(Condition("@id = 15"),)), actor=admin)
    assert missing.rows == [(None, "", "", "")]


def test_a_query_explains_itself(admin: Actor) -> None:
    definition = QueryDef(
        "tst:person", select=(Field("@name"), Field("Count(@id)")), group_by=(Field("@name"),)
    )
    told = query.explain(definition, actor=admin)
    assert told["sql"].startswith('SELECT t1."name" AS c0')
    assert told["columns"] == [
        {"name": "@name", "expr": "@name", "type": "string", "label": "Name"},
        {"name": "Count(@id)", "expr": "Count(@id)", "type": "integer", "label": "Count(@id)"},
    ]
    assert query.estimate(QueryDef("tst:person", select=(Field("@id"),)), actor=admin) > 0


def test_everything_can_be_selected(admin: Actor, restricted: Actor) -> None:
    with pytest.raises(Invalid, match="circle"):
        rows(admin, *(each.expr for each in query.select_all("tst:person", actor=admin)))
    names = [each.expr for each in query.select_all("tst:team", actor=admin)]
    assert names == ["@id", "@name", "@size", "[@boss-id]", "[@folder-id]"]
    assert len(rows(admin, *names, schema="tst:team")) == 3
    assert "@secret" not in [each.expr for each in query.select_all("tst:person", actor=restricted)]
    assert "@secret" in [each.expr for each in query.select_all("tst:person", actor=admin)]


def test_a_population_goes_into_a_table_in_one_statement(admin: Actor, restricted: Actor) -> None:
    definition = QueryDef("tst:person", select=(Field("@id"), Field("@age * 2"), Field("[team/@name]")))
    columns = (("id", "bigint"), ("double", "integer"), ("team", "text"))
    with connection.cursor() as cursor:
        for actor, count in ((admin, 6), (restricted, 4)):
            cursor.execute("CREATE TABLE tst_work (id bigint, double integer, team text)")
            compiled = query.compile_insert_select(definition, "tst_work", columns, actor=actor)
            cursor.execute(compiled.sql, dict(compiled.params))
            assert cursor.rowcount == count
            cursor.execute("SELECT double, team FROM tst_work WHERE id = 11")
            assert cursor.fetchone() == (60, "north")
            cursor.execute("DROP TABLE tst_work")
    for table, wrong in (('x"; DROP TABLE tst_person', columns), ("t", (("i d", "bigint"), *columns[1:]))):
        with pytest.raises(Invalid, match="names no table"):
            query.compile_insert_select(definition, table, wrong, actor=admin)
    with pytest.raises(Invalid, match="no type of a column"):
        query.compile_insert_select(definition, "t", (("a", "money"), *columns[1:]), actor=admin)
    with pytest.raises(Invalid, match="does not fill 1 columns"):
        query.compile_insert_select(definition, "t", columns[:1], actor=admin)


def test_an_attribute_may_take_a_right(restricted: Actor, admin: Actor) -> None:
    assert rows(admin, "@secret", where=(Condition("@id = 11"),)) == [("Lyon",)]
    for place in ("select", "where", "order_by", "group_by"):
        node = Condition("@secret = 'Lyon'") if place == "where" else Field("@secret")
        with pytest.raises(NotAllowed, match="read @secret of tst:person: the right ADMINISTRATION"):
            query.run(QueryDef("tst:person", **{"select": (Field("@id"),), place: (node,)}), actor=restricted)


def test_a_schema_may_take_a_right(restricted: Actor) -> None:
    registry.reset()
    stranger = make_actor("stranger", rights=("WORKFLOW",))
    for name in ("xtk:option", "xtk:audit", "xtk:outbox"):
        with pytest.raises(NotAllowed, match=f"read {name}: the right ADMINISTRATION"):
            query.count(QueryDef(name), actor=stranger)
    within = Condition("@id", set_operator="IN", subquery=QueryDef("xtk:option", select=(Field("@id"),)))
    through = Condition("right", set_operator="EXISTS")
    for condition in (within, through, Condition("[right/@name] = 'x'")):
        with pytest.raises(NotAllowed, match="ADMINISTRATION"):
            query.count(QueryDef("xtk:operator", where=(condition,)), actor=stranger)


ATTACKS = [
    "' OR '1'='1", "'; DROP TABLE tst_person; --", "\\' OR 1=1 --",
    "x' UNION SELECT password FROM xtk_operator --",
    '"; DROP TABLE tst_person; --', "%s", "%(p0)s", "{0}", "$1", "\\", "\\\\'", "ann\\", "/* */", "a%' --",
]  # fmt: skip


@pytest.mark.parametrize("text", ATTACKS)
def test_injected_texts_find_nothing(text: str, admin: Actor) -> None:
    written = "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
    assert ids(admin, f"@name = {written}") == []
    assert ids(admin, f"@name LIKE {written}") == []
    assert ids(admin, f"@name IN ({written}) OR Replace(@name, {written}, 'x') = 'y'") == []
    assert rows(admin, written, line_count=1) == [(text,)]
    asked = [(text, "@id"), *(("tst:person", expr) for expr in (text, f"@{text}", f"[{text}]"))]
    for schema, expr in asked:
        with pytest.raises((Invalid, NotFound)):
            query.run(QueryDef(schema, select=(Field(expr),), where=(Condition("@id = 99"),)), actor=admin)
    assert len(ids(admin)) == 6
