"""Figures for Prometheus: this process, its requests, and what the instance is doing."""

from collections.abc import Callable, Iterator
from typing import Any

from django.conf import settings
from django.db import Error, connection
from django.http import HttpRequest, HttpResponse
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    Counter,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from envoi import __version__
from envoi.engine.models import CommandState, State, TaskState
from envoi.engine.models.task import OPEN
from envoi.kernel import clock
from envoi.kernel.models.outbox import OutboxState
from envoi.web import readiness

LATE_SECONDS = 300
"""A task that is due for longer counts as late."""

disable_created_metrics()
REQUESTS = Counter("envoi_http_requests", "Requests answered.", ("view", "method", "status"))
LATENCY = Histogram(
    "envoi_http_request_seconds",
    "Time to answer a request.",
    ("view",),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


class Measure:
    """Middleware that counts requests by the name of their view, so that addresses never become labels."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Serve the request and note how long it took."""
        began = clock.monotonic()
        response = self.get_response(request)
        view = _view_of(request)
        method = request.method if request.method in METHODS else "other"
        REQUESTS.labels(view, method, response.status_code).inc()
        LATENCY.labels(view).observe(clock.monotonic() - began)
        return response


def _view_of(request: HttpRequest) -> str:
    if (match := request.resolver_match) is not None:
        return match.view_name or "unnamed"
    return "static" if request.path_info.startswith(settings.STATIC_URL) else "none"


def page() -> HttpResponse:
    """Return all figures in the text format of Prometheus."""
    return HttpResponse(generate_latest(REGISTRY), content_type=CONTENT_TYPE_LATEST)


class Instance(Collector):
    """Reads the figures of the instance from its database, each time that they are asked for."""

    def describe(self) -> Iterator[Metric]:
        """Name nothing in advance: registering must not need the database."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Yield the figures; when the database is away, only that it is."""
        yield InfoMetricFamily(
            "envoi", "The instance.", {"version": __version__, "instance": settings.CONFIG.instance.name}
        )
        try:
            found = _read()
            ages = readiness.beats()
        except Error:
            yield GaugeMetricFamily("envoi_database_up", "Whether the database answers.", 0)
            return
        yield GaugeMetricFamily("envoi_database_up", "Whether the database answers.", 1)
        yield GaugeMetricFamily("envoi_database_size_bytes", "Size of the database.", found["size"])
        yield _by("envoi_workflows", "Workflows by state.", "state", found["workflows"])
        yield GaugeMetricFamily("envoi_workflows_failed", "Workflows in error.", found["failed"])
        yield _by("envoi_tasks", "Open tasks by state.", "state", found["tasks"])
        yield GaugeMetricFamily("envoi_tasks_due", "Tasks whose time has come.", found["due"])
        yield GaugeMetricFamily(
            "envoi_tasks_late", f"Tasks due for more than {LATE_SECONDS} s.", found["late"]
        )
        yield GaugeMetricFamily("envoi_queue_jobs", "Jobs that wait for a worker.", found["jobs"])
        yield GaugeMetricFamily("envoi_commands_queued", "Commands that wait.", found["commands"])
        yield _by("envoi_outbox", "Outgoing effects by state.", "state", found["outbox"])
        yield _by(
            "envoi_worker_beat_age_seconds",
            "Seconds since a worker gave a sign of life, as far as this process has watched.",
            "worker",
            ages,
        )


def _by(name: str, about: str, label: str, values: dict[str, Any]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, about, labels=(label,))
    for key, value in values.items():
        family.add_metric((key,), value)
    return family


def _read() -> dict[str, Any]:
    now = clock.now()
    with connection.cursor() as cursor:

        def rows(sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
            cursor.execute(sql, parameters)
            return cursor.fetchall()

        def one(sql: str, *parameters: Any) -> Any:
            return rows(sql, *parameters)[0][0]

        due = (
            "SELECT count(*) FROM xtk_workflow_task WHERE status = %s AND due_at <= %s - %s * interval '1 s'"
        )
        workflows = rows(
            "SELECT state, count(*), count(*) FILTER (WHERE failed) FROM xtk_workflow GROUP BY state"
        )
        tasks = rows(
            "SELECT status, count(*) FROM xtk_workflow_task WHERE status IN (0, 2, 5, 6) GROUP BY status"
        )  # The codes of OPEN, written out: that is how the partial index is found.
        outbox = rows(
            "SELECT state, count(*) FROM xtk_outbox WHERE state = ANY(%s) GROUP BY state",
            [OutboxState.WAITING.value, OutboxState.FAILED.value],
        )
        states = {state.label: 0 for state in State}
        for state, count, _ in workflows:
            # Two codes of one state (stopping, restarting) count together.
            states[State(state).label] += count
        return {
            "size": one("SELECT pg_database_size(current_database())"),
            "workflows": states,
            "failed": sum(failed for _, _, failed in workflows),
            "tasks": {TaskState(status).label: 0 for status in OPEN}
            | {TaskState(status).label: count for status, count in tasks},
            "due": one(due, TaskState.PENDING.value, now, 0),
            "late": one(due, TaskState.PENDING.value, now, LATE_SECONDS),
            "jobs": one("SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo'"),
            "commands": one(
                "SELECT count(*) FROM xtk_workflow_job WHERE status = %s", CommandState.QUEUED.value
            ),
            "outbox": {state.label: 0 for state in (OutboxState.WAITING, OutboxState.FAILED)}
            | {OutboxState(state).label: count for state, count in outbox},
        }


REGISTRY.register(Instance())
