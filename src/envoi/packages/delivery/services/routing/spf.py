"""Whether a domain's SPF record lets an address of ours send (RFC 7208 §4, without macros)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

import dns.exception
import dns.name
import dns.rdatatype
import dns.resolver

MOST_LOOKUPS = 10
Address = IPv4Address | IPv6Address
_QUALIFIERS = {"+": "pass", "-": "fail", "~": "softfail", "?": "neutral"}


class UnansweredError(Exception):
    """DNS did not answer, which is not the same as that there is nothing."""


class Spf(StrEnum):
    """What came of it."""

    PASS = "pass"  # noqa: S105 a word of the standard
    FAIL = "fail"
    SOFTFAIL = "softfail"
    NEUTRAL = "neutral"
    NONE = "none"
    ERROR = "error"
    """The record cannot be read, or asks for more than ten look-ups."""


@dataclass
class Look:
    """Questions to DNS. `resolver` is the system's by default."""

    resolver: dns.resolver.Resolver = field(default_factory=lambda: system_resolver())
    asked: int = 0

    def texts(self, name: str) -> list[str]:
        """Return the TXT records of a name, each in one piece. Raises UnansweredError."""
        return [
            b"".join(each.strings).decode("utf-8", "replace") for each in self._of(name, dns.rdatatype.TXT)
        ]

    def addresses(self, name: str) -> list[Address]:
        """Return the addresses of a host. Raises UnansweredError."""
        found = [*self._of(name, dns.rdatatype.A), *self._of(name, dns.rdatatype.AAAA)]
        return [ip_address(each.address) for each in found]

    def servers(self, name: str) -> list[str]:
        """Return the names of the mail servers of a domain, the best first; "" is a null MX."""
        found = sorted((each.preference, each.exchange) for each in self._of(name, dns.rdatatype.MX))
        return [exchange.to_text(omit_final_dot=True).lower().rstrip(".") for _preference, exchange in found]

    def _of(self, name: str, kind: dns.rdatatype.RdataType) -> list[Any]:
        try:
            return list(self.resolver.resolve(f"{name.rstrip('.')}.", kind))
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer, dns.name.EmptyLabel, dns.name.LabelTooLong):
            return []
        except (dns.exception.DNSException, OSError) as error:
            raise UnansweredError(f"{name}: {error}") from error


def system_resolver() -> dns.resolver.Resolver:
    """Return a resolver on the system's servers that a page can wait for."""
    resolver = dns.resolver.Resolver()
    resolver.timeout, resolver.lifetime = 2.0, 4.0
    return resolver


def record(look: Look, domain: str) -> str | None:
    """Return the SPF record of a domain; None without one. Raises UnansweredError, ValueError for several."""
    found = [
        text for text in look.texts(domain) if text.lower() == "v=spf1" or text.lower().startswith("v=spf1 ")
    ]
    if len(found) > 1:
        raise ValueError(domain)
    return found[0] if found else None


def check(look: Look, domain: str, address: Address) -> Spf:
    """Return what the record of a domain says of an address. Raises UnansweredError."""
    look.asked = 0
    try:
        return _check(look, domain, address)
    except ValueError:
        return Spf.ERROR


def _check(look: Look, domain: str, address: Address) -> Spf:
    text = record(look, domain)
    if text is None:
        return Spf.NONE
    redirect = ""
    for term in text.split()[1:]:
        if term.lower().startswith("redirect="):
            redirect = term[9:]
            continue
        if "=" in term.partition(":")[0]:
            continue
        qualifier, rest = (term[0], term[1:]) if term[0] in _QUALIFIERS else ("+", term)
        if _matches(look, domain, address, rest):
            return Spf(_QUALIFIERS[qualifier])
    if redirect:
        _count(look)
        found = _check(look, redirect, address)
        return Spf.ERROR if found is Spf.NONE else found
    return Spf.NEUTRAL


def _matches(look: Look, domain: str, address: Address, term: str) -> bool:
    name, _colon, value = term.partition(":")
    name, slash, length = name.partition("/")
    if name.lower() == "all":
        return True
    if name.lower() in ("ip4", "ip6"):
        return address in ip_network(value, strict=False)
    known: dict[str, Callable[[str], bool]] = {
        "include": lambda target: _check(look, target, address) is Spf.PASS,
        "a": lambda target: _among(address, look.addresses(target), length if slash else ""),
        "mx": lambda target: any(
            _among(address, look.addresses(host), length if slash else "")
            for host in look.servers(target)[:MOST_LOOKUPS]
            if host
        ),
        "exists": lambda target: bool(look.addresses(target)),
        "ptr": lambda _target: False,
    }
    if name.lower() not in known or "%" in value:
        if "%" in value:
            # Macros are about the message; a record that needs them cannot be told beforehand.
            return False
        raise ValueError(term)
    _count(look)
    if name.lower() in ("a", "mx") and "/" in value:
        value, slash, length = value.partition("/")
    return known[name.lower()](value or domain)


def _among(address: Address, found: list[Address], length: str) -> bool:
    own = length.rpartition("//")[2] if address.version == 6 else length.partition("//")[0]
    return any(
        address in ip_network(f"{each}/{own}" if own else str(each), strict=False)
        for each in found
        if each.version == address.version
    )


def _count(look: Look) -> None:
    look.asked += 1
    if look.asked > MOST_LOOKUPS:
        raise ValueError("more than ten look-ups")
