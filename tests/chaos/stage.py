"""Run as a process on an instance: `stage.py SET COUNT` makes COUNT workflows of ten activities; starts them.

Workflow n of one set does the same as workflow n of any other, on populations of its own. Each step writes
its population and one row that says that it was done; nothing keeps it from being done twice.
"""

import sys

from envoi.app import boot

boot.setup()

from django.db import connection, transaction  # noqa: E402

from envoi.engine import commands, editing  # noqa: E402
from envoi.engine.definition import Activity, Definition, Transition  # noqa: E402
from envoi.kernel.testing import admin_actor  # noqa: E402

TABLES = """
    CREATE TABLE IF NOT EXISTS chaos_pace (seconds double precision);
    CREATE TABLE IF NOT EXISTS chaos_person AS
      SELECT id, id * 7919 % 1000 AS score, id % 11 AS city FROM generate_series(1, 2000) AS id;
    CREATE TABLE IF NOT EXISTS chaos_purchase AS
      SELECT id, id * 104729 % 2000 + 1 AS person, id * 31 % 97 AS amount FROM generate_series(1, 6000) AS id;
    CREATE TABLE IF NOT EXISTS chaos_population ("set" text, number int, step text, id int, value int);
    CREATE INDEX IF NOT EXISTS chaos_population_step ON chaos_population ("set", number, step);
    CREATE TABLE IF NOT EXISTS chaos_effect ("set" text, number int, step text);
    CREATE TABLE IF NOT EXISTS chaos_total ("set" text PRIMARY KEY, done int, people int);
"""
STEPS = {
    "a1": "SELECT id, score FROM chaos_person WHERE (id + {n}) % 5 < 2",
    "a2": "SELECT p.id, sum(c.amount) FROM {a1} p JOIN chaos_purchase c ON c.person = p.id GROUP BY p.id",
    "a3": "SELECT id, rank() OVER (ORDER BY value DESC, id) FROM {a2} p",
    "b1": "SELECT id, city FROM chaos_person WHERE city = {n} % 11 OR score < 100",
    "b2": "SELECT id, value FROM {b1} p WHERE NOT EXISTS (SELECT FROM chaos_purchase c WHERE c.person = p.id"
    " AND c.amount > 90)",
    "c1": "SELECT id, max(value) FROM (SELECT * FROM {a3} p UNION ALL SELECT * FROM {b2} p) u GROUP BY id",
    "c2": "SELECT id, value FROM {c1} p WHERE value % 3 = {n} % 3",
}


def step(name: str, then: str, chosen: str, number: int) -> Activity:
    before = {
        each: f"""(SELECT id, value FROM chaos_population
               WHERE "set" = '{chosen}' AND number = {number} AND step = '{each}')"""
        for each in STEPS
    }
    script = f"""
        INSERT INTO chaos_effect VALUES ('{chosen}', {number}, '{name}');
        INSERT INTO chaos_population SELECT '{chosen}', {number}, '{name}', f.*
          FROM ({STEPS[name].format(n=number, **before)}) f;
        SELECT pg_sleep(seconds) FROM chaos_pace;
        UPDATE chaos_total SET done = done + 1, people = people + (SELECT count(*) FROM {before[name]} p)
          WHERE "set" = '{chosen}';
    """
    way = Transition("done", then, kind="done")
    return Activity("sql", name, parameters={"script": script}, transitions=(way,))


def diagram(chosen: str, number: int) -> Definition:
    ways = (Transition("a", "a1"), Transition("b", "b1"))
    chain = {"a1": "a2", "a2": "a3", "a3": "join", "b1": "b2", "b2": "join", "c1": "c2", "c2": "end"}
    return Definition(
        (
            Activity("fork", "split", transitions=ways),
            *(step(name, then, chosen, number) for name, then in chain.items()),
            Activity("andjoin", "join", transitions=(Transition("transition", "c1"),)),
            Activity("end", "end"),
        )
    )


def main(chosen: str, count: int) -> None:
    actor = admin_actor()
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(TABLES)
            cursor.execute("INSERT INTO chaos_total VALUES (%s, 0, 0)", [chosen])
        for number in range(count):
            name = f"{chosen}{number}"
            editing.create(actor, name, name, diagram(chosen, number), "targetingWorkflows")
            commands.post(actor, name, commands.Command.START)


main(sys.argv[1], int(sys.argv[2]))
