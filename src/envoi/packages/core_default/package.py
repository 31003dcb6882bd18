"""What core_default says of itself."""

from django.utils.translation import gettext_lazy as _

from envoi.kernel.packages import Package


class CoreDefault(Package):
    """Installed on every instance."""

    name = "envoi.packages.core_default"
    label = "core_default"
    verbose_name = _("Installed by default")
