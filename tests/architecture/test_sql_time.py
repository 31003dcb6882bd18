"""Rule: SQL on product tables takes the time as a parameter; the database's own clock cannot be stopped."""

import ast
import re

import pytest

CLOCK = re.compile(
    r"\b(now|clock_timestamp|statement_timestamp|transaction_timestamp)\s*\(\s*\)"
    r"|\b(current_timestamp|current_date|current_time|localtimestamp)\b",
    re.IGNORECASE,
)
SQL = re.compile(
    r"\b(select|insert\s+into|update|delete\s+from|where|values|returning|interval)\b", re.IGNORECASE
)
# The dispatcher's jobs live by the queue's clock, and diagnostics ask the server about itself.
MAY = ("engine/dispatcher.py", "app/checks.py", "postgres/")


def broken(module):
    if module.room.startswith(MAY):
        return
    documentation = {id(node.value) for node in ast.walk(module.tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            found = CLOCK.search(node.value)
            if found and SQL.search(node.value):
                yield f"{module.path}:{node.lineno} has {found[0]} in SQL: pass kernel.clock.now()"


@pytest.mark.parametrize(
    "text",
    [
        "SELECT now()",
        "UPDATE t SET at = current_timestamp WHERE id = 1",
        "delete from t where d < CURRENT_DATE",
    ],
)
def test_the_databases_clock_is_found(snippet, text):
    assert len(list(broken(snippet(f"run('''{text}''')")))) == 1
    assert not list(broken(snippet(f"run('''{text}''')", "src/envoi/engine/dispatcher.py")))


def test_other_words_are_no_offence(snippet):
    assert not list(
        broken(
            snippet(
                '"""Select what is now()."""\nrun("SELECT snow(), nowhere FROM t")\nlabel("now()")',
                "src/envoi/web/x.py",
            )
        )
    )


def test_no_sql_asks_the_database_for_the_time(product):
    assert [offence for module in product for offence in broken(module)] == []


def test_no_sql_file_asks_the_database_for_the_time(product, pytestconfig):
    files = [*pytestconfig.rootpath.glob("src/**/*.sql")]
    assert [file.name for file in files if CLOCK.search(file.read_text(encoding="utf-8"))] == []
