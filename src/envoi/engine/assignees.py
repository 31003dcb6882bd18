"""Whom an activity speaks to: an operator, or the members of a group (engine.md §6.2, §7.3).

Parameter `assignee`: {"operator": "name"} or {"group": "name"}.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.translation import gettext_noop as _

from envoi.engine.activities.base import Misconfigured
from envoi.engine.definition import Activity
from envoi.kernel.models import Operator


def of(parameters: Mapping[str, Any]) -> list[Operator]:
    """Return the active operators that an activity is for. Raises Misconfigured when there is nobody."""
    given: Mapping[str, str] = parameters.get("assignee") or {}
    people = Operator.objects.filter(disabled=False).order_by("operator_id")
    if given.get("operator"):
        found = list(people.filter(name=given["operator"]))
    else:
        found = list(people.filter(operator_groups__name=given.get("group", "")))
    if not found:
        who = given.get("operator") or given.get("group") or "nobody"
        raise Misconfigured(
            f"There is nobody to ask or to tell: {who} is no active operator or group with members."
        )
    return found


def check(activity: Activity) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """Yield what is wrong with the assignee of an activity."""
    given: Mapping[str, str] = activity.parameters.get("assignee") or {}
    if not given.get("operator") and not given.get("group"):
        yield _("Activity %(activity)s needs an operator or a group"), {}
