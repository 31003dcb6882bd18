"""Rule: SQL on big tables is such as a distributed database takes too: no row locks, no direct CUBE."""

import ast
import re

import pytest

from envoi.kernel.big_tables import BIG_TABLES

TABLE = re.compile(r"\b(" + "|".join(sorted(BIG_TABLES)) + r")\b")
REFUSED = re.compile(
    r"\bFOR\s+(NO\s+KEY\s+)?UPDATE\b|\bGROUP\s+BY\s+(CUBE|ROLLUP|GROUPING\s+SETS)\b", re.IGNORECASE
)


def broken(module):
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            table, refused = TABLE.search(node.value), REFUSED.search(node.value)
            if table and refused:
                yield f"{module.path}:{node.lineno} has {refused[0]} on {table[0]}"


@pytest.mark.parametrize(
    "text",
    [
        "SELECT id FROM nms_broad_log_rcp FOR UPDATE SKIP LOCKED",
        "SELECT count(*) FROM nms_recipient GROUP BY CUBE (a, b)",
    ],
)
def test_what_a_distributed_table_refuses_is_found(snippet, text):
    assert len(list(broken(snippet(f"run('{text}')")))) == 1


def test_small_tables_may(snippet):
    assert not list(broken(snippet("run('SELECT 1 FROM xtk_workflow FOR UPDATE')")))


def test_no_statement_on_a_big_table_is_refused(product):
    assert [offence for module in product for offence in broken(module)] == []
