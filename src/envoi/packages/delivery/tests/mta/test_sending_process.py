"""The sender process with the real database and a real mail server."""

from typing import Any

from envoi.packages.delivery.models import DeliveryRetry, DeliveryStat, DeliveryState, SenderProcess
from envoi.packages.delivery.tests.mta.stage import (
    Sink,
    confirmed,
    parts,
    people,
    send,
    state_is,
    statuses,
)

S = DeliveryState


def test_all_messages_go_out_once_and_all_is_told(committed_db: Any, sink: Sink) -> None:
    people(60)
    delivery = confirmed()
    send(sink, state_is(delivery, S.FINISHED))
    assert sink.count() == {f"a{number}@one.example": 1 for number in range(60)}
    assert statuses(delivery) == {1: 60}
    delivery.refresh_from_db()
    assert (delivery.processed, delivery.success, delivery.error) == (60, 60, 0)
    assert delivery.broad_start is not None
    assert delivery.broad_end is not None
    assert (parts(delivery), DeliveryRetry.objects.count(), SenderProcess.objects.count()) == (0, 0, 0)
    (stat,) = DeliveryStat.objects.all()
    assert (stat.mx, stat.domain, stat.sent, stat.failed) == ("mx.one.example", "one.example", 60, 0)
    assert stat.bytes == sum(len(each.data) for each in sink.got)
