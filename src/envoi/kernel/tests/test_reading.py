"""What `envoi_read` may see, asked of the server itself on an instance that `envoi init` made."""

import pytest
from django.db import connection

from envoi.kernel import reading


def may_read(table: str, column: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT has_column_privilege(%s, %s, %s, 'SELECT')", [reading.ROLE, table, column])
        return cursor.fetchone()[0]


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("xtk_operator", "password"),
        ("xtk_outbox", "payload"),
        ("nms_ext_account", "secrets"),
        ("django_session", "session_data"),
        ("otp_totp_totpdevice", "key"),
        ("otp_static_statictoken", "token"),
    ],
)
def test_secrets_are_closed(db, table, column):
    assert not may_read(table, column)


@pytest.mark.parametrize(("table", "column"), [("xtk_operator", "name"), ("xtk_outbox", "state")])
def test_the_other_columns_stay_readable(db, table, column):
    assert may_read(table, column)


def test_a_column_that_a_migration_adds_is_readable_afterwards(db):
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE xtk_operator ADD COLUMN favourite text")
    assert not may_read("xtk_operator", "favourite")
    reading.withhold()
    assert may_read("xtk_operator", "favourite")
    assert not may_read("xtk_operator", "password")
