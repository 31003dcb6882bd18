"""No list, count, export, change or form shows a row of a closed folder: every entity in folders."""

import json
import re
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test import Client

from envoi.console.records.asked import is_numbered
from envoi.kernel import query, registry
from envoi.kernel.models import Operator
from envoi.kernel.query import Condition, QueryDef
from envoi.kernel.registry import Link, Schema
from envoi.kernel.tests.query.test_restrictions import IN_FOLDERS, people

__all__ = ["people"]
pytestmark = pytest.mark.django_db
BACKEND = "django.contrib.auth.backends.ModelBackend"


def client_for(schema: Schema) -> Client:
    """The operator that is kept out of a folder; where a right is needed, the confined administrator."""
    client = Client()
    name = "confined" if schema.reading else "kept-out"
    client.force_login(Operator.objects.get(name=name), BACKEND)
    return client


def body(answer: Any) -> str:
    return (b"".join(answer.streaming_content) if answer.streaming else answer.content).decode()


@pytest.mark.parametrize("name", IN_FOLDERS)
def test_a_hidden_row_is_in_no_page(name: str, people: Any) -> None:
    schema, rows = registry.find(name), people[2]
    shown, hidden = rows.shown[name], rows.hidden[name]
    client, place = client_for(schema), f"/data/{schema.namespace}/{schema.local_name}"
    expr = f"@id IN ({shown}, {hidden})"
    both = urlencode({"filter": json.dumps({"condition": [{"expr": expr}]}), "c": "@id"})

    page = client.get(f"{place}/?{both}")
    assert page.status_code == 200
    assert re.findall(r'<tr id="r(\d+)"', body(page)) == [str(shown)]
    assert "1 row" in body(page)
    assert "1 row" in body(client.get(f"{place}/count?{both}&run=abc"))

    export = client.get(f"{place}/export.csv?{both}")
    if export.status_code == 200:
        assert body(export).split()[1:] == [str(shown)] or str(hidden) not in body(export).split()
    else:
        assert export.status_code == 403
    assert client.get(f"{place}/{shown}").status_code == 200
    for part in ("", "/history", "/cell/label"):
        assert client.get(f"{place}/{hidden}{part}").status_code in (403, 404)
    for part in ("", "/delete", "/cell/label"):
        assert client.post(f"{place}/{hidden}{part}", {"value": "x"}).status_code in (403, 404)

    question = body(
        client.get(f"{place}/bulk?{urlencode({'key': [shown, hidden], 'do': 'delete'}, doseq=True)}")
    )
    assert "2 row" not in question
    assert "more row" not in question or "1 more row" in question
    for given in (
        {"key": hidden, "do": "change", "attribute": "label", "f-label": "x"},
        {"all": 1, "filter": f"@id = {hidden}", "do": "delete"},
    ):
        before = stored(schema, hidden)
        client.post(f"{place}/bulk", given)
        assert stored(schema, hidden) == before


def collections() -> list[tuple[str, str]]:
    return [
        (schema.name, link.name)
        for schema in registry.current()
        for link in schema.links.values()
        if link.collection and link.target in IN_FOLDERS and is_numbered(schema)
    ]


@pytest.mark.parametrize(("name", "way"), collections())
def test_a_hidden_row_is_in_no_collection(name: str, way: str, people: Any) -> None:
    schema, rows = registry.find(name), people[2]
    link = schema.links[way]
    target = registry.find(link.target)
    tie(link, target, rows.shown[name], rows.hidden[target.name])
    if not query.count(QueryDef(name, where=(Condition(f"@id = {rows.shown[name]}"),)), actor=people[1]):
        return  # the row has left the open folder with its link
    if query.count(
        QueryDef(target.name, where=(Condition(f"@id = {rows.hidden[target.name]}"),)), actor=people[1]
    ):
        return  # the hidden row has come into the open folder with its link
    client = Client()
    client.force_login(Operator.objects.get(name="confined"), BACKEND)
    page = client.get(f"/data/{schema.namespace}/{schema.local_name}/{rows.shown[name]}")
    assert page.status_code == 200, body(page)
    hidden = f"/data/{target.namespace}/{target.local_name}/{rows.hidden[target.name]}"
    assert f'"{hidden}"' not in body(page)


def tie(link: Link, target: Schema, here: int, there: int) -> None:
    """Let the hidden row lead to the shown one."""
    with connection.cursor() as cursor:
        cursor.execute(
            f'UPDATE {target.table} SET "{link.join[0][1]}" = %s WHERE {target.key[0]} = %s', [here, there]
        )


def stored(schema: Schema, key: int) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT to_jsonb(t) FROM {schema.table} t WHERE {schema.key[0]} = %s", [key])
        return cursor.fetchone()
