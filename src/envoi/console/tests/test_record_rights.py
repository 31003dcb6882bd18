"""No list, count, export, change or form shows a row of a closed folder: every entity in folders."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection, transaction
from django.test import Client

from envoi.console.records.asked import is_numbered
from envoi.console.records.forms import address_of
from envoi.kernel import query, registry
from envoi.kernel.models import Operator
from envoi.kernel.query import Condition, QueryDef
from envoi.kernel.registry import Link, Schema
from envoi.kernel.rights import Actor
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


def test_a_hidden_row_is_in_no_page(people: Any, subtests: Any) -> None:
    for name in IN_FOLDERS:
        with subtests.test(name), rolled_back():
            no_page_shows(name, people[2])


@contextmanager
def rolled_back() -> Iterator[None]:
    """Undo what is done inside."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def no_page_shows(name: str, rows: Any) -> None:
    """Ask every page of an entity for its hidden row."""
    schema = registry.find(name)
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
        assert body(export).splitlines()[1:] == [str(shown)]
    else:
        assert export.status_code == 403
    page = client.get(f"{place}/{shown}")
    assert page.status_code == 200, body(page)
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


def test_a_hidden_row_is_in_no_collection(people: Any, subtests: Any) -> None:
    for name, way in collections():
        with subtests.test(f"{name} {way}"), rolled_back():
            no_collection_shows(name, way, people[1], people[2])


def no_collection_shows(name: str, way: str, actor: Actor, rows: Any) -> None:
    """Let a hidden row lead to one that is shown, and look at its page."""
    schema = registry.find(name)
    link = schema.links[way]
    target = registry.find(link.target)
    tie(link, target, rows.shown[name], rows.hidden[target.name])
    if not query.count(QueryDef(name, where=(Condition(f"@id = {rows.shown[name]}"),)), actor=actor):
        return  # the row has left the open folder with its link
    if query.count(
        QueryDef(target.name, where=(Condition(f"@id = {rows.hidden[target.name]}"),)), actor=actor
    ):
        return  # the hidden row has come into the open folder with its link
    client = Client()
    client.force_login(Operator.objects.get(name="confined"), BACKEND)
    page = client.get(f"/data/{schema.namespace}/{schema.local_name}/{rows.shown[name]}")
    assert page.status_code == 200, body(page)
    assert f'"{address_of(target, rows.hidden[target.name])}"' not in body(page)


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
