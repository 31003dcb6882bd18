"""Whom an activity speaks to: an operator, the members of a group, or those that a filter finds (engine.md
§6.2, §7.3).

Parameter `assignee`: {"operator": "name"}, {"group": "name"} or {"filter": "an expression on xtk:operator"}.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.translation import gettext_noop as _

from envoi.engine.activities.base import Misconfigured
from envoi.engine.definition import Activity
from envoi.kernel import query
from envoi.kernel.errors import Invalid
from envoi.kernel.models import Operator
from envoi.kernel.query import Condition, Field, QueryDef
from envoi.kernel.rights import internal

MOST = 1000
"""People that one activity speaks to."""


def of(parameters: Mapping[str, Any]) -> list[Operator]:
    """Return the active operators that an activity is for. Raises Misconfigured when there is nobody."""
    given: Mapping[str, str] = parameters.get("assignee") or {}
    people = Operator.objects.filter(disabled=False).order_by("operator_id")
    if given.get("operator"):
        people = people.filter(name=given["operator"])
    elif given.get("filter"):
        people = people.filter(operator_id__in=_found(given["filter"]), technical=False)
    else:
        people = people.filter(operator_groups__name=given.get("group", ""))
    if found := list(people):
        return found
    who = given.get("operator") or given.get("group") or given.get("filter") or "nobody"
    raise Misconfigured(
        f"There is nobody to ask or to tell: {who} is no active operator or group with members."
        if "filter" not in given
        else f"There is nobody to ask or to tell: no active operator fits {who}."
    )


def _found(condition: str) -> list[int]:
    """Return the operators that a filter finds. The instance itself asks: who edits a workflow may choose
    among all operators, as by name, without the right to read them.
    """
    definition = QueryDef(
        "xtk:operator", select=(Field("@id"),), where=(Condition(condition),), line_count=MOST
    )
    try:
        return [row[0] for row in query.run(definition, actor=internal()).rows]
    except Invalid as error:
        raise Misconfigured(f"The filter for whom to ask is wrong: {error}") from error


def check(activity: Activity) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """Yield what is wrong with the assignee of an activity."""
    given: Mapping[str, str] = activity.parameters.get("assignee") or {}
    if not any(given.get(way) for way in ("operator", "group", "filter")):
        yield _("Activity %(activity)s needs an operator or a group"), {}
