"""Links in HTML and text: found by their place, so that whatever is no link stays byte for byte as it is
(delivery.md §4.1).

Comments (those of Outlook too), style sheets, scripts and template marks are passed over. A link that is
personal keeps its tracking if only its parameters are: they become `$(p1)`, `$(p2)` of the address that is
kept, and `p1=…` of the tag.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import unescape

# A mark ends before the next one begins, and what was matched once is not tried in another way: reading takes
# time in the length of a source, whatever stands in it.
_MARK = r"\{\{(?:(?!\{\{).)*?\}\}|\{%(?:(?!\{%).)*?%\}|<%(?:(?!<%).)*?%>"
# What is passed over as a whole, or a start tag that may hold a link.
_TOKEN = re.compile(
    rf"(?P<over><!--.*?-->|<!\[CDATA\[.*?\]\]>|{_MARK}"
    r"|<(?P<raw>style|script|title|textarea|xmp)\b.*?</(?P=raw)\s*>)"
    r"|<(?P<tag>a|area)(?=[\s/])",
    re.S | re.I,
)
_ATTRIBUTE = re.compile(
    rf"\s+|/|(?P<mark>{_MARK})|(?P<name>[^\s=>/\"'{{<]+)\s*(?:=\s*(?:"
    rf"\"(?P<double>(?:{_MARK}|[^\"])*+)\"|'(?P<single>(?:{_MARK}|[^'])*+)'"
    rf"|(?P<bare>(?:{_MARK}|[^\s>\"'])++)))?",
    re.S,
)
_IN_TEXT = re.compile(rf"https?://(?:{_MARK}|[^\s<>\"'()\[\]{{}}])++|{_MARK}", re.S)
_EXPRESSION = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.S)
_ENCODED = re.compile(r"\s*\|\s*urlencode\s*(?:\(\s*\))?\s*$")
_END_OF_BODY = re.compile(r"</body\s*>", re.I)
_TRAILING = ".,;:!?"


@dataclass(frozen=True)
class Link:
    """A link in a source: where its address stands, and what it is with entities resolved."""

    start: int
    end: int
    address: str
    label: str = ""


@dataclass(frozen=True)
class Target:
    """Where a tracked link leads: the address that is kept, and the expressions of its parameters."""

    url: str
    params: tuple[str, ...]
    label: str


def in_html(source: str) -> Iterator[Link]:
    """Yield the http(s) links of an HTML in their order."""
    place = 0
    while found := _TOKEN.search(source, place):
        place = found.end()
        if found["tag"]:
            attributes, place = _attributes(source, place)
            if "href" in attributes:
                start, end = attributes["href"]
                raw = source[start:end]
                lead = len(raw) - len(raw.lstrip())
                address = _resolved(raw.strip())
                if _is_web(address):
                    label = next(
                        (attributes[each] for each in ("_label", "title") if each in attributes), None
                    )
                    yield Link(
                        start + lead,
                        start + lead + len(raw.strip()),
                        address,
                        unescape(source[slice(*label)])[:128] if label else "",
                    )


def in_text(source: str) -> Iterator[Link]:
    """Yield the http(s) links of a text; marks of punctuation at their end are none of theirs."""
    for found in _IN_TEXT.finditer(source):
        address = found[0].rstrip(_TRAILING)
        if _is_web(address):
            yield Link(found.start(), found.start() + len(address), address)


def target(link: Link) -> Target | None:
    """Return where a link leads when it is tracked; None for one that is personal beyond its parameters."""
    pieces = _EXPRESSION.split(link.address)
    fixed, expressions = pieces[0::2], pieces[1::2]
    if any("{%" in each or "<%" in each or "{{" in each for each in fixed):
        return None
    if expressions and ("?" not in fixed[0] or any("#" in each for each in fixed[:-1])):
        return None
    url = fixed[0]
    for number, piece in enumerate(fixed[1:], 1):
        url += f"$(p{number}){piece}"
    return Target(url, tuple(_ENCODED.sub("", each) for each in expressions), link.label)


def replaced(source: str, found: Iterator[Link], by: Callable[[Link], str | None]) -> str:
    """Return a source with its links replaced; None leaves one as it is."""
    pieces: list[str] = []
    place = 0
    for link in found:
        new = by(link)
        if new is not None:
            pieces += [source[place : link.start], new]
            place = link.end
    return "".join([*pieces, source[place:]])


def before_end(html: str, added: str) -> str:
    """Return an HTML with something at the end of its body."""
    ends = list(_END_OF_BODY.finditer(html))
    place = ends[-1].start() if ends else len(html)
    return f"{html[:place]}{added}{html[place:]}"


def _attributes(source: str, place: int) -> tuple[dict[str, tuple[int, int]], int]:
    """Return the values of a tag's attributes by their places, and where the tag ends."""
    found: dict[str, tuple[int, int]] = {}
    while place < len(source) and source[place] != ">":
        match = _ATTRIBUTE.match(source, place)
        if match is None or match.end() == place:
            place += 1
            continue
        place = match.end()
        if match["name"]:
            kind = next((each for each in ("double", "single", "bare") if match[each] is not None), None)
            if kind is not None:
                found.setdefault(match["name"].lower(), match.span(kind))
    return found, place


def _resolved(raw: str) -> str:
    """Return a value with its entities resolved, but for those inside of template marks."""
    pieces = re.split(f"({_MARK})", raw, flags=re.S)
    return "".join(each if index % 2 else unescape(each) for index, each in enumerate(pieces))


def _is_web(address: str) -> bool:
    return address[:8].lower().startswith(("http://", "https://"))
