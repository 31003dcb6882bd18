"""A text made of HTML: what a reader without HTML gets. Template marks stay what they are."""

import re
from html import unescape
from html.parser import HTMLParser

_MARK = re.compile(r"\{\{(?:(?!\{\{).)*?\}\}|\{%(?:(?!\{%).)*?%\}|<%(?:(?!<%).)*?%>", re.S)
_HELD = re.compile("\ue000(\\d+)\ue001")
_APART = frozenset(("p", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "ul", "ol", "table"))
_BLOCKS = _APART | {
    "address", "article", "body", "center", "dd", "div", "dl", "dt", "fieldset", "figure", "footer", "form",
    "header", "hr", "main", "nav", "pre", "section", "td", "th", "tr",
}  # fmt: skip
_SILENT = frozenset(("head", "style", "script", "title"))


def of_html(source: str) -> str:
    """Return the text: paragraphs apart, links as `words (address)`, pictures by their words."""
    marks: list[str] = []

    def held(found: re.Match[str]) -> str:
        marks.append(found[0])
        return f"\ue000{len(marks) - 1}\ue001"

    reader = _Reader()
    whole = _MARK.sub(held, source)
    # No tag ends behind the last ">"; the parser would look for an end from each "<" again.
    end = whole.rfind(">") + 1
    reader.feed(whole[:end])
    reader.close()
    reader.handle_data(unescape(whole[end:]))
    text = re.sub(r"[ \t\r\f\v\xa0]+", " ", "".join(reader.pieces))
    text = re.sub(r" ?\n ?", "\n", text)
    text = re.sub(r"\n{3,}", "\n\n", text).strip()
    return _HELD.sub(lambda found: marks[int(found[1])], text)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._silent = 0
        self._links: list[tuple[str, int]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in _SILENT:
            self._silent += 1
        elif tag == "br":
            self.pieces.append("\n")
        elif tag == "li":
            self.pieces.append("\n- ")
        elif tag == "img":
            self._say(given.get("alt") or "")
        elif tag == "a":
            self._links.append((given.get("href") or "", len(self.pieces)))
        elif tag in _BLOCKS:
            self.pieces.append("\n\n" if tag in _APART else "\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in _SILENT:
            self._silent = max(0, self._silent - 1)
        elif tag == "a" and self._links:
            address, start = self._links.pop()
            words = "".join(self.pieces[start:]).strip()
            if address and not address.startswith("#") and address != words:
                self.pieces.append(f" ({address})" if words else address)
        elif tag in _BLOCKS:
            self.pieces.append("\n\n" if tag in _APART else "\n")

    def handle_data(self, data: str) -> None:
        self._say(re.sub(r"\s+", " ", data))

    def _say(self, text: str) -> None:
        if text and not self._silent:
            self.pieces.append(text)
