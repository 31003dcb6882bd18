"""Where mail goes, as the configuration says: a relay, the servers of each domain, or a sink."""

import asyncio
import socket
from functools import lru_cache
from ipaddress import ip_network

from envoi.kernel import clock, mail
from envoi.kernel.config import Config
from envoi.kernel.errors import Invalid
from envoi.packages.delivery.services.sending import mta_sts
from envoi.packages.delivery.services.sending.mx import (
    Host,
    MxRoutes,
    Network,
    NoRouteError,
    Relay,
    RelayRoutes,
    Route,
    system_resolver,
)
from envoi.packages.delivery.services.sending.replies import Reply
from envoi.packages.delivery.services.sending.sender import Routes
from envoi.packages.delivery.services.sending.smtp import Login, Tls

DIRECT = "mx"
"""What `[sending] relay` says when there is to be none."""
_KEPT = 60.0
_DOMAINS = 50_000


def relay_url(config: Config) -> str:
    """Return the URL of the relay of deliveries; empty: mail goes to the servers of each domain."""
    text = config.sending.relay or config.smtp.url
    return "" if text == DIRECT else text


def relay(url: str) -> Relay:
    """Return the relay that a URL of the form of `SMTP_URL` names. Raises Invalid.

    With a password the connection must be encrypted and the certificate that of the host, unless the URL says
    otherwise or the relay is this machine.
    """
    read = mail.relay(url)
    login = Login(read.user, read.password) if read.user else None
    if read.starttls == "off":
        tls = Tls.NONE
    elif read.starttls == "required" or read.implicit_tls or (login and not _is_here(read.host)):
        tls = Tls.VERIFIED if read.verify else Tls.REQUIRED
    else:
        tls = Tls.OPPORTUNISTIC
    return Relay(read.host, read.port, tls, read.implicit_tls, login)


def allowed(config: Config) -> tuple[Network, ...]:
    """Return the private networks that mail may go to; names of hosts do not count here."""
    found: list[Network] = []
    for text in config.network.allow_private:
        try:
            found.append(ip_network(text, strict=False))
        except ValueError:
            continue
    return tuple(found)


def routes(config: Config) -> Routes:
    """Return where mail goes: the same object for the same configuration, since it keeps what it looked up.

    Raises Invalid for a relay or a sink that is none.
    """
    return _routes(config.sending.sink, relay_url(config), allowed(config))


def policies(config: Config) -> mta_sts.Policies | None:
    """Return the MTA-STS policies of domains; None where all mail goes to one place of ours."""
    if config.sending.sink or relay_url(config):
        return None
    return _policies()


@lru_cache(maxsize=4)
def _routes(sink: str, url: str, networks: tuple[Network, ...]) -> Routes:
    if sink:
        host, colon, port = sink.rpartition(":")
        if not colon or not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
            raise Invalid(f"[sending] sink must be host:port, not {sink!r}.")
        return SinkRoutes(host.strip("[]"), int(port))
    return RelayRoutes(relay(url)) if url else MxRoutes(allowed=networks)


@lru_cache(maxsize=1)
def _policies() -> mta_sts.Policies:
    return mta_sts.Policies(system_resolver())


class SinkRoutes:
    """Routes that lead to one server, under names as if each domain had its own ("mx.example.org"), so that
    rules, connections and limits are those of the domains.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._addresses: tuple[float, tuple[str, ...]] | None = None
        self._kept: dict[str, Route] = {}

    def known(self, domain: str) -> Route | None:
        """Return the route when it needs no look-up."""
        if self._addresses is None or self._addresses[0] <= clock.monotonic():
            return None
        route = self._kept.get(domain)
        if route is None:
            if len(self._kept) >= _DOMAINS:
                self._kept.clear()
            route = Route((Host(f"mx.{domain}", self._addresses[1]),), self._port)
            self._kept[domain] = route
        return route

    async def of(self, domain: str) -> Route:
        """Return the route. Raises NoRouteError when the sink's name cannot be resolved."""
        if route := self.known(domain):
            return route
        loop = asyncio.get_running_loop()
        try:
            answers = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except OSError as error:
            text = f"the sink {self._host} cannot be resolved ({error.strerror})"
            raise NoRouteError(Reply(0, text, "4.4.3")) from error
        addresses = tuple(dict.fromkeys(str(answer[4][0]) for answer in answers))
        self._kept.clear()
        self._addresses = (clock.monotonic() + _KEPT, addresses)
        route = self.known(domain)
        assert route is not None  # noqa: S101 for the type checker
        return route


def _is_here(host: str) -> bool:
    return host in ("localhost", "127.0.0.1", "::1")
