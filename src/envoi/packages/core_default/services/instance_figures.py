"""Measures the instance: how large its database is, how much was done, how much waits."""

from django.db import connection
from django.utils.translation import gettext_noop as _

from envoi.engine.activities.base import TaskContext
from envoi.kernel import clock
from envoi.kernel.rights import Actor, Right


def measure(*, actor: Actor, ctx: TaskContext) -> dict[str, int]:
    """Write the figures into the journal, and return them as event variables.

    `databaseSize` in bytes, `tasksDone` of all workflows, `queueLength` of tasks that are due. Changes
    nothing else.
    """
    actor.require(Right.ADMINISTRATION, to="measure the instance")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_database_size(current_database()), count(*) FILTER (WHERE status = 1),"
            " count(*) FILTER (WHERE status = 0 AND due_at <= %s) FROM xtk_workflow_task",
            [clock.now()],
        )
        ((size, done, waiting),) = cursor.fetchall()
    ctx.info(
        _("Database %(size)s MB, %(done)s tasks done, %(waiting)s waiting"),
        size=round(size / 1024 / 1024, 1),
        done=done,
        waiting=waiting,
    )
    return {"databaseSize": size, "tasksDone": done, "queueLength": waiting}
