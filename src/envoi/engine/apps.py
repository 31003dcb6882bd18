"""The engine room as a Django application."""

from django.apps import AppConfig


class Engine(AppConfig):
    """Known to Django as `engine`."""

    name = "envoi.engine"
    label = "engine"
    verbose_name = "Workflow engine"

    def ready(self) -> None:
        """Register the dispatcher's jobs, and the answers to the kernel's hooks."""
        from envoi.engine import indicators, jobs, shipping  # noqa: F401  registered by being imported
