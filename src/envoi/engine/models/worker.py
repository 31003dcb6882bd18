"""Worker processes that have said that they live."""

from django.db import models

from envoi.kernel.registry import Declaration, Incoming


class WorkerState(models.IntegerChoices):
    """What a worker is doing."""

    RUNNING = 0, "running"
    DRAINING = 1, "draining"
    STOPPED = 2, "stopped"
    DEAD = 3, "dead"
    """Its beat stood still, or its process was gone; its tasks were taken over."""


class Worker(models.Model):
    """One process. It is alive as long as `beat` grows, whatever any clock says, and dead at once when a
    worker beside it sees that its process is gone.
    """

    worker_id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=128)
    host = models.CharField(max_length=255)
    pid = models.IntegerField()
    process = models.CharField(max_length=128, blank=True, default="")
    """Which process that is: see `engine.processes`."""
    affinities = models.CharField(max_length=512)
    threads = models.IntegerField()
    state = models.SmallIntegerField(choices=WorkerState.choices, default=WorkerState.RUNNING)
    beat = models.BigIntegerField(default=0)
    dispatcher_id = models.BigIntegerField(null=True)
    """The dispatcher's own number for this worker."""
    started_at = models.DateTimeField()
    stopped_at = models.DateTimeField(null=True)

    SCHEMA = Declaration(
        "xtk:worker",
        label="Workers",
        singular="Worker",
        reading="ADMINISTRATION",
        names={"dispatcher_id": "dispatcher-id"},
        incoming=(Incoming("xtk:workflowTask", "worker", "worker_id", "task"),),
    )

    class Meta:
        db_table = "xtk_worker"
        indexes = (
            models.Index(
                fields=("worker_id",), condition=models.Q(state__in=(0, 1)), name="xtk_worker_alive"
            ),
        )
