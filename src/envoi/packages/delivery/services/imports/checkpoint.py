"""The row of an import as its own guard: a step commits only while the row is what the step found."""

from __future__ import annotations

from typing import Any

from django.db import connection
from django.db.models import F

from envoi.kernel.errors import Conflict
from envoi.kernel.locks import SPACE
from envoi.packages.delivery.models import Import, ImportState

CLASS = SPACE ^ 0x696D70
"""First half of the advisory lock of an import; the second is its number."""


class Lost(Conflict):
    """Somebody else has the import, or has stopped it."""


def move(job: Import, at: ImportState, /, **values: Any) -> None:
    """Write down how far the work is, in the transaction that did it. Raises Lost when the row has moved."""
    touched = Import.objects.filter(pk=job.pk, state=at, version=job.version).update(
        version=F("version") + 1, **values
    )
    if not touched:
        raise Lost(f"Import {job.pk} is no longer ours.")
    job.refresh_from_db()


def try_lock(job_id: int) -> bool:
    """Take an import for this session; the server frees it when the session ends, however it ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", (CLASS, job_id))
        row = cursor.fetchone()
    return row is not None and row[0] is True


def unlock(job_id: int) -> None:
    """Give an import back."""
    if connection.is_usable():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s, %s)", (CLASS, job_id))
