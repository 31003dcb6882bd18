"""The kernel as a Django application."""

from importlib import import_module

from django.apps import AppConfig


class Kernel(AppConfig):
    """Tables whose names begin with `xtk_` and belong to no package."""

    name = "envoi.kernel"
    label = "kernel"
    verbose_name = "Platform"

    def ready(self) -> None:
        """Make the kernel's own kinds of outbox items known: whoever delivers must know every kind; likewise
        how its own entities are written.

        Declarations of entities that contradict one another are refused here, before anything runs on them.
        """
        import_module("envoi.kernel.mail")
        import_module("envoi.kernel.writing.services")
        import_module("envoi.kernel.registry").current()
