"""All that a sender must know, read at once."""

from collections.abc import Sequence
from dataclasses import dataclass

from envoi.kernel import rights
from envoi.kernel.config import Config
from envoi.packages.delivery.services.routing import addresses, domain_rules, keys, mx_rules, names, routes
from envoi.packages.delivery.services.sending.dkim import Key
from envoi.packages.delivery.services.sending.identity import Identity
from envoi.packages.delivery.services.sending.mta_sts import Policies
from envoi.packages.delivery.services.sending.mx import Network
from envoi.packages.delivery.services.sending.sender import Routes
from envoi.packages.delivery.services.sending.throttle import Rule, Source


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

    @property
    def affinities(self) -> set[str]:
        """Those of our addresses; "" among them when deliveries without one can leave from here."""
        return {name for names, _source in self._sources for name in names or {""}}

    def keys(self, from_address: str) -> Sequence[Key]:
        """Return the keys that sign a message From an address: of its domain, else of the nearest above."""
        domain = from_address.rpartition("@")[2].strip("> ").lower()
        while domain:
            if found := [key for key in self._keys if key.domain == domain]:
                return found
            domain = domain.partition(".")[2]
        return ()


def load(config: Config) -> Routing:
    """Read what holds now: a handful of small queries. Raises Invalid for a configuration that is none.

    Keys that cannot be opened do not sign; the log says so, and `envoi check`.
    """
    return Routing(
        routes=domain_rules.routes(config),
        rules=mx_rules.rules(actor=rights.internal()),
        identity=names.identity(config),
        policies=routes.policies(config),
        allowed=routes.allowed(config),
        bcc=config.sending.bcc,
        _sources=addresses.sources(config, names.helo(config)),
        _keys=keys.signing(config.home),
    )
