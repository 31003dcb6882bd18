"""Visits of pages with a web tracking tag (delivery.md §4.4).

Whose visit it was: what the tag says (`rcpid`), else the message that the browser came from in this session,
else, in the modes permanent and anonymous, whose browser it was before. Which delivery it counts for: that of
the session, else that of the tag (`jobid`), else the last one of the browser, else the one that catches all
(`NmsTracking_WebTrackingDelivery`). In the mode anonymous a visit of nobody is logged too, and becomes that
of a recipient when the browser clicks in a message.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from django.db import connection

from envoi.kernel import options
from envoi.kernel.models import Folder
from envoi.kernel.query.scope import quoted
from envoi.kernel.registry import Schema, current
from envoi.kernel.rights import internal
from envoi.packages.delivery.models import HitKind, UrlType, VisitorOrigin
from envoi.packages.delivery.services import log_tables
from envoi.packages.delivery.services.tracking import machines
from envoi.packages.delivery.services.tracking.machines import Rules
from envoi.packages.delivery.services.tracking.taken import Taken

MODE: Final = "NmsTracking_WebTrackingMode"
DELIVERY: Final = "NmsTracking_WebTrackingDelivery"
FORCED: Final = "NmsTracking_WebTrackingForced"
VISITORS: Final = "NmsTracking_WebVisitors"
PAGES: Final = 100
"""New pages of a batch: whoever calls a tag can invent as many as he likes."""
FIELDS: Final = 5
"""Different fields that tags of a batch may name their recipients by."""
_VISITS: Final = "visitors"


class Mode(StrEnum):
    """Which visits are logged."""

    SESSION = "session"
    PERMANENT = "permanent"
    ANONYMOUS = "anonymous"


@dataclass(frozen=True)
class Setting:
    """What the options say. `catching`: the delivery that catches all, or None."""

    mode: Mode
    catching: int | None
    forced: bool
    visitors: bool


def setting() -> Setting:
    """Return what the options say."""
    actor = internal()
    mode = str(options.get(MODE, actor=actor, default=Mode.SESSION))
    name = str(options.get(DELIVERY, actor=actor, default="") or "")
    return Setting(
        Mode(mode) if mode in set(Mode) else Mode.SESSION,
        _one("SELECT delivery_id FROM nms_delivery WHERE internal_name = %s", name) if name else None,
        bool(options.get(FORCED, actor=actor, default=False)),
        bool(options.get(VISITORS, actor=actor, default=False)),
    )


def log(rules: Rules, *, now: datetime) -> Taken:
    """Log the visits of a batch (`trk_hit`), in its transaction."""
    if not _read(rules):
        return Taken()
    said = setting()
    _by_session()
    if said.mode is not Mode.SESSION:
        _by_browser(said)
    _by_field(said)
    _default_deliveries(said)
    _drop("target_id = 0" if said.mode is not Mode.ANONYMOUS else "false")
    if said.mode is not Mode.ANONYMOUS:
        _drop("delivery_id IS NULL")
    if said.visitors:
        _visitors(now)
    _pages(now)
    found, logged, automatic = _write()
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE trk_visit")
    return Taken(logged=logged, visits=logged, automatic=automatic, again=found - logged)


def remember(*, now: datetime) -> None:
    """Remember whose browsers have clicked (`trk_log`), and give them the visits that were nobody's."""
    mode = setting().mode
    if mode is Mode.SESSION:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO nms_tracking_source AS s
                 (source_id, storage, target_id, run_id, broad_log_id, delivery_id, seen_at)
               SELECT DISTINCT ON (l.source_id) l.source_id, r.storage, l.target_id, l.run_id, l.broad_log_id,
                 l.delivery_id, l.log_date
               FROM trk_log l JOIN nms_delivery_run r ON r.run_id = l.run_id
               WHERE l.source_id IS NOT NULL AND l.type <> %s AND l.automatic = 0
               ORDER BY l.source_id, l.log_date DESC
               ON CONFLICT (source_id) DO UPDATE SET storage = EXCLUDED.storage,
                 target_id = EXCLUDED.target_id, run_id = EXCLUDED.run_id,
                 broad_log_id = EXCLUDED.broad_log_id, delivery_id = EXCLUDED.delivery_id,
                 seen_at = EXCLUDED.seen_at
               WHERE s.seen_at <= EXCLUDED.seen_at""",
            [int(UrlType.OPEN)],
        )
        if mode is Mode.ANONYMOUS:
            # The target is part of the key: what becomes somebody's is written anew.
            cursor.execute(
                """WITH nobody AS (
                     DELETE FROM nms_web_tracking_log w USING nms_tracking_source s
                     WHERE w.target_id = 0 AND w.source_id = s.source_id
                       AND s.source_id IN (SELECT source_id FROM trk_log WHERE type <> %(open)s)
                     RETURNING w.*, s.target_id AS who, s.run_id AS run, s.broad_log_id AS message,
                       s.delivery_id AS came)
                   INSERT INTO nms_web_tracking_log (id, target_id, run_id, broad_log_id, delivery_id, url_id,
                     type, log_date, source_id, user_agent_id, automatic, flags, amount, article, visitor_id)
                   SELECT id, who, run, message, coalesce(delivery_id, came), url_id, type, log_date,
                     source_id, user_agent_id, automatic, flags, amount, article, visitor_id
                   FROM nobody ON CONFLICT DO NOTHING""",
                {"open": int(UrlType.OPEN)},
            )
            cursor.execute(
                """UPDATE nms_visitor v SET recipient_id = s.target_id, modified_at = %s
                   FROM nms_tracking_source s
                   WHERE v.external_id = s.source_id::text AND v.recipient_id = 0 AND s.storage = 'rcp'
                     AND s.target_id > 0
                     AND s.source_id IN (SELECT source_id FROM trk_log WHERE type <> %s)""",
                [now, int(UrlType.OPEN)],
            )


def _read(rules: Rules) -> bool:
    def number(text: str) -> str:
        bits = f"('x' || lpad({text}, 16, '0'))::bit(64)::bigint"
        return f"CASE WHEN {text} ~ '^[0-9a-f]{{1,15}}$' THEN {bits} END"

    with connection.cursor() as cursor:
        cursor.execute(
            f"""CREATE TEMP TABLE trk_visit ON COMMIT DROP AS
                SELECT h.id, h.received_at AS log_date, h.source_id, a.id AS user_agent_id,
                  (CASE WHEN a.automatic > 0 THEN a.automatic
                     WHEN h.network <<= (%(networks)s::inet[])[width_bucket(h.network, %(networks)s::inet[])]
                       THEN {int(machines.Automatic.GATEWAY)} ELSE 0 END)::smallint AS automatic,
                  said->>'tag' AS tag, coalesce(said->>'type', 'w') AS kind, said->>'folder' AS folder,
                  said->>'rcpid' AS rcpid,
                  CASE WHEN jsonb_typeof(said->'amount') = 'number' THEN (said->>'amount')::float8
                    ELSE 0 END AS amount,
                  CASE WHEN said->>'article' ~ '^[0-9]{{1,9}}$' THEN (said->>'article')::integer
                    ELSE 0 END AS article,
                  h.delivery_id AS job,
                  {number("split_part(said->>'session', ',', 1)")} AS came_message,
                  {number("split_part(said->>'session', ',', 2)")} AS came_delivery,
                  {number("(said->>'last')")} AS last_delivery,
                  0::bigint AS target_id, 0::bigint AS run_id, 0::bigint AS broad_log_id,
                  NULL::bigint AS delivery_id, 0::smallint AS flags, NULL::bigint AS url_id,
                  NULL::smallint AS type, 0::bigint AS visitor_id
                FROM (SELECT *, CASE WHEN pg_input_is_valid(extra, 'jsonb') THEN extra::jsonb END AS said,
                        CASE WHEN pg_input_is_valid(address, 'inet') THEN address::inet END AS network
                      FROM trk_hit WHERE kind = %(web)s) AS h
                JOIN trk_agent a ON a.name = h.user_agent
                WHERE jsonb_typeof(said) = 'object' AND said->>'tag' <> ''""",  # noqa: S608 ours
            {
                "networks": list(rules.networks) or ["255.255.255.255/32"],
                "web": int(HitKind.WEB),
            },
        )
        if cursor.rowcount:
            return True
        cursor.execute("DROP TABLE trk_visit")
    return False


def _by_session() -> None:
    for storage, rows in _runs("SELECT DISTINCT came_delivery FROM trk_visit").items():
        with connection.cursor() as cursor:
            cursor.execute(
                f"""UPDATE trk_visit v SET target_id = b.target_id, run_id = b.run_id, broad_log_id = b.id,
                      delivery_id = v.came_delivery, flags = b.flags
                    FROM unnest(%s::bigint[], %s::bigint[]) AS r (run_id, delivery_id)
                    JOIN {quoted(log_tables.table("broad_log", storage))} b ON b.run_id = r.run_id
                    WHERE r.delivery_id = v.came_delivery AND b.id = v.came_message
                      AND b.run_id = ANY(%s)""",  # noqa: S608 quoted
                [[run for run, _ in rows], [each for _, each in rows], [run for run, _ in rows]],
            )


def _by_browser(said: Setting) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            """UPDATE trk_visit v SET target_id = s.target_id, run_id = s.run_id,
                 broad_log_id = s.broad_log_id, delivery_id = CASE WHEN %s::bigint IS NOT NULL THEN %s::bigint
                   WHEN v.job > 0 THEN NULL ELSE s.delivery_id END
               FROM nms_tracking_source s WHERE s.source_id = v.source_id AND v.target_id = 0""",
            [said.catching if said.forced else None] * 2,
        )


def _by_field(said: Setting) -> None:
    """Find recipients that tags name: the field of the dimension of the delivery that they count for."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT m.schema, m.storage, split_part(v.rcpid, '=', 1), count(*)
               FROM trk_visit v JOIN nms_delivery d
                 ON d.delivery_id = coalesce(v.delivery_id, nullif(v.job, 0), v.last_delivery, %s)
               JOIN nms_delivery_mapping m ON m.delivery_mapping_id = d.mapping_id
               WHERE v.rcpid IS NOT NULL GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3 LIMIT %s""",
            [said.catching, FIELDS],
        )
        wanted = cursor.fetchall()
    registry = current()
    for schema, storage, name, _count in wanted:
        if schema in registry and (found := _column(registry[schema], name)):
            _of_field(registry[schema], storage, name, *found, catching=said.catching)


def _of_field(
    schema: Schema, storage: str, name: str, column: str, kind: str, *, catching: int | None
) -> None:
    # Compared as the column is, so that its index serves; what cannot be one matches nobody.
    value = f"substr(v.rcpid, {len(name) + 2})"
    valid = f"pg_input_is_valid({value}, '{kind}')"
    key = quoted(schema.key[0])
    with connection.cursor() as cursor:
        cursor.execute(
            f"""UPDATE trk_visit v SET target_id = who.key, run_id = 0, broad_log_id = 0, flags = 0,
                  delivery_id = d.delivery_id
                FROM (SELECT p.{quoted(column)} AS value, min(p.{key}) AS key
                      FROM {quoted(schema.table)} p
                      WHERE p.{quoted(column)} = ANY(ARRAY(
                        SELECT CASE WHEN {valid} THEN {value}::{kind} END FROM trk_visit v
                        WHERE starts_with(v.rcpid, %(start)s)))
                      GROUP BY 1 HAVING count(*) = 1) AS who, nms_delivery d
                JOIN nms_delivery_mapping m ON m.delivery_mapping_id = d.mapping_id
                WHERE starts_with(v.rcpid, %(start)s) AND m.storage = %(storage)s AND v.target_id <> who.key
                  AND d.delivery_id = coalesce(v.delivery_id, nullif(v.job, 0), v.last_delivery, %(catching)s)
                  AND CASE WHEN {valid} THEN {value}::{kind} = who.value ELSE false END""",  # noqa: S608 quoted
            {"start": f"{name}=", "storage": storage, "catching": catching},
        )
    rows = _runs("SELECT DISTINCT delivery_id FROM trk_visit WHERE broad_log_id = 0").get(storage, [])
    if not rows:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            f"""UPDATE trk_visit v SET run_id = b.run_id, broad_log_id = b.id, flags = b.flags
                FROM {quoted(log_tables.table("broad_log", storage))} b
                WHERE v.broad_log_id = 0 AND v.target_id <> 0 AND b.target_id = v.target_id
                  AND b.run_id = ANY(%s) AND b.delivery_id = v.delivery_id""",  # noqa: S608 quoted
            [[run for run, _ in rows]],
        )


def _column(schema: Schema, name: str) -> tuple[str, str] | None:
    """Return the column of a field and its SQL type: `email`, `@email`, or as the product's tables call it
    (`sEmail`).
    """
    plain = name.lstrip("@")
    short = plain[1:2].lower() + plain[2:]
    for each in (plain, short if plain[:1] in ("s", "i") and plain[1:2].isupper() else ""):
        attribute = schema.attributes.get(each)
        if attribute is not None and attribute.column and not attribute.expr:
            kind = attribute.type.sql
            return attribute.column, kind if kind in ("bigint", "integer", "smallint") else "text"
    return (schema.key[0], "bigint") if plain in ("id", "iRecipientId") else None


def _default_deliveries(said: Setting) -> None:
    last = "NULL" if said.mode is Mode.SESSION or said.forced else "last_delivery"
    with connection.cursor() as cursor:
        cursor.execute(
            f"""UPDATE trk_visit v SET delivery_id = d.delivery_id FROM nms_delivery d
                WHERE v.delivery_id IS NULL AND d.delivery_id = coalesce(nullif(v.job, 0), {last}, %s)""",  # noqa: S608
            [said.catching],
        )


def _visitors(now: datetime) -> None:
    """Make visitors of browsers of nobody, once for each."""
    folder = Folder.objects.get(name=_VISITS)
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO nms_visitor (folder_id, recipient_id, origin, external_id, created_at, modified_at)
               SELECT DISTINCT ON (source_id) %(folder)s::bigint, 0, %(origin)s::smallint, source_id::text,
                 %(now)s::timestamptz, %(now)s::timestamptz
               FROM trk_visit v WHERE target_id = 0 AND source_id IS NOT NULL AND automatic = 0
                 AND NOT EXISTS (SELECT 1 FROM nms_visitor o WHERE o.external_id = v.source_id::text)""",
            {"folder": folder.pk, "origin": int(VisitorOrigin.REFERRAL), "now": now},
        )
        cursor.execute(
            """UPDATE trk_visit v SET visitor_id = o.visitor_id FROM nms_visitor o
               WHERE v.target_id = 0 AND o.external_id = v.source_id::text"""
        )


