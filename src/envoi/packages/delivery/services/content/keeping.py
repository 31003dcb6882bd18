"""Data that would be gone when messages are sent: what a workflow has computed, and what seeds are shown.

The tables of a workflow go when it ends, so the columns that the templates use are copied for those who get a
message, by one statement. A seed has no row in the dimension: its data are drawn once and kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from django.db import connection

from envoi.engine import population
from envoi.engine.population import Population
from envoi.kernel.query.scope import quoted
from envoi.kernel.rights import Actor
from envoi.packages.delivery.models import Delivery, DeliveryRun, DeliverySeed, MessageStatus
from envoi.packages.delivery.services import file_target, log_tables
from envoi.packages.delivery.services.content import seeds
from envoi.packages.delivery.services.content.reading import TARGET_DATA, Statement


def data_table(run: DeliveryRun) -> str:
    """Return the name of the table that holds the workflow's data of a run."""
    return f"wkdlv_{run.delivery_id}_{run.pk}_data"


def keep_data(run: DeliveryRun, delivery: Delivery, paths: Iterable[str]) -> Population | None:
    """Copy what the templates read of the workflow's data, in the caller's transaction; returns what it has
    become, None when they read nothing or there is no population.
    """
    drop_data(run)
    roots = (TARGET_DATA, "recipient") if file_target.concerns(delivery.mapping) else (TARGET_DATA,)
    wanted = {each.split(".")[1] if "." in each else "" for each in paths if _root(each) in roots}
    table = file_target.table_of(delivery)
    stored = population.stored(table) if wanted and table else None
    if stored is None:
        return None
    source = stored[0]
    columns = tuple(each for each in source.columns if "" in wanted or each.attribute in wanted)
    names = "".join(f", p.{quoted(each.column)}" for each in columns)
    log, name = quoted(log_tables.table("broad_log", run.storage)), quoted(data_table(run))
    key = file_target.key(delivery.mapping, run.pk, "p.id")
    with connection.cursor() as cursor:
        cursor.execute(
            f"""CREATE TABLE {name} AS SELECT l.target_id AS id{names} FROM {quoted(table)} p
                JOIN {log} l ON l.target_id = {key} AND l.run_id = %s AND l.status = %s""",  # noqa: S608
            [run.pk, MessageStatus.PENDING],
        )
        cursor.execute(f"ALTER TABLE {name} ADD PRIMARY KEY (id)")
        if delivery.fcp and (lent := seeds.lent_by_parent(run, delivery)):
            key = file_target.key(delivery.mapping, lent.run_id, "p.id")
            cursor.execute(
                f"""INSERT INTO {name} SELECT l.target_id{names} FROM {quoted(table)} p
                    JOIN {log} l ON l.target_id = {key} AND l.run_id = %s AND l.id = ANY(%s)
                    ON CONFLICT DO NOTHING""",  # noqa: S608 quoted
                [lent.run_id, lent.messages],
            )
        cursor.execute(f"ANALYZE {name}")
    return replace(source, table=data_table(run), columns=columns, links=(), beside={})


def drop_data(run: DeliveryRun) -> None:
    """Drop the workflow's data of a run, if they are there, in the caller's transaction."""
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {quoted(data_table(run))}")


def keep_seeds(run: DeliveryRun, delivery: Delivery, found: Statement, *, actor: Actor) -> None:
    """Keep what each seed of a run is shown, in the caller's transaction."""
    DeliverySeed.objects.filter(run=run).delete()
    DeliverySeed.objects.bulk_create(
        DeliverySeed(broad_log_id=number, run=run, data=data)
        for number, data in seeds.data(run, delivery, found, actor=actor)
    )


def _root(path: str) -> str:
    return path.partition(".")[0]
