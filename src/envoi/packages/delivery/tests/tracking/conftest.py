"""Messages that were sent, and what their readers do."""

from typing import Any

import pytest


@pytest.fixture
def post(db: None, clock: object) -> Any:
    """A delivery to four people, sent just now."""
    from envoi.packages.delivery.tests.tracking.stage import Post

    return Post.sent(4)
