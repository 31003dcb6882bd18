"""Where mail to a domain goes: its MX hosts (RFC 5321 §5.1, null MX: RFC 7505), or one relay for all.

Answers are kept for their time to live. What a recipient's domain leads to was typed by anybody: addresses of
this machine and of private networks are left out unless they are allowed.
"""

import asyncio
import random
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address
from urllib.parse import unquote, urlsplit

import dns.asyncresolver
import dns.exception
import dns.name
import dns.rdatatype
import dns.resolver

from envoi.kernel import clock
from envoi.kernel.addresses import is_public
from envoi.kernel.errors import Invalid
from envoi.packages.delivery.services.sending.replies import Reply
from envoi.packages.delivery.services.sending.smtp import Login, Tls

_SHORTEST, _LONGEST = 60.0, 3600.0  # seconds that an answer is kept
_UNKNOWN = 300.0  # … that there is none
_HOSTS = 10
_ADDRESSES = 6
_DOMAINS = 50_000

Network = IPv4Network | IPv6Network


class NoRouteError(Exception):
    """Mail to a domain has nowhere to go. `lasting`: a later try is useless; `reply` says why."""

    def __init__(self, reply: Reply, *, lasting: bool = False) -> None:
        super().__init__(str(reply))
        self.reply = reply
        self.lasting = lasting


@dataclass(frozen=True, slots=True)
class Host:
    """A mail server: its name and its addresses, IPv4 first."""

    name: str
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Relay:
    """A server that takes mail for all domains."""

    host: str
    port: int = 25
    tls: Tls = Tls.OPPORTUNISTIC
    implicit: bool = False
    login: Login | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """The servers for a domain in the order in which to try them. `relay` is set when it is one of ours."""

    hosts: tuple[Host, ...]
    port: int = 25
    relay: Relay | None = None


def relay(url: str) -> Relay:
    """Return the relay that SMTP_URL names: smtp[s]://[name:password@]host[:port][?tls=none|required].

    smtps is TLS from the first byte. With a password TLS is required, unless ?tls=none says that it is not.
    Raises Invalid.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Invalid(f"SMTP_URL: {error}.") from error
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise Invalid("SMTP_URL must be of the form smtp://host:port or smtps://host:port.")
    login = Login(unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    tls = Tls.REQUIRED if login else Tls.OPPORTUNISTIC
    if parts.query:
        name, _, value = parts.query.partition("=")
        if name != "tls" or value not in (Tls.NONE, Tls.OPPORTUNISTIC, Tls.REQUIRED, Tls.VERIFIED):
            raise Invalid("SMTP_URL: after ? only tls=none, opportunistic, required or verified can stand.")
        tls = Tls(value)
    implicit = parts.scheme == "smtps"
    return Relay(parts.hostname, port or (465 if implicit else 25), tls, implicit, login)


class RelayRoutes:
    """Routes that all lead to one relay."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._route: tuple[float, Route] | None = None

    def known(self, _domain: str) -> Route | None:
        """Return the route when it needs no look-up."""
        return self._route[1] if self._route and self._route[0] > clock.monotonic() else None

    async def of(self, domain: str) -> Route:
        """Return the route. Raises NoRouteError when the relay's name cannot be resolved."""
        if route := self.known(domain):
            return route
        relay = self._relay
        loop = asyncio.get_running_loop()
        try:
            answers = await loop.getaddrinfo(relay.host, relay.port, type=socket.SOCK_STREAM)
        except OSError as error:
            text = f"the relay {relay.host} cannot be resolved ({error.strerror})"
            raise NoRouteError(Reply(0, text, "4.4.3")) from error
        addresses = tuple(dict.fromkeys(str(answer[4][0]) for answer in answers))
        route = Route((Host(relay.host, addresses),), relay.port, relay)
        self._route = (clock.monotonic() + _SHORTEST, route)
        return route


