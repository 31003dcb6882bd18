"""Signed addresses of our pages that belong to no message: to confirm, to take back, to prefer.

    /r/c/?q=<hexadecimal>&s=<signature>

As with tags, path and numbers are under the signature: HMAC-SHA256 cut to 16 bytes.
"""

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode
from typing import Final

from django.conf import settings

from envoi.kernel.secrets import instance_key

CONFIRM, UNDO, PREFERENCES = "/r/c/", "/r/b/", "/r/p/"
_PURPOSE: Final = "reader pages"
_FORM = re.compile(
    r"(?P<said>(?P<path>/r/[a-z]/)\?q=(?P<number>[0-9a-f]{1,16}))&s=(?P<mac>[\w-]{22})", re.ASCII
)


def make(path: str, number: int) -> str:
    """Return path and query of a page about something with a number."""
    said = f"{path}?q={number:x}"
    return f"{said}&s={_mac(said)}"


def address(path: str, number: int) -> str:
    """Return the absolute address of such a page, for a mail."""
    return f"{settings.ENVOI.config.web.address}{make(path, number)}"


def read(target: str, path: str) -> int | None:
    """Return the number that the target of a request names; None unless we have signed it for `path`."""
    found = _FORM.fullmatch(target)
    if found is None or not hmac.compare_digest(found["mac"], _mac(found["said"])) or found["path"] != path:
        return None
    return int(found["number"], 16)


def _mac(said: str) -> str:
    key = instance_key(settings.ENVOI.config.home, purpose=_PURPOSE)
    digest = hmac.new(key, said.encode("ascii"), hashlib.sha256).digest()[:16]
    return urlsafe_b64encode(digest).decode("ascii").rstrip("=")
