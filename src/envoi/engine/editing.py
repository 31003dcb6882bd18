"""Create, change and delete workflows; each save of the diagram is a version (engine.md §1, §9)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import available_timezones

from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from envoi.engine import access, sql, worktable
from envoi.engine.definition import AFFINITY, Definition
from envoi.engine.models import State, Workflow, WorkflowVersion
from envoi.kernel import audit, clock, folders, registry
from envoi.kernel.errors import Conflict, Invalid
from envoi.kernel.models import Folder, Group, Operator
from envoi.kernel.rights import Actor

ENTITY = "xtk:workflow"
_PROPERTIES = frozenset(
    [
        "label",
        "description",
        "production",
        "history",
        "on_error",
        "consecutive_errors",
        "timezone",
        "affinity",
        "schema",
        "show_sql",
        "keep_results",
        "priority",
        "background",
        "scenario",
        "process_folder_id",
        "supervisor_operator_id",
        "supervisor_group_id",
        "script",
    ]
)


def create(
    actor: Actor,
    internal_name: str,
    label: str,
    definition: Definition,
    folder: Folder | str,
    *,
    is_model: bool = False,
    **properties: Any,
) -> Workflow:
    """Store a new workflow, being edited. `internal_name` "" gives it WKF<n>; `folder` may be given by name.

    A definition may still have problems; only a start needs it whole. Raises NotFound, NotAllowed, Invalid,
    Conflict.
    """
    place = folders.find(folder, actor=actor) if isinstance(folder, str) else folder
    now = clock.now()
    workflow = Workflow(
        internal_name=internal_name,
        label=label,
        folder=place,
        definition=definition.to_json(),
        is_model=is_model,
        created_at=now,
        created_by_id=actor.operator_id,
        modified_at=now,
        modified_by_id=actor.operator_id,
    )
    _require_change(actor, workflow, to=_("create"))
    _set_properties(workflow, properties)
    with transaction.atomic():
        if not internal_name:
            row = sql.one("SELECT nextval('xtk_workflow_workflow_id_seq') AS id")
            workflow.workflow_id = row["id"] if row else 0
            workflow.internal_name = f"WKF{workflow.workflow_id}"
        elif Workflow.objects.filter(internal_name=internal_name).exists():
            raise Conflict(
                _("There is a workflow called %(name)s already. Choose another internal name.")
                % {"name": internal_name}
            )
        workflow.save(force_insert=True)
        _add_version(workflow, actor, "")
        audit.record(actor, ENTITY, workflow.internal_name, audit.CREATED, workflow.workflow_id)
    return workflow


def save(
    actor: Actor,
    name: str,
    *,
    definition: Definition | None = None,
    comment: str = "",
    seen_number: int | None = None,
    seen_at: datetime | None = None,
    **properties: Any,
) -> Workflow:
    """Change a workflow. A started one may be changed too: what has not run yet follows the new diagram
    (§1.3).

    `seen_number` is the version that the editor began with, `seen_at` the time of the last change that was
    seen: Conflict when somebody has saved since.
    """
    with transaction.atomic():
        workflow = access.find(actor, name)
        _require_change(actor, workflow, to=_("change"))
        workflow = (
            Workflow.objects.select_related("folder").select_for_update(of=("self",)).get(pk=workflow.pk)
        )
        if seen_number is not None and seen_number != workflow.definition_number:
            raise Conflict(
                _("%(name)s was saved by someone else meanwhile: version %(number)s instead of %(seen)s."
                  " Compare both, then save again.")
                % {"name": name, "number": workflow.definition_number, "seen": seen_number}
            )  # fmt: skip
        if seen_at is not None and seen_at != workflow.modified_at:
            raise Conflict(
                _("%(name)s was changed by someone else meanwhile. Compare both, then save again.")
                % {"name": name}
            )
        _set_properties(workflow, properties)
        changed = set(properties)
        if "label" in properties:
            workflow.labels = {}
            changed.add("labels")
        if definition is not None and definition.to_json() != workflow.definition:
            workflow.definition = definition.to_json()
            top = WorkflowVersion.objects.filter(workflow=workflow).aggregate(top=Max("number"))["top"] or 0
            workflow.definition_number = top + 1
            _add_version(workflow, actor, comment)
            changed |= {"definition", "definition_number"}
        workflow.version += 1
        workflow.modified_at, workflow.modified_by_id = clock.now(), actor.operator_id
        workflow.save(update_fields=[*changed, "version", "modified_at", "modified_by"])
        audit.record(actor, ENTITY, workflow.internal_name, audit.MODIFIED, workflow.workflow_id,
                     {"fields": sorted(changed)})  # fmt: skip
    return workflow


def delete(actor: Actor, name: str) -> None:
    """Delete a workflow with its tasks, events, journal and work tables. Refused while it runs, and for
    shipped ones.
    """
    with transaction.atomic():
        workflow = access.find(actor, name)
        _require_change(actor, workflow, to=_("delete"))
        workflow = Workflow.objects.select_for_update(of=("self",)).get(pk=workflow.pk)
        if workflow.built_in:
            raise Conflict(
                _("%(name)s belongs to the package %(package)s: it can be stopped, not deleted.")
                % {"name": name, "package": workflow.package}
            )
        if workflow.state not in (State.EDITION, State.FINISHED):
            raise Conflict(
                _("%(name)s is %(state)s. Stop it, then delete it.")
                % {"name": name, "state": _(State(workflow.state).label)}
            )
        audit.record(actor, ENTITY, workflow.internal_name, audit.DELETED, workflow.workflow_id)
        remove(workflow)


def remove(workflow: Workflow) -> None:
    """Delete the rows and tables of a workflow in the caller's transaction, asking nobody."""
    worktable.drop_all(workflow.pk)
    worktable.drop_histories(workflow.pk)
    own = {"workflow": workflow.workflow_id}
    sql.run("DELETE FROM xtk_workflow_log WHERE workflow_id = %(workflow)s", own)
    sql.run("DELETE FROM xtk_workflow_event WHERE workflow_id = %(workflow)s", own)
    sql.run("DELETE FROM xtk_workflow_task WHERE workflow_id = %(workflow)s", own)
    sql.run("DELETE FROM xtk_workflow_job WHERE workflow_id = %(workflow)s", own)
    sql.run("DELETE FROM xtk_workflow_run WHERE workflow_id = %(workflow)s", own)
    sql.run("DELETE FROM xtk_workflow_approval WHERE workflow_id = %(workflow)s", own)
    workflow.delete()


