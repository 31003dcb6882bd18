"""What tracking forgets, and what it keeps."""

from datetime import timedelta

from django.db import connection

from envoi.kernel import clock as kernel_clock
from envoi.packages.delivery.models import TrackingSource, TrackingStats
from envoi.packages.delivery.services import log_tables
from envoi.packages.delivery.services.tracking import consuming, purging
from envoi.packages.delivery.tests.tracking.stage import put


def visit(post, days: float) -> dict:
    session = f"{post.messages[0]:x},{post.delivery.pk:x}"
    hit = post.hit(0, "open", after=86400 * days)
    return hit | {"kind": 1, "delivery_id": 0, "extra": f'{{"tag": "home", "session": "{session}"}}'}


def test_old_logs_go_and_young_ones_stay(post, clock):
    now = kernel_clock.now()
    put(post.hit(0, "coats", after=-361 * 86400), post.hit(1, "coats", after=-359 * 86400),
        visit(post, -70), visit(post, -1))  # fmt: skip
    consuming.batch(now=now)
    before = now - timedelta(days=360)
    assert (purging.logs(before), purging.logs(before)) == (1, 0)
    assert [each[0] for each in post.logs()] == [1]
    assert (purging.stats(now - timedelta(days=60)), TrackingStats.objects.count()) == (1, 1)
    assert (purging.visits(now - timedelta(days=30)), purging.visits(now - timedelta(days=30))) == (1, 0)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM nms_web_tracking_log")
        assert cursor.fetchone() == (1,)


def test_a_partition_without_young_logs_is_dropped(post, clock):
    name = log_tables.partition("tracking_log", "rcp", post.delivery.run_id)
    put(post.hit(0, "coats", after=-400 * 86400))
    consuming.batch(now=kernel_clock.now())
    assert purging.logs(kernel_clock.now() - timedelta(days=360)) == 1
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s)", [name])
        assert cursor.fetchone() == (None,)
    # It is made again for the next hit.
    put(post.hit(0, "coats"))
    assert consuming.batch(now=kernel_clock.now()).logged == 1


def test_browsers_that_are_not_seen_any_more_are_forgotten(db, clock):
    now = kernel_clock.now()
    for days in (400, 3):
        TrackingSource.objects.create(
            source_id=f"00000000-0000-4000-8000-{days:012d}", storage="rcp", target_id=1, run_id=1,
            broad_log_id=1, delivery_id=1, seen_at=now - timedelta(days=days),
        )  # fmt: skip
    assert purging.sources(now - timedelta(days=360)) == 1
    assert TrackingSource.objects.count() == 1
