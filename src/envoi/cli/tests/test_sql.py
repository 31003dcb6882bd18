"""`envoi sql`: one statement, read-only, rows as JSON."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest


def test_rows_are_json_objects(committed_db: Any, run_envoi: Any) -> None:
    query = (
        "SELECT 1 AS a, 'ü%' AS b, NULL AS c, 1.50::numeric AS d,"
        " 12345678901234567890.12::numeric AS e, sum(2::bigint) AS f,"
        " '2026-11-24T09:00Z'::timestamptz AS g, ARRAY[1, 2] AS h, '{\"x\": 1}'::jsonb AS i,"
        " interval '90 s' AS j, 'NaN'::float8 AS k, '\\xff'::bytea AS l, 2 AS a"
    )
    assert run_envoi("sql", query, code=0).json == {
        "a": 1,
        "b": "ü%",
        "c": None,
        "d": 1.5,
        "e": "12345678901234567890.12",
        "f": 2,
        "g": "2026-11-24T09:00:00+00:00",
        "h": [1, 2],
        "i": {"x": 1},
        "j": 90.0,
        "k": "nan",
        "l": "ff",
        "a_2": 2,
    }


def test_one_line_a_row_or_one_document(committed_db: Any, run_envoi: Any) -> None:
    lines = run_envoi("sql", "SELECT generate_series(1, 3) AS n", code=0).out.splitlines()
    assert [json.loads(line) for line in lines] == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert run_envoi("sql", "SELECT generate_series(1, 2) AS n", "--json", code=0).json == [
        {"n": 1},
        {"n": 2},
    ]
    assert run_envoi("sql", "SELECT 1 WHERE false", "--json", code=0).json == []


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("SELECT 1; SELECT 2", "multiple commands"),
        ("DELETE FROM xtk_option", "read-only transaction"),
        ("SET TRANSACTION READ WRITE; DELETE FROM xtk_option", "multiple commands"),
        ("WITH x AS (DELETE FROM xtk_option RETURNING 1) SELECT * FROM x", "read-only transaction"),
        ("SELECT nextval('xtk_big_id')", "permission denied for sequence"),
        ("SELECT nam\n  FROM xtk_option", "(line 1, column 8)"),
        ("SELECT name\n  FRM xtk_option", "(line 2, column 7)"),
        ("COPY xtk_option TO STDOUT", "COPY"),
        ("SELECT pg_read_file('/etc/passwd')", "permission denied"),
    ],
)
def test_what_it_refuses(home: Any, run_envoi: Any, instance: Any, statement: str, told: str) -> None:
    refused = run_envoi("sql", statement, home=instance, code=3)
    assert told in refused.err
    assert refused.out == ""


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An instance on an embedded server of its own, where envoi_read is a role without rights to write."""
    folder = tmp_path_factory.mktemp("sql") / "home"
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    subprocess.run(
        [sys.executable, "-m", "envoi.cli", "init"],
        env={**environment, "ENVOI_HOME": str(folder)},
        check=True,
        capture_output=True,
    )
    return folder


def test_the_role_cannot_write_even_in_a_transaction_that_may(instance: Any, run_envoi: Any) -> None:
    sneaky = "SELECT set_config('transaction_read_only', 'off', true), current_user"
    assert "read-write" in run_envoi("sql", sneaky, home=instance, code=3).err
    who = run_envoi("sql", "SELECT current_user AS me", home=instance, code=0).json
    assert who == {"me": "envoi_read"}


def test_a_long_statement_is_ended(committed_db: Any, run_envoi: Any) -> None:
    refused = run_envoi("sql", "SELECT pg_sleep(60)", "--timeout", "0.3", code=3, timeout=20)
    assert "statement timeout" in refused.err
