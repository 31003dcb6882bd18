"""The undo of an import: batch by batch, the last one first; rows that somebody has changed since are
left.
"""

from __future__ import annotations

from collections.abc import Callable

from django.db import transaction
from django.db.models import Max
from psycopg import sql

from envoi.kernel import big_tables, registry
from envoi.kernel.rights import Actor
from envoi.packages.delivery.models import Import, ImportBatch, ImportState
from envoi.packages.delivery.services.imports import checkpoint, memberships, tables
from envoi.packages.delivery.services.imports.merging import all_columns
from envoi.packages.delivery.services.imports.plan import Operation, Plan
from envoi.packages.delivery.services.imports.tables import I, S

ROWS = 50_000


def undo(job: Import, carry_on: Callable[[], None], *, actor: Actor) -> None:
    """Undo what is not undone yet. A row is one of the import as long as its time of change is the
    batch's.
    """
    table = registry.current()[job.schema].table
    key = registry.current()[job.schema].key[0]
    whole = Plan.from_json(job.plan).operation is Operation.DELETE
    while (batch := _next(job)) is not None:
        carry_on()
        with transaction.atomic():
            gone, kept = _uninsert(batch, table, key)
            checkpoint.move(
                job,
                ImportState.UNDOING,
                undone_batch=batch.pk,
                undone=job.undone + gone,
                kept=job.kept + kept,
            )
    while tables.exists(job.before):
        carry_on()
        with transaction.atomic():
            done = _restore_deleted(job, table, key) if whole else _restore_changed(job, table, key)
            if done is None:
                tables.drop_before(job)
                done = (0, 0)
            checkpoint.move(job, ImportState.UNDOING, undone=job.undone + done[0], kept=job.kept + done[1])


def possible(job: Import) -> bool:
    """Return whether there is something to undo, and what it takes is still there."""
    plan = Plan.from_json(job.plan)
    changed = job.inserted + job.updated + job.deleted
    if job.status not in (ImportState.FINISHED, ImportState.FAILED, ImportState.CANCELLED) or not changed:
        return False
    if job.updated + job.deleted and not tables.exists(job.before):
        return False
    if job.inserted:
        found = ImportBatch.objects.filter(job=job).aggregate(last=Max("pk"))
        return plan.keep_undo and found["last"] is not None
    return plan.keep_undo


def _next(job: Import) -> ImportBatch | None:
    found = ImportBatch.objects.filter(job=job, inserted__gt=0).order_by("-pk")
    if job.undone_batch is not None:
        found = found.filter(pk__lt=job.undone_batch)
    return found.first()


def _uninsert(batch: ImportBatch, table: str, key: str) -> tuple[int, int]:
    """Delete the rows of a batch that are as it left them; returns (deleted, changed since)."""
    blocks = sql.Literal(list(batch.blocks))
    inside = S("r.{0} >= f.first AND r.{0} < f.first + {1}").format(I(key), big_tables.BLOCK)
    source = S("unnest({}::bigint[]) AS f(first)").format(blocks)
    untouched = S("r.created_at = {0} AND r.modified_at = {0}").format(batch.at)
    memberships.leave(table, key, blocks, untouched)
    gone = tables.run(
        S("DELETE FROM {} r USING {} WHERE {} AND {}").format(I(table), source, inside, untouched)
    )
    kept = tables.one(S("SELECT count(*) FROM {} r, {} WHERE {}").format(I(table), source, inside))[0]
    return gone, kept


def _restore_changed(job: Import, table: str, key: str) -> tuple[int, int] | None:
    """Give some rows what they held before; returns (restored, changed since), None when nothing is left."""
    columns = [name for name in all_columns(job.before) if name not in ("imp_id", "imp_at")]
    settings = S(", ").join(S("{0} = b.{0}").format(I(name)) for name in columns)
    some = S("SELECT * FROM {} ORDER BY imp_id LIMIT {}").format(I(job.before), ROWS)
    taken = tables.one(S("SELECT count(*) FROM ({}) b").format(some))[0]
    if not taken:
        return None
    restored = tables.run(
        S("UPDATE {} r SET {} FROM ({}) b WHERE r.{} = b.imp_id AND r.modified_at = b.imp_at").format(
            I(table), settings, some, I(key)
        )
    )
    tables.run(S("DELETE FROM {0} WHERE imp_id IN (SELECT imp_id FROM ({1}) b)").format(I(job.before), some))
    return restored, taken - restored


def _restore_deleted(job: Import, table: str, key: str) -> tuple[int, int] | None:
    """Bring some deleted rows back; one whose key is taken again stays away."""
    columns = S(", ").join(map(I, all_columns(table)))
    some = S("SELECT {0} FROM {1} ORDER BY {0} LIMIT {2}").format(I(key), I(job.before), ROWS)
    taken = tables.one(S("SELECT count(*) FROM ({}) b").format(some))[0]
    if not taken:
        return None
    restored = tables.run(
        S("INSERT INTO {0} ({1}) SELECT {1} FROM {2} WHERE {3} IN ({4}) ON CONFLICT DO NOTHING").format(
            I(table), columns, I(job.before), I(key), some
        )
    )
    tables.run(S("DELETE FROM {0} WHERE {1} IN ({2})").format(I(job.before), I(key), some))
    return restored, taken - restored
