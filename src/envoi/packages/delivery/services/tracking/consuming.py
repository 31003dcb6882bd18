"""Hits become logs (delivery.md §4.6): batches of the inbox, each a short transaction of its own.

A batch is taken out of the inbox by the statement that also returns it, and what it becomes is committed
with that: whoever dies leaves the inbox as it was, and the next run goes on. A hit has the id that `track`
gave it, so one that comes again is logged once.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import IntegrityError, connection, transaction

from envoi.kernel.locks import SPACE
from envoi.kernel.query.scope import quoted
from envoi.packages.delivery.models import Flag, HitKind, MessageStatus, UrlType
from envoi.packages.delivery.services import log_tables
from envoi.packages.delivery.services.redirection import tags
from envoi.packages.delivery.services.tracking import agents, machines, marks, visits
from envoi.packages.delivery.services.tracking.taken import Taken

BATCH: Final = 250_000
"""Hits of a transaction."""
DEDUP: Final = timedelta(minutes=1)
"""Opens of one message within this time are one (`dedupOpenPeriodMin`)."""
SLICE: Final = timedelta(seconds=300)
"""`consolidationPeriodSec`."""
LOCK: Final = SPACE ^ 0x747261
"""First half of the advisory lock of whoever consumes."""
_SUCCESS: Final = (MessageStatus.SENT, MessageStatus.TAKEN, MessageStatus.RECEIVED)


@dataclass(frozen=True)
class Place:
    """A partition of messages, with its runs and their deliveries. `storage` is empty when it has no logs."""

    storage: str
    partition: int
    runs: list[int]
    deliveries: list[int]


def batch(after: int = 0, *, now: datetime, size: int = BATCH) -> Taken:
    """Take the next hits above a log id, in the caller's transaction; `consumed` is 0 when there are none.

    One at a time: who comes meanwhile waits.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, 0)", [LOCK])
        cursor.execute("SET LOCAL work_mem = '96MB'")  # a batch is sorted and joined in memory
    consumed, last = _take(after, size)
    if not consumed:
        return Taken()
    rules = machines.load()
    _agents(rules, now)
    places, unmatched = _places()
    logged = Taken(consumed=consumed, unmatched=unmatched, last=last)
    for place in places:
        logged += _log(place, rules, now=now)
    logged += visits.log(rules, now=now)
    done = logged.logged + logged.repeated + logged.again + logged.unmatched
    marks.point(last, now=now)
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE trk_hit, trk_agent")
    return logged + Taken(skipped=consumed - done)


