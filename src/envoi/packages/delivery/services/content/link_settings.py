"""What is said about single links of a content, and what is added to all of them (delivery.md §4.1).

    {"params": "utm_source=mail&utm_medium=email",
     "links": {"https://shop.example/a": {"label": "Shoes", "category": "shop", "tracked": false}}}

An address is that of the link as it is written, `$(p1)` for what is personal. What is remembered of an
address holds for every content that says nothing of its own about it.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, cast

from django.utils.translation import gettext as _

from envoi.kernel import clock
from envoi.kernel.errors import Invalid
from envoi.packages.delivery.models import UrlMemory
from envoi.packages.delivery.services.content import links

_PARAMS = re.compile(r"^[\w.~%+-]+=[\w.~%+-]*(?:&[\w.~%+-]+=[\w.~%+-]*)*$")
MOST = 500


@dataclass(frozen=True)
class Said:
    """What is said of a link."""

    tracked: bool = True
    label: str = ""
    category: str = ""


def read(said: Any) -> dict[str, dict[str, Any]]:
    """Return checked settings of links by their address. Raises Invalid."""
    if not isinstance(said, Mapping) or len(cast("Mapping[str, Any]", said)) > MOST:
        raise Invalid(_("Links are said by their address, %(most)d at most.") % {"most": MOST})
    made: dict[str, dict[str, Any]] = {}
    for address, one in cast("Mapping[str, Any]", said).items():
        given = cast("Mapping[str, Any]", one if isinstance(one, Mapping) else {"": one})
        if strange := sorted(set(given) - {"label", "category", "tracked"}):
            raise Invalid(_("A link has no %(name)r.") % {"name": strange[0]})
        if not isinstance(given.get("tracked", True), bool):
            raise Invalid(_("%(place)s is true or false.") % {"place": "tracked"})
        for name, most in (("label", 128), ("category", 64)):
            if not isinstance(given.get(name, ""), str) or len(given.get(name, "")) > most:
                raise Invalid(_("%(place)s must be a text.") % {"place": name})
        made[address] = dict(given)
    return made


def parameters(said: str) -> str:
    """Return parameters as they are appended. Raises Invalid for what is none."""
    text = said.strip().lstrip("?&")
    if text and not _PARAMS.match(text):
        raise Invalid(_("%(text)r are no parameters: write name=value&name=value.") % {"text": text[:80]})
    return text


def of(addresses: Sequence[str], said: Mapping[str, Mapping[str, Any]]) -> dict[str, Said]:
    """Return what holds for addresses: what the content says, else what is remembered."""
    digests = {digest(each): each for each in addresses if each not in said}
    found = {
        digests[each.digest]: Said(each.tracked, each.label, each.category)
        for each in UrlMemory.objects.filter(digest__in=digests)
    }
    for address in addresses:
        if address in said:
            one = said[address]
            found[address] = Said(one.get("tracked", True), one.get("label", ""), one.get("category", ""))
    return found


def remember(address: str, said: Said) -> None:
    """Keep what is said of an address for contents to come, in the caller's transaction."""
    UrlMemory.objects.update_or_create(
        digest=digest(address),
        defaults={
            "url": address,
            "tracked": said.tracked,
            "label": said.label,
            "category": said.category,
            "modified_at": clock.now(),
        },
    )


def forget(address: str) -> None:
    """Keep nothing of an address any more."""
    UrlMemory.objects.filter(digest=digest(address)).delete()


def with_parameters(source: str, params: str, *, html: bool) -> str:
    """Return a body whose links all have the parameters at the end of their query."""
    if not params:
        return source
    found: Iterator[links.Link] = links.in_html(source) if html else links.in_text(source)

    def added(link: links.Link) -> str:
        raw = source[link.start : link.end]
        before, hash_, fragment = raw.partition("#") if "{" not in raw.partition("#")[2] else (raw, "", "")
        joined = f"{'&' if '?' in link.address else '?'}{params}"
        return f"{before}{escape(joined) if html else joined}{hash_}{fragment}"

    return links.replaced(source, found, added)


def bare(url: str, params: str) -> str:
    """Return an address as it is written, without the parameters that were added."""
    for joined in (f"?{params}", f"&{params}") if params else ():
        if joined in url:
            return url.replace(joined, "", 1)
    return url


def digest(address: str) -> str:
    """Return the key of an address."""
    return hashlib.sha256(address.encode()).hexdigest()[:32]
