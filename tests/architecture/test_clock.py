"""Rule: the product's time comes from kernel/clock.py alone, or tests could not stop it."""

import ast

import pytest

OTHER_CLOCKS = {
    "datetime.now", "datetime.utcnow", "datetime.today", "date.today", "timezone.now", "time.time",
    "time.time_ns", "time.localtime", "time.gmtime", "Now", "functions.Now",
}  # fmt: skip
# The server room imports nothing of ours, and what it stamps is a server's affair.
ELSEWHERE = ("kernel/clock.py", "postgres/")


def broken(module):
    if module.room.startswith(ELSEWHERE):
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute | ast.Name):
            named = ".".join(ast.unparse(node).split(".")[-2:])
            if named in OTHER_CLOCKS:
                yield f"{module.path}:{node.lineno} uses {named}: take kernel.clock.now"
        elif isinstance(node, ast.keyword) and node.arg in ("auto_now", "auto_now_add"):
            yield f"{module.path}:{node.value.lineno} uses {node.arg}: set it from kernel.clock.now()"


@pytest.mark.parametrize(
    "line",
    [
        "datetime.now(UTC)",
        "datetime.datetime.utcnow()",
        "time.time()",
        "timezone.now()",
        "f(default=timezone.now)",
        "models.DateTimeField(auto_now=True)",
        "Now()",
    ],
)
def test_another_clock_is_found(snippet, line):
    assert len(list(broken(snippet(line)))) == 1
    assert not list(broken(snippet(line, "src/envoi/kernel/clock.py")))


def test_our_clock_is_no_offence(snippet):
    assert not list(broken(snippet("clock.now(); clock.monotonic(); now(); row.time()")))


def test_the_product_has_one_clock(product):
    assert [offence for module in product for offence in broken(module)] == []
