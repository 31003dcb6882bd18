"""Fixtures of the small world. Django is set up after this file is read: imports stand inside."""

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture
def tables(db: None) -> Iterator[None]:
    """The tables of the small world, empty, under a registry of its own."""
    from django.db import connection

    from envoi.kernel import registry
    from envoi.kernel.tests.query import world as worlds

    with connection.cursor() as cursor:
        cursor.execute(worlds.DDL)
    before = registry.current()
    registry.reset(to=worlds.registry(before["xtk:folder"]))
    yield
    registry.reset()


@pytest.fixture
def world(tables: None) -> Any:
    """The small world with its rows; `restricted` does not see the folder tClosed."""
    from envoi.kernel.testing import allow, make_folder, make_operator
    from envoi.kernel.tests.query import world as worlds

    shown, closed = make_folder("tShown"), make_folder("tClosed")
    allow(closed, make_operator("owner"))
    found = worlds.small(shown.folder_id, closed.folder_id)
    worlds.insert("tst_team", found.teams)
    worlds.insert("tst_person", found.persons)
    return found


@pytest.fixture
def admin(db: None) -> Any:
    from envoi.kernel.testing import admin_actor

    return admin_actor()


@pytest.fixture
def restricted(world: Any) -> Any:
    from envoi.kernel.testing import make_actor

    return make_actor("restricted")
