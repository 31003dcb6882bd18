"""Sub-workflow: runs another workflow's diagram and waits for its end (engine.md §6.2)."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.translation import gettext_noop as _

from envoi.engine import editing, scripts, subworkflow, worktable
from envoi.engine.activities.base import ActivityType, Failed, Misconfigured, Outcome, TaskContext, fire, stay
from envoi.engine.activities.js import limit_of
from envoi.engine.definition import Activity, Definition
from envoi.engine.models import State, Workflow
from envoi.engine.subworkflow import entry_of, exit_of


class SubWorkflow(ActivityType):
    """Parameters: `workflow`, internal name of the model, which itself is never started; `script`, which runs
    before it and sets the variables that it is given.

    Fires the transition named after the model's exit, else its first one.
    """

    type = "subworkflow"

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """See that the model is there and can be entered and left."""
        name = str(activity.parameters.get("workflow", ""))
        model = Workflow.objects.filter(internal_name=name).first()
        if model is None:
            yield _("Activity %(activity)s runs workflow %(model)s, which does not exist"), {"model": name}
            return
        inner = Definition.from_json(model.definition)
        if entry_of(inner) is None or exit_of(inner) is None:
            yield _("Workflow %(model)s of activity %(activity)s has no jump points"), {"model": name}

    def run(self, ctx: TaskContext) -> Outcome:
        """Launch a copy of the model, or take up what it has become."""
        child = Workflow.objects.filter(workflow_id=ctx.memory.get("child")).first()
        if child is None:
            model = Workflow.objects.filter(internal_name=ctx.parameters.get("workflow", "")).first()
            if model is None:
                raise Misconfigured(f"There is no workflow {ctx.parameters.get('workflow')!r}.")
            if script := str(ctx.parameters.get("script", "")).strip():
                scripts.run(ctx, script, wall_s=limit_of(ctx.activity))
            ctx.memory["child"] = subworkflow.launch(ctx, model)
            return stay()
        state = State(child.state)
        if state is not State.FINISHED:
            if state is State.PAUSED:
                subworkflow.tell_children([ctx.task_id], "Start", State.RESUMING, instead_of=[State.PAUSED])
            return stay()
        if child.failed or child.stopped_by_hand:
            raise Failed(f"Sub-workflow {child.internal_name} did not come to its end.")
        name, variables = subworkflow.result_of(child)
        worktable.hand_over(child.workflow_id, ctx.workflow_id, ctx.run_number, variables)
        editing.remove(child)
        ctx.memory.pop("child")
        ways = [way.name for way in ctx.activity.transitions if way.enabled and way.kind != "error"]
        ctx.variables.update(variables)
        return fire(name if name in ways else ways[0]) if ways else Outcome()
