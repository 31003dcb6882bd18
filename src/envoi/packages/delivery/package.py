"""What delivery says of itself."""

from importlib import import_module
from typing import ClassVar

from django.utils.translation import gettext_lazy as _

from envoi.kernel.packages import Package


class Delivery(Package):
    """Profiles, deliveries and their supervision."""

    name = "envoi.packages.delivery"
    label = "delivery"
    verbose_name = _("Deliveries")
    requires: ClassVar[tuple[str, ...]] = ("core_default",)

    def ready(self) -> None:
        """Load the answers of the pages too: unlike `hooks`, they know views."""
        super().ready()
        import_module(f"{self.name}.console.pages")
