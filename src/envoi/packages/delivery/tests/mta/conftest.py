from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture
def sink() -> Iterator[Any]:
    """A mail server in a thread; see `stage.Sink`."""
    from envoi.packages.delivery.tests.mta import stage

    with stage.listening() as found:
        yield found
