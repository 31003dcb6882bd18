"""What was added in a test is forgotten with its rows."""

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Read the registry anew before and after each test."""
    from envoi.kernel import registry

    registry.reset()
    yield
    registry.reset()
