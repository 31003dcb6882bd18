from datetime import UTC, datetime
from typing import Any

import pytest
from django.apps import apps
from django.db import connection, migrations, models
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState

from envoi.kernel import migrate
from envoi.kernel.errors import Conflict
from envoi.kernel.models import AddedField, AddedTable


def with_a_foreign_key() -> Any:
    """A migration with deferred statements: Django would note it in a transaction of its own."""

    class Migration(migrations.Migration):
        operations = [
            migrations.CreateModel("Up", [("id", models.BigAutoField(primary_key=True))]),
            migrations.CreateModel(
                "Down",
                [
                    ("id", models.BigAutoField(primary_key=True)),
                    ("up", models.ForeignKey("example.Up", on_delete=models.CASCADE)),
                ],
            ),
        ]

    return Migration("0001_initial", "example")


def test_a_migration_and_the_note_of_it_are_one_transaction(
    committed_db: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = migrate._Executor(connection)

    def dies(app: str, name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(executor.recorder, "record_applied", dies)
    with pytest.raises(KeyboardInterrupt):
        executor.apply_migration(ProjectState(), with_a_foreign_key())
    assert not [name for name in connection.introspection.table_names() if name.startswith("example_")]
    monkeypatch.undo()
    executor.apply_migration(ProjectState(), with_a_foreign_key())
    assert {"example_up", "example_down"} <= set(connection.introspection.table_names())
    assert executor.recorder.migration_qs.filter(app="example").count() == 1


def test_nothing_is_unapplied_on_a_finished_instance(committed_db: object) -> None:
    assert migrate.unapplied() == []
    assert migrate.migrate() == []


def test_what_is_unapplied_is_named_and_applied(committed_db: object) -> None:
    MigrationExecutor(connection).migrate([("sessions", None)])
    assert "django_session" not in connection.introspection.table_names()
    assert migrate.unapplied() == ["sessions.0001_initial"]
    assert migrate.migrate() == ["sessions.0001_initial"]
    assert "django_session" in connection.introspection.table_names()
    assert migrate.unapplied() == []


def test_what_an_instance_has_added_itself_is_not_taken_over(committed_db: object) -> None:
    now = datetime(2026, 11, 24, tzinfo=UTC)
    MigrationExecutor(connection).migrate([("sessions", None)])
    AddedTable.objects.create(
        name="cus:session", table_name="django_session", label="S", singular="S", created_at=now
    )
    with pytest.raises(Conflict, match=r"brings the table django_session.* added itself \(cus:session\)"):
        migrate.migrate()
    assert migrate.unapplied() == ["sessions.0001_initial"]
    AddedTable.objects.all().delete()
    assert migrate.migrate() == ["sessions.0001_initial"]


def test_a_column_that_an_instance_has_added_itself_is_not_taken_over(committed_db: object) -> None:
    now = datetime(2026, 11, 24, tzinfo=UTC)
    MigrationExecutor(connection).migrate([("engine", "0001_initial")])
    before = migrate.unapplied()
    AddedField.objects.create(
        schema="xtk:workflow",
        name="busySince",
        column_name="busy_since",
        label="Busy",
        type="datetime",
        created_at=now,
    )
    with pytest.raises(Conflict, match="the column busy_since of xtk_workflow"):
        migrate.migrate()
    assert migrate.unapplied() == before


@pytest.mark.django_db
def test_no_model_is_ahead_of_its_migrations() -> None:
    loader = MigrationLoader(connection)
    found = MigrationAutodetector(loader.project_state(), ProjectState.from_apps(apps)).changes(loader.graph)
    assert "kernel" not in found
