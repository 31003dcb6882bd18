"""Brings the tables up to date; may be killed at any moment and run again."""

from typing import Any

from django.core.management.sql import emit_post_migrate_signal, emit_pre_migrate_signal
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor

from envoi.kernel import reading


class _Executor(MigrationExecutor):
    """Applies each migration and the note that it was applied in one transaction.

    Django writes that note in a transaction of its own whenever a migration has deferred statements (foreign
    keys, so nearly always); a process killed between the two leaves a database on which no later run can
    succeed.
    """

    def apply_migration(
        self, state: Any, migration: Any, fake: bool = False, fake_initial: bool = False
    ) -> Any:
        if not migration.atomic:
            return super().apply_migration(state, migration, fake, fake_initial)
        with transaction.atomic():
            # Each commit would wait for the disk. A machine that loses power loses the latest of them, which
            # the next run repeats; whatever is committed later in the ordinary way makes all of them safe.
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL synchronous_commit = off")
            return super().apply_migration(state, migration, fake, fake_initial)


def unapplied() -> list[str]:
    """Return "app.name" of every migration that this process knows and the database lacks, in order."""
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [f"{migration.app_label}.{migration.name}" for migration, _ in plan]


def migrate() -> list[str]:
    """Apply what is unapplied and return its names, in order. The caller holds the installation's lock."""
    with transaction.atomic():
        connection.prepare_database()
    executor = _Executor(connection)
    executor.loader.check_consistent_history(connection)
    targets = executor.loader.graph.leaf_nodes()
    plan = executor.migration_plan(targets)
    if not plan:
        with transaction.atomic():
            reading.withhold()
        return []
    with transaction.atomic():
        emit_pre_migrate_signal(0, False, connection.alias, plan=plan)
    state = executor.migrate(targets, plan)
    with transaction.atomic():
        emit_post_migrate_signal(0, False, connection.alias, plan=plan, apps=state.apps)
        reading.withhold()
    return [f"{migration.app_label}.{migration.name}" for migration, _ in plan]