def _require_change(actor: Actor, workflow: Workflow, *, to: str) -> None:
    access.require_operate(actor, workflow, to=to)
    folders.require(actor, workflow.folder, folders.Access.WRITE)


def problems(properties: Mapping[str, Any]) -> dict[str, str]:
    """Return what is wrong with values of properties, by property, in the active language: "must not …"."""
    found = {name: _CHECKS[name](value) for name, value in properties.items() if name in _CHECKS}
    return {name: wrong for name, wrong in found.items() if wrong}


def _set_properties(workflow: Workflow, properties: dict[str, Any]) -> None:
    unknown = set(properties) - _PROPERTIES
    if unknown:
        raise Invalid(_("A workflow has no property %(names)s.") % {"names": ", ".join(sorted(unknown))})
    for name, wrong in problems(properties).items():
        raise Invalid(
            _("%(property)s of workflow %(name)s %(wrong)s.")
            % {"property": name, "name": workflow.internal_name or workflow.label, "wrong": wrong}
        )
    for name, value in properties.items():
        setattr(workflow, name, value)


def _one_of(*allowed: int) -> Callable[[Any], str | None]:
    text = ", ".join(str(each) for each in allowed)
    return lambda value: (
        None
        if value in allowed
        else _("must be one of %(allowed)s, not %(value)r") % {"allowed": text, "value": value}
    )


def _count(value: Any) -> str | None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if whole and 0 <= value <= _MOST:
        return None
    return _("must be a whole number from 0 on, not %(value)r") % {"value": value}


def _zone(value: Any) -> str | None:
    known = value in {"_inherit_", "server", "operator", "database"} or value in available_timezones()
    return None if known else _("is %(value)r, which is no time zone such as Europe/Paris") % {"value": value}


def _affinity(value: Any) -> str | None:
    return None if AFFINITY.match(str(value)) else _("must be letters and digits, without spaces")


def _label(value: Any) -> str | None:
    if len(str(value)) > _LONGEST_LABEL:
        return _("must have %(longest)s characters at most") % {"longest": _LONGEST_LABEL}
    return None if str(value).strip() else _("must not be empty")


def _dimension(value: Any) -> str | None:
    known = value == "" or value in registry.current().schemas
    return None if known else _("is %(value)r, which is no schema such as nms:recipient") % {"value": value}


def _existing(table: type[Operator] | type[Group] | type[Folder]) -> Callable[[Any], str | None]:
    return lambda value: (
        None if value is None or table.objects.filter(pk=value).exists() else _("does not exist any more")
    )


_MOST = 2**31 - 1
_LONGEST_LABEL = 255
_CHECKS: dict[str, Callable[[Any], str | None]] = {
    "label": _label,
    "production": _one_of(0, 1, 2),
    "on_error": _one_of(0, 1, 2),
    "history": _count,
    "consecutive_errors": _count,
    "timezone": _zone,
    "affinity": _affinity,
    "schema": _dimension,
    "process_folder_id": _existing(Folder),
    "supervisor_operator_id": _existing(Operator),
    "supervisor_group_id": _existing(Group),
}


def _add_version(workflow: Workflow, actor: Actor, comment: str) -> None:
    WorkflowVersion.objects.create(
        workflow=workflow,
        number=workflow.definition_number,
        definition=workflow.definition,
        comment=comment,
        created_at=clock.now(),
        created_by_id=actor.operator_id,
    )
