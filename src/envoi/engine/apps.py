"""The engine room as a Django application."""

from django.apps import AppConfig


class Engine(AppConfig):
    """Known to Django as `engine`."""

    name = "envoi.engine"
    label = "engine"
    verbose_name = "Workflow engine"