def _pages(now: datetime) -> None:
    """Find the pages of the visits; those that are not known yet are made, in the folder that they name."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT DISTINCT ON (v.tag) v.tag, v.kind, f.folder_id FROM trk_visit v
               LEFT JOIN xtk_folder f ON v.folder <> '' AND (f.name = v.folder OR f.label = v.folder)
               LEFT JOIN nms_tracking_url u ON u.delivery_id IS NULL AND u.type = ANY(%s) AND u.url = v.tag
               WHERE u.tracking_url_id IS NULL ORDER BY v.tag, v.kind, f.folder_id LIMIT %s""",
            [[int(UrlType.WEB), int(UrlType.TRANSACTION)], PAGES],
        )
        _make_pages(cursor.fetchall(), now)
        cursor.execute(
            """UPDATE trk_visit v SET url_id = u.tracking_url_id, type = u.type FROM nms_tracking_url u
               WHERE u.delivery_id IS NULL AND u.type = ANY(%s) AND u.url = v.tag""",
            [[int(UrlType.WEB), int(UrlType.TRANSACTION)]],
        )
    _drop("url_id IS NULL")


def _make_pages(pages: Iterable[tuple[str, str, int | None]], now: datetime) -> None:
    rows = list(pages)
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO nms_tracking_url (type, url, digest, label, category, folder_id, created_at)
               SELECT type, tag, digest, tag, '', folder, %s
               FROM unnest(%s::smallint[], %s::text[], %s::text[], %s::bigint[])
                 AS page (type, tag, digest, folder)
               ON CONFLICT DO NOTHING""",
            [
                now,
                [int(UrlType.TRANSACTION if kind == "t" else UrlType.WEB) for _, kind, _ in rows],
                [tag for tag, _, _ in rows],
                [hashlib.sha256(tag.encode()).hexdigest()[:32] for tag, _, _ in rows],
                [folder for _, _, folder in rows],
            ],
        )


def _write() -> tuple[int, int, int]:
    columns = (
        "id, target_id, run_id, broad_log_id, delivery_id, url_id, type, log_date, source_id, user_agent_id,"
        " automatic, flags, amount, article, visitor_id"
    )
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT date_trunc('month', log_date AT TIME ZONE 'UTC') FROM trk_visit")
        for (month,) in cursor.fetchall():
            _partition(month)
        cursor.execute(
            f"""WITH put AS (
                  INSERT INTO nms_web_tracking_log ({columns}) SELECT {columns} FROM trk_visit v
                  WHERE NOT EXISTS (SELECT 1 FROM nms_web_tracking_log w WHERE w.id = v.id)
                  ON CONFLICT DO NOTHING RETURNING delivery_id, url_id, type, log_date, automatic, flags),
                slices AS (
                  INSERT INTO nms_tracking_stats AS s (delivery_id, url_id, start, total_clicks)
                  SELECT delivery_id, url_id, date_bin('5 minutes', log_date, '2000-01-01Z'), count(*)
                  FROM put WHERE delivery_id IS NOT NULL AND {machines.COUNTED}
                  GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
                  ON CONFLICT (delivery_id, url_id, start)
                  DO UPDATE SET total_clicks = s.total_clicks + EXCLUDED.total_clicks),
                counted AS (
                  INSERT INTO nms_delivery_tracking AS t (delivery_id, logs, unaccounted, automatic)
                  SELECT delivery_id, count(*), count(*), count(*) FILTER (WHERE automatic > 0)
                  FROM put WHERE delivery_id IS NOT NULL GROUP BY 1 ORDER BY 1
                  ON CONFLICT (delivery_id) DO UPDATE SET logs = t.logs + EXCLUDED.logs,
                    unaccounted = t.unaccounted + EXCLUDED.unaccounted,
                    automatic = t.automatic + EXCLUDED.automatic)
                SELECT (SELECT count(*) FROM trk_visit), count(*), count(*) FILTER (WHERE automatic > 0)
                FROM put"""  # noqa: S608 ours
        )
        found, logged, automatic = cursor.fetchone() or (0, 0, 0)
    return found, logged, automatic


def _partition(month: datetime) -> None:
    """Make the partition of a month (UTC) unless it is there."""
    name = f"nms_web_tracking_log_{month:%Y%m}"
    following = (month.year + month.month // 12, month.month % 12 + 1)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""CREATE TABLE IF NOT EXISTS {quoted(name)} PARTITION OF nms_web_tracking_log
                FOR VALUES FROM ('{month:%Y-%m}-01T00:00:00Z')
                TO ('{following[0]:04d}-{following[1]:02d}-01T00:00:00Z')"""
        )


def _drop(condition: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM trk_visit WHERE {condition}")  # noqa: S608 ours


def _runs(deliveries: str) -> Mapping[str, list[tuple[int, int]]]:
    """Return the runs of deliveries that a statement returns, with their deliveries, by storage."""
    found: dict[str, list[tuple[int, int]]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT storage, run_id, delivery_id FROM nms_delivery_run WHERE delivery_id IN ({deliveries})
                  AND to_regclass('nms_broad_log_' || storage) IS NOT NULL ORDER BY run_id"""  # noqa: S608 ours
        )
        for storage, run, delivery in cursor.fetchall():
            found.setdefault(storage, []).append((run, delivery))
    return found


def _one(statement: str, *params: Any) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        row = cursor.fetchone()
    return row[0] if row else None
