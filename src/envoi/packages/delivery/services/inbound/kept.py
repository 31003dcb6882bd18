"""Rows of mails that were handled: how long they stay."""

from datetime import datetime, timedelta
from typing import Final

from django.db import connection

KEPT: Final = timedelta(days=60)
"""Also how long a mail that comes again does nothing."""
_BATCH: Final = 5_000


def purge(*, now: datetime) -> int:
    """Delete rows that are older than `KEPT`, batch by batch, outside a transaction; return how many."""
    gone = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                """DELETE FROM nms_inbound_mail WHERE inbound_mail_id IN (
                     SELECT inbound_mail_id FROM nms_inbound_mail WHERE received_at < %s LIMIT %s)""",
                [now - KEPT, _BATCH],
            )
            gone += cursor.rowcount
            if cursor.rowcount < _BATCH:
                return gone
