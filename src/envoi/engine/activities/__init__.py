"""Activity types, one file a type; found by scanning this folder and the `activities` folders of installed
packages.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import lru_cache
from importlib.util import find_spec

from django.apps import apps

from envoi.engine.activities.base import ActivityType
from envoi.kernel.errors import Broken


@lru_cache(maxsize=1)
def kinds() -> dict[str, ActivityType]:
    """Return type name -> the type's one instance, for the engine's own and those of the installed
    packages.
    """
    found: dict[str, ActivityType] = {}
    folders = [
        "envoi.engine",
        *(app.name for app in apps.get_app_configs() if app.name.startswith("envoi.packages.")),
    ]
    for folder in folders:
        for module in _modules(f"{folder}.activities"):
            for value in vars(importlib.import_module(module)).values():
                if _is_type(value) and value.__module__ == module:
                    if value.type in found:
                        raise Broken(
                            f"Two activity types are called {value.type}: {found[value.type]!r}, {value!r}."
                        )
                    found[value.type] = value()
    return found


def kind_of(name: str) -> ActivityType | None:
    """Return the type called `name`, or None."""
    return kinds().get(name)


def _modules(package: str) -> list[str]:
    spec = find_spec(package)
    if spec is None or spec.submodule_search_locations is None:
        return []
    return [
        f"{package}.{found.name}"
        for found in pkgutil.iter_modules(spec.submodule_search_locations)
        if not found.ispkg and found.name != "base"
    ]


def _is_type(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, ActivityType) and "type" in vars(value)
