"""All that a sender must know, read at once."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass

from envoi.kernel import secrets
from envoi.kernel.config import Config
from envoi.packages.delivery.services.routing import routes
from envoi.packages.delivery.services.sending.dkim import Key
from envoi.packages.delivery.services.sending.identity import Identity
from envoi.packages.delivery.services.sending.mta_sts import Policies
from envoi.packages.delivery.services.sending.mx import Network
from envoi.packages.delivery.services.sending.sender import Routes
from envoi.packages.delivery.services.sending.throttle import Rule, Source

PURPOSE = "return address"
"""What the instance's key is used for here: tags of Message-IDs and return addresses."""


@dataclass(frozen=True)
class Routing:
    """What holds until the next `load`."""

    routes: Routes
    rules: tuple[Rule, ...]
    identity: Identity
    policies: Policies | None
    allowed: tuple[Network, ...]
    bcc: str
    _sources: tuple[tuple[frozenset[str], Source], ...]
    _keys: tuple[Key, ...] = ()

    def sources(self, affinity: str = "") -> list[Source]:
        """Return our addresses for an affinity; none: it is unknown here, its deliveries stay pending.

        Without an affinity those count that have none either.
        """
        return [source for names, source in self._sources if (affinity in names if affinity else not names)]

    def keys(self, from_address: str) -> Sequence[Key]:
        """Return the keys that sign a message From an address: of its domain, else of the nearest above."""
        domain = from_address.rpartition("@")[2].strip("> ").lower()
        while domain:
            if found := [key for key in self._keys if key.domain == domain]:
                return found
            domain = domain.partition(".")[2]
        return ()


def load(config: Config) -> Routing:
    """Read what holds now. Raises Invalid for a configuration that cannot be used."""
    return Routing(
        routes=routes.routes(config),
        rules=(),
        identity=identity(config),
        policies=routes.policies(config),
        allowed=routes.allowed(config),
        bcc=config.sending.bcc,
        _sources=((frozenset(), Source("", 0, helo(config))),),
    )


def identity(config: Config) -> Identity:
    """Return how this instance names what it sends; `inmail` reads with the same what comes back."""
    return Identity(bounce_domain(config), secrets.instance_key(config.home, purpose=PURPOSE))


def bounce_domain(config: Config) -> str:
    """Return the domain of return addresses."""
    sending = config.sending
    return (sending.bounce_domain or sending.sender.rpartition("@")[2] or helo(config)).lower()


def helo(config: Config) -> str:
    """Return the name by which this host greets."""
    if config.sending.helo:
        return config.sending.helo
    name = socket.gethostname()
    return name if "." in name else socket.getfqdn()
