"""The engine room as a Django application."""

from importlib import import_module

from django.apps import AppConfig

REGISTERED = ("indicators", "jobs", "schemas", "script_calls", "shipping")
"""Modules that register what they hold by being imported."""


class Engine(AppConfig):
    """Known to Django as `engine`."""

    name = "envoi.engine"
    label = "engine"
    verbose_name = "Workflow engine"

    def ready(self) -> None:
        """Register the dispatcher's jobs, and what answers hooks."""
        for name in REGISTERED:
            import_module(f"envoi.engine.{name}")
