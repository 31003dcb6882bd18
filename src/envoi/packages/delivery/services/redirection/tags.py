"""Signed addresses under which readers reach us (architecture §3.7, delivery.md §4.2).

    /r/?id=<f><broad log>,<delivery>,<link>[&p1=…&p2=…]&s=<key version><signature>

The three numbers are hexadecimal, `f` is `h` in HTML and `t` in text. The signature is HMAC-SHA256 over
everything before `&s`, cut to 12 bytes, in the alphabet of URLs; the path is part of it, so that a link is no
consent to unsubscribe (`/r/u/`).
"""

import hmac
import re
from binascii import b2a_base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from envoi.kernel.secrets import instance_key
from envoi.packages.delivery.services.redirection import macs

PURPOSE = "tracking"
VERSION: Final = "1"
OPEN = 1
"""The link that stands for opens, of every delivery."""
PATH, UNSUBSCRIBE, MIRROR_PAGE, FORWARD, PREFERENCES, SUBSCRIBE = (
    "/r/", "/r/u/", "/r/m/", "/r/f/", "/r/p/", "/r/s/",
)  # fmt: skip
_BYTES: Final = 12
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
    _mac: Callable[[str], str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        code = macs.by(self.key)

        def mac(said: str) -> str:
            made = code(said.encode("ascii"))[:_BYTES]
            return b2a_base64(made, newline=False).translate(_OF_URLS).decode("ascii")

        object.__setattr__(self, "_mac", mac)

    def make(
        self, form: str, log: str, delivery: str, link: str, params: Sequence[str] = (), *, path: str = PATH
    ) -> str:
        """Return an address; the numbers are hexadecimal already, values of `params` plain."""
        said = f"{path}?id={form}{log},{delivery},{link}"
        for number, value in enumerate(params, 1):
            # What has letters and digits only, as most have, needs no quotes.
            quoted = value if value.isalnum() and value.isascii() else quote(value, safe="")
            said = f"{said}&p{number}={quoted}"
        return f"{self.address}{said}&s={VERSION}{self._mac(said)}"

    def read(self, target: str) -> Tag | None:
        """Return what the target of a request (`/r/?…`) says; None unless it is whole and ours."""
        found = _FORM.fullmatch(target)
        if found is None:
            return None
        place = found.start("version")
        if not self.signed(target[: place - 3], target[place:]):
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

    def signed(self, said: str, signature: str) -> bool:
        """Return whether a signature with its key version is ours for what stands before `&s=`, in ASCII."""
        return hmac.compare_digest(signature, f"{VERSION}{self._mac(said)}")


def tags(home: Path, address: str) -> Tags:
    """Return the tags of an instance, with the key that is derived from its own."""
    return Tags(address.rstrip("/"), instance_key(home, purpose=PURPOSE))
