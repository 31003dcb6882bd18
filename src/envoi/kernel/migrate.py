"""Brings the tables up to date; may be killed at any moment and run again."""

from typing import Any

from django.core.management.sql import emit_post_migrate_signal, emit_pre_migrate_signal
from django.db import connection, transaction
from django.db.migrations import AddField, CreateModel, RenameField
from django.db.migrations.executor import MigrationExecutor

from envoi.kernel import reading
from envoi.kernel.errors import Conflict


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
    """Apply what is unapplied and return its names, in order. The caller holds the installation's lock.

    Raises Conflict, having changed nothing, when a column or table of the new version is one that the
    instance has added at run time.
    """
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
    _refuse_taken(executor, plan)
    with transaction.atomic():
        emit_pre_migrate_signal(0, False, connection.alias, plan=plan)
    state = executor.migrate(targets, plan)
    with transaction.atomic():
        emit_post_migrate_signal(0, False, connection.alias, plan=plan, apps=state.apps)
        reading.withhold()
    return [f"{migration.app_label}.{migration.name}" for migration, _ in plan]


def _refuse_taken(executor: MigrationExecutor, plan: list[tuple[Any, bool]]) -> None:
    """Refuse migrations that make what was added at run time under the same name."""
    tables, columns = _added()
    if not tables and not columns:
        return
    for migration, _ in plan:
        state = executor.loader.project_state((migration.app_label, migration.name))
        for each in migration.operations:
            if not isinstance(each, (CreateModel, AddField, RenameField)):
                continue
            named = each.name if isinstance(each, CreateModel) else each.model_name
            # Later operations of the same migration may have taken the model away again.
            if (migration.app_label, named.lower()) not in state.models:
                continue
            model = state.apps.get_model(migration.app_label, named)
            table = model._meta.db_table
            if isinstance(each, CreateModel) and table in tables:
                raise Conflict(_TAKEN % (migration.app_label, f"the table {table}", tables[table]))
            made = [field.column for field in model._meta.concrete_fields]
            if taken := [name for name in made if (table, name) in columns]:
                what = f"the column {taken[0]} of {table}"
                raise Conflict(_TAKEN % (migration.app_label, what, columns[table, taken[0]]))


_TAKEN = (
    "The new version of %s brings %s, which this instance has added itself (%s). Nothing was changed. Keep "
    "its data elsewhere, take it away with the present version (`envoi schema remove`), and upgrade again."
)


def _added() -> tuple[dict[str, str], dict[tuple[str, str], str]]:
    """Return what the instance has added: table -> name, (table, column) -> name."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('xtk_added_field') IS NOT NULL")
        if cursor.fetchone() != (True,):
            return {}, {}
    from envoi.kernel import registry
    from envoi.kernel.registry import added

    rows, known = added.read(), registry.current().schemas
    tables = {row["table_name"]: row["name"] for row in rows.tables}
    columns = {
        (known[row["schema"]].table, row["column_name"]): f"{row['schema']} {row['name']}"
        for row in rows.fields
        if row["schema"] in known
    }
    return tables, columns
