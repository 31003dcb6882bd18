"""Folders: the tree of the explorer, and who may read, write and delete in it (delivery.md §1.5).

A folder without rights of its own follows its parent; a root without any is open. Rights on a folder say what
may be done with the objects in it and with folders below; changing the tree also takes a named right: INSERT
FOLDERS, EDIT FOLDERS or DELETE FOLDER. An operator with a root folder sees nothing outside of it, whatever
its rights.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.db import connection, transaction
from django.db.models import ProtectedError, QuerySet
from django.db.models.expressions import RawSQL
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from envoi.kernel import audit, locks
from envoi.kernel.errors import Conflict, Invalid, NotAllowed, NotFound
from envoi.kernel.hooks import Hook
from envoi.kernel.models import Folder, FolderRight, Group, Operator
from envoi.kernel.rights import Actor, Right

ENTITY = "xtk:folder"
LONGEST_PATH = 1024
_NAME = re.compile(r"^[A-Za-z0-9][\w.-]{0,63}$", re.ASCII)

folder_contents: Hook[[Folder], list[str]] = Hook("folder_contents")
"""`(folder)`: what lies in this folder, one line each ("12 workflows"); a folder with contents cannot be
deleted.
"""


class Access(StrEnum):
    """What folder rights speak of."""

    READ = "read"
    WRITE = "write"
    DELETE = "delete"


@dataclass(frozen=True)
class Restriction:
    """A query of folder ids with its parameters, for use as `folder_id IN (<sql>)`."""

    sql: str
    params: tuple[Any, ...]

    def queryset(self) -> RawSQL:
        """Return the same for the ORM: `filter(folder_id__in=restriction.queryset())`."""
        return RawSQL(self.sql, self.params)  # noqa: S611 parameters are bound


# Each folder takes its own rights when it has any, else its parent's; {access} is one of three fixed column
# names.
_ALLOWED = """\
WITH RECURSIVE own AS (
    SELECT folder_id,
        coalesce(bool_or({access} AND (operator_id = %s OR group_id = ANY(%s))), false) AS allowed
    FROM xtk_folder_right GROUP BY folder_id
), tree AS (
    SELECT folder.folder_id, folder.path, coalesce(own.allowed, true) AS allowed
    FROM xtk_folder folder LEFT JOIN own USING (folder_id)
    WHERE folder.parent_id IS NULL
  UNION ALL
    SELECT folder.folder_id, folder.path, coalesce(own.allowed, tree.allowed)
    FROM tree JOIN xtk_folder folder ON folder.parent_id = tree.folder_id
    LEFT JOIN own ON own.folder_id = folder.folder_id
)
SELECT folder_id FROM tree WHERE allowed AND starts_with(path, %s)"""
_BRANCH = "SELECT folder_id FROM xtk_folder WHERE starts_with(path, %s)"
_COLUMNS = {Access.READ: "can_read", Access.WRITE: "can_write", Access.DELETE: "can_delete"}


def allowed(actor: Actor, access: Access) -> Restriction:
    """Return which folders the actor may read, write or delete in. Administrators are bound by their root
    alone.
    """
    if actor.is_administrator:
        return Restriction(_BRANCH, (actor.root_path,))
    groups = sorted(actor.group_ids)
    sql = _ALLOWED.format(access=_COLUMNS[access])
    return Restriction(sql, (actor.operator_id, groups, actor.root_path))


def readable(actor: Actor) -> Restriction:
    """Return which folders the actor may read in."""
    return allowed(actor, Access.READ)


def readable_folders(actor: Actor) -> QuerySet[Folder]:
    """Return the folders that the actor sees."""
    return Folder.objects.filter(folder_id__in=readable(actor).queryset())


def may(actor: Actor, folder: Folder, access: Access) -> bool:
    """Return whether the actor may read, write or delete what lies in `folder`."""
    restriction = allowed(actor, access)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT %s IN ({restriction.sql})",
            (folder.folder_id, *restriction.params),
        )
        row = cursor.fetchone()
    return row is not None and row[0] is True


def require(actor: Actor, folder: Folder, access: Access) -> None:
    """Raise NotFound for a folder that the actor does not see, NotAllowed where `access` is missing."""
    if not may(actor, folder, Access.READ):
        raise NotFound(_("There is no folder %(folder)r.") % {"folder": folder.name})
    if access is not Access.READ and not may(actor, folder, access):
        raise NotAllowed(
            _(
                "%(actor)s may not %(access)s in the folder %(folder)s. An administrator can "
                "give that right on the folder."
            )
            % {"actor": actor.name, "access": _spoken(access), "folder": folder.label}
        )


def _spoken(access: Access) -> str:
    return {Access.READ: _("read"), Access.WRITE: _("write"), Access.DELETE: _("delete")}[access]


def find(name: str, *, actor: Actor) -> Folder:
    """Return the folder with this internal name. Raises NotFound when there is none or the actor does not see
    it.
    """
    folder = readable_folders(actor).filter(name=name).select_related("parent").first()
    if folder is None:
        raise NotFound(_("There is no folder %(name)r.") % {"name": name})
    return folder


def label_of(folder: Folder, language: str | None = None) -> str:
    """Return the label in a language (default: the active one), English when there is none."""
    language = language or get_language() or "en"
    return folder.labels.get(language) or folder.labels.get(language.partition("-")[0]) or folder.label


def create(
    name: str,
    *,
    actor: Actor,
    label: str = "",
    parent: Folder | None = None,
    model: str = "",
    position: int = 0,
) -> Folder:
    """Create a folder, below `parent` or as a root.

    `model` is the schema of what it will hold; empty means that of the parent. Raises NotAllowed without
    INSERT FOLDERS and the right to write in the parent (a root takes ADMINISTRATION), Conflict for a name
    that is taken.
    """
    actor.require(Right.INSERT_FOLDERS, to=_("create a folder"))
    if not _NAME.match(name):
        raise Invalid(
            _(
                "%(name)r cannot name a folder: begin with a letter or digit; letters, "
                "digits, '.', '-' and '_' may follow, 64 characters in all."
            )
            % {"name": name}
        )
    with transaction.atomic():
        locks.in_transaction(locks.Lock.FOLDERS)
        above = _parent(parent, actor)
        if Folder.objects.filter(name=name).exists():
            raise Conflict(_("There is already a folder %(name)r. Choose another name.") % {"name": name})
        folder = Folder.objects.create(
            name=name,
            label=_label(label or name),
            parent=above,
            path=_path(above, name),
            model=model or (above.model if above else ""),
            position=position,
        )
        audit.record(actor, ENTITY, name, audit.CREATED, folder.folder_id)
        return folder


def rename(folder: Folder, label: str, *, actor: Actor) -> Folder:
    """Give a folder another label; the internal name and the path stay. Shipped folders keep theirs."""
    with transaction.atomic():
        folder = _changeable(folder, actor, Right.EDIT_FOLDERS, Access.WRITE, _("rename a folder"))
        folder.label = _label(label)
        folder.save(update_fields=("label",))
        audit.record(actor, ENTITY, folder.name, audit.MODIFIED, folder.folder_id, {"changed": ["label"]})
        return folder


def move(folder: Folder, parent: Folder | None, *, actor: Actor) -> Folder:
    """Move a folder with all below it. Raises Conflict for a place below itself."""
    with transaction.atomic():
        folder = _changeable(folder, actor, Right.EDIT_FOLDERS, Access.WRITE, _("move a folder"))
        above = _parent(parent, actor)
        if above is not None and above.path.startswith(folder.path):
            raise Conflict(_("%(folder)s cannot be moved below itself.") % {"folder": folder.label})
        old, new = folder.path, _path(above, folder.name)
        if new == old:
            return folder
        _rewrite_paths(old, new)
        Folder.objects.filter(pk=folder.pk).update(parent=above)
        folder.refresh_from_db()
        audit.record(
            actor, ENTITY, folder.name, audit.MODIFIED, folder.folder_id, {"from": old, "to": folder.path}
        )
        return folder


def set_view(folder: Folder, conditions: Mapping[str, Any] | None, *, actor: Actor) -> Folder:
    """Make a folder show the rows of its schema for which conditions hold, wherever they lie; None ends that.

    `conditions` are those of a query (`{"condition": […]}`). Only an empty folder becomes a view. Raises
    Conflict, NotAllowed.
    """
    with transaction.atomic():
        folder = _changeable(folder, actor, Right.EDIT_FOLDERS, Access.WRITE, _("change a folder"))
        if conditions is not None and not folder.is_view:
            if not folder.model:
                raise Invalid(
                    _("%(folder)s holds no rows, so it cannot be a view.") % {"folder": folder.label}
                )
            if inside := [line for lines in folder_contents.ask(folder) for line in lines]:
                raise Conflict(
                    _("%(folder)s is not empty (%(names)s). Move or delete what is in it first.")
                    % {"folder": folder.label, "names": ", ".join(inside)}
                )
        folder.is_view, folder.view_filter = conditions is not None, dict(conditions or {})
        folder.save(update_fields=("is_view", "view_filter"))
        audit.record(
            actor, ENTITY, folder.name, audit.MODIFIED, folder.folder_id,
            {"changed": ["isView", "viewFilter"], "view": folder.is_view, "filter": folder.view_filter},
        )  # fmt: skip
        return folder


def rights_on(folder: Folder, *, actor: Actor) -> list[FolderRight]:
    """Return the folder's own lines of rights; none when it follows its parent. Takes ADMINISTRATION."""
    actor.require(Right.ADMINISTRATION, to=_("see the rights on a folder"))
    found = FolderRight.objects.filter(folder=folder).select_related("operator", "group")
    return list(found.order_by("group__name", "operator__name"))


