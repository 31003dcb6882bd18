"""MTA-STS (RFC 8461): domains that ask for TLS with a certificate, found by DNS and fetched over HTTPS."""

import asyncio
import http.client
import re
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import dns.asyncresolver
import dns.exception
import dns.rdatatype

from envoi.kernel import clock
from envoi.kernel.addresses import check_host
from envoi.kernel.errors import PlatformError

_LONGEST_POLICY = 65_536
_SECONDS = 30.0
_LONGEST_AGE = 31_557_600
_ASK_AGAIN = 3600.0  # seconds until a domain's TXT record is looked at again
_DOMAINS = 50_000
_RECORD = re.compile(rb"v=STSv1\s*;(?:.*;)?\s*id=([A-Za-z0-9]{1,32})\s*(?:;.*)?")

Find = Callable[[str], Sequence[object]]
"""Host -> its addresses, checked. Raises PlatformError."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What a domain asks for. `mode` is enforce, testing or none; `max_age` in seconds."""

    mode: str
    hosts: tuple[str, ...]
    max_age: int

    @property
    def enforced(self) -> bool:
        """Whether mail goes only over TLS with a certificate, and only to these hosts."""
        return self.mode == "enforce"

    def covers(self, host: str) -> bool:
        """Return whether a host may get the domain's mail; "*." stands for one label."""
        host = host.lower().rstrip(".")
        return any(
            host == pattern or (pattern.startswith("*.") and host.partition(".")[2] == pattern[2:])
            for pattern in self.hosts
        )


def parse(text: str) -> Policy | None:
    """Return the policy in a file, None when it is none."""
    values: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon:
            values.setdefault(name.strip(), []).append(value.strip())
    mode, age = values.get("mode", [""])[0], values.get("max_age", [""])[0]
    hosts = tuple(host.lower().rstrip(".") for host in values.get("mx", ()))
    if values.get("version") != ["STSv1"] or mode not in ("enforce", "testing", "none"):
        return None
    if not (age.isascii() and age.isdigit()) or (mode != "none" and not hosts):
        return None
    return Policy(mode, hosts, min(int(age), _LONGEST_AGE))


class Policies:
    """Policies of domains, kept as long as they say. `context`, `port`, `find`: others in tests only."""

    def __init__(
        self,
        resolver: dns.asyncresolver.Resolver,
        *,
        context: ssl.SSLContext | None = None,
        port: int = 443,
        find: Find | None = None,
    ) -> None:
        self._resolver = resolver
        self._context = context or ssl.create_default_context()
        self._port = port
        self._find: Find = find or (lambda host: check_host(host, port))
        self._kept: dict[str, tuple[str, float, Policy]] = {}
        self._asked: dict[str, float] = {}
        self._asking: dict[str, asyncio.Task[Policy | None]] = {}

    async def of(self, domain: str) -> Policy | None:
        """Return the policy of a domain, None without one. Never raises.

        A policy that is kept holds until its age has passed, also when its record or its file are gone by
        now: whoever can take them away must not take away the encryption too (RFC 8461 §5.1).
        """
        now = clock.monotonic()
        if self._asked.get(domain, 0.0) > now:
            return self._held(domain)
        # All that go to a domain wait for its answer: none may pass before it is known.
        task = self._asking.get(domain)
        if task is None:
            task = self._asking[domain] = asyncio.create_task(self._ask(domain))
            task.add_done_callback(lambda _task: self._asking.pop(domain, None))
        return await asyncio.shield(task)

    def _held(self, domain: str) -> Policy | None:
        kept = self._kept.get(domain)
        if kept and kept[1] <= clock.monotonic():
            del self._kept[domain]
            return None
        return kept[2] if kept else None

    async def _ask(self, domain: str) -> Policy | None:
        held = self._held(domain)
        id = await self._id(domain)
        if id is not None and not (held and self._kept[domain][0] == id):
            policy = await asyncio.to_thread(self._fetch, domain)
            if policy is not None:
                held = policy
                self._kept[domain] = (id, clock.monotonic() + policy.max_age, policy)
        if len(self._asked) > _DOMAINS:
            self._asked.clear()
        self._asked[domain] = clock.monotonic() + _ASK_AGAIN
        return held

    async def _id(self, domain: str) -> str | None:
        try:
            answer = await self._resolver.resolve(f"_mta-sts.{domain}.", dns.rdatatype.TXT)
        except (dns.exception.DNSException, OSError):
            return None
        texts = [b"".join(record.strings) for record in answer]
        found = [match for text in texts if (match := _RECORD.fullmatch(text))]
        return found[0][1].decode("ascii") if len(found) == 1 else None

    def _fetch(self, domain: str) -> Policy | None:
        host = f"mta-sts.{domain}"
        try:
            address = str(self._find(host)[0])
            with (
                socket.create_connection((address, self._port), timeout=_SECONDS) as plain,
                self._context.wrap_socket(plain, server_hostname=host) as secure,
            ):
                connection = http.client.HTTPConnection(host, self._port, timeout=_SECONDS)
                connection.sock = secure
                connection.request("GET", "/.well-known/mta-sts.txt")
                response = connection.getresponse()
                # A redirection is no policy (RFC 8461 §3.3).
                if response.status != 200:
                    return None
                body = response.read(_LONGEST_POLICY + 1)
        except (OSError, http.client.HTTPException, PlatformError, IndexError):
            return None
        return parse(body.decode("utf-8", "replace")) if len(body) <= _LONGEST_POLICY else None
