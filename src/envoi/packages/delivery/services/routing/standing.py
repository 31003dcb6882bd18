"""Questions that `envoi check` asks about sending."""

from datetime import timedelta
from pathlib import Path

from django.db.models import Sum

from envoi.kernel import clock
from envoi.kernel.config import Config
from envoi.kernel.errors import Invalid
from envoi.packages.delivery.models import Delivery, DeliveryStat, DkimKey
from envoi.packages.delivery.services.routing import keys, masks, routes

_FEWEST = 20
_RECENT = timedelta(days=90)


def unreadable_keys(home: Path) -> list[str]:
    """Return the names of keys that should sign and cannot be opened."""
    return keys.unreadable(home)


def unsigned_domains(config: Config) -> list[str]:
    """Return the domains that deliveries come From, lately or by default, without a signature."""
    recent = Delivery.objects.filter(is_model=False, modified_at__gte=clock.now() - _RECENT)
    addresses = {
        *recent.exclude(from_address="").values_list("from_address", flat=True),
        config.sending.sender,
    }
    signing = set(DkimKey.objects.filter(active=True).values_list("domain", flat=True))
    found: set[str] = set()
    for address in addresses:
        try:
            domain = masks.domain(address.rpartition("@")[2].strip("> ")) if "@" in address else ""
        except Invalid:
            # A template may stand there; the analysis tells what is no address.
            continue
        labels = domain.split(".")
        if domain and not any(".".join(labels[start:]) in signing for start in range(len(labels))):
            found.add(domain)
    return sorted(found)


def never_answered(config: Config) -> bool:
    """Return whether mail goes straight to servers, and none of them answered in the last day."""
    if routes.relay_url(config) or config.sending.sink:
        return False
    recent = DeliveryStat.objects.filter(slice__gte=clock.now() - timedelta(days=1))
    silent = recent.filter(mx="").aggregate(n=Sum("deferred"))["n"] or 0
    return silent >= _FEWEST and not recent.exclude(mx="").exists()
