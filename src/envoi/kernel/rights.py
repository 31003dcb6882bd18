"""Named rights and the actor: in whose name something is done (delivery.md §1.5, architecture §3.4).

Every service takes an `Actor`; there is no default one.
"""

import os
import pwd
from dataclasses import dataclass, field, replace
from enum import StrEnum

from django.db import connection
from django.utils.translation import gettext as _

from envoi.kernel.errors import NotAllowed
from envoi.kernel.models import Operator


class Right(StrEnum):
    """The named rights of the product; values as operators know them."""

    ADMINISTRATION = "ADMINISTRATION"
    APPROVAL_ADMINISTRATION = "APPROVAL ADMINISTRATION"
    CENTRAL = "CENTRAL"
    LOCAL = "LOCAL"
    DELETE_FOLDER = "DELETE FOLDER"
    EDIT_FOLDERS = "EDIT FOLDERS"
    INSERT_FOLDERS = "INSERT FOLDERS"
    EXPORT = "EXPORT"
    IMPORT = "IMPORT"
    RECIPIENT_IMPORT = "RECIPIENT IMPORT"
    FILES_ACCESS = "FILES ACCESS"
    MERGE = "MERGE"
    PREPARE_DELIVERIES = "PREPARE DELIVERIES"
    START_DELIVERIES = "START DELIVERIES"
    PRIVACY_DATA_RIGHT = "PRIVACY DATA RIGHT"
    PROGRAM_EXECUTION = "PROGRAM EXECUTION"
    SQL_SCRIPT_EXECUTION = "SQL SCRIPT EXECUTION"
    USE_SQL_DATA_MANAGEMENT_ACTIVITY = "USE SQL DATA MANAGEMENT ACTIVITY"
    WORKFLOW = "WORKFLOW"
    WEBAPP = "WEBAPP"


_KNOWN = {right.value: right for right in Right}


@dataclass(frozen=True)
class Actor:
    """Who acts, with what rights. ADMINISTRATION includes every other right."""

    operator_id: int
    name: str
    rights: frozenset[Right] = frozenset()
    group_ids: frozenset[int] = frozenset()
    root_path: str = "/"
    """The branch of folders that the actor is confined to; "/" is all of it."""
    label: str = field(default="", compare=False)
    origin: str = field(default="", compare=False)
    """Where the actor came in, when it is not the console: kept in the audit trail."""

    @property
    def is_administrator(self) -> bool:
        """True when the actor may do everything."""
        return Right.ADMINISTRATION in self.rights

    def has(self, right: Right) -> bool:
        """Return whether the actor has `right`."""
        return right in self.rights or self.is_administrator

    def require(self, right: Right, *, to: str) -> None:
        """Raise NotAllowed unless the actor has `right`; `to` says what was asked ("start a technical
        workflow").
        """
        if not self.has(right):
            raise NotAllowed(
                _("%(name)s may not %(to)s: the right %(right)s is missing. An administrator can give it.")
                % {"name": self.name, "to": to, "right": right.value}
            )


def actor_of(operator: Operator) -> Actor:
    """Return the actor for an operator, with its own rights and those of its groups."""
    return actor_with_id(operator.operator_id)


def actor_with_id(operator_id: int) -> Actor:
    """Return the actor for the operator with a number. Raises NotAllowed when there is none (any more).

    One statement, since almost every activity of a workflow asks for it. Nothing is remembered, so that a
    right that is taken away counts at once.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT o.name, o.label, coalesce(f.path, '/'), g.ids,
                 ARRAY(SELECT DISTINCT r.name FROM xtk_right r
                   WHERE r.operator_id = o.operator_id OR r.group_id = ANY(g.ids))
               FROM xtk_operator o LEFT JOIN xtk_folder f ON f.folder_id = o.folder_id
               CROSS JOIN LATERAL (SELECT ARRAY(SELECT m.group_id FROM xtk_operator_group m
                 WHERE m.operator_id = o.operator_id) AS ids) AS g
               WHERE o.operator_id = %s""",
            [operator_id],
        )
        row = cursor.fetchone()
    if row is None:
        raise NotAllowed(
            _("Operator %(operator_id)s no longer exists, so nothing can be done in that name.")
            % {"operator_id": operator_id}
        )
    name, label, path, groups, rights = row
    return Actor(
        operator_id=operator_id,
        name=name,
        rights=frozenset(_KNOWN[right] for right in rights if right in _KNOWN),
        group_ids=frozenset(groups),
        root_path=path,
        label=label or name,
    )


def actor_named(name: str) -> Actor:
    """Return the actor of the operator called `name`. Raises NotAllowed for none, or a disabled one."""
    operator = Operator.objects.select_related("folder").filter(name=name).first()
    if operator is None or operator.disabled:
        raise NotAllowed(
            _("There is no active operator %(name)r. Create or enable it first.") % {"name": name}
        )
    return actor_of(operator)


INTERNAL = "internal"
INSTALLER = Actor(
    operator_id=0, name=INTERNAL, rights=frozenset({Right.ADMINISTRATION}), origin="installation"
)
"""Who acts while an instance has no operators yet; for installation only."""


def internal() -> Actor:
    """Return the actor of the built-in operator `internal`, in whose name the instance itself works."""
    return actor_named(INTERNAL)


def at_command_line() -> Actor:
    """Return the actor of one who works on the instance's host.

    Whoever can run commands there owns the instance and acts as `internal`; the audit trail names the user of
    the operating system.
    """
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    return replace(internal(), origin=f"command line, user {user}")
