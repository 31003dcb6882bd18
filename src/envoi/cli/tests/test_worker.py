"""What `envoi worker` does beside the work."""

import pytest

from envoi.cli import worker
from envoi.postgres import server
from envoi.postgres.errors import NotAnswering


class Enough(Exception):  # noqa: N818
    """Ends the look-out of the test."""


def test_a_worker_of_its_own_looks_after_the_database_again_and_again(monkeypatch):
    monkeypatch.setattr(worker, "REVIVE_S", 0.01)
    looked, lease = [], object()

    def revive(given):
        looked.append(given)
        raise Enough if len(looked) >= 3 else NotAnswering("not yet")

    monkeypatch.setattr(server, "revive", revive)
    with pytest.raises(Enough):
        worker.keep_alive(lease)
    assert looked == [lease] * 3
