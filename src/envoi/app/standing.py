"""How an instance stands: what `envoi status` tells (architecture §5.1)."""

import socket
from typing import Any

from envoi import __version__
from envoi.app import supervisor, ties
from envoi.app.boot import Instance
from envoi.kernel import clock


def standing(instance: Instance) -> dict[str, Any]:
    """Return the state of the instance as plain data; Django must be set up.

    Keys: instance, version, home, packages; processes (name, pid, state, since, host: those of this host as
    `up` sees them, the database's, and workers of other hosts); database (version, size_bytes, embedded,
    folder, why); workflows (started, paused, failed); queues (tasks due and running, jobs, commands, outbox
    waiting and failed).
    """
    return {
        "instance": instance.config.instance.name,
        "version": __version__,
        "home": str(instance.home),
        "packages": list(instance.packages),
        "processes": [*_local(instance), *_elsewhere(instance)],
        "database": _database(instance),
        "workflows": _workflows(),
        "queues": _queues(),
    }


def _local(instance: Instance) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    up = supervisor.read_state(instance.home)
    if up is not None and (pid := supervisor.up_pid(instance.home)) == up["pid"]:
        found.append(_process("up", pid, "running", up["since"]))
        found += [
            _process(each["name"], each["pid"], each["state"], each["since"], each["reason"])
            for each in up["processes"]
        ]
    if instance.lease is not None and instance.lease.embedded:
        from envoi.postgres.describe import describe

        server = describe(instance.home)
        state = "running" if server.running else "stopped"
        found.append(_process("postgres", server.postmaster, state, None))
    return found


def _elsewhere(instance: Instance) -> list[dict[str, Any]]:
    """Workers that `up` of this host does not know: those of other hosts, and those started by hand."""
    from envoi.engine.models import Worker, WorkerState

    known = {each["pid"] for each in supervisor.processes(instance.home)}
    here = socket.gethostname()
    said = Worker.objects.filter(state__in=(WorkerState.RUNNING, WorkerState.DRAINING)).order_by(
        "host", "name"
    )
    return [
        _process(worker.name, worker.pid, WorkerState(worker.state).label, worker.started_at.isoformat())
        | {"host": worker.host}
        for worker in said
        # One that was killed here a moment ago still stands in its row.
        if worker.pid not in known and (worker.host != here or ties.lives(worker.pid))
    ]


def _process(name: str, pid: int | None, state: str, since: str | None, reason: str = "") -> dict[str, Any]:
    return {"name": name, "pid": pid, "state": state, "since": since, "reason": reason, "host": ""}


def _database(instance: Instance) -> dict[str, Any]:
    from django.db import connection

    lease = instance.lease
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_database_size(current_database()), current_setting('server_version')")
        ((size, version),) = cursor.fetchall()
    folder = why = None
    if lease is not None and lease.embedded:
        from envoi.postgres.describe import describe

        server = describe(instance.home)
        folder, why = str(server.folder), server.why
    return {
        "version": version,
        "size_bytes": size,
        "embedded": bool(lease and lease.embedded),
        "folder": folder,
        "why": why,
    }


def _workflows() -> dict[str, int]:
    from envoi.engine.models import State, Workflow

    rows = list(Workflow.objects.filter(is_model=False).values_list("state", "failed"))
    return {
        "started": sum(state == State.STARTED for state, _ in rows),
        "paused": sum(state == State.PAUSED for state, _ in rows),
        "failed": sum(failed for _, failed in rows),
    }


def _queues() -> dict[str, int]:
    from django.db import connection

    from envoi.engine.models import CommandState, QueuedCommand, Task, TaskState
    from envoi.kernel.models.outbox import OutboxItem, OutboxState

    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo'")
        ((jobs,),) = cursor.fetchall()
    return {
        "tasks_due": Task.objects.filter(status=TaskState.PENDING, due_at__lte=clock.now()).count(),
        "tasks_running": Task.objects.filter(status=TaskState.RUNNING).count(),
        "jobs": jobs,
        "commands": QueuedCommand.objects.filter(status=CommandState.QUEUED).count(),
        "outbox_waiting": OutboxItem.objects.filter(state=OutboxState.WAITING).count(),
        "outbox_failed": OutboxItem.objects.filter(state=OutboxState.FAILED).count(),
    }
