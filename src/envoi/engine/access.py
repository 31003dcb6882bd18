"""Who may see and operate which workflow (engine.md §8.1).

ADMINISTRATION: everything. WORKFLOW: those in folders that one may read, but for technical workflows, which
only administrators start, stop or change. Without either: nothing.
"""

from __future__ import annotations

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from envoi.engine.models import Workflow
from envoi.kernel import folders
from envoi.kernel.errors import NotAllowed, NotFound
from envoi.kernel.models import Folder
from envoi.kernel.rights import Actor, Right

TECHNICAL_FOLDER = "nmsTechnicalWorkflow"


def visible(actor: Actor) -> QuerySet[Workflow]:
    """Return the workflows that the actor may see."""
    found = Workflow.objects.select_related("folder")
    if not actor.has(Right.WORKFLOW):
        return found.none()
    return found.filter(folder_id__in=folders.readable(actor).queryset())


@folders.folder_contents.answer
def contents(folder: Folder) -> list[str]:
    """Return how many workflows keep a folder from being deleted."""
    count = Workflow.objects.filter(folder=folder).count()
    return [ngettext("%(count)s workflow", "%(count)s workflows", count) % {"count": count}] if count else []


def find(actor: Actor, name: str) -> Workflow:
    """Return the workflow with an internal name, or a number given as text. Raises NotFound when there is
    none to see.
    """
    workflows = visible(actor)
    workflow = workflows.filter(internal_name=name).first()
    if workflow is None and name.isdecimal():
        workflow = workflows.filter(workflow_id=int(name)).first()
    if workflow is None:
        raise NotFound(
            _("There is no workflow %(name)r, or %(actor)s may not see it.")
            % {"name": name, "actor": actor.name}
        )
    return workflow


def is_technical(workflow: Workflow) -> bool:
    """Return whether only administrators may operate it: shipped, or kept in the folder of technical
    workflows.
    """
    return workflow.built_in or f"/{TECHNICAL_FOLDER}/" in workflow.folder.path


def may_operate(actor: Actor, *, technical: bool) -> bool:
    """Return whether the actor may start, stop or change workflows of this sort."""
    return actor.is_administrator if technical else actor.has(Right.WORKFLOW)


def require_operate(actor: Actor, workflow: Workflow, *, to: str) -> None:
    """Raise NotAllowed unless the actor may operate `workflow`; `to` is what was asked ("start")."""
    if may_operate(actor, technical=is_technical(workflow)):
        return
    if is_technical(workflow):
        raise NotAllowed(
            _(
                "%(actor)s may not %(to)s technical workflows: %(internal_name)s needs the "
                "right ADMINISTRATION. Nothing was changed. An administrator can do it, or "
                "give the right."
            )
            % {"actor": actor.name, "to": to, "internal_name": workflow.internal_name}
        )
    actor.require(Right.WORKFLOW, to=_("%(to)s workflows") % {"to": to})
