"""Pages and pictures at an address that somebody typed, fetched within limits of size and time.

Each address, also one that is redirected to, is checked against private networks before it is asked.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.message import Message
from posixpath import basename
from urllib.parse import unquote, urlsplit

from django.utils.translation import gettext as _

from envoi.engine.activities.base import Failed
from envoi.engine.transfers.web import opened, place
from envoi.kernel import clock
from envoi.kernel.errors import Invalid

LONGEST = 30.0
"""Seconds for a page, and once more for all its pictures."""
AT_ONCE = 6
_PIECE = 1 << 16
_PAGES = frozenset(
    (
        "text/html", "application/xhtml+xml", "text/plain", "text/mjml", "text/xml", "application/xml",
        "application/mjml", "application/zip", "application/x-zip-compressed", "application/octet-stream", "",
    )
)  # fmt: skip


@dataclass(frozen=True)
class Fetched:
    """What lies at an address: the one that answered in the end, the name of the file, its bytes."""

    url: str
    name: str
    content: bytes
    charset: str = ""


def page(url: str, *, most: int) -> Fetched:
    """Return the page at an https address. Raises Invalid for another one, one of a private network, one that
    does not answer in time, answers with something else than a page, or with more than `most` bytes.
    """
    if not url.lower().startswith("https://"):
        raise Invalid(_("The address begins with https://."))
    found = _fetched(url, most=most, until=clock.monotonic() + LONGEST, kinds=_PAGES)
    if not found.url.lower().startswith("https://"):
        raise Invalid(_("%(place)s sends on to an address without https.") % {"place": place(url)})
    return found


def pictures(urls: Iterable[str], *, each: int, together: int) -> dict[str, bytes | str]:
    """Return the bytes at each address, or why there are none. `each`, `together`: the most bytes."""
    until = clock.monotonic() + LONGEST
    left = together

    def one(url: str) -> bytes | str:
        nonlocal left
        try:
            found = _fetched(url, most=min(each, left), until=until, kinds=None)
        except Invalid as refusal:
            return str(refusal)
        left -= len(found.content)
        return found.content

    asked = list(urls)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(asked, pool.map(one, asked), strict=True))


def _fetched(url: str, *, most: int, until: float, kinds: frozenset[str] | None) -> Fetched:
    where = place(url)
    try:
        with opened("GET", url, headers={"Accept": "*/*"}, follow=True) as answer:
            if answer.status != 200:
                raise Invalid(
                    _("%(place)s answers %(status)d %(reason)s.")
                    % {"place": where, "status": answer.status, "reason": answer.reason[:80]}
                )
            said = Message()
            said["content-type"] = answer.headers.get("content-type", "")
            kind = said.get_content_type() if answer.headers.get("content-type") else ""
            if kinds is not None and kind not in kinds:
                raise Invalid(
                    _("%(place)s answers with %(kind)s: that is neither a page nor a ZIP file.")
                    % {"place": where, "kind": kind[:80]}
                )
            pieces: list[bytes] = []
            size = 0
            while piece := answer.body.read1(_PIECE):
                size += len(piece)
                if size > most:
                    raise Invalid(
                        _("%(place)s sends more than %(n)d MB.")
                        % {"place": where, "n": max(1, most // (1024 * 1024))}
                    )
                if clock.monotonic() > until:
                    raise Invalid(
                        _("%(place)s takes longer than %(n)d seconds.") % {"place": where, "n": int(LONGEST)}
                    )
                pieces.append(piece)
            wanted = answer.headers.get("content-length", "")
            if wanted.isdecimal() and int(wanted) != size:
                raise Invalid(
                    _("%(place)s broke off after %(n)d of %(all)d bytes.")
                    % {"place": where, "n": size, "all": int(wanted)}
                )
            name = basename(unquote(urlsplit(answer.url).path)) or (urlsplit(answer.url).hostname or "")
            return Fetched(answer.url, name, b"".join(pieces), str(said.get_content_charset("")))
    except Failed as error:
        raise Invalid(str(error)) from error
