"""The URL map of the web process: health and metrics, the API, doors of packages, the console (architecture
§5.3).
"""

from importlib.util import find_spec

from django.conf import settings
from django.urls import include, path

DOORS = [
    f"{point.module.rpartition('.')[0]}.endpoints.urls"
    for point in settings.PACKAGES
    if find_spec(f"{point.module.rpartition('.')[0]}.endpoints")
]
"""Installed packages whose room `endpoints` has addresses of its own."""

urlpatterns = [
    path("", include("envoi.web.urls")),
    *(path("", include(door)) for door in DOORS),
    path("", include("envoi.console.urls")),
]
