"""A message that was sent, its reader, and a browser."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest


@pytest.fixture
def ann(db: None) -> Any:
    """Who gets it."""
    from envoi.packages.delivery.tests.landing import stage

    return stage.person()


@pytest.fixture
def mailed(monkeypatch: pytest.MonkeyPatch, clock: Any) -> Callable[..., Any]:
    """Make a message that was sent; see `stage.mailed`."""
    from envoi.packages.delivery.tests.landing import stage

    return partial(stage.mailed, stage.track(monkeypatch))


@pytest.fixture
def reader() -> Any:
    """A browser without a session, whose forms are checked."""
    from django.test import Client

    return Client(enforce_csrf_checks=True)