def delete(folder: Folder, *, actor: Actor) -> None:
    """Delete an empty folder. Raises Conflict while folders or objects are in it, and for shipped folders."""
    with transaction.atomic():
        folder = _changeable(folder, actor, Right.DELETE_FOLDER, Access.DELETE, _("delete a folder"))
        inside = [line for lines in folder_contents.ask(folder) for line in lines]
        if count := Folder.objects.filter(parent=folder).count():
            inside.append(f"{count} folders")
        if inside:
            raise Conflict(
                _("%(folder)s is not empty (%(names)s). Move or delete what is in it first.")
                % {"folder": folder.label, "names": ", ".join(inside)}
            )
        audit.record(actor, ENTITY, folder.name, audit.DELETED, folder.folder_id, {"path": folder.path})
        try:
            folder.delete()
        except ProtectedError as error:
            raise Conflict(
                _("%(folder)s is not empty. Move or delete what is in it first.") % {"folder": folder.label}
            ) from error


def set_rights(
    folder: Folder,
    holder: Operator | Group,
    *,
    actor: Actor,
    read: bool = True,
    write: bool = False,
    delete: bool = False,
    below: bool = False,
) -> None:
    """Set what an operator or group may do in a folder; nothing at all removes its line.

    With the first line a folder stops following its parent. `below` drops the rights of all folders below, so
    that these follow again. Raises NotAllowed without ADMINISTRATION.
    """
    actor.require(Right.ADMINISTRATION, to=_("change the rights on a folder"))
    whose = {"operator": holder} if isinstance(holder, Operator) else {"group": holder}
    rights = {"can_read": read or write or delete, "can_write": write, "can_delete": delete}
    with transaction.atomic():
        locks.in_transaction(locks.Lock.FOLDERS)
        folder = _fresh(folder)
        require(actor, folder, Access.READ)
        if any(rights.values()):
            FolderRight.objects.update_or_create(folder=folder, **whose, defaults=rights)
        else:
            FolderRight.objects.filter(folder=folder, **whose).delete()
        if below:
            FolderRight.objects.filter(folder__path__startswith=folder.path).exclude(folder=folder).delete()
        detail = {"holder": holder.name, **rights, "below": below}
        audit.record(actor, ENTITY, folder.name, "Rights", folder.folder_id, detail)


