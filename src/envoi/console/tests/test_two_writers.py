"""Two people keep the same field of a profile at the same instant: one does, the other is told."""

import threading
import time
from typing import Any

from django.db import connection, connections, transaction

from envoi.kernel import writing
from envoi.kernel.testing import admin_actor
from envoi.kernel.writing import Changed
from envoi.packages.delivery.models import Recipient
from envoi.packages.delivery.testing import make_recipients

PATIENCE = 20.0


def waiting() -> bool:
    """Return whether some connection waits for a row of another."""
    with connection.cursor() as cursor:
        # Inside of a transaction the view stays as it was first seen, unless told otherwise.
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(
            """SELECT count(*) FROM pg_stat_activity
               WHERE datname = current_database() AND wait_event_type = 'Lock'"""
        )
        return cursor.fetchone()[0] > 0


def test_of_two_writers_at_once_one_is_told(committed_db: Any) -> None:
    make_recipients(1)
    profile = Recipient.objects.get()
    actor, came = admin_actor(), list[Any]()

    def second() -> None:
        try:
            came.append(writing.write("nms:recipient", {"account": "B"}, actor=actor, key=profile.pk))
        except Changed as refusal:
            came.append(refusal.theirs)
        finally:
            connections.close_all()

    with transaction.atomic():
        writing.write("nms:recipient", {"account": "A"}, actor=actor, key=profile.pk)
        other = threading.Thread(target=second)
        other.start()
        until = time.monotonic() + PATIENCE
        while not waiting() and time.monotonic() < until:
            time.sleep(0.02)
        assert waiting()
    other.join(PATIENCE)
    assert came == [{"account": "A"}]
    assert Recipient.objects.get().account == "A"
