"""Lists: groups of recipients, and lists of any dimension with a table of their own (delivery.md §1.3).

Whoever changes a list may write in its folder; whom a list holds is seen within the actor's rights on them.
Deleting a list never deletes its members.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext as _

from envoi.engine.worktable import Column
from envoi.kernel import audit, clock, folders, registry
from envoi.kernel.big_tables import reserve_ids
from envoi.kernel.errors import Conflict, Invalid, NotFound
from envoi.kernel.folders import Access
from envoi.kernel.models import Folder
from envoi.kernel.query.scope import quoted
from envoi.kernel.rights import Actor, Right
from envoi.packages.delivery.models import Group, GroupType
from envoi.packages.delivery.services.chosen import Chosen, recipients

ENTITY = "nms:group"
DIMENSION = "nms:recipient"
_NAME = re.compile(r"^[A-Za-z_][\w-]{0,63}$", re.ASCII)
_COLUMN = re.compile(r"^[a-z_][a-z0-9_]{0,62}$")
_TYPES = {
    "bigint", "integer", "smallint", "text", "boolean", "timestamptz", "date", "double precision", "numeric",
    "uuid",
}  # fmt: skip


@dataclass(frozen=True)
class Filled:
    """What became of a list: how many joined and left, and how many are in it now."""

    joined: int
    left: int
    count: int


def visible(actor: Actor) -> Any:
    """Return the lists that the actor sees, as a query set."""
    return Group.objects.filter(folder_id__in=folders.readable(actor).queryset(), delete_status=0)


def find(name: str, *, actor: Actor, access: Access = Access.READ) -> Group:
    """Return a list by its internal name. Raises NotFound, NotAllowed where its folder forbids `access`."""
    found = visible(actor).filter(name=name).select_related("folder").first()
    if found is None:
        raise NotFound(_("There is no list %(name)r, or you have no right to see it.") % {"name": name})
    if access is not Access.READ:
        folders.require(actor, found.folder, access)
    return found


def create(
    label: str,
    *,
    actor: Actor,
    folder: Folder,
    name: str = "",
    own_table: bool = False,
    schema: str = DIMENSION,
    columns: Sequence[Column] = (),
    labels: Mapping[str, str] | None = None,
    expiration: datetime | None = None,
) -> Group:
    """Create an empty list in a folder.

    Without `own_table` it is a group of recipients. With it the list gets the table `grp<id>` with the column
    `id` (key of the dimension `schema`, or a line number when that is empty) and `columns`, which `labels`
    name to people. Without a name it is called `LST<id>`. Raises Invalid, NotFound for an unknown schema or
    folder, NotAllowed, Conflict for a name that is taken.
    """
    folders.require(actor, folder, Access.WRITE)
    label = _label(label)
    if name and not _NAME.match(name):
        raise Invalid(
            _("%(name)r is no internal name: letters, digits, _ and -, at most 64.") % {"name": name}
        )
    if not own_table and (schema != DIMENSION or columns):
        raise Invalid(_("A list without a table of its own holds recipients and nothing else."))
    if schema:
        registry.find(schema)
    if expiration is not None and expiration <= clock.now():
        raise Invalid(_("A list cannot expire in the past."))
    for column in columns:
        if not _COLUMN.match(column.name) or column.type not in _TYPES or column.name == "id":
            raise Invalid(
                _("A list cannot have the column %(name)r of type %(type)s.")
                % {"name": column.name, "type": column.type}
            )
    if len({column.name for column in columns}) < len(columns):
        raise Invalid(_("Two columns have the same name."))
    with transaction.atomic():
        if name and Group.objects.filter(name=name).exists():
            raise Conflict(_("There is a list %(name)r already.") % {"name": name})
        number = _next()
        now = clock.now()
        made = Group.objects.create(
            group_id=number,
            name=name or f"LST{number}",
            label=label,
            folder=folder,
            type=GroupType.LIST if own_table else GroupType.GROUP,
            schema=schema,
            columns=[
                {"name": each.name, "type": each.type, "label": (labels or {}).get(each.name, "")}
                for each in columns
            ],
            expiration_date=expiration,
            member_count=0,
            counted_at=now,
            created_at=now,
            created_by_id=actor.operator_id or None,
            modified_at=now,
        )
        if own_table:
            parts = ["id bigint PRIMARY KEY", *(f"{quoted(each.name)} {each.type}" for each in columns)]
            with connection.cursor() as cursor:
                cursor.execute(f"CREATE TABLE {quoted(made.table)} ({', '.join(parts)})")
        audit.record(actor, ENTITY, made.name, audit.CREATED, made.group_id, {"schema": schema})
        return made


def add(group: Group, chosen: Chosen, *, actor: Actor, purge: bool = False) -> Filled:
    """Add the chosen rows to a list; with `purge` nobody else stays in it.

    Works in the caller's transaction and holds other changes of the list back until its end. Of recipients
    those that the actor may read are taken. Raises NotFound, NotAllowed, and Invalid for a list of files.
    """
    with transaction.atomic():
        group = _held(group, actor)
        if GroupType(group.type) is GroupType.LIST:
            return _fill(group, chosen, actor, purge, "", {})
        who = recipients(chosen, actor, Access.READ)
        number, blocks = reserve_ids(chosen.count()).in_block("row_number() OVER ()")
        with connection.cursor() as cursor:
            left = 0
            if purge:
                cursor.execute(
                    f"""DELETE FROM nms_rcp_grp_rel rel WHERE rel.group_id = %s
                        AND NOT EXISTS (SELECT 1 FROM ({who.sql}) AS who WHERE who.id = rel.recipient_id)""",  # noqa: S608 quoted
                    [group.group_id, *who.params],
                )
                left = cursor.rowcount
            cursor.execute(
                f"""INSERT INTO nms_rcp_grp_rel (rcp_grp_rel_id, group_id, recipient_id)
                    SELECT {number}, %s, who.id FROM ({who.sql}) AS who
                    ON CONFLICT (group_id, recipient_id) DO NOTHING""",  # noqa: S608 quoted
                [*blocks, group.group_id, *who.params],
            )
            joined = cursor.rowcount
        return Filled(joined, left, _counted(group, joined - left))


def fill(
    group: Group, table: str, columns: Mapping[str, str], *, actor: Actor, purge: bool = False
) -> Filled:
    """Put the rows of a work table into a list with a table of its own; rows that are there are changed.

    `columns` says for columns of the list which column of the work table fills them. Otherwise as `add`.
    """
    with transaction.atomic():
        group = _held(group, actor)
        if GroupType(group.type) is not GroupType.LIST:
            raise Invalid(_("%(name)s has no table of its own.") % {"name": group.label})
        known = {each["name"] for each in group.columns}
        if strange := sorted(set(columns) - known):
            raise Invalid(
                _("%(name)s has no column %(column)r.") % {"name": group.label, "column": strange[0]}
            )
        source = Chosen(f"SELECT id FROM {quoted(table)}")  # noqa: S608 quoted
        return _fill(group, source, actor, purge, table, columns)


def take_out(group: Group, chosen: Chosen, *, actor: Actor) -> Filled:
    """Take the chosen rows out of a list. Raises NotFound, NotAllowed."""
    with transaction.atomic():
        group = _held(group, actor)
        table, column = _members(group)
        where = "t.group_id = %s AND" if GroupType(group.type) is GroupType.GROUP else ""
        with connection.cursor() as cursor:
            cursor.execute(
                f"DELETE FROM {quoted(table)} t USING ({chosen.sql}) AS who "  # noqa: S608 quoted
                f"WHERE {where} t.{column} = who.id",
                [*chosen.params, *([group.group_id] if where else [])],
            )
            left = cursor.rowcount
        return Filled(0, left, _counted(group, -left))


def members(group: Group, *, actor: Actor) -> Chosen:
    """Choose the members of a list; of recipients those that the actor may read."""
    if GroupType(group.type) is GroupType.LIST:
        found = Chosen(f"SELECT id FROM {quoted(group.table)}")  # noqa: S608 quoted
    else:
        found = Chosen(
            "SELECT recipient_id AS id FROM nms_rcp_grp_rel WHERE group_id = %s", (group.group_id,)
        )
    return recipients(found, actor, Access.READ) if group.schema == DIMENSION else found


def count(group: Group, *, actor: Actor) -> int:
    """Count the members that the actor may read, exactly."""
    return members(group, actor=actor).count()


def set_expiration(group: Group, moment: datetime | None, *, actor: Actor) -> Group:
    """Say when a list is to be deleted; None keeps it. Raises Invalid for a time that is over."""
    if moment is not None and moment <= clock.now():
        raise Invalid(_("A list cannot expire in the past."))
    with transaction.atomic():
        group = _held(group, actor)
        group.expiration_date, group.modified_at = moment, clock.now()
        group.save(update_fields=("expiration_date", "modified_at"))
        detail = {"expires": moment.isoformat() if moment else ""}
        audit.record(actor, ENTITY, group.name, audit.MODIFIED, group.group_id, detail)
        return group


def describe(
    group: Group,
    *,
    actor: Actor,
    label: str | None = None,
    description: str | None = None,
    folder: Folder | None = None,
) -> Group:
    """Change what a list is called and where it lies; None leaves it.

    Raises NotFound, NotAllowed without the right to write in both folders, Invalid.
    """
    with transaction.atomic():
        group = _held(group, actor)
        if label is not None:
            group.label = _label(label)
        if description is not None:
            group.description = description
        if folder is not None and folder.folder_id != group.folder_id:
            folders.require(actor, folder, Access.WRITE)
            group.folder = folder
        group.modified_at = clock.now()
        group.save(update_fields=("label", "description", "folder", "modified_at"))
        audit.record(actor, ENTITY, group.name, audit.MODIFIED, group.group_id, {"label": group.label})
        return group


def delete(group: Group, *, actor: Actor) -> None:
    """Delete a list with its table, never its members. Raises NotFound, NotAllowed."""
    with transaction.atomic():
        _drop(_held(group, actor, Access.DELETE), actor)


def delete_expired(*, actor: Actor, limit: int = 20) -> list[str]:
    """Delete at most `limit` lists whose time is over, or which are marked for it; return their names.

    For the nightly cleanup, which calls it in transactions of its own until it returns none. Raises
    NotAllowed without ADMINISTRATION.
    """
    actor.require(Right.ADMINISTRATION, to=_("delete lists that have expired"))
    with transaction.atomic():
        over = Group.objects.filter(expiration_date__lte=clock.now()) | Group.objects.exclude(delete_status=0)
        found = list(over.order_by("group_id").select_for_update(skip_locked=True)[:limit])
        for group in found:
            _drop(group, actor)
        return [group.name for group in found]


def _drop(group: Group, actor: Actor) -> None:
    with connection.cursor() as cursor:
        if GroupType(group.type) is GroupType.LIST:
            cursor.execute(f"DROP TABLE IF EXISTS {quoted(group.table)}")
        cursor.execute("DELETE FROM nms_rcp_grp_rel WHERE group_id = %s", [group.group_id])
    audit.record(actor, ENTITY, group.name, audit.DELETED, group.group_id)
    group.delete()


def _fill(
    group: Group, source: Chosen, actor: Actor, purge: bool, table: str, columns: Mapping[str, str]
) -> Filled:
    who = recipients(source, actor, Access.READ) if group.schema == DIMENSION else source
    own = quoted(group.table)
    names = "".join(f", {quoted(each)}" for each in columns)
    values = "".join(f", carried.{quoted(each)}" for each in columns.values())
    carried = f"JOIN {quoted(table)} carried ON carried.id = who.id" if columns else ""
    changed = ", ".join(f"{quoted(each)} = excluded.{quoted(each)}" for each in columns)
    conflict = f"DO UPDATE SET {changed}" if columns else "DO NOTHING"
    with connection.cursor() as cursor:
        left = 0
        if purge:
            cursor.execute(
                f"DELETE FROM {own} t WHERE NOT EXISTS "  # noqa: S608 quoted
                f"(SELECT 1 FROM ({who.sql}) AS who WHERE who.id = t.id)",
                list(who.params),
            )
            left = cursor.rowcount
        cursor.execute(
            f"""WITH put AS (
                  INSERT INTO {own} (id{names}) SELECT who.id{values} FROM ({who.sql}) AS who {carried}
                  ON CONFLICT (id) {conflict} RETURNING xmax = 0 AS fresh)
                SELECT count(*) FILTER (WHERE fresh) FROM put""",  # noqa: S608 quoted
            list(who.params),
        )
        row = cursor.fetchone()
    joined = int(row[0]) if row else 0
    return Filled(joined, left, _counted(group, joined - left))


def _counted(group: Group, more: int) -> int:
    """Keep the number of members with the list, and return it. Nothing is counted again: the list is held."""
    count = max((group.member_count or 0) + more, 0)
    group.member_count, group.counted_at, group.modified_at = count, clock.now(), clock.now()
    group.save(update_fields=("member_count", "counted_at", "modified_at"))
    return count


def _members(group: Group) -> tuple[str, str]:
    own = GroupType(group.type) is GroupType.LIST
    return (group.table, "id") if own else ("nms_rcp_grp_rel", "recipient_id")


def _held(group: Group, actor: Actor, access: Access = Access.WRITE) -> Group:
    """Return the list as it is now, held against other changes until the transaction ends."""
    find(group.name, actor=actor, access=access)
    found = Group.objects.select_for_update().filter(pk=group.pk, delete_status=0).first()
    if found is None:
        raise NotFound(_("There is no list %(name)r any more.") % {"name": group.name})
    return found


def _label(label: str) -> str:
    label = label.strip()
    if not label or len(label) > 128 or not label.isprintable():
        raise Invalid(_("A label has 1 to 128 printable characters."))
    return label


def _next() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(pg_get_serial_sequence('nms_group', 'group_id'))")
        row = cursor.fetchone()
    assert row is not None  # noqa: S101 a sequence gives a number
    return int(row[0])
