"""What the installation starts of the workflows that ship, and what an upgrade leaves alone."""

from dataclasses import replace

import pytest

from envoi.engine import commands, shipping, workflow
from envoi.engine.models import State, Workflow
from envoi.engine.testing import run_until_passive
from envoi.kernel.models import ShippedRow
from envoi.kernel.testing import admin_actor

pytestmark = pytest.mark.django_db


def states() -> dict[str, State]:
    run_until_passive()
    return {row.internal_name: State(row.state) for row in Workflow.objects.filter(package="delivery")}


def test_a_fresh_instance_runs_tracking_and_an_upgrade_starts_nothing_again(monkeypatch):
    Workflow.objects.filter(package="delivery").delete()
    ShippedRow.objects.filter(entity="xtk:workflow", package="delivery").delete()
    assert shipping.store("delivery", admin_actor()) == []
    fresh = {
        "tracking": State.STARTED,
        "cleanupPausedWorkflows": State.EDITION,
        "deliverabilityUpdate": State.EDITION,
    }
    assert states() == fresh
    commands.post(admin_actor(), "tracking", commands.Command.STOP)
    stopped = {**fresh, "tracking": State.FINISHED}
    assert states() == stopped
    sources = [replace(each, label=f"{each.label} 2") for each in workflow.shipped("delivery")]
    monkeypatch.setattr(workflow, "shipped", lambda _package: sources)
    assert shipping.store("delivery", admin_actor()) == []
    assert states() == stopped
    assert Workflow.objects.get(internal_name="tracking").label == "Tracking 2"
