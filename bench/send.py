"""Messages to the wire, next to postfix's smtp-source: leased, read, rendered, signed, sent and settled.

Ours is one sender with PostgreSQL, on messages of a delivery as an analysis leaves it. What counts is what a
core does: messages for each CPU second of the sender process, whatever the machine does beside it; the
server's share runs on other cores. The limit of `plain` is what smtp-source sends in a second of the clock
with as many connections and bytes: run it on a machine that has nothing else to do. Memory is that of this
process, which has made the delivery too.
"""

import asyncio
import os
import resource
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from bench import frame

CONNECTIONS = 20
SIZE = 10_000
COUNT, QUICK = 20_000, 4_000
DOMAIN = "example.org"


def lines(params: frame.Params) -> list[frame.Line]:
    """Measure with and without signatures; the receiver is smtp-sink on the loopback."""
    count = QUICK if params.quick else COUNT
    made: list[frame.Line] = []
    with _sink() as port:
        os.environ["ENVOI_SENDING_SINK"] = f"127.0.0.1:{port}"
        os.environ["ENVOI_SENDING_BOUNCE_DOMAIN"] = "bounces.example.org"
        os.environ["ENVOI_TRACKING_URL"] = "https://t.example.org"
        with frame.instance("core_default", "delivery"):
            _prepare(count)
            clock_rates: list[float] = []
            if params.wants("plain"):
                _keys(False)
                made.append(
                    frame.against(
                        "plain",
                        "messages/CPU s",
                        lambda: _ours(count, clock_rates),
                        lambda: _source(port, count),
                        what=f"smtp-source, {CONNECTIONS} open connections, as many bytes",
                        params=params,
                    )
                )
                made.append(frame.Line("by the clock", "messages/s", max(clock_rates), None, None, "", 0.0))
            if params.wants("rsa"):
                key = _keys(True)
                made.append(
                    frame.against(
                        "rsa",
                        "messages/CPU s",
                        lambda: _ours(count, clock_rates),
                        lambda: _signatures(key, count // 10),
                        what="RSA-2048 signatures by cryptography in one process",
                        params=params,
                    )
                )
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            made.append(frame.Line("memory", "MB", peak, None, None, "", 0.0))
    return made


TEXT = (
    "Dear {{ recipient.firstName }} {{ recipient.lastName }},\n\n"
    "your card {{ recipient.account }} of {{ recipient.company }} is from {{ recipient.location.city }}.\n\n"
    + "Some words to read. " * 90
    + "\nTo leave: https://shop.example/unsubscribe\n"
)
PAGE = (
    "<!DOCTYPE html><html><body><h1>{{ recipient.firstName }} {{ recipient.lastName }}</h1>"
    "<p>{{ recipient.location.city }}, {{ recipient.location.zipCode }}, {{ recipient.language }}</p>"
    "<table>\n{% for line in range(5) %}"
    '<tr><td style="padding: 4px">Product {{ line }} é for {{ recipient.firstName }}</td>'
    '<td><a href="https://shop.example/p/1?of={{ recipient.account }}">{{ recipient.gender }} €</a></td>'
    "</tr>\n{% endfor %}</table>"
    + '<p class="small">The small print, in as many words as it takes.</p>\n' * 84
    + '<a href="https://shop.example/unsubscribe">leave</a></body></html>'
)


def _prepare(count: int) -> None:
    """Make people, one delivery to them, and its analysis; what a sender changes of it is kept aside."""
    from envoi.engine import sql
    from envoi.kernel import clock
    from envoi.kernel.testing import admin_actor
    from envoi.packages.delivery.models import Delivery, MxRule
    from envoi.packages.delivery.services import analysis, deliveries
    from envoi.packages.delivery.testing import make_recipients

    actor = admin_actor()
    make_recipients(count, black_list=0, black_list_email=0, email_format=0)
    sql.run("UPDATE nms_recipient SET email = 'u' || recipient_id || '@there.example'")
    MxRule.objects.all().delete()
    MxRule.objects.create(
        mask="*", position=1, connections=CONNECTIONS, per_connection=10**9, modified_at=clock.now()
    )
    made = deliveries.create(
        deliveries.find("mail", actor=actor), actor=actor, targeting={"filter": "@id > 0"}, name="bench"
    )
    Delivery.objects.filter(pk=made.pk).update(
        subject="{{ recipient.firstName }}, your points",
        text_source=TEXT,
        html_source=PAGE,
        from_name="Shop",
        from_address=f"news@{DOMAIN}",
    )
    made.refresh_from_db()
    analysis.work(analysis.start(made, actor=actor, queue=False).pk, actor=actor)
    made.refresh_from_db()
    deliveries.confirm(made, actor=actor)
    sql.run("CREATE TABLE bench_part AS SELECT * FROM nms_delivery_part")
    sql.run("CREATE TABLE bench_delivery AS SELECT * FROM nms_delivery")
    sql.run("CREATE TABLE bench_log AS SELECT * FROM nms_broad_log_rcp")
    sql.run("ANALYZE")


def _anew() -> None:
    """Let the delivery wait to be sent once more."""
    from envoi.engine import sql

    sql.run("DELETE FROM nms_delivery_part")
    sql.run("INSERT INTO nms_delivery_part SELECT * FROM bench_part")
    sql.run(
        """UPDATE nms_delivery d SET state = b.state, broad_start = NULL, broad_end = NULL, success = 0,
             processed = 0, error = 0 FROM bench_delivery b WHERE b.delivery_id = d.delivery_id"""
    )
    sql.run("TRUNCATE nms_broad_log_rcp")
    sql.run("INSERT INTO nms_broad_log_rcp SELECT * FROM bench_log")
    sql.run("TRUNCATE nms_delivery_stat")
    sql.run("VACUUM ANALYZE nms_broad_log_rcp")
    sql.run("VACUUM ANALYZE nms_delivery_part")


def _ours(count: int, clock_rates: list[float]) -> float:
    import uvloop
    from django.conf import settings
    from django.db import connections
    from django.db.models import Sum

    from envoi.packages.delivery.models import Delivery, DeliveryStat
    from envoi.packages.delivery.services.mta.process import Process

    _anew()
    process = Process(settings.ENVOI.config)

    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def watch() -> None:
            # One thread with one connection: what it costs to look counts as the sender's.
            with ThreadPoolExecutor(1) as pool:
                while not await loop.run_in_executor(pool, _finished):
                    await asyncio.sleep(0.25)
                await loop.run_in_executor(pool, connections.close_all)
            process.stop()

        watching = asyncio.create_task(watch())
        await process.run()
        await watching

    started, cpu = time.perf_counter(), time.process_time()
    uvloop.run(main())
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    found = Delivery.objects.get(internal_name="bench")
    if found.success != count:
        raise RuntimeError(f"{count - found.success} of {count} messages were not sent")
    sent, size = DeliveryStat.objects.aggregate(sent=Sum("sent"), size=Sum("bytes")).values()
    if not 0.8 * SIZE < size / sent < 1.3 * SIZE:
        raise RuntimeError(f"a message has {size / sent:.0f} bytes, not about {SIZE}")
    clock_rates.append(count / seconds)
    return count / cpu


def _finished() -> bool:
    from envoi.packages.delivery.models import Delivery

    return Delivery.objects.filter(internal_name="bench", state=95).exists()


def _keys(wanted: bool) -> Any:
    """Let the sender sign, or not; return the key."""
    from django.conf import settings

    from envoi.kernel.testing import admin_actor
    from envoi.packages.delivery.models import DkimKey
    from envoi.packages.delivery.services.routing import keys

    DkimKey.objects.all().delete()
    if not wanted:
        return None
    keys.make(DOMAIN, "rsa", actor=admin_actor())
    DkimKey.objects.update(active=True)
    return keys.signing(settings.ENVOI.home)[0]


def _source(port: int, count: int) -> float:
    command = [_program("smtp-source"), "-d", "-s", str(CONNECTIONS), "-m", str(count), "-l", str(SIZE)]
    started = time.perf_counter()
    subprocess.run(
        [*command, "-f", "b@example.org", "-t", "u@there.example", f"inet:127.0.0.1:{port}"], check=True
    )
    return count / (time.perf_counter() - started)


def _signatures(key: Any, count: int) -> float:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    started = time.perf_counter()
    for number in range(count):
        key.private.sign(b"%d" % number, padding.PKCS1v15(), hashes.SHA256())
    return count / (time.perf_counter() - started)


@contextmanager
def _sink() -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([_program("smtp-sink"), "-u", "nobody", f"inet:127.0.0.1:{port}", "1000"])
    try:
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait()


def _program(name: str) -> str:
    found = shutil.which(name, path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if found is None:
        raise RuntimeError(f"bench send needs {name} of postfix: apt install postfix")
    return found
