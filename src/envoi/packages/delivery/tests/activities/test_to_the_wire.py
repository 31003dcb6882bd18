"""Workflows and the sender together: from queries to a mail server."""

from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest

from envoi.engine import background
from envoi.engine.definition import Activity, Transition
from envoi.engine.models import State
from envoi.engine.testing import lines, make_workflow, run_until_passive
from envoi.engine.testing import start as begin
from envoi.kernel.testing import admin_actor
from envoi.packages.delivery.models import Delivery, DeliveryState
from envoi.packages.delivery.services import deliveries
from envoi.packages.delivery.tests.mta import stage

S = DeliveryState


@pytest.fixture
def sink() -> Iterator[stage.Sink]:
    with stage.listening() as found:
        yield found


def test_recipients_join_a_delivery_that_is_being_sent(
    committed_db: Any, clock: Any, sink: stage.Sink
) -> None:
    """A further execution adds to a continuous delivery while a message of the first one is tried again: each
    person gets one mail, and the figures are those of both.
    """
    ids = stage.people(4)
    sink.dot["a0@one.example"] = deque([b"452 4.2.2 mailbox full"])
    actor = admin_actor()
    deliveries.create(
        deliveries.find("mail", actor=actor), actor=actor, name="hello", label="Hello", as_template=True,
        **stage.CONTENT, sending={"retry": {"count": 5, "period": "1h"}},
    )  # fmt: skip

    def add(condition: str) -> None:
        workflow = begin(
            make_workflow(
                (
                    Activity(
                        "query", "query", transitions=(Transition("result", "send", kind="result"),),
                        parameters={"targetingDimension": "nms:recipient", "filter": condition},
                    ),
                    Activity("continuousDelivery", "send", parameters={"template": "hello"}),
                )
            )
        )  # fmt: skip
        for _round in range(5):
            for answer in background.lost.ask():
                for name, number in answer:
                    background.carry_out(name, number)
            clock.step(seconds=10)
            run_until_passive()
        workflow.refresh_from_db()
        assert (workflow.state, workflow.failed) == (State.FINISHED, False), lines(workflow)

    def now() -> Delivery:
        return Delivery.objects.get(is_model=False)

    add(f"@id <= {ids[1]}")
    stage.send(sink, lambda: len(sink.got) == 1 and now().status is S.RETRY_PENDING)
    add(f"@id > {ids[1]}")
    assert now().status is S.START_PENDING
    stage.send(sink, lambda: len(sink.got) == 3)
    assert now().status is not S.FINISHED
    clock.step(hours=1)
    stage.send(sink, lambda: now().status is S.FINISHED)
    assert sink.count() == {f"a{number}@one.example": 1 for number in range(4)}
    found = now()
    assert (found.to_deliver, found.processed, found.success, found.error) == (4, 4, 4, 0)
    # It is not over for good: the next execution sends again.
    add(f"@id = {ids[0]}")
    stage.send(sink, lambda: now().status is S.FINISHED)
    assert sink.count()["a0@one.example"] == 2
