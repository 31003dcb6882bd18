"""Preparation: the analysis of an e-mail delivery to a million profiles next to the same statements by hand.

Of the profiles some have no address, refuse e-mail, share an address with another, are in quarantine or on
the suppression list. The limit is `limits/prepare_million.sql`, a statement a step on one connection.
"""

import resource
import time
from typing import Any

from bench import frame

PROFILES, QUICK = 1_000_000, 100_000


def lines(params: frame.Params) -> list[frame.Line]:
    """Measure the analysis, and the memory of the process that carries it out."""
    count = QUICK if params.quick else PROFILES
    with frame.instance("core_default", "delivery"):
        _fill(count)
        found = [
            frame.against(
                "million",
                "profiles/s",
                lambda: count / _ours(),
                lambda: count / _by_hand(),
                what="the same statements by hand (limits/prepare_million.sql)",
                params=params,
            )
        ]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        found.append(frame.Line("memory", "MB", peak, None, None, "", 0.0))
        return found


def _fill(count: int) -> None:
    from django.db import transaction

    from envoi.engine import sql
    from envoi.packages.delivery.testing import make_recipients

    with transaction.atomic():
        make_recipients(count)
    sql.run("UPDATE nms_recipient SET email = 'double' || (recipient_id % 20000) || '@x.org'"
            " WHERE recipient_id % 10 = 0 AND email <> ''")  # fmt: skip
    sql.run("""INSERT INTO nms_address (address, type, status, created_at, modified_at)
               SELECT DISTINCT email, 0, 3 + (recipient_id / 40 % 2)::int, '2026-01-01'::timestamptz,
                 '2026-01-01'::timestamptz
               FROM nms_recipient WHERE recipient_id % 40 = 3 AND email <> ''""")
    sql.run("""INSERT INTO nms_suppression (kind, key, channel, created_at)
               SELECT DISTINCT 'address', encode(sha256(convert_to(email, 'UTF8')), 'hex'), 0,
                 '2026-01-01'::timestamptz FROM nms_recipient WHERE recipient_id % 100 = 7 AND email <> ''""")
    sql.run("""INSERT INTO nms_suppression (kind, key, channel, created_at)
               VALUES ('domain', 'aol.com', 0, '2026-01-01'::timestamptz)""")
    sql.run("VACUUM ANALYZE nms_recipient")
    sql.run("VACUUM ANALYZE nms_address")
    sql.run("VACUUM ANALYZE nms_suppression")


def _delivery() -> Any:
    from envoi.packages.delivery.testing import make_delivery

    return make_delivery()


def _ours() -> float:
    from envoi.kernel.testing import admin_actor
    from envoi.packages.delivery.models import RunStep
    from envoi.packages.delivery.services import analysis

    delivery, actor = _delivery(), admin_actor()
    began = time.monotonic()
    run = analysis.work(analysis.start(delivery, actor=actor, queue=False).pk, actor=actor)
    seconds = time.monotonic() - began
    if run.step != RunStep.READY:
        raise RuntimeError(f"the analysis ended with {RunStep(run.step).label}")
    _empty()
    return seconds


def _by_hand() -> float:
    import psycopg

    from envoi.app import boot
    from envoi.kernel import clock
    from envoi.packages.delivery.models import DeliveryRun
    from envoi.packages.delivery.services import log_tables

    run = DeliveryRun.objects.create(delivery=_delivery(), storage="rcp", started_at=clock.now())
    log_tables.partition("broad_log", "rcp", run.pk)
    with psycopg.connect(boot.current().lease.dsn(), autocommit=True) as session:
        statements = [each for each in frame.limit_sql("prepare_million").split(";\n") if each.strip()]
        began = time.monotonic()
        for statement in statements:
            session.execute(statement)
        seconds = time.monotonic() - began
    _empty()
    return seconds


def _empty() -> None:
    """Remove what an analysis has left, so that the next one finds the same tables."""
    from envoi.engine import sql
    from envoi.packages.delivery.models import Delivery

    sql.run("TRUNCATE nms_broad_log_rcp")
    Delivery.objects.filter(is_model=False).delete()
