"""What a real sending leaves is what the pages show, and a decision about doubt lets it end."""

import re
from collections import deque
from html import unescape
from typing import Any

import pytest
from django.test import Client

from envoi.kernel.testing import make_operator
from envoi.packages.delivery.models import DeliveryRetry, DeliveryState
from envoi.packages.delivery.services.statistics import remembering
from envoi.packages.delivery.tests.mta.stage import (
    DROP,
    confirmed,
    listening,
    people,
    send,
    state_is,
    statuses,
)


def words(answer: Any) -> str:
    text = re.sub(r"<(script|style|template)[^>]*>.*?</\1>", " ", answer.content.decode(), flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())


@pytest.mark.parametrize("decision", ["sent", "repeat"])
def test_doubt_is_shown_decided_and_the_delivery_ends(committed_db: Any, clock: Any, decision: str) -> None:
    remembering.forget()
    people(8)
    lost, unknown = "a1@one.example", "a2@one.example"
    with listening() as sink:
        sink.dot[lost] = deque([DROP])
        sink.rcpt[unknown] = deque([b"550 5.1.1 No such user here"])
        delivery = confirmed(sending={"doubt": "hold"})

        def settled() -> bool:
            held = DeliveryRetry.objects.filter(delivery_id=delivery.pk, held=True).exists()
            return held and statuses(delivery) == {1: 6, 2: 1, 6: 1}

        send(sink, settled)
        client = Client()
        client.force_login(
            make_operator("mary", ("ADMINISTRATION",)), "django.contrib.auth.backends.ModelBackend"
        )
        place = f"/deliveries/{delivery.pk}"
        shown = words(client.get(place))
        assert "7 of 8 messages processed" in shown
        assert "1 message is in doubt." in shown
        failed = words(client.get(f"{place}/failures", headers={"HX-Request": "true"}))
        assert re.search(r"one\.example .*No such user here \d+ 1 [\d.]+% 1 0", failed)
        assert f"{lost} in doubt Message Pending" in words(client.get(f"{place}/logs?flag=doubt"))
        assert "one.example" in words(client.get("/reports/throughput"))

        client.post(place, {"do": f"doubt-{decision}"})
        send(sink, state_is(delivery, DeliveryState.FINISHED))
        assert sink.count()[lost] == (1 if decision == "sent" else 2)
    delivery.refresh_from_db()
    assert (delivery.processed, delivery.success, delivery.error) == (8, 7, 1)
    assert statuses(delivery) == {1: 7, 2: 1}
    shown = words(client.get(place))
    assert "100% 8 of 8 messages processed" in shown
    assert "in doubt" not in shown.replace("Messages in doubt", "")
