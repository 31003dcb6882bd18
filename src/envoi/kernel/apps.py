"""The kernel as a Django application."""

from django.apps import AppConfig


class Kernel(AppConfig):
    """Tables whose names begin with `xtk_` and belong to no package."""

    name = "envoi.kernel"
    label = "kernel"
    verbose_name = "Platform"
