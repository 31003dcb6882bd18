"""Discovery and installation of packages (architecture §3.10).

A package is a Django application whose AppConfig derives from `Package`, declared under the entry-point group
`envoi.packages`. An instance loads only those that are installed on it.
"""

from importlib.metadata import entry_points
from typing import ClassVar

from django.apps import AppConfig

GROUP = "envoi.packages"


class Package(AppConfig):
    """What a package says of itself; its Django label is its name."""

    requires: ClassVar[tuple[str, ...]] = ()
    version: ClassVar[str] = "1"


def discover() -> dict[str, type[Package]]:
    """Return name -> class of every package that this Python environment offers, sorted by name."""
    return {
        point.name: point.load() for point in sorted(entry_points(group=GROUP), key=lambda point: point.name)
    }
