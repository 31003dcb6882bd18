"""Run as a process on an instance: `… PROFILES LISTS WORKFLOWS` makes them, and starts the workflows."""

import sys

from envoi.app import boot

boot.setup()

from django.db import transaction  # noqa: E402

from envoi.engine import commands, editing, sql  # noqa: E402
from envoi.engine.definition import Activity, Definition, Transition  # noqa: E402
from envoi.kernel.models import Folder  # noqa: E402
from envoi.kernel.testing import admin_actor  # noqa: E402
from envoi.packages.delivery.services import chosen, lists  # noqa: E402
from envoi.packages.delivery.testing import make_recipients  # noqa: E402


def step(kind: str, name: str, to: str, *ways: str, **parameters: object) -> Activity:
    drawn = tuple(Transition(way, to, kind=way) for way in ways or ("result",))
    return Activity(kind, name, parameters=parameters, transitions=drawn)


def diagram(number: int, count: int) -> Definition:
    return Definition(
        (
            step(
                "query", "query", "exclude", targetingDimension="nms:recipient",
                filter=f"@id % 3 = {number % 3}",
                columns=["@email", {"expr": "[location/@city]", "alias": "city"}],
            ),
            step("readList", "list", "exclude", list=f"many{number % count}"),
            step("exclusion", "exclude", "dedup", mainSet="query"),
            step("dedup", "dedup", "cities", keys=["@id"]),
            step("aggregate", "cities", "end", keys=["@city"], aggregates=[{"function": "count"}]),
            Activity("end", "end"),
        )
    )  # fmt: skip


def main(profiles: int, count: int, workflows: int) -> None:
    actor = admin_actor()
    with transaction.atomic():
        make_recipients(profiles)
    folder = Folder.objects.get(name="lists")
    for number in range(count):
        with transaction.atomic():
            made = lists.create(f"many {number}", actor=actor, folder=folder, name=f"many{number}")
            members = "SELECT recipient_id AS id FROM nms_recipient WHERE recipient_id BETWEEN %s AND %s"
            first = number * profiles // count
            lists.add(made, chosen.Chosen(members, (first, first + profiles // count)), actor=actor)
    sql.run("VACUUM ANALYZE nms_recipient")
    sql.run("VACUUM ANALYZE nms_rcp_grp_rel")
    with transaction.atomic():
        for number in range(workflows):
            name = f"many{number}"
            editing.create(actor, name, name, diagram(number, count), "targetingWorkflows", keep_results=True)
            commands.post(actor, name, commands.Command.START)


main(*map(int, sys.argv[1:]))
