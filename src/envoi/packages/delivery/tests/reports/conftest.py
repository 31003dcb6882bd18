"""What tests of reports share."""

from dataclasses import replace
from typing import Any

import pytest
from django.conf import settings

from envoi.kernel.config import TrackingConfig


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    """Reports read anew."""
    from envoi.packages.delivery.services.statistics import remembering

    remembering.forget()


@pytest.fixture
def tracked(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The instance has an address for readers."""
    config = replace(settings.ENVOI.config, tracking=TrackingConfig("https://t.example/"))
    monkeypatch.setattr(settings, "ENVOI", replace(settings.ENVOI, config=config))
