"""Targeting: a chain of set activities on a million profiles next to the same statements by hand.

query → enrichment → deduplication → exclusion of a list → split in five → list update of each part, run by
one worker of its own; the limit is `limits/target_million.sql`, a statement a step on one connection.
"""

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench import frame

PROFILES, QUICK = 1_000_000, 100_000
PARTS = 5


def lines(params: frame.Params) -> list[frame.Line]:
    """Measure the chain, and the memory of the worker that runs it."""
    count = QUICK if params.quick else PROFILES
    with frame.instance("core_default", "delivery"):
        _fill(count)
        peaks: list[float] = []
        found = [
            frame.against(
                "million",
                "profiles/s",
                lambda: count / _ours(peaks),
                lambda: count / _by_hand(),
                what="the same statements by hand (limits/target_million.sql)",
                params=params,
            )
        ]
        found.append(frame.Line("memory", "MB", max(peaks), None, None, "", frame.spread(peaks)))
        return found


def _fill(count: int) -> None:
    from django.db import transaction

    from envoi.engine import sql
    from envoi.kernel.models import Folder
    from envoi.kernel.testing import admin_actor
    from envoi.packages.delivery.services import chosen, lists
    from envoi.packages.delivery.testing import make_recipients

    actor, folder = admin_actor(), Folder.objects.get(name="lists")
    with transaction.atomic():
        make_recipients(count)
    sql.run("UPDATE nms_recipient SET email = 'double' || (recipient_id % 20000) || '@x.org'"
            " WHERE recipient_id % 10 = 0")  # fmt: skip
    with transaction.atomic():
        for number in range(1, PARTS + 1):
            lists.create(f"bench {number}", actor=actor, folder=folder, name=f"bench{number}")
        excluded = lists.create("bench excluded", actor=actor, folder=folder, name="benchExcluded")
        lists.add(
            excluded,
            chosen.Chosen(
                "SELECT recipient_id AS id FROM nms_recipient WHERE mod(recipient_id, %s) = 3", (10,)
            ),
            actor=actor,
        )
    sql.run("VACUUM ANALYZE nms_recipient")
    sql.run("VACUUM ANALYZE nms_rcp_grp_rel")


def _workflow() -> Any:
    from envoi.engine.definition import Activity, Transition
    from envoi.engine.testing import make_workflow

    def part(name: str, **more: Any) -> dict[str, Any]:
        return {"name": name, "code": name, **more}

    def random(share: int) -> dict[str, Any]:
        return {"type": "percent", "percent": share, "random": True}

    subsets = [
        part("paris", filter="@city = 'PARIS'"),
        part("drawn", limiter=random(20)),
        part(
            "young",
            limiter={"type": "percent", "percent": 10, "sort": [{"expr": "@born", "descending": True}]},
        ),
        part("old", filter="@born < 1970"),
    ]
    columns = [
        "@email",
        "@lastName",
        {"expr": "Upper([location/@city])", "alias": "city"},
        {"expr": "Year(@birthDate)", "alias": "born"},
        {"expr": "[folder/@label]", "alias": "folder"},
    ]

    def to(name: str, target: str, kind: str = "") -> Transition:
        return Transition(name, target, kind=kind or name)

    names = [*(each["name"] for each in subsets), "remainder"]
    return make_workflow(
        (
            Activity(
                "query",
                "query",
                transitions=(to("result", "enrich"),),
                parameters={
                    "targetingDimension": "nms:recipient",
                    "filter": "@blackList = 0 AND @email IS NOT NULL",
                },
            ),
            Activity(
                "enrichment", "enrich", transitions=(to("result", "dedup"),), parameters={"columns": columns}
            ),
            Activity(
                "dedup", "dedup", transitions=(to("result", "exclude"),), parameters={"keys": ["@email"]}
            ),
            Activity(
                "readList",
                "list",
                transitions=(to("result", "exclude"),),
                parameters={"list": "benchExcluded"},
            ),
            Activity(
                "exclusion", "exclude", transitions=(to("result", "split"),), parameters={"mainSet": "dedup"}
            ),
            Activity(
                "extract",
                "split",
                parameters={"extractOutput": subsets},
                transitions=tuple(
                    to(name, f"update{n}", "remainder" if name == "remainder" else "extractOutput")
                    for n, name in enumerate(names, 1)
                ),
            ),
            *(
                Activity("listUpdate", f"update{n}", parameters={"list": f"bench{n}"})
                for n in range(1, PARTS + 1)
            ),
        )
    )


def _ours(peaks: list[float]) -> float:
    """Run the workflow on a worker of its own; return the seconds from its start to its end."""
    from envoi.engine import commands, sql
    from envoi.kernel.testing import admin_actor

    workflow = _workflow()
    worker = subprocess.Popen([sys.executable, "-P", "-m", "envoi.cli", "worker"], stderr=subprocess.DEVNULL)
    try:
        time.sleep(5)  # it is to be free, not starting
        commands.post(admin_actor(), workflow.internal_name, commands.Command.START)
        deadline = time.monotonic() + 900
        while True:
            row = sql.one(
                """SELECT state, failed, extract(epoch FROM finished_at - started_at) AS seconds
                   FROM xtk_workflow WHERE workflow_id = %(id)s""",
                {"id": workflow.pk},
            )
            if row["state"] in (13, 20) or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        status = Path(f"/proc/{worker.pid}/status").read_text(encoding="ascii")
        peaks.append(int(status.partition("VmHWM:")[2].split()[0]) / 1024)
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait(30)
    if row["state"] != 20 or row["failed"]:
        from envoi.engine.testing import lines as journal

        raise RuntimeError(f"the workflow ended in state {row['state']}: {journal(workflow)[-3:]}")
    _empty()
    return float(row["seconds"])


def _by_hand() -> float:
    import psycopg

    from envoi.app import boot

    names = ["query", "enriched", "single", "excluded", "kept", *(str(n) for n in range(1, PARTS + 1))]
    with psycopg.connect(boot.current().lease.dsn(), autocommit=True) as session:
        statements = [each for each in frame.limit_sql("target_million").split(";\n") if each.strip()]
        began = time.monotonic()
        for statement in statements:
            session.execute(statement)
        seconds = time.monotonic() - began
        for name in names:
            session.execute(f"DROP TABLE bench_{name}")
    _empty()
    return seconds


def _empty() -> None:
    """Take the parts out of their lists again."""
    from envoi.engine import sql

    sql.run(
        """DELETE FROM nms_rcp_grp_rel
           WHERE group_id <> (SELECT group_id FROM nms_group WHERE name = 'benchExcluded')"""
    )
    sql.run("VACUUM nms_rcp_grp_rel")
