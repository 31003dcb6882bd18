"""What a sender must know about the outside: where mail goes, from which of our addresses, how fast, by what
name, and with which signatures (delivery.md §2.14, §3.3; ADR 0026).

`load` reads all of it; a sender calls it about once a minute and uses the answer as a whole until the next.
"""

from envoi.packages.delivery.services.routing.load import Routing, identity, load

__all__ = ["Routing", "identity", "load"]
