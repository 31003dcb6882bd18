"""The console room as a Django application."""

from django.apps import AppConfig


class Console(AppConfig):
    """Known to Django as `console`."""

    name = "envoi.console"
    label = "console"
    verbose_name = "Console"
