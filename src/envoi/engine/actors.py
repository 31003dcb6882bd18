"""In whose name a workflow runs, read in one statement: it is asked for by almost every activity
(engine.md §8.1).
"""

from __future__ import annotations

from envoi.engine import sql
from envoi.kernel.rights import Actor, Right, internal

_RIGHTS = {right.value: right for right in Right}


def of_workflow(workflow_id: int, started_by: int | None) -> Actor:
    """Return the actor of the execution account, else of who started the workflow, else of the instance
    itself.

    The same as `kernel.rights.actor_of`; nothing is remembered, so that a right that is taken away counts at
    once.
    """
    row = sql.one(
        """SELECT o.operator_id, o.name, o.label, coalesce(f.path, '/') AS path, g.ids AS groups,
             ARRAY(SELECT DISTINCT r.name FROM xtk_right r
               WHERE r.operator_id = o.operator_id OR r.group_id = ANY(g.ids)) AS rights
           FROM xtk_operator o LEFT JOIN xtk_folder f ON f.folder_id = o.folder_id
           CROSS JOIN LATERAL (SELECT ARRAY(SELECT group_id FROM xtk_operator_group m
             WHERE m.operator_id = o.operator_id) AS ids) AS g
           WHERE o.operator_id = coalesce((SELECT operator_id FROM xtk_workflow_login
             WHERE workflow_id = %(workflow)s), %(operator)s)""",
        {"workflow": workflow_id, "operator": started_by},
    )
    if row is None:
        return internal()
    return Actor(
        operator_id=row["operator_id"],
        name=row["name"],
        rights=frozenset(_RIGHTS[name] for name in row["rights"] if name in _RIGHTS),
        group_ids=frozenset(row["groups"]),
        root_path=row["path"],
        label=row["label"] or row["name"],
    )
