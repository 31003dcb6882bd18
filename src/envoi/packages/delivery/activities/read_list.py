"""Read list: the members of a list as a population (engine.md §6.1, §6.5).

XML tag: readList (our choice).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.translation import gettext_lazy as lazy
from django.utils.translation import gettext_noop as _

from envoi.engine import population, scripts, targeting, worktable
from envoi.engine.activities.base import ActivityType, Failed, Misconfigured, Outcome, TaskContext
from envoi.engine.definition import Activity, Definition
from envoi.engine.population import Column, Population
from envoi.engine.targeting import quoted
from envoi.kernel.query import Field, QueryDef
from envoi.kernel.registry import Type
from envoi.packages.delivery.models import Group, GroupType
from envoi.packages.delivery.services import lists

_TYPES = {
    "bigint": Type.INT64,
    "integer": Type.LONG,
    "smallint": Type.SHORT,
    "text": Type.MEMO,
    "boolean": Type.BOOLEAN,
    "timestamptz": Type.DATETIME,
    "date": Type.DATE,
    "double precision": Type.DOUBLE,
    "numeric": Type.DOUBLE,
    "uuid": Type.UUID,
}


class ReadList(ActivityType):
    """Parameters: `list` (its internal name; may hold `<%= … %>`), or `fromTransition` (the list of which
    `vars.groupId` is the number or the name); `filter`, conditions on the members, and `segmentCode`.

    The columns of a list with a table of its own come along. Of recipients those are read that the workflow's
    operator may read.
    """

    type = "readList"
    family = "targeting"
    label = lazy("Read list")
    icon = "list"
    ways = (("result", "result"),)

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """See that a list is named."""
        if not activity.parameters.get("list") and not activity.parameters.get("fromTransition"):
            yield _("Activity %(activity)s does not say which list it reads"), {}

    def run(self, ctx: TaskContext) -> Outcome:
        """Read it."""
        made = members(ctx, named(ctx))
        where = targeting.conditions(ctx.parameters.get("filter"), "filter")
        code = str(ctx.parameters.get("segmentCode") or "")
        if where or code:
            read = made
            data: list[Column | tuple[str, str]] = list(read.columns)
            select = [Field("@id"), *(field for _column, field in targeting.carried(read))]
            data, select = targeting.with_segment(data, select, code)
            made = targeting.build(
                ctx,
                QueryDef(read.schema, select=tuple(select), where=where),
                data,
                dimension=read.dimension,
                within=population.registry([read]),
            )
            worktable.drop(read.table)
        return targeting.outcome(ctx, ("result", made))


def named(ctx: TaskContext) -> Group:
    """Return the list that the settings name, or the transition. Raises NotFound."""
    if ctx.parameters.get("fromTransition"):
        said = str(ctx.variables.get("groupId") or "")
        found = lists.visible(ctx.actor).filter(pk=int(said)).first() if said.isdecimal() else None
        if found is not None:
            return found
        if not said:
            raise Failed(f"No transition has given a list (vars.groupId) to {ctx.activity.name}.")
    else:
        said = str(ctx.parameters.get("list") or "")
        said = scripts.text(ctx, said) if "<%" in said else said
    if not said:
        raise Misconfigured(f"Activity {ctx.activity.name} does not say which list it reads.")
    return lists.find(said, actor=ctx.actor)


def members(ctx: TaskContext, group: Group) -> Population:
    """Return the members of a list as a population, with the columns of its own table."""
    own = GroupType(group.type) is GroupType.LIST
    columns = [
        Column(each["name"], _TYPES[each["type"]], each["label"] or each["name"])
        for each in (group.columns if own else ())
    ]
    made = population.create(ctx, dimension=group.schema, columns=columns)
    chosen = lists.members(group, actor=ctx.actor)
    names = ", ".join(quoted(name) for name, _type in made.sql_columns)
    values = "".join(f", t.{quoted(each['name'])}" for each in (group.columns if own else ()))
    joined = f" JOIN {quoted(group.table)} t ON t.id = who.id" if columns else ""
    count = population.run(
        ctx,
        f"INSERT INTO {quoted(made.table)} ({names}) "  # noqa: S608 quoted names
        f"SELECT who.id{values} FROM ({chosen.sql}) who{joined}",
        chosen.params,
    )
    return population.finish(ctx, made, count)
