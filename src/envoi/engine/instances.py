"""Workflows made from templates, run to their end, and the accounts they run under (engine.md §3, §8.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from envoi.engine import access, commands, editing, lifecycle, waiting, worktable
from envoi.engine.commands import Command
from envoi.engine.definition import Definition
from envoi.engine.models import Login, State, Workflow
from envoi.kernel import audit
from envoi.kernel.errors import Conflict, Invalid, NotFound
from envoi.kernel.models import Folder, Operator
from envoi.kernel.rights import Actor, Right

TEMPLATES = "workflowTemplates"
DEFAULT_FOLDER = "targetingWorkflows"
_COPIED = [
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
    "scenario",
    "process_folder_id",
    "supervisor_operator_id",
    "supervisor_group_id",
    "script",
]


@dataclass(frozen=True)
class Ended:
    """How a run has ended: `done` is False when time was up before."""

    done: bool
    state: str
    failed: bool
    variables: Mapping[str, Any]


def duplicate(
    actor: Actor, name: str, *, label: str = "", folder: Folder | str | None = None, as_template: bool = False
) -> Workflow:
    """Make an independent workflow (or a template) from another; it begins its life being edited."""
    source = access.find(actor, name)
    place = folder or (TEMPLATES if as_template else _folder_for(source))
    copy = editing.create(
        actor,
        "",
        label or source.label,
        Definition.from_json(source.definition),
        place,
        is_model=as_template,
        **{each: getattr(source, each) for each in _COPIED},
    )
    Workflow.objects.filter(pk=copy.pk).update(model_name=source.internal_name)
    login = Login.objects.filter(workflow=source).first()
    if login is not None:
        Login.objects.create(workflow=copy, operator_id=login.operator_id)
    copy.refresh_from_db()
    return copy


def spawn(
    actor: Actor, template: str, *, variables: Mapping[str, Any] | None = None, simulation: bool = False
) -> str:
    """Make a workflow from a template and start it (or simulate it); returns its internal name.

    It runs as the caller, unless the template has an execution account.
    """
    with transaction.atomic():
        copy = duplicate(actor, template)
        command = Command.SIMULATE if simulation else Command.START
        commands.post(actor, copy.internal_name, command, variables=dict(variables or {}))
    return copy.internal_name


def execute(
    actor: Actor,
    name: str,
    *,
    simulation: bool = False,
    keep_result: bool = False,
    log_sql: bool = False,
    seconds: float | None = None,
) -> Ended:
    """Start a workflow and wait until it has nothing to do; needs a worker, and no open transaction.

    `keep_result` and `log_sql` become its properties.
    """
    workflow = access.find(actor, name)
    if (keep_result, log_sql) != (workflow.keep_results, workflow.show_sql):
        editing.save(actor, name, keep_results=keep_result, show_sql=log_sql)
    commands.post(actor, name, Command.SIMULATE if simulation else Command.START)
    done = waiting.until_passive(workflow.workflow_id, seconds)
    workflow.refresh_from_db()
    return Ended(done, State(workflow.state).label, workflow.failed, workflow.variables)


def delete_results(actor: Actor, name: str) -> int:
    """Drop the kept results of a workflow that does not run; returns how many tables that were."""
    with transaction.atomic():
        workflow = access.find(actor, name)
        access.require_operate(actor, workflow, to=_("delete results of"))
        row = lifecycle.lock(workflow.workflow_id)
        if row is None or row["state"] not in (State.EDITION, State.FINISHED):
            raise Conflict(_("%(name)s still needs its results. Stop it first.") % {"name": name})
        return worktable.drop_all(workflow.workflow_id)


def login_of(actor: Actor, name: str) -> str:
    """Return the operator's name of the execution account, "" when it runs as whoever starts it."""
    login = Login.objects.select_related("operator").filter(workflow=access.find(actor, name)).first()
    return login.operator.name if login else ""


def set_login(actor: Actor, name: str, operator: str) -> None:
    """Set the execution account, or remove it with "". Takes ADMINISTRATION: it lends somebody's rights."""
    actor.require(Right.ADMINISTRATION, to=_("change the execution account of a workflow"))
    with transaction.atomic():
        workflow = access.find(actor, name)
        Login.objects.filter(workflow=workflow).delete()
        if operator:
            found = Operator.objects.filter(name=operator).first()
            if found is None:
                raise NotFound(_("There is no operator %(operator)r.") % {"operator": operator})
            if found.disabled:
                raise Invalid(
                    _("%(operator)s is disabled, so nothing can run in that name.") % {"operator": operator}
                )
            Login.objects.create(workflow=workflow, operator=found)
        audit.record(
            actor,
            editing.ENTITY,
            workflow.internal_name,
            "SetLogin",
            workflow.workflow_id,
            {"operator": operator},
        )


def _folder_for(source: Workflow) -> Folder | str:
    """Return where instances go: where their template says, else beside it, but out of the folder of
    templates.
    """
    if source.process_folder is not None:
        return source.process_folder
    return DEFAULT_FOLDER if f"/{TEMPLATES}/" in source.folder.path else source.folder
