"""What delivery says of itself."""

from typing import ClassVar

from django.utils.translation import gettext_lazy as _

from envoi.kernel.packages import Package


class Delivery(Package):
    """Profiles, deliveries and their supervision."""

    name = "envoi.packages.delivery"
    label = "delivery"
    verbose_name = _("Deliveries")
    requires: ClassVar[tuple[str, ...]] = ("core_default",)
