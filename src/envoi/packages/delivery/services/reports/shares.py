"""Sharing: clicks on links whose category is a network (delivery.md §2.13, §10.2 `deliveryForward`)."""

from collections import Counter
from dataclasses import dataclass

from envoi.packages.delivery.models import UrlType
from envoi.packages.delivery.services.reports import clicks
from envoi.packages.delivery.services.reports.scope import Scope

NETWORKS = {
    "email": "E-mail",
    "facebook": "Facebook",
    "twitter": "Twitter",
    "delicious": "Delicious",
    "digg": "Digg",
    "google": "Google",
    "linkedin": "LinkedIn",
}
"""Category of a link -> name of the network."""


@dataclass(frozen=True)
class Network:
    """Shares through one network."""

    name: str
    label: str
    shares: int


def by_network(scope: Scope) -> list[Network]:
    """Return the shares through each network, also where there are none."""
    counted = Counter[str]()
    for each in clicks.by_link(scope).links:
        if each.type == int(UrlType.CLICK):
            counted[each.category.lower()] += each.clicks
    return [Network(name, label, counted[name]) for name, label in NETWORKS.items()]
