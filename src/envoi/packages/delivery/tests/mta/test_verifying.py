"""*Test SMTP delivery*: servers are asked, and get nothing (delivery.md §2.8)."""

from collections import deque
from typing import Any

from envoi.packages.delivery.models import DeliveryState
from envoi.packages.delivery.tests.mta.stage import Sink, confirmed, people, send, state_is, statuses


def test_a_test_delivery_asks_for_each_recipient_and_sends_nothing(committed_db: Any, sink: Sink) -> None:
    people(30)
    sink.rcpt["a7@one.example"] = deque([b"550 5.1.1 no such user"])
    delivery = confirmed(sending={"verify": True})
    send(sink, state_is(delivery, DeliveryState.FINISHED))
    assert sink.asked == {f"a{number}@one.example": 1 for number in range(30)}
    assert sink.got == []
    assert statuses(delivery) == {1: 29, 2: 1}
