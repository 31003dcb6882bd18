"""Statements on the hot path: server-side parameters and prepared plans, on Django's own connection and
transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, LiteralString, cast

import psycopg
from django.db import connection
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import Jsonb, JsonbLoader

Row = DictRow
json = Jsonb


def run(query: LiteralString, params: Mapping[str, Any] | None = None) -> int:
    """Execute and return the number of rows touched."""
    return _execute(query, params).rowcount


def one(query: LiteralString, params: Mapping[str, Any] | None = None) -> Row | None:
    """Execute and return the first row, or None."""
    return _execute(query, params).fetchone()


def rows(query: LiteralString, params: Mapping[str, Any] | None = None) -> list[Row]:
    """Execute and return every row."""
    return _execute(query, params).fetchall()


def backend_pid() -> int:
    """Return the process number of this connection's server process."""
    connection.ensure_connection()
    return cast("psycopg.Connection[Any]", connection.connection).info.backend_pid


def _execute(query: LiteralString, params: Mapping[str, Any] | None) -> psycopg.Cursor[Row]:
    connection.ensure_connection()
    cursor = psycopg.Cursor(cast("psycopg.Connection[Any]", connection.connection), row_factory=dict_row)
    # Django's own connections hand JSON over as text.
    cursor.adapters.register_loader("jsonb", JsonbLoader)
    return cursor.execute(query, params, prepare=True)
