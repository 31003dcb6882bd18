"""The web room as a Django application."""

from django.apps import AppConfig


class Web(AppConfig):
    """Known to Django as `web`."""

    name = "envoi.web"
    label = "web"
    verbose_name = "Web"
