"""Stores the workflows that a package ships, when it is installed or upgraded (architecture §3.10)."""

from __future__ import annotations

from typing import Any

from envoi.engine import commands, workflow
from envoi.engine.models import Workflow, WorkflowVersion
from envoi.kernel import clock, hooks, shipped
from envoi.kernel.models import Folder
from envoi.kernel.rights import Actor


@hooks.install_steps.answer
def store(package: str, actor: Actor) -> list[str]:
    """Create new workflows, let unchanged ones follow the new version, leave changed ones; returns a line
    for each left.
    """
    kept: list[str] = []
    for source in workflow.shipped(package):
        source.definition.require_valid()
        if not _store(package, source, actor):
            kept.append(f"workflow {source.name}: changed here; the new version is offered for comparison")
    return kept


def _store(package: str, source: workflow.Workflow, actor: Actor) -> bool:
    values: dict[str, Any] = {
        "label": source.label,
        "description": source.description,
        "production": int(source.severity),
        "definition": source.definition.to_json(),
    }
    row = Workflow.objects.select_for_update().filter(internal_name=source.name).first()
    present = None if row is None else {name: getattr(row, name) for name in values}
    outcome = shipped.settle("xtk:workflow", source.name, package=package, values=values, present=present)
    now = clock.now()
    if outcome is shipped.Outcome.KEPT:
        return False
    if row is None:
        row = Workflow.objects.create(
            internal_name=source.name,
            folder=Folder.objects.get(name=source.folder),
            package=package,
            built_in=True,
            labels=dict(source.labels),
            created_at=now,
            created_by_id=actor.operator_id,
            modified_at=now,
            modified_by_id=actor.operator_id,
            **values,
        )
        _add_version(row, package, actor)
        if source.starts:
            commands.post(actor, source.name, commands.Command.START)
        return True
    changes: dict[str, Any] = {}
    if row.labels != source.labels and row.label == source.label:
        changes["labels"] = dict(source.labels)
    if outcome is shipped.Outcome.UPDATE:
        changes |= values | {
            "modified_at": now,
            "modified_by_id": actor.operator_id,
            "version": row.version + 1,
        }
        if row.definition != values["definition"]:
            changes["definition_number"] = row.definition_number + 1
    if changes:
        Workflow.objects.filter(pk=row.pk).update(**changes)
        row.refresh_from_db()
        if "definition_number" in changes:
            _add_version(row, package, actor)
    return True


def _add_version(row: Workflow, package: str, actor: Actor) -> None:
    WorkflowVersion.objects.create(
        workflow=row,
        number=row.definition_number,
        definition=row.definition,
        comment=f"shipped with {package}",
        created_at=clock.now(),
        created_by_id=actor.operator_id,
    )
