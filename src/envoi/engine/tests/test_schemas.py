"""What the engine does for schemas that an instance extends."""

import pytest

from envoi.engine import background, schemas
from envoi.engine.definition import Activity
from envoi.engine.testing import make_workflow
from envoi.kernel import extensions, registry
from envoi.kernel.errors import Conflict
from envoi.kernel.extensions import NewField, NewLink
from envoi.kernel.models import AddedField
from envoi.kernel.testing import admin_actor

ACCOUNT = "nms:extAccount"


@pytest.fixture(autouse=True)
def forgotten():
    registry.reset()
    yield
    registry.reset()


def test_a_workflow_that_asks_for_a_field_keeps_it(db, clock):
    admin = admin_actor()
    extensions.add_field(ACCOUNT, NewField("region"), actor=admin)
    for name, text in (("asks", "vars.x == '@region'"), ("others", "@regional")):
        make_workflow([Activity("alert", "tell", parameters={"message": text})], name=name)
    found = extensions.removal(ACCOUNT, "region", actor=admin)
    assert [(use.kind, use.name) for use in found.uses] == [("Workflow", "asks")]
    with pytest.raises(Conflict, match="Workflow asks"):
        extensions.remove_field(ACCOUNT, "region", actor=admin)


def test_indexes_are_made_by_a_worker_and_again_after_a_crash(committed_db):
    extensions.add_field(ACCOUNT, NewLink("keeper", "xtk:operator"), actor=admin_actor())
    assert (schemas.INDEXES, 0) in [work for answer in background.lost.ask() for work in answer]
    background.carry_out(schemas.INDEXES, 0)
    assert AddedField.objects.get(name="keeper").index_state == "ready"
    assert schemas.begun() == []
