"""What a sender must know about the outside: where mail goes, from which of our addresses, how fast, by what
name, and with which signatures (delivery.md §2.14, §3.3; ADR 0026).

`load` reads all of it; a sender calls it about once a minute and uses the answer as a whole until the next.
"""

from envoi.packages.delivery.services.routing import addresses, blocks, domain_rules, domains, keys, mx_rules
from envoi.packages.delivery.services.routing.alignment import Problem, alignment, weak
from envoi.packages.delivery.services.routing.load import Routing, load
from envoi.packages.delivery.services.routing.names import bounce_domain, helo, identity

__all__ = [
    "Problem",
    "Routing",
    "addresses",
    "alignment",
    "blocks",
    "bounce_domain",
    "domain_rules",
    "domains",
    "helo",
    "identity",
    "keys",
    "load",
    "mx_rules",
    "weak",
]
