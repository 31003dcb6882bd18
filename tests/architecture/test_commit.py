"""Rule: services never commit; whoever opened the transaction does."""

import ast

import pytest

MAY = ("engine/", "web/", "cli/", "app/", "postgres/", "kernel/packages.py", "kernel/outbox.py")


def broken(module):
    if module.room.startswith(MAY):
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in ("commit", "set_autocommit"):
                yield f"{module.path}:{node.lineno} calls {node.func.attr}(): leave that to the caller"
            for keyword in node.keywords:
                value = keyword.value
                if keyword.arg in ("durable", "autocommit") and getattr(value, "value", None) is True:
                    yield f"{module.path}:{node.lineno} passes {keyword.arg}: leave that to the caller"


@pytest.mark.parametrize(
    "line",
    [
        "transaction.commit()",
        "connection.set_autocommit(False)",
        "psycopg.connect(dsn, autocommit=True)",
        "transaction.atomic(durable=True)",
    ],
)
def test_a_commit_is_found(snippet, line):
    assert len(list(broken(snippet(line, "src/envoi/packages/delivery/services/send.py")))) == 1
    assert not list(broken(snippet(line)))


def test_a_savepoint_is_no_offence(snippet):
    assert not list(broken(snippet("with transaction.atomic(): pass", "src/envoi/kernel/options.py")))


def test_nobody_else_commits(product):
    assert [offence for module in product for offence in broken(module)] == []
