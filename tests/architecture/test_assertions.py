"""Rule: a test asserts something, itself or through a function of the suite that does."""

import ast

import pytest

# Of pytest, of Playwright, and of Django's assertions.
ASSERTING = ("raises", "warns", "fail", "expect", "assert")


def asserts(node: ast.AST, helpers: frozenset[str] = frozenset()) -> bool:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Assert):
            return True
        if isinstance(inner, ast.Call):
            name = ast.unparse(inner.func).rpartition(".")[2]
            if name.startswith(ASSERTING) or name in helpers:
                return True
            # run_envoi(…, code=0) fails the test by itself
            if any(keyword.arg == "code" for keyword in inner.keywords) and name == "run_envoi":
                return True
    return False


def imported(module) -> frozenset[str]:
    return frozenset(
        alias.name
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    )


def asserting(module, helpers: frozenset[str] = frozenset()) -> frozenset[str]:
    """Return the names of the file's functions that assert, by themselves or through one another."""
    functions = [
        node for node in ast.walk(module.tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    while True:
        found = helpers | {node.name for node in functions if asserts(node, helpers)}
        if found == helpers:
            return found
        helpers = found


def broken(module, helpers: frozenset[str] = frozenset()):
    names = asserting(module, helpers & imported(module))
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if node.name.startswith("test_") and node.name not in names:
            yield f"{module.path}:{node.lineno} {node.name} asserts nothing"


def test_an_empty_test_is_found(snippet):
    assert len(list(broken(snippet("def test_it(): run()")))) == 1
    assert len(list(broken(snippet("class TestIt:\n  def test_it(self): pass")))) == 1


@pytest.mark.parametrize(
    "body", ["assert x", "with pytest.raises(E): f()", "check()", "expect(page).to_have_title('x')"]
)
def test_an_assertion_is_seen(snippet, body):
    assert not list(broken(snippet(f"def check(): again()\ndef again(): assert 1\ndef test_it():\n  {body}")))


def test_every_test_asserts(suite):
    helpers = frozenset().union(*(asserting(module) for module in suite))
    assert [offence for module in suite for offence in broken(module, helpers)] == []
