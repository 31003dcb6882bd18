"""What somebody sees while they build conditions: a number and the first 100 rows, of a million profiles.

Each condition is asked as the console asks it, by the views that its editor calls, by an administrator and
by an operator who may read a part of the folders. A figure is the time of both answers together, drawn.
"""

import random
import time
from collections.abc import Callable
from typing import Any

from bench import frame

PROFILES, QUICK = 1_000_000, 100_000
TIMES = 4
"""How often each condition is asked in a run."""
CLOSED = 0.3
"""Share of the profiles that the restricted operator may not read."""
CONDITIONS = {
    "everybody": "",
    "equality": "@email = 'p4711@example.com'",
    "prefix": "@email LIKE 'p77%'",
    "contains": "@email LIKE '%777%'",
    "contains nothing": "@lastName LIKE '%no such name%'",
    "date range": "@created >= DaysAgo(30) AND @created < DaysAgo(7)",
    "last days": "@lastModified BETWEEN AddDays(GetDate(), -2) AND GetDate()",
    "age": "@age BETWEEN 30 AND 40 AND @gender = 2",
    "country and city": "[location/@countryCode] = 'FR' AND [location/@city] = 'PARIS'",
    "folder": "[folder/@name] = 'recipients'",
    "on a list": {
        "expr": "rcpGrpRel",
        "setOperator": "EXISTS",
        "condition": [{"expr": "[group/@name] = 'bench'"}],
    },
    "on no list": {"expr": "rcpGrpRel", "setOperator": "NOT EXISTS"},
    "all together": "@email LIKE '%example%' AND ([location/@countryCode] = 'FR' OR @created >= DaysAgo(30))"
    " AND @blackList = 0",
}


def lines(params: frame.Params) -> list[frame.Line]:
    """Measure the 95th percentile over all conditions, and the slowest condition, for both operators."""
    count = QUICK if params.quick else PROFILES
    with frame.instance("core_default", "delivery"):
        restricted = _fill(count)
        from envoi.kernel.testing import admin_actor

        _asked(restricted, times=1)  # a process that serves pages has long looked everything up
        measured: list[frame.Line] = []
        for name, actor in (("", admin_actor()), (" restricted", restricted)):
            runs = [_asked(actor) for _ in range(params.runs)]
            figures = [_percentile([ms for each in run.values() for ms in each], 0.95) for run in runs]
            measured.append(_line(f"p95{name}", figures))
            for condition in CONDITIONS:
                figures = [_percentile(run[condition], 0.5) for run in runs]
                measured.append(_line(f"{condition}{name}", figures))
        return [each for each in measured if params.wants(each.line)]


def _line(name: str, figures: list[float]) -> frame.Line:
    return frame.Line(name, "ms", sorted(figures)[len(figures) // 2], None, None, "", frame.spread(figures))


def _percentile(figures: list[float], share: float) -> float:
    return sorted(figures)[min(len(figures) - 1, int(len(figures) * share))]


def _fill(count: int) -> Any:
    from django.db import connection, transaction

    from envoi.kernel.models import Folder
    from envoi.kernel.testing import admin_actor, allow, make_actor, make_folder, make_operator
    from envoi.packages.delivery.services import chosen, lists
    from envoi.packages.delivery.testing import make_recipients

    closed = make_folder("benchClosed")
    allow(closed, make_operator("owner"))
    hidden = int(count * CLOSED)
    with transaction.atomic():
        make_recipients(count - hidden)
        make_recipients(hidden, folder=closed, start=count)
        listed = lists.create(
            "bench", actor=admin_actor(), folder=Folder.objects.get(name="lists"), name="bench"
        )
        tenth = "SELECT recipient_id AS id FROM nms_recipient WHERE mod(recipient_id, %s) = 3"
        lists.add(listed, chosen.Chosen(tenth, (10,)), actor=admin_actor())
    with connection.cursor() as cursor:
        for table in ("nms_recipient", "nms_rcp_grp_rel"):
            cursor.execute(f"VACUUM ANALYZE {table}")
    return make_actor("plain")


def _asked(actor: Any, times: int = TIMES) -> dict[str, list[float]]:
    """Ask every condition several times in random order; return the milliseconds of each."""
    import json

    from envoi.console.conditions import views

    order = [name for name in CONDITIONS for _ in range(times)]
    random.Random(1).shuffle(order)  # noqa: S311 the order of a benchmark
    found: dict[str, list[float]] = {name: [] for name in CONDITIONS}
    for name in order:
        condition = CONDITIONS[name]
        text = condition if isinstance(condition, str) else json.dumps({"condition": [condition]})
        start = time.perf_counter()
        for view in (views.estimate, views.preview):
            _answer(view, actor, text)
        found[name].append((time.perf_counter() - start) * 1000)
    return found


def _answer(view: Callable[[Any], Any], actor: Any, text: str) -> None:
    from django.test import RequestFactory

    given = {"_schema": "nms:recipient", "_name": "where", "_key": "bench", "where": text}
    request = RequestFactory().post("/conditions", given)
    request.actor = actor  # type: ignore[attr-defined]
    content = view(request).content.decode()
    if 'class="err"' in content or "note bad" in content:
        raise RuntimeError(f"{text} is not answered: {content}")
