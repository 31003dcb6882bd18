"""Stored definitions. A version never changes, so it is read and checked for its shape once in a process."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable

from django.db import connection

from envoi.engine import sql
from envoi.engine.activities.base import Misconfigured
from envoi.engine.definition import Definition

MOST = 2048
"""So many versions are remembered."""
_known: OrderedDict[tuple[str, int, int], Definition] = OrderedDict()
_lock = threading.Lock()


def of(workflow_id: int, number: int) -> Definition:
    """Return version `number` of a workflow's definition. Raises Misconfigured when it is missing."""
    found = many([(workflow_id, number)]).get(workflow_id)
    if found is None:
        raise Misconfigured("The workflow's definition is missing.")
    return found


def many(wanted: Iterable[tuple[int, int]]) -> dict[int, Definition]:
    """Return the definitions of (workflow, number), by workflow, with one statement at most."""
    database = str(connection.settings_dict["NAME"])
    found: dict[int, Definition] = {}
    missing: list[tuple[int, int]] = []
    with _lock:
        for workflow_id, number in wanted:
            key = (database, workflow_id, number)
            if key in _known:
                _known.move_to_end(key)
                found[workflow_id] = _known[key]
            else:
                missing.append((workflow_id, number))
    if not missing:
        return found
    rows = sql.rows(
        """SELECT v.workflow_id, v.number, v.definition FROM xtk_workflow_version v
           JOIN unnest(%(ids)s::bigint[], %(numbers)s::bigint[]) AS w(id, number)
             ON v.workflow_id = w.id AND v.number = w.number""",
        {"ids": [pair[0] for pair in missing], "numbers": [pair[1] for pair in missing]},
    )
    fresh = {(row["workflow_id"], row["number"]): Definition.from_json(row["definition"]) for row in rows}
    with _lock:
        for (workflow_id, number), definition in fresh.items():
            found[workflow_id] = definition
            _known[database, workflow_id, number] = definition
        while len(_known) > MOST:
            _known.popitem(last=False)
    return found
