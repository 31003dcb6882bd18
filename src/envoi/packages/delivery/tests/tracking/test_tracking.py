"""From hits to logs and indicators, by the technical workflow."""

import uuid

import pytest

from envoi.packages.delivery.models import TrackingInbox
from envoi.packages.delivery.tests.tracking.stage import put, run

FLORIAN, FRIEND = uuid.UUID(int=1), uuid.UUID(int=2)


@pytest.mark.case("D30")
def test_opens_clicks_persons_and_forwards(post, clock):
    marie, florian, henry = 0, 1, 2
    put(
        post.hit(marie, "open"),
        post.hit(florian, "open"),
        *(post.hit(florian, "coats", after=60 + 40 * n, by=FLORIAN) for n in range(9)),
        *(post.hit(florian, "shoes", after=2000 + 60 * n, by=FRIEND) for n in range(2)),
        post.hit(henry, "open"),
        *(post.hit(henry, "coats", after=90 * n) for n in range(4)),
    )
    run(clock)
    found = post.fresh()
    assert (found.recipient_open, found.recipient_click) == (3, 2)
    assert (found.person_click, found.forward) == (6, 4)
    assert found.total_recipient_click == 15
    assert round(100 * found.recipient_click / found.recipient_open, 2) == 66.67
    assert not TrackingInbox.objects.exists()
