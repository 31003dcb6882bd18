"""Whose word is taken for the address of a reader."""

import ipaddress
from collections.abc import Callable, Iterable
from functools import lru_cache

from envoi.kernel.errors import Invalid


class Trusted:
    """Networks whose proxies say truly who asks (`X-Forwarded-For`); nobody else is believed.

    Raises Invalid for what is no network.
    """

    def __init__(self, networks: Iterable[str] = ()) -> None:
        try:
            self._networks = tuple(ipaddress.ip_network(each, strict=False) for each in networks)
        except ValueError as error:
            raise Invalid(
                f"tracking.trusted_proxies: {error}. Write addresses or networks such as 10.0.0.0/8."
            ) from error
        self._is_trusted = lru_cache(4096)(self._looked_up)

    def address(self, peer: str, header: Callable[[bytes], str]) -> str:
        """Return the address of who asks: the last that no trusted proxy has.

        `header` returns a header by `\\r\\nname:` in small letters.
        """
        found = peer
        if not self._networks or not self._is_trusted(found):
            return found
        for each in reversed(header(b"\r\nx-forwarded-for:").split(",")[-32:]):
            said = each.strip().strip("[]")
            if not _is_address(said):
                break
            found = said
            if not self._is_trusted(said):
                break
        return found

    def _looked_up(self, text: str) -> bool:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return False
        return any(address in network for network in self._networks)


@lru_cache(4096)
def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
