"""A delivery whose messages have arrived, hits on it, and the workflow."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from envoi.engine.models import Workflow
from envoi.engine.testing import lines, run_to, start
from envoi.kernel import clock
from envoi.packages.delivery.models import Delivery, TrackingUrl, UrlType
from envoi.packages.delivery.services.redirection import tags
from envoi.packages.delivery.testing import make_hits, make_recipients, make_sent


@dataclass
class Post:
    """A delivery, its messages in the order of their targets, and its links by what they are."""

    delivery: Delivery
    messages: list[int]
    links: dict[str, int]

    @staticmethod
    def sent(count: int, **values: Any) -> Post:
        """Make one that was sent in the last hour; all its messages have arrived."""
        made = make_sent(make_recipients(count, email_format=2), sent=1, failed=0, state=95, **values)
        with connection.cursor() as cursor:
            cursor.execute("SELECT id FROM nms_broad_log_rcp WHERE run_id = %s ORDER BY id", [made.run_id])
            messages = [row[0] for row in cursor.fetchall()]
        links = {
            name: TrackingUrl.objects.create(
                delivery=made, type=kind, url=f"https://shop.example/{name}", digest=name,
                created_at=clock.now(),
            ).pk
            for name, kind in (
                ("coats", UrlType.CLICK), ("shoes", UrlType.CLICK), ("hats", UrlType.CLICK),
                ("leave", UrlType.OPT_OUT), ("mirror", UrlType.MIRROR),
            )
        }  # fmt: skip
        return Post(made, messages, {**links, "open": tags.OPEN})

    def hit(
        self, reader: int, link: str, *, after: float = 0, by: uuid.UUID | None = None, **values: Any
    ) -> dict[str, Any]:
        """Return a hit of a reader, so many seconds from now."""
        return {
            "broad_log_id": self.messages[reader],
            "delivery_id": self.delivery.pk,
            "url_id": self.links[link],
            "received_at": clock.now() + timedelta(seconds=after),
            "source_id": by or uuid.uuid4(),
            **values,
        }

    def logs(self) -> list[tuple[Any, ...]]:
        """Return (message, link, automatic) of what was logged, in the order of time."""
        names = {number: name for name, number in self.links.items()}
        with connection.cursor() as cursor:
            cursor.execute(
                """SELECT broad_log_id, url_id, automatic FROM nms_tracking_log_rcp WHERE delivery_id = %s
                   ORDER BY log_date, id""",
                [self.delivery.pk],
            )
            return [
                (self.messages.index(message), names[url], made) for message, url, made in cursor.fetchall()
            ]

    def fresh(self) -> Delivery:
        """Return the delivery as it is in the database."""
        self.delivery.refresh_from_db()
        return self.delivery


def put(*hits: dict[str, Any]) -> list[int]:
    """Put hits into the inbox."""
    return make_hits(*hits)


def run(frozen: clock.Frozen) -> list[str]:
    """Let the technical workflow run once, at the next full hour; returns its journal."""
    workflow = Workflow.objects.get(internal_name="tracking")
    if not workflow.started_at or workflow.state != 11:
        start(workflow)
    run_to(_next_hour(clock.now()), frozen)
    return lines(workflow)


def _next_hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
