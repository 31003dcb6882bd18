"""A small world of three tables in a registry of its own, for queries whose every answer is known."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from django.db import connection

from envoi.kernel.registry import Attribute, Enumeration, EnumValue, Link, Registry, Schema, Type

COLOUR = Enumeration(
    "colour",
    Type.BYTE,
    (EnumValue(0, "none", "None"), EnumValue(1, "red", "Red"), EnumValue(2, "blue", "Blue")),
)
DDL = """
CREATE TABLE tst_team (team_id bigint PRIMARY KEY, name text, size integer, boss_id bigint, folder_id bigint);
CREATE TABLE tst_person (
    person_id bigint PRIMARY KEY, name text, age integer, score double precision, active boolean, born date,
    seen timestamptz, colour smallint, team_id bigint, city text, data jsonb);
"""


def _attributes(*rows: tuple[str, Type, str]) -> dict[str, Attribute]:
    return {name: Attribute(name, kind, name.capitalize(), column=column) for name, kind, column in rows}


def registry(folder: Schema) -> Registry:
    """Return the schemas tst:team and tst:person, beside the folders of the product."""
    team = Schema(
        name="tst:team", table="tst_team", package="tst", label="Teams", singular="Team", key=("team_id",),
        attributes=_attributes(
            ("id", Type.INT64, "team_id"), ("name", Type.STRING, "name"), ("size", Type.LONG, "size"),
            ("boss-id", Type.INT64, "boss_id"), ("folder-id", Type.INT64, "folder_id"),
        ),
        links={
            "boss": Link("boss", "tst:person", (("boss_id", "person_id"),), "Boss"),
            "person": Link("person", "tst:person", (("team_id", "team_id"),), "Members", True, "team"),
            "folder": Link("folder", "xtk:folder", (("folder_id", "folder_id"),), "Folder"),
        },
        folder=("folder",),
    )  # fmt: skip
    attributes = _attributes(
        ("id", Type.INT64, "person_id"), ("name", Type.STRING, "name"), ("age", Type.LONG, "age"),
        ("score", Type.DOUBLE, "score"), ("active", Type.BOOLEAN, "active"), ("born", Type.DATE, "born"),
        ("seen", Type.DATETIME, "seen"), ("team-id", Type.INT64, "team_id"), ("data", Type.JSON, "data"),
        ("location/city", Type.STRING, "city"),
    )  # fmt: skip
    attributes["colour"] = Attribute("colour", Type.BYTE, "Colour", column="colour", enumeration=COLOUR)
    attributes["secret"] = Attribute("secret", Type.STRING, "Secret", column="city", right="ADMINISTRATION")
    for name, kind, expr in (
        ("loud", Type.STRING, "Upper(@name)"), ("louder", Type.STRING, "@loud + '!'"),
        ("teamName", Type.STRING, "[team/@name]"), ("circle", Type.STRING, "@round"),
        ("round", Type.STRING, "@circle + '.'"), ("wrong", Type.STRING, "@age"),
    ):  # fmt: skip
        attributes[name] = Attribute(name, kind, name.capitalize(), expr=expr)
    person = Schema(
        name="tst:person", table="tst_person", package="tst", label="Persons", singular="Person",
        key=("person_id",), attributes=attributes,
        links={
            "team": Link("team", "tst:team", (("team_id", "team_id"),), "Team", reverse="person"),
            "led": Link("led", "tst:team", (("person_id", "boss_id"),), "Led teams", True, "boss"),
        },
        folder=("team", "folder"),
    )  # fmt: skip
    return Registry({schema.name: schema for schema in (team, person, folder)})


@dataclass
class World:
    """The rows, as plain Python reads them."""

    teams: list[dict[str, Any]] = field(default_factory=list)
    persons: list[dict[str, Any]] = field(default_factory=list)


def team(id: int, name: str | None, size: int | None, boss: int | None, folder: int | None) -> dict[str, Any]:
    return {"team_id": id, "name": name, "size": size, "boss_id": boss, "folder_id": folder}


def person(id: int, name: str | None = None, **more: Any) -> dict[str, Any]:
    empty = dict.fromkeys(
        ("age", "score", "active", "born", "seen", "colour", "team_id", "city", "data"), None
    )
    return {"person_id": id, "name": name, **empty, **more}


def insert(table: str, rows: list[dict[str, Any]]) -> None:
    with connection.cursor() as cursor:
        for row in rows:
            columns, places = ", ".join(row), ", ".join(["%s"] * len(row))
            cursor.execute(f"INSERT INTO {table} ({columns}) VALUES ({places})", list(row.values()))


def small(shown: int, closed: int) -> World:
    """Two teams in the folder `shown`, one in `closed`; six persons, one of them without a team."""
    return World(
        [team(1, "north", 3, 11, shown), team(2, "south", None, 12, shown), team(3, "hidden", 9, 13, closed)],
        [
            person(
                11, "ann", age=30, score=1.5, active=True, born=date(1996, 2, 29), team_id=1, colour=1,
                seen=datetime(2026, 11, 24, 8, 30, 15, 500000, tzinfo=UTC), city="Lyon",
            ),
            person(
                12, "bob", age=None, score=-2.25, active=False, born=date(2000, 12, 31), team_id=2, colour=2,
                seen=datetime(2026, 3, 29, 0, 30, tzinfo=UTC), city="",
            ),
            person(13, "carol", age=41, score=None, active=True, team_id=3, colour=0, city="Oslo"),
            person(14, "100% d_ve\\", age=0, active=None, team_id=1, colour=1, city=None),
            person(15, "", age=-7, score=0.0, active=False, team_id=2, born=date(1980, 1, 1)),
            person(16, "zoe", age=30, score=1.5, team_id=None),
        ],
    )  # fmt: skip