class MxRoutes:
    """Routes by DNS. `resolver` is the system's by default; `port` is another than 25 in tests only."""

    def __init__(
        self,
        *,
        resolver: dns.asyncresolver.Resolver | None = None,
        allowed: Sequence[Network] = (),
        port: int = 25,
    ) -> None:
        self._resolver = resolver or system_resolver()
        self._allowed = allowed
        self._port = port
        self._kept: dict[str, tuple[float, Route | NoRouteError]] = {}
        self._asking: dict[str, asyncio.Task[Route]] = {}

    def known(self, domain: str) -> Route | None:
        """Return a route that needs no look-up."""
        kept = self._kept.get(domain)
        return kept[1] if kept and kept[0] > clock.monotonic() and isinstance(kept[1], Route) else None

    async def of(self, domain: str) -> Route:
        """Return the route to a domain in lower case and ASCII. Raises NoRouteError."""
        kept = self._kept.get(domain)
        if kept and kept[0] > clock.monotonic():
            if isinstance(kept[1], NoRouteError):
                raise NoRouteError(kept[1].reply, lasting=kept[1].lasting)
            return kept[1]
        task = self._asking.get(domain)
        if task is None:
            task = self._asking[domain] = asyncio.create_task(self._ask(domain))
            task.add_done_callback(lambda _task: self._asking.pop(domain, None))
        return await asyncio.shield(task)

    async def _ask(self, domain: str) -> Route:
        try:
            seconds, route = await self._look_up(domain)
        except NoRouteError as error:
            self._keep(domain, _UNKNOWN, error)
            raise
        self._keep(domain, min(max(seconds, _SHORTEST), _LONGEST), route)
        return route

    def _keep(self, domain: str, seconds: float, what: Route | NoRouteError) -> None:
        while len(self._kept) >= _DOMAINS:
            del self._kept[next(iter(self._kept))]
        self._kept.pop(domain, None)
        self._kept[domain] = (clock.monotonic() + seconds, what)

    async def _look_up(self, domain: str) -> tuple[float, Route]:
        try:
            answer = await self._resolve(domain, dns.rdatatype.MX)
        except dns.resolver.NXDOMAIN as error:
            raise NoRouteError(Reply(0, f"there is no domain {domain}", "5.1.2")) from error
        if answer is None:
            # No MX: the domain itself is the host.
            names, seconds = [domain], _LONGEST
        else:
            servers = [(server.preference, random.random(), server.exchange) for server in answer]  # noqa: S311
            if any(exchange == dns.name.root for _preference, _chance, exchange in servers):
                if len(servers) == 1:
                    raise NoRouteError(Reply(0, f"{domain} takes no mail (null MX)", "5.1.10"), lasting=True)
                servers = [server for server in servers if server[2] != dns.name.root]
            names = [exchange.to_text(omit_final_dot=True).lower() for *_order, exchange in sorted(servers)]
            seconds = float(answer.rrset.ttl) if answer.rrset is not None else _SHORTEST
        return await self._with_addresses(domain, names[:_HOSTS], seconds)

    async def _with_addresses(self, domain: str, names: list[str], seconds: float) -> tuple[float, Route]:
        hosts: list[Host] = []
        hidden = False
        failed = False
        for name in names:
            found: list[str] = []
            for kind in (dns.rdatatype.A, dns.rdatatype.AAAA):
                try:
                    answer = await self._resolve(name, kind)
                except dns.resolver.NXDOMAIN:
                    break
                except NoRouteError:
                    failed = True
                    continue
                if answer is None:
                    continue
                if answer.rrset is not None:
                    seconds = min(seconds, float(answer.rrset.ttl))
                for record in answer:
                    if self._reachable(record.address):
                        found.append(record.address)
                    else:
                        hidden = True
            if found:
                hosts.append(Host(name, tuple(found[:_ADDRESSES])))
        if hosts:
            return seconds, Route(tuple(hosts), self._port)
        if hidden:
            text = f"{domain} leads to private addresses only ([network] allow_private in envoi.toml)"
            raise NoRouteError(Reply(0, text, "5.4.4"))
        if failed:
            raise NoRouteError(Reply(0, f"the servers of {domain} cannot be resolved just now", "4.4.3"))
        raise NoRouteError(Reply(0, f"{domain} has no mail server that exists", "5.4.4"))

    async def _resolve(self, name: str, kind: dns.rdatatype.RdataType) -> dns.resolver.Answer | None:
        """Return the answer, None when there is no record of that kind. Raises NXDOMAIN, NoRouteError."""
        try:
            return await self._resolver.resolve(f"{name}.", kind)
        except dns.resolver.NoAnswer:
            return None
        except dns.resolver.NXDOMAIN:
            raise
        except (dns.name.LabelTooLong, dns.name.NameTooLong, dns.name.EmptyLabel) as error:
            raise NoRouteError(Reply(0, f"{name} is no domain", "5.1.2"), lasting=True) from error
        except (dns.exception.DNSException, OSError) as error:
            raise NoRouteError(Reply(0, f"no answer from DNS about {name} ({error})", "4.4.3")) from error

    def _reachable(self, text: str) -> bool:
        address = ip_address(text)
        return is_public(address) or any(address in network for network in self._allowed)


def system_resolver() -> dns.asyncresolver.Resolver:
    """Return a resolver on the system's servers: 5 s for each, 20 s in all (delivery.md §2.14)."""
    resolver = dns.asyncresolver.Resolver()
    resolver.timeout = 5.0
    resolver.lifetime = 20.0
    return resolver
