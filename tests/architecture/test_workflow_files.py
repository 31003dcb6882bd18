"""Rule: a technical workflow lives in the file of its name, and the file's docstring is its contract."""

import ast
import re

import pytest

PLACE = re.compile(r"src/envoi/packages/\w+/workflows/(\w+)\.py")
CONTRACT = ("Reads:", "Writes:", "Safe to run twice:", "If it fails:")


def snake(name: str) -> str:
    """Return the file name of an internal name: a break before each capital that starts a word."""
    name = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    return re.sub(r"([A-Z])([A-Z][a-z])", r"\1_\2", name).replace("-", "_").lower()


def broken(module):
    place = PLACE.fullmatch(module.path)
    if not place or place[1] == "__init__":
        return
    names = [
        keyword.value.value
        for node in module.tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "workflow"
        for keyword in getattr(node.value, "keywords", ())
        if keyword.arg == "name" and isinstance(keyword.value, ast.Constant)
    ]
    if len(names) != 1:
        yield f"{module.path} must hold exactly one `workflow = Workflow(name=…)`"
        return
    if snake(names[0]) != place[1]:
        yield f"{module.path} holds {names[0]}, which belongs into {snake(names[0])}.py"
    text = ast.get_docstring(module.tree) or ""
    if not text.startswith(f"{names[0]}:"):
        yield f"{module.path}: its docstring must begin with `{names[0]}:`"
    missing = [word for word in CONTRACT if word not in text]
    if missing:
        yield f"{module.path}: its docstring lacks {', '.join(missing)}"


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("deliveryMgt", "delivery_mgt"),
        ("cleanup", "cleanup"),
        ("collectDataHeatMapService", "collect_data_heat_map_service"),
        ("deleteBlockedLineUsersV2", "delete_blocked_line_users_v2"),
        ("webAnalyticsGetWebEvents", "web_analytics_get_web_events"),
        ("syncFacebook", "sync_facebook"),
    ],
)
def test_the_file_of_a_name(name, file):
    assert snake(name) == file


def test_a_stray_workflow_is_found(snippet):
    good = '"""cleanup: x.\n\nReads: a.  Writes: b.  Safe to run twice: yes.\nIf it fails: c.\n"""\n'
    place = "src/envoi/packages/delivery/workflows/cleanup.py"
    assert not list(broken(snippet(good + "workflow = Workflow(name='cleanup')", place)))
    assert list(broken(snippet(good + "workflow = Workflow(name='tracking')", place)))
    assert list(broken(snippet(good + "other = Workflow(name='cleanup')", place)))
    assert list(broken(snippet('"""cleanup: x."""\nworkflow = Workflow(name="cleanup")', place)))


def test_every_workflow_is_in_its_file(product):
    assert [offence for module in product for offence in broken(module)] == []
