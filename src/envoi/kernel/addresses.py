"""Outgoing addresses that somebody typed: checked so that no request can be aimed at our own network.

The caller connects to the addresses returned here, not to the name again: a name may answer otherwise a
moment later.
"""

import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from envoi.kernel.errors import Invalid, Retry

Address = IPv4Address | IPv6Address
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: the last four bytes are an IPv4 address


def check_host(host: str, port: int, *, allowed: Iterable[str] = ()) -> tuple[Address, ...]:
    """Resolve a host name and return all its addresses, in the resolver's order.

    `allowed` names networks ("10.1.0.0/16") or hosts ("crm.internal") that may be reached though they are
    private. Raises Invalid when any address is loopback, private, link-local, multicast or reserved and not
    allowed, or when the name is not one; Retry when the resolver does not answer.
    """
    name = host.strip("[]").rstrip(".").lower()
    if not name or any(ord(letter) <= 32 or letter in "/@\\?#%" for letter in name):
        raise Invalid(f"{host!r} is not the name of a host.")
    rules = [rule.strip().lower() for rule in allowed]
    networks = [network for rule in rules if (network := _network(rule)) is not None]
    found = _resolve(name, port)
    if name in rules:
        return found
    for address in found:
        if not is_public(address) and not any(address in network for network in networks):
            raise Invalid(
                f"{host} leads to {address}, an address of this machine or of a private network. "
                "An administrator can allow it in envoi.toml: [network] allow_private."
            )
    return found


def check_url(
    url: str, *, allowed: Iterable[str] = (), schemes: Iterable[str] = ("https", "http")
) -> tuple[Address, ...]:
    """The same for the host of a URL. Raises Invalid also for another scheme, or a name and password in the
    URL.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443, "sftp": 22, "ftp": 21}.get(parts.scheme, 0)
    except ValueError as error:
        raise Invalid(f"{url!r} is not a URL ({error}).") from error
    if parts.scheme not in schemes:
        raise Invalid(f"{url!r} must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}.")
    if parts.username or parts.password or not parts.hostname:
        raise Invalid(
            f"A URL of the form {parts.scheme}://host/path is needed, without name and password in it."
        )
    return check_host(parts.hostname, port, allowed=allowed)


def is_public(address: Address) -> bool:
    """Return whether an address is one of the public internet; what is wrapped in an IPv6 address counts."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if inner is None and address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
    return address.is_global and not address.is_multicast and not address.is_reserved


def _resolve(name: str, port: int) -> tuple[Address, ...]:
    try:
        answers = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            raise Retry(f"The name {name} cannot be resolved just now.", seconds=60) from error
        raise Invalid(f"There is no host {name!r} ({error.strerror}).") from error
    except UnicodeError as error:
        raise Invalid(f"{name!r} is not the name of a host.") from error
    # A scoped address ("fe80::1%eth0") is link-local in any case: the zone does not matter.
    texts = dict.fromkeys(str(answer[4][0]).partition("%")[0] for answer in answers)
    return tuple(ip_address(text) for text in texts)


def _network(rule: str) -> IPv4Network | IPv6Network | None:
    """Return the network that a rule means; None when it is the name of a host."""
    try:
        return ip_network(rule)
    except ValueError as error:
        if "/" in rule:
            raise Invalid(f"[network] allow_private: {rule!r} is not a network ({error}).") from error
        return None
