"""Effects outside the database, written in the transaction that wants them (architecture §3.3)."""

from typing import Any

from django.db import models

from envoi.kernel.registry import Declaration


class OutboxState(models.IntegerChoices):
    """Where an item stands."""

    WAITING = 0, "waiting"
    DONE = 1, "done"
    FAILED = 2, "failed"


class OutboxItem(models.Model):
    """One effect to bring about at least once. `key` is stable: the receiver can tell a repeat by it."""

    outbox_id = models.BigAutoField(primary_key=True)
    kind = models.CharField(max_length=32)
    key = models.CharField(max_length=128, unique=True)
    payload: "models.JSONField[Any]" = models.JSONField()
    state = models.SmallIntegerField(choices=OutboxState.choices, default=OutboxState.WAITING)
    attempts = models.IntegerField(default=0)
    due_at = models.DateTimeField()
    created_at = models.DateTimeField()
    done_at = models.DateTimeField(null=True)
    error = models.TextField(blank=True, default="")

    SCHEMA = Declaration(
        "xtk:outbox",
        label="Outgoing effects",
        singular="Outgoing effect",
        reading="ADMINISTRATION",
        text="@key",
        private=frozenset({"payload"}),
    )

    class Meta:
        db_table = "xtk_outbox"
        indexes = (
            models.Index(
                fields=("due_at", "outbox_id"), condition=models.Q(state=0), name="xtk_outbox_waiting"
            ),
        )
