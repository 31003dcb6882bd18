"""Run as a process on an instance: makes two workflows, query → wait → exclusion of a query; starts one."""

from envoi.app import boot

boot.setup()

from django.db import transaction  # noqa: E402

from envoi.engine import commands, editing  # noqa: E402
from envoi.engine.definition import Activity, Definition, Transition  # noqa: E402
from envoi.kernel.testing import admin_actor  # noqa: E402
from envoi.packages.delivery.testing import make_recipients  # noqa: E402


def query(name: str, to: str, filter_: str) -> Activity:
    return Activity(
        "query",
        name,
        parameters={"targetingDimension": "nms:recipient", "filter": filter_, "columns": ["@email"]},
        transitions=(Transition("result", to, kind="result"),),
    )


def diagram(seconds: int) -> Definition:
    ways = (Transition("result", "end", kind="result"), Transition("remainder", "end", kind="remainder"))
    return Definition(
        (
            query("everybody", "later", "1 = 1"),
            Activity(
                "wait", "later", parameters={"duration_s": seconds},
                transitions=(Transition("transition", "exclude"),),
            ),
            query("some", "exclude", "@id % 3 = 0"),
            Activity("exclusion", "exclude", parameters={"mainSet": "later"}, transitions=ways),
            Activity("end", "end"),
        )
    )  # fmt: skip


with transaction.atomic():
    actor = admin_actor()
    ids = list(make_recipients(2000))
    for name, seconds in (("calm", 1), ("hit", 8)):
        editing.create(actor, name, name, diagram(seconds), "targetingWorkflows", keep_results=True)
    commands.post(actor, "calm", commands.Command.START)
