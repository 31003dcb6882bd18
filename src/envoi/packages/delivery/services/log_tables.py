"""Tables of logs, a set for each target mapping (architecture §2.5, delivery.md §2.12).

Each is partitioned by run: a run is one analysis of a delivery, and the retention of logs drops whole
partitions. The key holds the target, by which the table can be distributed, and the run; a double inside a
run is thereby impossible. Ids come from `big_tables.reserve_ids`; nothing here is an identity column, and no
foreign key leads in or out.
"""

import re

from django.db import connection
from django.utils.translation import gettext as _

from envoi.kernel.errors import Invalid
from envoi.kernel.query.scope import quoted

RUNS_A_PARTITION = 1_000
"""Runs whose rows share a partition. A partition goes when all its deliveries have expired."""
STORAGE = re.compile(r"^[a-z][a-z0-9_]{0,31}$")
_KEYED = "PRIMARY KEY (target_id, run_id)"
_COLUMNS = {
    "broad_log": f"""id bigint NOT NULL, target_id bigint NOT NULL, run_id bigint NOT NULL,
        delivery_id bigint NOT NULL, address varchar(254) NOT NULL DEFAULT '',
        status smallint NOT NULL DEFAULT 6, failure_reason smallint NOT NULL DEFAULT 0,
        msg_id bigint NOT NULL DEFAULT 0, part smallint NOT NULL DEFAULT 0, flags smallint NOT NULL DEFAULT 0,
        event_date timestamptz, modified_at timestamptz NOT NULL, {_KEYED}""",
    "excl_log": f"""id bigint NOT NULL, target_id bigint NOT NULL, run_id bigint NOT NULL,
        delivery_id bigint NOT NULL, address varchar(254) NOT NULL DEFAULT '',
        failure_reason smallint NOT NULL DEFAULT 0, rule_id bigint NOT NULL DEFAULT 0,
        modified_at timestamptz NOT NULL, {_KEYED}""",
    "forecast_log": f"""id bigint NOT NULL, target_id bigint NOT NULL, run_id bigint NOT NULL,
        delivery_id bigint NOT NULL, weight integer NOT NULL DEFAULT 0, contact_date timestamptz NOT NULL,
        {_KEYED}""",
    "tracking_log": """id bigint NOT NULL, target_id bigint NOT NULL, run_id bigint NOT NULL,
        broad_log_id bigint NOT NULL, delivery_id bigint NOT NULL, url_id bigint NOT NULL,
        type smallint NOT NULL, log_date timestamptz NOT NULL, source_id uuid, user_agent_id bigint,
        automatic smallint NOT NULL DEFAULT 0, flags smallint NOT NULL DEFAULT 0,
        PRIMARY KEY (target_id, run_id, id)""",
}
KINDS = tuple(_COLUMNS)


def table(kind: str, storage: str) -> str:
    """Return the name of one log table of a mapping: `nms_broad_log_rcp`."""
    return f"nms_{kind}_{check(storage)}"


def check(storage: str) -> str:
    """Return `storage` when it can end the names of tables. Raises Invalid."""
    if not STORAGE.match(storage):
        raise Invalid(
            _("%(name)r cannot end the name of a table: small letters, digits and _, at most 32.")
            % {"name": storage}
        )
    return storage


def make(storage: str) -> None:
    """Make the log tables of a mapping, in the caller's transaction; those that are there stay."""
    check(storage)
    with connection.cursor() as cursor:
        for kind, columns in _COLUMNS.items():
            name = table(kind, storage)
            cursor.execute(
                f"CREATE TABLE IF NOT EXISTS {quoted(name)} ({columns}) PARTITION BY RANGE (run_id)"
            )
            cursor.execute(
                f"CREATE INDEX IF NOT EXISTS {quoted(f'{name}_run')} ON {quoted(name)} (run_id, id)"
            )


def partition(kind: str, storage: str, run_id: int) -> str:
    """Make the partition that holds a run, unless it is there, and return its name.

    In the caller's transaction, before the first row of the run; safe when several do so at once.
    """
    parent = table(kind, storage)
    first = run_id // RUNS_A_PARTITION * RUNS_A_PARTITION
    name = f"{parent}_{first // RUNS_A_PARTITION}"
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [name])
        if cursor.fetchone() == (True,):
            return name
        # Two analyses may want it at once: the second waits for the first, and finds it.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])
        cursor.execute(
            f"CREATE TABLE IF NOT EXISTS {quoted(name)} PARTITION OF {quoted(parent)} "
            f"FOR VALUES FROM ({int(first)}) TO ({int(first) + RUNS_A_PARTITION})"
        )
    return name


def hand_over(storage: str, kept: int, gone: int) -> int:
    """Make the logs of one target those of another, in the caller's transaction; returns how many.

    Where both were in one run, the row of the one that goes stays as it is: what was sent to it was sent, and
    is counted.
    """
    moved = 0
    with connection.cursor() as cursor:
        for kind, columns in _COLUMNS.items():
            name = quoted(table(kind, storage))
            own = re.findall(r"(\w+) (?:bigint|varchar|smallint|integer|timestamptz|uuid)\b", columns)
            alone = (
                "true"
                if kind == "tracking_log"  # its key holds an id: a target may have many in a run
                else f"""NOT EXISTS (SELECT 1 FROM {name} o
                           WHERE o.target_id = %(kept)s AND o.run_id = l.run_id)"""  # noqa: S608 quoted
            )
            shown = ", ".join("%(kept)s" if column == "target_id" else column for column in own)
            cursor.execute(
                f"""WITH moved AS (
                      DELETE FROM {name} l WHERE l.target_id = %(gone)s AND {alone} RETURNING l.*)
                    INSERT INTO {name} ({", ".join(own)}) SELECT {shown} FROM moved""",  # noqa: S608 quoted
                {"kept": kept, "gone": gone},
            )
            moved += cursor.rowcount
    return moved


def drop(storage: str) -> None:
    """Drop the log tables of a mapping with everything in them, in the caller's transaction."""
    with connection.cursor() as cursor:
        for kind in KINDS:
            cursor.execute(f"DROP TABLE IF EXISTS {quoted(table(kind, storage))}")
