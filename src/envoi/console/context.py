"""What every page of the console knows."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest


def shell(request: HttpRequest) -> dict[str, Any]:
    """Return the names that the frame of a page shows."""
    return {"instance_name": settings.CONFIG.instance.name}
