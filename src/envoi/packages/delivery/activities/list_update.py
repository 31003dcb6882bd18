"""List update: a population becomes a list, or part of one (engine.md §6.1, §6.5).

XML tag: listUpdate (our choice).
"""

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from django.utils.translation import gettext_lazy as lazy
from django.utils.translation import gettext_noop as _

from envoi.engine import population, scripts, targeting, worktable
from envoi.engine.activities.base import ActivityType, Fired, Misconfigured, Outcome, TaskContext
from envoi.engine.definition import Activity, Definition
from envoi.engine.population import Population
from envoi.kernel import folders
from envoi.kernel.errors import NotFound
from envoi.kernel.models import Folder
from envoi.packages.delivery.models import Group, GroupType
from envoi.packages.delivery.services import chosen, lists

RECIPIENT = "nms:recipient"
FOLDER = "lists"
"""Where lists are made unless a folder is named."""


class ListUpdate(ActivityType):
    """Parameters: `list` (internal name of one that exists), or `label` (may hold `<%= … %>`) of one that
    is made when no list has the name that follows from it, with `name`, `folder` (internal name),
    `ownTable` (always so for what are no recipients) and `expirationDays`; `purge` (what is not in the
    population leaves the list; else it is added), `remove` (its rows are taken out instead).

    Columns of a list with a table of its own are filled from data of the same names. Has no way out of its
    own; one that is drawn carries the population on, with the variable `groupId`.
    """

    type = "listUpdate"
    family = "action"
    label = lazy("List update")
    icon = "list"
    ways = ()
    effects = True

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """See that a list is named."""
        if not activity.parameters.get("list") and not activity.parameters.get("label"):
            yield _("Activity %(activity)s does not say which list it changes"), {}

    def run(self, ctx: TaskContext) -> Outcome:
        """Change the list."""
        source = population.inbound(ctx)[0]
        group = _list(ctx, source)
        if group.schema != source.dimension:
            raise Misconfigured(
                f"The list {group.name} is of {group.schema or 'data without a dimension'}, and"
                f" {ctx.activity.name} gets {source.dimension or 'data without a dimension'}."
            )
        rows = chosen.table(source.table)
        purge = bool(ctx.parameters.get("purge"))
        if ctx.parameters.get("remove"):
            done = lists.take_out(group, rows, actor=ctx.actor)
        elif GroupType(group.type) is GroupType.LIST:
            columns = {
                each["name"]: column.column
                for each in group.columns
                for column in source.columns
                if column.column == each["name"]
            }
            done = lists.fill(group, source.table, columns, actor=ctx.actor, purge=purge)
        else:
            done = lists.add(group, rows, actor=ctx.actor, purge=purge)
        ctx.info(
            _("List '%(list)s': %(joined)s joined, %(left)s left, %(count)s member(s)"),
            list=group.label,
            joined=done.joined,
            left=done.left,
            count=done.count,
        )
        ctx.variables["groupId"] = str(group.group_id)
        return passed_on(ctx, groupId=str(group.group_id))


def passed_on(ctx: TaskContext, **variables: Any) -> Outcome:
    """Complete, firing the way out that is drawn, if one is, with what came in and these variables."""
    ways = [
        way.name for way in ctx.activity.transitions if way.enabled and way.kind not in ("error", "rejects")
    ]
    return Outcome(tuple(Fired(name, variables) for name in ways[:1]))


def _list(ctx: TaskContext, source: Population) -> Group:
    said = ctx.parameters

    def text(name: str) -> str:
        value = str(said.get(name) or "")
        return scripts.text(ctx, value) if "<%" in value else value

    if said.get("list"):
        return lists.find(text("list"), actor=ctx.actor)
    label = text("label").strip()
    name = text("name") or _internal(label)
    try:
        return lists.find(name, actor=ctx.actor)
    except NotFound:
        pass
    where = str(said.get("folder") or FOLDER)
    folder = folders.readable_folders(ctx.actor).filter(name=where).first()
    if not isinstance(folder, Folder):
        raise Misconfigured(f"There is no folder {where!r} for the list of activity {ctx.activity.name}.")
    own = bool(said.get("ownTable")) or source.dimension != RECIPIENT
    days = targeting.whole(said.get("expirationDays") or 0, "expirationDays")
    return lists.create(
        label,
        actor=ctx.actor,
        folder=folder,
        name=name,
        own_table=own,
        schema=source.dimension,
        columns=[worktable.Column(each.column, each.sql_type) for each in source.columns] if own else (),
        labels={each.column: each.label for each in source.columns},
        expiration=ctx.now + timedelta(days=days) if days else None,
    )


def _internal(label: str) -> str:
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", label)[:64].strip("_")
    return name if re.match(r"[A-Za-z_]", name) else f"l_{name}"[:64]