def _changeable(folder: Folder, actor: Actor, right: Right, access: Access, doing: str) -> Folder:
    """Return the folder as it is now, locked against changes of the tree, when the actor may change it."""
    locks.in_transaction(locks.Lock.FOLDERS)
    folder = _fresh(folder)
    require(actor, folder, Access.READ)
    actor.require(right, to=doing)
    require(actor, folder, access)
    if folder.built_in:
        raise Conflict(
            _("%(folder)s belongs to the product and stays where and what it is.") % {"folder": folder.label}
        )
    return folder


def _fresh(folder: Folder) -> Folder:
    try:
        return Folder.objects.select_related("parent").get(pk=folder.pk)
    except Folder.DoesNotExist as error:
        raise NotFound(_("The folder %(folder)s is no longer there.") % {"folder": folder.label}) from error


def _parent(parent: Folder | None, actor: Actor) -> Folder | None:
    if parent is None:
        actor.require(Right.ADMINISTRATION, to=_("put a folder at the root"))
        if actor.root_path != "/":
            raise NotAllowed(
                _("%(actor)s is confined to %(root_path)s and may not put a folder at the root.")
                % {"actor": actor.name, "root_path": actor.root_path}
            )
        return None
    parent = _fresh(parent)
    require(actor, parent, Access.WRITE)
    return parent


def _path(parent: Folder | None, name: str) -> str:
    path = f"{parent.path if parent else '/'}{name}/"
    if len(path) > LONGEST_PATH:
        raise Invalid(
            _("The path %(path)s… has %(count)s characters; %(longest_path)s are allowed.")
            % {"path": path[:60], "count": len(path), "longest_path": LONGEST_PATH}
        )
    return path


def _label(label: str) -> str:
    label = label.strip()
    if not label or len(label) > 128 or not label.isprintable():
        raise Invalid(_("A label has 1 to 128 printable characters."))
    return label


def _rewrite_paths(old: str, new: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM xtk_folder WHERE starts_with(path, %s) AND length(path) > %s LIMIT 1",
            (old, LONGEST_PATH + len(old) - len(new)),
        )
        if cursor.fetchone() is not None:
            raise Invalid(
                _("A path below it would have more than %(longest_path)s characters there.")
                % {"longest_path": LONGEST_PATH}
            )
        cursor.execute(
            "UPDATE xtk_folder SET path = %s || substr(path, %s) WHERE starts_with(path, %s)",
            (new, len(old) + 1, old),
        )
