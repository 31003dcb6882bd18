"""Rule: a claim of an acceptance case is precise: a mark on one test, with ids, and few of them."""

import ast
import re

ID = re.compile(r"[EDCMS][1-9]\d*")
MOST = 6


def broken(module):
    on_tests = {
        id(mark)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
        for mark in node.decorator_list
    }
    for node in ast.walk(module.tree):
        if not (isinstance(node, ast.Call) and ast.unparse(node.func).endswith("mark.case")):
            continue
        ids = [getattr(argument, "value", None) for argument in node.args]
        place = f"{module.path}:{node.lineno}"
        if not all(isinstance(case, str) and ID.fullmatch(case) for case in ids):
            yield f"{place} claims something that is no case id"
        elif not 0 < len(set(ids)) == len(ids) <= MOST:
            yield f"{place} claims no case, one twice, or more than {MOST}"
        if id(node) not in on_tests:
            yield f"{place} claims for a whole file or class: mark the test that proves it"


def test_a_vague_claim_is_found(snippet):
    for mark in ("('x1')", "()", "('E1', 'E1')", "('E1','E2','E3','E4','E5','E6','E7')", "(some)"):
        assert list(broken(snippet(f"@pytest.mark.case{mark}\ndef test_it(): assert 1"))), mark
    assert list(broken(snippet("pytestmark = pytest.mark.case('E1')")))
    assert not list(broken(snippet("@pytest.mark.case('E1', 'D2')\ndef test_it(): assert 1")))


def test_every_claim_is_precise(suite):
    assert [offence for module in suite for offence in broken(module)] == []
