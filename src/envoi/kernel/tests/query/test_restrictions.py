"""No way of asking shows a row of a folder that the actor may not read: every entity, every link to it."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import connection, transaction

from envoi.kernel import clock, query, registry
from envoi.kernel.models import Operator
from envoi.kernel.query import Condition, Field, Operation, QueryDef
from envoi.kernel.registry import Link, Schema
from envoi.kernel.rights import Actor, Right, actor_of
from envoi.kernel.testing import allow, make_folder, make_operator

pytestmark = pytest.mark.django_db
IN_FOLDERS = [schema.name for schema in registry.current() if schema.folder is not None]
# Tables in which an operator or a group is set, and not both: the schema does not tell.
HELD = ("xtk:folderRight", "xtk:right")


@dataclass
class Rows:
    """Keys by schema: one row in the open folder and one in the closed; those without a folder have one."""

    shown: dict[str, int]
    hidden: dict[str, int]


NUMBERS = itertools.count(1)


class Maker:
    """Fills tables from their schemas: each row has what its table demands."""

    def __init__(self, folder: int, operator: int) -> None:
        self.made: dict[str, int] = {"xtk:folder": folder, "xtk:operator": operator}

    def row(self, schema: Schema) -> int:
        if schema.name in self.made:
            return self.made[schema.name]
        with connection.cursor() as cursor:
            cursor.execute(
                """SELECT column_name, is_nullable, column_default IS NOT NULL OR is_identity = 'YES',
                     data_type, character_maximum_length FROM information_schema.columns
                   WHERE table_schema = current_schema() AND table_name = %s AND is_generated = 'NEVER'""",
                [schema.table],
            )
            columns = {name: (null == "YES", *rest) for name, null, *rest in cursor.fetchall()}
        links = {own: link for link in schema.links.values() for own, _ in link.join if not link.collection}
        values: dict[str, Any] = {}
        for name, (null, given, kind, length) in columns.items():
            if name in schema.key and given:
                continue
            if name in links and (not null or (schema.folder and links[name].name == schema.folder[0])):
                values[name] = self.row(registry.find(links[name].target))
            elif not null and not given:
                values[name] = self.value(kind, name)[:length] if length else self.value(kind, name)
        if schema.name in HELD:
            values["operator_id"] = self.made["xtk:operator"]
        names, places = ", ".join(f'"{name}"' for name in values), ", ".join(["%s"] * len(values))
        with connection.cursor() as cursor:
            cursor.execute("SELECT relkind = 'p' FROM pg_class WHERE oid = %s::regclass", [schema.table])
            if cursor.fetchone() == (True,):  # whatever the number, there is a place for the row
                rest = f"CREATE TABLE IF NOT EXISTS tst_{schema.table} PARTITION OF {schema.table} DEFAULT"
                cursor.execute(rest)
            key = schema.key[0]
            cursor.execute(
                f"INSERT INTO {schema.table} ({names}) VALUES ({places}) RETURNING {key}",
                list(values.values()),
            )
            self.made[schema.name] = cursor.fetchone()[0]
        return self.made[schema.name]

    def value(self, kind: str, name: str) -> Any:
        number = next(NUMBERS)
        if kind in ("character varying", "text"):
            # The short ones keep what tells them apart.
            return f"{number % 10}{chr(97 + number // 10 % 26)}{number}{name}"
        if kind in ("bigint", "integer"):
            return 1_000_000 + number  # no row has this key
        if kind == "smallint":
            return number % 30_000
        if kind == "timestamp with time zone":
            return clock.now()
        if kind == "bytea":
            return b"x"
        return {"jsonb": "{}", "boolean": False, "double precision": 0.5, "date": clock.now().date()}[kind]


@pytest.fixture
def people(db: None) -> tuple[Actor, Actor, Rows]:
    """One operator kept out of a folder, one administrator confined to the other; rows in both folders."""
    shown, hidden = make_folder("tShown"), make_folder("tHidden")
    kept_out, owner = make_operator("kept-out", rights=list(Right)[1:]), make_operator("owner")
    allow(shown, kept_out)
    allow(hidden, owner)
    confined = make_operator("confined", rights=("ADMINISTRATION",), folder=shown)
    there = Maker(shown.folder_id, make_operator("there").pk)
    away = Maker(hidden.folder_id, make_operator("away").pk)
    # Rows of some would be schemas of their own; the logs of target mappings are like those of recipients.
    own = (each for each in registry.current() if not each.name.startswith("xtk:added"))
    for schema in (each for each in own if not each.place.startswith("the target mapping")):
        there.row(schema)
        if schema.folder is not None:
            away.row(schema)
    return actor_of(kept_out), actor_of(confined), Rows(there.made, away.made)


def actors(people: tuple[Actor, Actor, Rows], *schemas: Schema) -> Iterator[Actor]:
    """The confined administrator, and the other one where no schema takes a right that it lacks."""
    yield people[1]
    if all(not schema.reading or people[0].has(Right(schema.reading)) for schema in schemas):
        yield people[0]


def test_the_world_is_not_empty(people: tuple[Actor, Actor, Rows]) -> None:
    assert {"xtk:workflow", "xtk:workflowTask", "xtk:folder"} <= set(IN_FOLDERS) <= set(people[2].hidden)


@pytest.mark.parametrize("name", IN_FOLDERS)
def test_rows_of_a_closed_folder_do_not_exist(name: str, people: tuple[Actor, Actor, Rows]) -> None:
    schema, rows = registry.find(name), people[2]
    shown, hidden = rows.shown[name], rows.hidden[name]
    both = (Condition(f"@id IN ({shown!r}, {hidden!r})"),)
    for actor in actors(people, schema):
        for more in (
            {},
            {"distinct": True},
            {"order_by": (Field(schema.text, descending=True),)},
            {"group_by": (Field("@id"),)},
        ):
            asked = QueryDef(name, select=(Field("@id"),), where=both, **more)
            assert query.run(asked, actor=actor).rows == [(shown,)]
            assert query.count(asked, actor=actor) == 1
        assert query.run(
            QueryDef(name, select=(Field("@id"),), where=both), actor=actor, keyset=True
        ).rows == [(shown,)]
        sums = QueryDef(name, select=(Field("Count()"), Field("Min(@id)"), Field("Max(@id)")), where=both)
        assert query.run(sums, actor=actor).rows == [(1, shown, shown)]
        for where in (f"@id = {hidden!r}", f"@id = {hidden!r} OR 1 = 0"):
            one = QueryDef(name, Operation.GET_IF_EXISTS, select=(Field("@id"),), where=(Condition(where),))
            assert query.run(one, actor=actor).rows == []
            assert not query.exists(one, actor=actor)
        every = QueryDef(name, select=(Field("@id"),))
        within = QueryDef("xtk:operator", where=(
            Condition(str(hidden), set_operator="IN", subquery=every),
        ))  # fmt: skip
        assert query.count(within, actor=actor) == 0
        compiled = query.compile_insert_select(
            QueryDef(name, select=(Field("@id"),), where=both), "tst_work", (("id", "bigint"),), actor=actor
        )
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("CREATE TABLE tst_work (id bigint)")
            cursor.execute(compiled.sql, dict(compiled.params))
            assert cursor.rowcount == 1
            cursor.execute("DROP TABLE tst_work")


def ways() -> list[tuple[str, str]]:
    """Every link that leads to an entity in folders."""
    return [
        (schema.name, link.name)
        for schema in registry.current()
        for link in schema.links.values()
        if link.target in IN_FOLDERS
    ]


@pytest.mark.parametrize(("name", "way"), ways())
def test_no_link_leads_into_a_closed_folder(name: str, way: str, people: tuple[Actor, Actor, Rows]) -> None:
    """A row that the actor sees is linked to one that it does not: the link reads as if it led nowhere."""
    schema, rows = registry.find(name), people[2]
    link = schema.links[way]
    target = registry.find(link.target)
    if not _tie(schema, link, target, rows):
        return  # the link is the one by which the row lies in its folder
    key = rows.shown[name]
    attribute = next(each for each in schema.attributes.values() if each.column == schema.key[0])
    own = (Condition(f"{attribute.xpath} = {key!r}"),)
    for actor in actors(people, schema, target):

        def rows_of(*select: str, **more: Any) -> list[tuple[Any, ...]]:
            asked = QueryDef(name, select=tuple(Field(each) for each in select), where=own, **more)
            return query.run(asked, actor=actor).rows  # noqa: B023 asked at once

        if not query.count(QueryDef(name, where=own), actor=actor):
            continue  # the row has left the open folder with its link
        for other in target.attributes.values():
            if not other.right or actor.is_administrator:
                found = rows_of(f"[{way}/{other.xpath.strip('[]')}]")
                # What is calculated from nothing may be an empty text, or false.
                assert found == [(None,)] or (other.expr and found in ([("",)], [(False,)]))
        counted = rows_of(attribute.xpath, f"Count([{way}/@id])", group_by=(Field(attribute.xpath),))
        assert counted == [(key, 0)]
        hidden = rows.hidden[target.name]
        for condition in (
            Condition(f"[{way}/@id] = {hidden}"),
            Condition(way, set_operator="EXISTS", conditions=(Condition(f"@id = {hidden!r}"),)),
            Condition(f"[{way}/@id] IS NOT NULL"),
        ):
            assert query.count(QueryDef(name, where=(*own, condition)), actor=actor) == 0
        if not link.collection:
            assert rows_of(attribute.xpath, order_by=(Field(f"[{way}/@id]"),)) == [(key,)]


def _tie(schema: Schema, link: Link, target: Schema, rows: Rows) -> bool:
    """Link the shown row of `schema` to the hidden one of `target`; False where that moves one of them."""
    own, theirs = link.join[0]
    here, there = rows.shown[schema.name], rows.hidden[target.name]
    with connection.cursor() as cursor:
        if own in schema.key:  # seen from the other side: it is the target's table that holds the link
            if target.folder and target.links[target.folder[0]].join[0][0] == theirs:
                return False
            # The two change places, so that the row seen has no other of its own.
            elsewhere = rows.hidden.get(schema.name)
            tied = [(here, there), *([(elsewhere, rows.shown[target.name])] if elsewhere else [])]
            cursor.executemany(f'UPDATE {target.table} SET "{theirs}" = %s WHERE {target.key[0]} = %s', tied)
            return True
        if schema.folder and schema.folder[0] == link.name:
            return False
        cursor.execute(f'UPDATE {schema.table} SET "{own}" = %s WHERE {schema.key[0]} = %s', [there, here])
    return True


def test_the_owner_sees_both(people: tuple[Actor, Actor, Rows]) -> None:
    """The proof that the rows are there: without a restriction every one of them is found."""
    free = actor_of(make_operator("free", rights=("ADMINISTRATION",)))
    for name in IN_FOLDERS:
        both = (Condition(f"@id IN ({people[2].shown[name]!r}, {people[2].hidden[name]!r})"),)
        assert query.count(QueryDef(name, where=both), actor=free) == 2, name
    assert Operator.objects.filter(name="free").exists()


def test_the_small_world_is_bounded_at_every_link(restricted: Actor, admin: Actor) -> None:
    persons = QueryDef("tst:person", select=(Field("@id"),), order_by=(Field("@id"),))
    assert [row[0] for row in query.run(persons, actor=restricted).rows] == [11, 12, 14, 15]
    through = QueryDef("tst:team", select=(Field("@name"), Field("[boss/@name]")), order_by=(Field("@id"),))
    assert query.run(through, actor=restricted).rows == [("north", "ann"), ("south", "bob")]
    with connection.cursor() as cursor:
        cursor.execute("UPDATE tst_team SET boss_id = 13 WHERE team_id = 1")
    assert query.run(through, actor=restricted).rows == [("north", None), ("south", "bob")]
    assert query.run(through, actor=admin).rows[0] == ("north", "carol")
    led = QueryDef("tst:team", where=(Condition("[boss/@loud] = 'CAROL'"),))
    assert (query.count(led, actor=restricted), query.count(led, actor=admin)) == (0, 2)
