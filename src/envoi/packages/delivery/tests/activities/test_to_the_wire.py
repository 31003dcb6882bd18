"""Workflows and the sender together: from queries to a mail server."""

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from envoi.engine import background, local_files
from envoi.engine.definition import Activity, Transition
from envoi.engine.models import State
from envoi.engine.testing import lines, make_workflow, run_until_passive
from envoi.engine.testing import start as begin
from envoi.kernel import options
from envoi.kernel.options import DataType
from envoi.kernel.rights import internal
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


def test_people_of_a_file_get_mails_and_what_comes_of_them_is_known(
    committed_db: Any, clock: Any, sink: stage.Sink, tmp_path: Path
) -> None:
    """The workflow is over, its table with it, when the mails go out; an address that does not exist goes
    into quarantine, and gets nothing from the next file.
    """
    options.set(local_files.FOLDERS, str(tmp_path), actor=internal(), data_type=DataType.MEMO)
    actor = admin_actor()
    deliveries.create(
        deliveries.find("mail", actor=actor), actor=actor, name="hello", label="Hello", as_template=True,
        **{**stage.CONTENT, "subject": "Hello {{ targetData.first }}"},
    )  # fmt: skip
    path = tmp_path / "people.csv"

    def load(text: str) -> None:
        path.write_text(text, encoding="utf-8")
        ways = (Transition("transition", "send"),)
        workflow = begin(
            make_workflow(
                (
                    Activity("loadfile", "load", parameters={"file": str(path)}, transitions=ways),
                    Activity(
                        "delivery", "send",
                        parameters={"source": "template", "template": "hello", "recipients": "transition",
                                    "action": "start"},
                    ),
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
        return Delivery.objects.filter(is_model=False).latest("pk")

    load("email,first\na0@one.example,Zoë\nA1@one.example ,Bob\n,Nobody\n")
    sink.rcpt["a1@one.example"] = deque([b"550 5.1.1 user unknown"])
    stage.send(sink, lambda: now().status is S.FINISHED)
    # This server takes the empty end of a refused message for one.
    mails = [each for each in sink.got if each.data]
    assert [(each.recipient, each.mail["Subject"]) for each in mails] == [("a0@one.example", "Hello Zoë")]
    found = now()
    assert (found.mapping.name, found.total_target, found.to_deliver) == ("mapExternalFile", 3, 2)
    assert (found.success, found.error, found.new_quarantine) == (1, 1, 1)
    load("email,first\na1@one.example,Bob\na2@one.example,Åsa\n")
    stage.send(sink, lambda: now().status is S.FINISHED)
    assert [each.mail["Subject"] for each in sink.got if each.data][1:] == ["Hello Åsa"]
    assert (now().total_target, now().success) == (2, 1)