def waiting() -> bool:
    """Return whether there are hits in the inbox."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT 1 FROM nms_tracking_inbox)")
        return cursor.fetchone() == (True,)


def _take(after: int, size: int) -> tuple[int, int]:
    with connection.cursor() as cursor:
        cursor.execute(
            """CREATE TEMP TABLE trk_hit ON COMMIT DROP AS
               SELECT tracking_inbox_id AS id, kind, received_at, broad_log_id, delivery_id, url_id,
                 source_id, user_agent, address, extra
               FROM nms_tracking_inbox WHERE false"""
        )
        cursor.execute(
            """WITH bound AS MATERIALIZED (
                 SELECT max(id) AS last FROM (
                   SELECT tracking_inbox_id AS id FROM nms_tracking_inbox WHERE tracking_inbox_id > %(after)s
                   ORDER BY tracking_inbox_id LIMIT %(size)s) AS next),
               gone AS (
                 DELETE FROM nms_tracking_inbox
                 WHERE tracking_inbox_id > %(after)s AND tracking_inbox_id <= (SELECT last FROM bound)
                 RETURNING tracking_inbox_id, kind, received_at, broad_log_id, delivery_id, url_id, source_id,
                   left(user_agent, 512), address, extra)
               INSERT INTO trk_hit SELECT * FROM gone""",
            {"after": after, "size": size},
        )
        count = cursor.rowcount
        if not count:
            cursor.execute("DROP TABLE trk_hit")
            return 0, 0
        cursor.execute("SELECT max(id) FROM trk_hit")
        (last,) = cursor.fetchone() or (0,)
        cursor.execute("ANALYZE trk_hit (broad_log_id, delivery_id, url_id)")
    return count, int(last)


def _agents(rules: machines.Rules, now: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            """CREATE TEMP TABLE trk_agent ON COMMIT DROP AS
               SELECT DISTINCT user_agent AS name, NULL::bigint AS id, 0::smallint AS automatic
               FROM trk_hit"""
        )
    agents.resolve("trk_agent", rules, now=now)


def _places() -> tuple[list[Place], int]:
    """Return where the messages of the batch stand, and how many hits are on messages without logs."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT r.storage, r.run_id, r.delivery_id,
                 to_regclass('nms_tracking_log_' || r.storage) IS NULL, h.hits
               FROM (SELECT delivery_id, count(*) AS hits FROM trk_hit WHERE kind <> %s
                     GROUP BY delivery_id) AS h
               JOIN nms_delivery_run r ON r.delivery_id = h.delivery_id ORDER BY r.storage, r.run_id""",
            [int(HitKind.WEB)],
        )
        rows = cursor.fetchall()
    found: dict[tuple[str, int], Place] = {}
    lost: dict[int, int] = {}
    for storage, run, delivery, without, hits in rows:
        if without:
            lost[delivery] = hits
            continue
        number = run // log_tables.RUNS_A_PARTITION
        place = found.setdefault((storage, number), Place(storage, number, [], []))
        place.runs.append(run)
        place.deliveries.append(delivery)
    known = {each for place in found.values() for each in place.deliveries}
    there = [each for each in found.values() if _is_table(_name("broad_log", each))]
    return there, sum(hits for delivery, hits in lost.items() if delivery not in known)


def _log(place: Place, rules: machines.Rules, *, now: datetime) -> Taken:
    """Log the hits on the messages of one partition."""
    into = log_tables.partition("tracking_log", place.storage, place.runs[0])
    _find(place, rules)
    _bursts()
    repeated = _drop_repeated(into)
    found, logged, automatic = _write(into, now)
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE trk_log")
    return Taken(logged=logged, automatic=automatic, repeated=repeated, again=found - logged)


def _find(place: Place, rules: machines.Rules) -> None:
    """Make the table of what is to be logged: messages found, and who made each hit."""
    messages = quoted(_name("broad_log", place))
    with connection.cursor() as cursor:
        cursor.execute(
            f"""CREATE TEMP TABLE trk_log ON COMMIT DROP AS
                WITH run AS MATERIALIZED (
                  SELECT run_id, delivery_id,
                    (SELECT id FROM {messages} b WHERE b.run_id = r.run_id ORDER BY id LIMIT 1) AS first,
                    (SELECT id FROM {messages} b WHERE b.run_id = r.run_id ORDER BY id DESC LIMIT 1) AS last
                  FROM unnest(%(runs)s::bigint[], %(deliveries)s::bigint[]) AS r (run_id, delivery_id)),
                hit AS (
                  SELECT h.*, r.run_id, a.id AS user_agent_id, a.automatic AS agent, u.type,
                    u.category = %(hidden)s AS hidden,
                    CASE WHEN pg_input_is_valid(h.address, 'inet') THEN h.address::inet END AS network
                  FROM trk_hit h
                  JOIN run r ON r.delivery_id = h.delivery_id AND h.broad_log_id BETWEEN r.first AND r.last
                  JOIN nms_tracking_url u ON u.tracking_url_id = h.url_id
                    AND (u.delivery_id = h.delivery_id OR u.tracking_url_id = {tags.OPEN})
                  JOIN trk_agent a ON a.name = h.user_agent
                  WHERE h.kind <> %(web)s)
                SELECT h.id, b.target_id, b.run_id, b.id AS broad_log_id, h.delivery_id, h.url_id, h.type,
                  h.received_at AS log_date, h.source_id, h.user_agent_id, b.flags,
                  (CASE WHEN h.kind = %(leaves)s THEN 0
                    WHEN h.agent > 0 THEN h.agent
                    WHEN h.network <<= (%(networks)s::inet[])[width_bucket(h.network, %(networks)s::inet[])]
                      THEN {int(machines.Automatic.GATEWAY)}
                    WHEN h.hidden THEN {int(machines.Automatic.HIDDEN)}
                    WHEN h.received_at < b.event_date AND b.status = ANY(%(success)s)
                      AND b.flags & %(repeat)s = 0
                      THEN {int(machines.Automatic.EARLY)}
                    WHEN h.type = {int(UrlType.OPEN)} THEN h.agent
                    ELSE 0 END)::smallint AS automatic
                FROM hit h JOIN {messages} b ON b.run_id = h.run_id AND b.id = h.broad_log_id""",  # noqa: S608 quoted
            {
                "runs": place.runs,
                "deliveries": place.deliveries,
                "hidden": machines.HIDDEN,
                "web": int(HitKind.WEB),
                "leaves": int(HitKind.UNSUBSCRIBE),
                "networks": list(rules.networks) or ["255.255.255.255/32"],
                "success": [int(each) for each in _SUCCESS],
                "repeat": int(Flag.REPEAT),
            },
        )


def _bursts() -> None:
    """Mark what happened to a message within seconds in which several of its links were followed.

    Two rows of steps of time, half a step apart, so that no burst hides on the edge of one.
    """
    params: dict[str, Any] = {
        "reason": int(machines.Automatic.BURST),
        "width": timedelta(seconds=machines.BURST_SECONDS),
        "origin": "2000-01-01Z",
        "open": int(UrlType.OPEN),
        "links": machines.BURST_LINKS,
    }
    with connection.cursor() as cursor:
        for offset in ("0 seconds", f"{machines.BURST_SECONDS / 2} seconds"):
            cursor.execute(
                """UPDATE trk_log l SET automatic = %(reason)s
                   FROM (SELECT broad_log_id, date_bin(%(width)s, log_date, %(origin)s::timestamptz
                             + %(offset)s::interval) AS step
                         FROM trk_log WHERE type <> %(open)s AND automatic <= 0
                         GROUP BY 1, 2 HAVING count(DISTINCT url_id) >= %(links)s) AS burst
                   WHERE l.broad_log_id = burst.broad_log_id AND l.automatic <= 0
                     AND date_bin(%(width)s, l.log_date, %(origin)s::timestamptz + %(offset)s::interval)
                       = burst.step""",
                params | {"offset": offset},
            )


def _drop_repeated(into: str) -> int:
    """Leave out opens of a message that was opened just before; returns how many.

    Those of machines and those of readers are compared among themselves: a scanner must not hide a reader.
    """
    params: dict[str, Any] = {"open": int(UrlType.OPEN), "period": DEDUP}
    with connection.cursor() as cursor:
        cursor.execute(
            f"""DELETE FROM trk_log l USING {quoted(into)} t
                WHERE l.type = %(open)s AND t.target_id = l.target_id AND t.run_id = l.run_id
                  AND t.broad_log_id = l.broad_log_id AND t.type = l.type AND t.id <> l.id
                  AND (t.automatic > 0) = (l.automatic > 0)
                  AND t.log_date > l.log_date - %(period)s AND t.log_date < l.log_date + %(period)s""",  # noqa: S608
            params,
        )
        count = cursor.rowcount
        cursor.execute(
            """CREATE TEMP TABLE trk_near ON COMMIT DROP AS
               SELECT id, broad_log_id, machine, log_date FROM (
                 SELECT id, broad_log_id, automatic > 0 AS machine, log_date,
                   bool_or(near) OVER (PARTITION BY broad_log_id, automatic > 0) AS near
                 FROM (SELECT id, broad_log_id, automatic, log_date, log_date - lag(log_date)
                           OVER (PARTITION BY broad_log_id, automatic > 0 ORDER BY log_date, id)
                           < %(period)s AS near
                       FROM trk_log l WHERE type = %(open)s AND broad_log_id IN (
                         SELECT broad_log_id FROM trk_log WHERE type = %(open)s
                         GROUP BY 1 HAVING count(*) > 1)) AS following) AS opens
               WHERE near""",
            params,
        )
        if cursor.rowcount:
            cursor.execute("CREATE INDEX ON trk_near (broad_log_id, machine, log_date, id)")
            cursor.execute(
                """WITH RECURSIVE kept AS (
                     SELECT first.* FROM (SELECT DISTINCT broad_log_id, machine FROM trk_near) AS message,
                       LATERAL (SELECT n.* FROM trk_near n WHERE n.broad_log_id = message.broad_log_id
                           AND n.machine = message.machine ORDER BY n.log_date, n.id LIMIT 1) AS first
                     UNION ALL
                     SELECT next.* FROM kept,
                       LATERAL (SELECT n.* FROM trk_near n WHERE n.broad_log_id = kept.broad_log_id
                           AND n.machine = kept.machine AND n.log_date >= kept.log_date + %(period)s
                         ORDER BY n.log_date, n.id LIMIT 1) AS next)
                   DELETE FROM trk_log l USING trk_near n
                   WHERE l.id = n.id AND NOT EXISTS (SELECT 1 FROM kept WHERE kept.id = n.id)""",
                params,
            )
            count += cursor.rowcount
        cursor.execute("DROP TABLE trk_near")
    return count


def _write(into: str, now: datetime) -> tuple[int, int, int]:
    """Insert what is left, with the slices of five minutes and the counts of deliveries; returns how many
    there were, how many of them are new, and how many of these are of machines.
    """
    columns = (
        "id, target_id, run_id, broad_log_id, delivery_id, url_id, type, log_date, source_id, user_agent_id,"
        " automatic, flags"
    )
    insert = f"INSERT INTO {quoted(into)} ({columns}) SELECT {columns} FROM trk_log"  # noqa: S608 quoted
    params: dict[str, Any] = {"slice": SLICE, "click": int(UrlType.CLICK)}
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM trk_log")
        (found,) = cursor.fetchone() or (0,)
        try:
            # Nobody else inserts meanwhile, and hits hardly ever come again: a bare insert is the fastest.
            with transaction.atomic():
                cursor.execute(insert)
        except IntegrityError:
            cursor.execute(
                f"""DELETE FROM trk_log l USING {quoted(into)} t
                    WHERE t.target_id = l.target_id AND t.run_id = l.run_id AND t.id = l.id"""  # noqa: S608 quoted
            )
            cursor.execute(insert)
        logged = cursor.rowcount
        cursor.execute(
            f"""WITH slices AS (
                  INSERT INTO nms_tracking_stats AS s (delivery_id, url_id, start, total_clicks)
                  SELECT delivery_id, url_id, date_bin(%(slice)s, log_date, '2000-01-01Z'), count(*)
                  FROM trk_log WHERE {machines.COUNTED} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
                  ON CONFLICT (delivery_id, url_id, start)
                  DO UPDATE SET total_clicks = s.total_clicks + EXCLUDED.total_clicks),
                days AS (
                  INSERT INTO nms_tracking_day (day)
                  SELECT DISTINCT (log_date AT TIME ZONE 'UTC')::date FROM trk_log WHERE type = %(click)s
                  ON CONFLICT DO NOTHING),
                counts AS MATERIALIZED (
                  SELECT delivery_id, count(*) AS logs, count(*) FILTER (WHERE automatic > 0) AS automatic,
                    count(*) FILTER (WHERE automatic < 0 AND flags & 3 = 0) AS proxy_open
                  FROM trk_log GROUP BY 1),
                counted AS (
                  INSERT INTO nms_delivery_tracking AS t
                    (delivery_id, logs, unaccounted, automatic, proxy_open)
                  SELECT delivery_id, logs, logs, automatic, proxy_open FROM counts ORDER BY 1
                  ON CONFLICT (delivery_id) DO UPDATE SET logs = t.logs + EXCLUDED.logs,
                    unaccounted = t.unaccounted + EXCLUDED.unaccounted,
                    automatic = t.automatic + EXCLUDED.automatic,
                    proxy_open = t.proxy_open + EXCLUDED.proxy_open)
                SELECT coalesce(sum(automatic), 0) FROM counts""",  # noqa: S608 ours
            params,
        )
        (automatic,) = cursor.fetchone() or (0,)
    if logged:
        visits.remember(now=now)
    return found, logged, int(automatic)


def _name(kind: str, place: Place) -> str:
    return f"{log_tables.table(kind, place.storage)}_{place.partition}"


def _is_table(name: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [name])
        return cursor.fetchone() == (True,)
