"""Health, readiness and figures."""

import os
import socket

import pytest
from django.test import Client, RequestFactory, override_settings

from envoi.engine.models import Worker
from envoi.kernel import clock
from envoi.web import probes, readiness

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def unseen():
    readiness._beats.clear()
    readiness._migrated = False
    yield
    readiness._beats.clear()
    readiness._migrated = False


@pytest.fixture
def time(monkeypatch):
    """The monotonic clock, moved by hand."""

    class Moved:
        now = 1000.0

    monkeypatch.setattr(clock, "monotonic", lambda: Moved.now)
    return Moved


def worker(name: str = "worker-1", **more: object) -> Worker:
    """A worker of this host, whose process is ours."""
    about = {"host": socket.gethostname(), "pid": os.getpid(), "affinities": ",", "threads": 1}
    return Worker.objects.create(name=name, started_at=clock.now(), **about | more)


def test_healthz_answers_whatever_host_name_is_used():
    answer = Client().get("/healthz", headers={"host": "10.1.2.3:8080"})
    assert (answer.status_code, answer.content) == (200, b"ok\n")
    assert answer["Cache-Control"] == "no-store"
    assert Client().get("/", headers={"host": "evil.example"}).status_code == 400


def test_a_probe_takes_no_post():
    assert Client().post("/readyz").status_code == 405


def test_not_ready_without_a_worker():
    answer = Client().get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {
        "ready": False,
        "reasons": ["No worker runs. Start one with `envoi up` or `envoi worker`."],
    }


def test_ready_while_a_worker_beats_and_not_when_it_stops_beating(time):
    one = worker()
    assert Client().get("/readyz").json() == {"ready": True, "reasons": []}
    time.now += 6
    assert Client().get("/readyz").status_code == 200
    time.now += 4
    answer = Client().get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["reasons"] == ["No worker has given a sign of life for 10 s."]
    one.beat += 1
    one.save()
    assert Client().get("/readyz").status_code == 200


def test_one_living_worker_among_dead_ones_is_enough(time):
    worker("worker-1")
    living = worker("worker-2")
    assert Client().get("/readyz").status_code == 200
    time.now += 10
    living.beat += 1
    living.save()
    assert Client().get("/readyz").status_code == 200


def test_a_worker_of_another_host_counts_once_its_beat_has_moved():
    far = worker(host="node2", pid=1)
    answer = Client().get("/readyz")
    assert (answer.status_code, answer.json()["reasons"]) == (
        503,
        ["No worker has given a sign of life yet."],
    )
    far.beat += 1
    far.save()
    assert Client().get("/readyz").status_code == 200


def test_the_row_of_a_worker_that_was_killed_does_not_make_ready():
    worker(pid=2**22 + 1)
    assert Client().get("/readyz").status_code == 503


def test_a_worker_that_said_goodbye_does_not_count():
    worker(state=2)
    assert Client().get("/readyz").status_code == 503


def test_not_ready_while_migrations_are_missing(monkeypatch):
    worker()
    monkeypatch.setattr(readiness.migrate, "unapplied", lambda: ["kernel.0002_more"])
    answer = Client().get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["reasons"] == ["1 migrations are not applied. Run `envoi init`."]


def test_not_ready_when_the_database_is_away(monkeypatch):
    from django.db import OperationalError

    def gone() -> None:
        raise OperationalError("connection to server at 10.0.0.1 with password hunter2 failed")

    monkeypatch.setattr(readiness, "beats", gone)
    answer = Client().get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["reasons"] == ["The database does not answer (OperationalError)."]
    assert b"hunter2" not in answer.content


def test_figures_count_what_is_there(time):
    worker()
    figures = Client().get("/metrics").content.decode()
    assert "envoi_database_up 1.0" in figures
    assert f'envoi_worker_beat_age_seconds{{worker="worker-1@{socket.gethostname()}"}} 0.0' in figures
    assert 'envoi_workflows{state="started"} 0.0' in figures
    size = next(line for line in figures.splitlines() if line.startswith("envoi_database_size_bytes "))
    assert float(size.split()[1]) > 1_000_000
    time.now += 5
    figures = Client().get("/metrics").content.decode()
    assert f'envoi_worker_beat_age_seconds{{worker="worker-1@{socket.gethostname()}"}} 5.0' in figures


def test_requests_are_counted_by_view_and_never_by_address():
    def counted() -> float:
        lines = Client().get("/metrics").content.decode().splitlines()
        wanted = 'envoi_http_requests_total{method="GET",status="200",view="ping"} '
        return next((float(line.split()[-1]) for line in lines if line.startswith(wanted)), 0.0)

    before = counted()
    assert Client().get("/nl/jsp/ping.jsp").content.startswith(b"OK\n")
    Client().get("/no/such/page/of/jane@example.org")
    assert counted() == before + 1
    assert b"jane" not in Client().get("/metrics").content


@pytest.mark.parametrize(
    ("address", "headers", "token", "allowed"),
    [
        ("127.0.0.1", {}, "", True),
        ("::1", {}, "", True),
        ("192.0.2.7", {}, "", False),
        # A proxy on this host calls from the loopback.
        ("127.0.0.1", {"X-Forwarded-For": "192.0.2.7"}, "", False),
        ("127.0.0.1", {"Forwarded": "for=192.0.2.7"}, "", False),
        ("192.0.2.7", {"Authorization": "Bearer s3cret"}, "s3cret", True),
        ("192.0.2.7", {"Authorization": "bearer s3cret"}, "s3cret", True),
        ("192.0.2.7", {"Authorization": "Bearer other"}, "s3cret", False),
        ("192.0.2.7", {"Authorization": "s3cret"}, "s3cret", False),
        # No token is configured: an empty one opens nothing.
        ("192.0.2.7", {"Authorization": "Bearer "}, "", False),
        ("not an address", {}, "", False),
    ],
)
def test_figures_are_for_this_host_or_for_the_token(settings, address, headers, token, allowed):
    from dataclasses import replace

    configured = replace(settings.CONFIG, metrics=replace(settings.CONFIG.metrics, token=token))
    request = RequestFactory().get("/metrics", REMOTE_ADDR=address, headers=headers)
    with override_settings(CONFIG=configured):
        assert probes.may_read_metrics(request) is allowed


def test_figures_are_refused_with_the_remedy():
    answer = Client(REMOTE_ADDR="192.0.2.7").get("/metrics")
    assert answer.status_code == 403
    assert b"[metrics] token" in answer.content


def test_a_body_too_large_is_refused_before_it_is_read():
    answer = Client().generic("POST", "/nl/jsp/ping.jsp", b"x", CONTENT_LENGTH=str(65 * 1024 * 1024))
    assert answer.status_code == 413
    assert Client().generic("POST", "/nl/jsp/ping.jsp", b"x", CONTENT_LENGTH="-5").status_code == 413


def test_every_answer_carries_the_headers_that_confine_a_page():
    answer = Client().get("/nl/jsp/ping.jsp")
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["X-Frame-Options"] == "DENY"
    assert "default-src 'none'" in answer["Content-Security-Policy"]
