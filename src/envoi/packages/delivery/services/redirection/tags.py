"""Signed addresses under which readers reach us (architecture §3.7, delivery.md §4.2).

    /r/?id=<f><broad log>,<delivery>,<link>[&p1=…&p2=…]&s=<key version><signature>

The three numbers are hexadecimal, `f` is `h` in HTML and `t` in text. The signature is HMAC-SHA256 over
everything before `&s`, cut to 12 bytes, in the alphabet of URLs; the path is part of it, so that a link is no
consent to unsubscribe (`/r/u/`).
"""

import hashlib
import hmac
import re
from binascii import b2a_base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote

from envoi.kernel.secrets import instance_key

PURPOSE = "tracking"
VERSION: Final = "1"
OPEN = 1
"""The link that stands for opens, of every delivery."""
PATH, UNSUBSCRIBE, MIRROR_PAGE, FORWARD, PREFERENCES = "/r/", "/r/u/", "/r/m/", "/r/f/", "/r/p/"
_BYTES: Final = 12
_BLOCK: Final = 64
_OF_URLS: Final = bytes.maketrans(b"+/", b"-_")
_FORM = re.compile(
    r"(?P<path>/r/(?:[a-z]/)?)\?id=(?P<form>[ht])(?P<log>[0-9a-f]{1,16}),(?P<delivery>[0-9a-f]{1,16}),"
    r"(?P<link>[0-9a-f]{1,16})(?P<params>(?:&p[0-9]{1,2}=[^&]*)*)&s=(?P<version>[0-9])(?P<mac>[\w-]{16})",
    re.ASCII,
)


@dataclass(frozen=True)
class Tag:
    """What a signed address says."""

    path: str
    html: bool
    broad_log_id: int
    delivery_id: int
    link: int
    params: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tags:
    """Makes and reads them. `address` is that of the server, without a slash at its end."""

    address: str
    key: bytes = field(repr=False)
    _states: tuple[Any, Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # What depends on the key alone of HMAC (RFC 2104) is worked out once: a message has many tags.
        key = hashlib.sha256(self.key).digest() if len(self.key) > _BLOCK else self.key
        key = key.ljust(_BLOCK, b"\0")
        inner, outer = (hashlib.sha256(bytes(byte ^ pad for byte in key)) for pad in (0x36, 0x5C))
        object.__setattr__(self, "_states", (inner, outer))

    def make(
        self, form: str, log: str, delivery: str, link: str, params: Sequence[str] = (), *, path: str = PATH
    ) -> str:
        """Return an address; the numbers are hexadecimal already, values of `params` plain."""
        said = f"{path}?id={form}{log},{delivery},{link}"
        for number, value in enumerate(params, 1):
            said += f"&p{number}={quote(value, safe='')}"
        return f"{self.address}{said}&s={VERSION}{self._mac(said)}"

    def read(self, target: str) -> Tag | None:
        """Return what the target of a request (`/r/?…`) says; None unless it is whole and ours."""
        found = _FORM.fullmatch(target)
        if found is None or found["version"] != VERSION:
            return None
        if not hmac.compare_digest(found["mac"], self._mac(target[: found.start("version") - 3])):
            return None
        params = [each.partition("=")[2] for each in found["params"].split("&")[1:]]
        return Tag(
            found["path"],
            found["form"] == "h",
            int(found["log"], 16),
            int(found["delivery"], 16),
            int(found["link"], 16),
            tuple(unquote(each) for each in params),
        )

    def _mac(self, said: str) -> str:
        inner, outer = (state.copy() for state in self._states)
        inner.update(said.encode("ascii"))
        outer.update(inner.digest())
        return b2a_base64(outer.digest()[:_BYTES], newline=False).translate(_OF_URLS).decode("ascii")


def tags(home: Path, address: str) -> Tags:
    """Return the tags of an instance, with the key that is derived from its own."""
    return Tags(address.rstrip("/"), instance_key(home, purpose=PURPOSE))
