"""Rule: no test empties the database that it shares with others; one that commits has `committed_db`."""

import ast

EMPTYING = {"transactional_db", "django_db_reset_sequences", "django_db_serialized_rollback"}
CLASSES = {"TransactionTestCase", "LiveServerTestCase"}


def broken(module):
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("mark.django_db"):
            flushes = any(
                word.arg in ("transaction", "reset_sequences")
                and getattr(word.value, "value", None) is not False
                for word in node.keywords
            )
        elif isinstance(node, ast.arg):
            flushes = node.arg in EMPTYING
        else:
            flushes = isinstance(node, ast.Name) and node.id in CLASSES
        if flushes:
            yield f"{module.path}:{node.lineno} empties the database of other tests: use committed_db"


def test_what_empties_a_database_is_found(snippet):
    for text in (
        "@pytest.mark.django_db(transaction=True)\ndef test_it(): assert 1",
        "pytestmark = [pytest.mark.django_db(reset_sequences=True)]",
        "def test_it(transactional_db): assert 1",
        "class TestIt(TransactionTestCase): pass",
    ):
        assert len(list(broken(snippet(text)))) == 1, text


def test_a_rollback_is_no_offence(snippet):
    assert not list(broken(snippet("@pytest.mark.django_db\ndef test_it(committed_db): assert 1")))


def test_no_test_empties_a_database(suite):
    assert [offence for module in suite for offence in broken(module)] == []
