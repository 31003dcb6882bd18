"""Hits of readers: from the segments of `track` to tracking logs and indicators, next to COPY and one INSERT.

One delivery, as after a day of reading: opens and clicks of readers of a fifth of its messages, by real
browsers that are known from before. Ours loads every segment exactly once, tells machines apart, drops
repeated opens, keeps slices, and works out the indicators. The limit copies the same lines into a bare table
and inserts them with one statement (limits/ingest_staging.sql, ingest_insert.sql). Both on one connection,
fsync on, wall time.
"""

import random
import time
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

from bench import frame

HITS, QUICK = 1_000_000, 100_000
SEGMENT = 16_000
"""Lines of a segment, which closes at 4 MiB."""
LINKS = 12
SYSTEMS = (
    "Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7", "X11; Linux x86_64",
    "Linux; Android 14; SM-S921B", "iPhone; CPU iPhone OS 17_5 like Mac OS X",
)  # fmt: skip


def lines(params: frame.Params) -> list[frame.Line]:
    """Measure hits a second."""
    count = QUICK if params.quick else HITS
    with frame.instance("core_default", "delivery") as home:
        made = _lines(count)
        folder = home / "bench-segments"
        folder.mkdir()
        found = [
            frame.against(
                "hits",
                "hits/s",
                lambda: count / _ours(folder, made),
                lambda: count / _by_hand(made),
                what="COPY into a bare table and one INSERT … SELECT of the same lines"
                " (limits/ingest_staging.sql, ingest_insert.sql)",
                params=params,
            )
        ]
        return found


def _lines(count: int) -> list[bytes]:
    """Make the delivery, and the lines of hits on it in the order of time."""
    from django.db import connection, transaction

    from envoi.engine import sql
    from envoi.kernel import clock
    from envoi.packages.delivery.models import TrackingUrl
    from envoi.packages.delivery.services import log_tables
    from envoi.packages.delivery.testing import make_recipients, make_sent

    with transaction.atomic():
        delivery: Any = make_sent(
            make_recipients(count // 2), sent=1, failed=0, minutes=1440, html_source="<p>x</p>"
        )
        links = [
            TrackingUrl.objects.create(
                delivery=delivery, type=1, url=f"https://shop.example/{n}", digest=f"{n}",
                created_at=clock.now(),
            ).pk
            for n in range(LINKS)
        ]  # fmt: skip
        log_tables.partition("tracking_log", "rcp", delivery.run_id)
        with connection.cursor() as cursor:
            cursor.execute("UPDATE nms_broad_log_rcp SET event_date = event_date - interval '1 day'")
            cursor.execute("SELECT id FROM nms_broad_log_rcp ORDER BY id")
            messages = [row[0] for row in cursor.fetchall()]
    for table in ("nms_broad_log_rcp", "nms_tracking_url", "nms_delivery_run"):
        sql.run(f"VACUUM ANALYZE {table}")
    drawn = random.Random(7)  # noqa: S311 data
    readers = drawn.sample(messages, len(messages) // 5)
    browsers = {each: uuid.UUID(int=drawn.getrandbits(128)) for each in readers}
    agents = [
        f"Mozilla/5.0 ({drawn.choice(SYSTEMS)}) AppleWebKit/537.36 (KHTML, like Gecko)"
        f" Chrome/{drawn.randrange(90, 132)}.0.0.0 Safari/537.36"
        for _ in range(300)
    ]
    _known(agents)
    begin = clock.now() - timedelta(hours=23)
    made: list[bytes] = []
    for number in range(count):
        message = drawn.choice(readers)
        link = 1 if number % 5 < 3 else drawn.choice(links)
        at = begin + timedelta(seconds=number * 80_000 / count)
        made.append(
            f"{1 << 50 | number}\t{at:%Y-%m-%d %H:%M:%S.%f}+00\t0x{message:x}\t0x{delivery.pk:x}"
            f"\t0x{link:x}\t0\t"
            f"{browsers[message]}\t1\t\t{agents[message % 300]}\t198.51.100.{message % 250}\t\tseg".encode()
        )
    return made


def _known(names: list[str]) -> None:
    """Let what browsers call themselves be known, as nearly all of it is on an instance that has readers."""
    from django.db import connection, transaction

    from envoi.kernel import clock
    from envoi.packages.delivery.services.tracking import agents, machines

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE known (name text, id bigint, automatic smallint) ON COMMIT DROP")
        cursor.execute("INSERT INTO known SELECT DISTINCT unnest(%s::text[])", [names])
        agents.resolve("known", machines.load(), now=clock.now())


def _ours(folder: Path, made: list[bytes]) -> float:
    from envoi.engine import sql
    from envoi.kernel import clock
    from envoi.packages.delivery.models import Delivery
    from envoi.packages.delivery.services.hits.process import Process
    from envoi.packages.delivery.services.tracking import running

    for start in range(0, len(made), SEGMENT):
        part = [line + b"%016x" % start for line in made[start : start + SEGMENT]]
        (folder / f"{start:016x}.ready").write_bytes(b"\n".join([*part, b""]))
    process = Process(folder)
    began = time.monotonic()
    process.once()
    taken = running.at_once(now=clock.now())
    seconds = time.monotonic() - began
    delivery = Delivery.objects.filter(is_model=False).latest("pk")
    if taken.logged + taken.repeated != len(made) or not delivery.recipient_open:
        raise RuntimeError(f"not all hits were logged: {taken}")
    for table in ("nms_tracking_stats", "nms_delivery_tracking", "nms_tracking_segment"):
        sql.run(f"TRUNCATE {table}")
    _empty()
    return seconds


def _by_hand(made: list[bytes]) -> float:
    import psycopg

    from envoi.app import boot
    from envoi.packages.delivery.services.redirection.lines import COLUMNS

    text = b"\n".join([*made, b""])
    with psycopg.connect(boot.current().lease.dsn(), autocommit=True) as session:
        began = time.monotonic()
        session.execute(frame.limit_sql("ingest_staging"))
        with session.cursor().copy(f"COPY bench_hits ({', '.join(COLUMNS)}) FROM STDIN") as copy:
            copy.write(text)
        session.execute(frame.limit_sql("ingest_insert"))
        seconds = time.monotonic() - began
        session.execute("DROP TABLE bench_hits")
    _empty()
    return seconds


def _empty() -> None:
    from envoi.engine import sql

    sql.run("TRUNCATE nms_tracking_log_rcp")
    sql.run("UPDATE nms_delivery SET indicators_at = NULL, recipient_open = 0 WHERE NOT is_model")
