"""Factories for tests of delivery and of others."""

from typing import Any

from envoi.engine import worktable
from envoi.engine.definition import Activity
from envoi.engine.models import State, Workflow
from envoi.engine.testing import chain, make_workflow, start
from envoi.kernel.rights import Right, actor_of
from envoi.kernel.testing import make_operator


def make_paused_workflow(name: str = "WKF_spring", **properties: Any) -> Workflow:
    """Make a workflow that has paused before its last activity and holds a work table.

    Its creator is an operator of its own, `creator-<name>`, who has an address.
    """
    creator = make_operator(f"creator-{name}", rights=(Right.ADMINISTRATION,), email="creator@example.org")
    diagram = chain(Activity("start", "start"), Activity("end", "last", execution="hold"))
    found = start(make_workflow(diagram, name=name, actor=actor_of(creator), **properties))
    if found.state != State.PAUSED:
        raise AssertionError(f"{name} is {State(found.state).label}, not paused")
    worktable.create(found.pk, found.run_number, [worktable.Column("id", "bigint")], "id")
    return found
