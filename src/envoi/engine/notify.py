"""What an error tells, and to whom: one mail per failure to the supervisors (engine.md §5.6), through the
outbox.
"""

from __future__ import annotations

from typing import Final

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext as _

from envoi.engine import sql
from envoi.engine.definition import Activity
from envoi.kernel.mail import system_mail
from envoi.kernel.models import Operator, Option

STANDARD_GROUP: Final = "Workflow supervisors"
"""Who supervises a workflow that names nobody, such as those that packages ship."""


def failed(row: sql.Row, activity: Activity, task_id: int | str, attempt: int, reason: str) -> None:
    """Write one mail per supervisor with an address, in the caller's transaction. The key makes it one per
    failure.
    """
    for operator in supervisors(row["supervisor_operator_id"], row["supervisor_group_id"]):
        with translation.override(operator.language or settings.LANGUAGE_CODE):
            subject = _("%(instance)s: workflow %(workflow)s has failed") % {
                "instance": settings.CONFIG.instance.name,
                "workflow": row["label"],
            }
            body = _(
                "Workflow %(label)s (%(name)s) on instance %(instance)s has stopped at activity"
                " %(activity_label)s (%(activity)s) and needs someone to act.\n\n%(reason)s\n\n%(link)s"
            ) % {
                "label": row["label"],
                "name": row["internal_name"],
                "instance": settings.CONFIG.instance.name,
                "activity_label": activity.label or activity.name,
                "activity": activity.name,
                "reason": reason,
                "link": f"{settings.CONFIG.web.address}/workflows/{row['internal_name']}",
            }
        system_mail(
            operator.email,
            " ".join(subject.split()),
            body,
            f"workflow-failed:{task_id}:{attempt}:{operator.operator_id}",
        )


def supervisors(operator_id: int | None, group_id: int | None) -> list[Operator]:
    """Return the operator, and the members of the group, that have an address and may sign in; of a workflow
    that names neither, those of the standard group.
    """
    return list(
        Operator.objects.raw(
            """SELECT o.* FROM xtk_operator o WHERE NOT o.disabled AND o.email <> ''
                 AND (o.operator_id = %(operator)s OR o.operator_id IN (
                   SELECT m.operator_id FROM xtk_operator_group m JOIN xtk_group g USING (group_id)
                   WHERE g.group_id = %(group)s OR (%(operator)s::bigint IS NULL
                     AND %(group)s::bigint IS NULL AND g.name = %(standard)s)))
               ORDER BY o.operator_id""",
            {"operator": operator_id, "group": group_id, "standard": STANDARD_GROUP},
        )
    )


def kill_policy() -> int:
    """Return the option WdbcKillSessionPolicy: 0 leave running statements, 1 cancel them, 2 end their
    sessions.
    """
    option = Option.objects.filter(name="WdbcKillSessionPolicy").first()
    return int(option.long_value) if option else 0
