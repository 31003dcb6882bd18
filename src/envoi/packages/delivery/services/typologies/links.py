"""Links of an HTML source, as they are written."""

from collections.abc import Sequence
from dataclasses import dataclass
from html.parser import HTMLParser


@dataclass
class Link:
    """`source` as it stands in the attribute, with its entities; `label` by which a person knows it."""

    source: str
    label: str = ""

    @property
    def goes_out(self) -> bool:
        """Whether following it leaves the message for a page."""
        return not self.source.strip().lower().startswith(("mailto:", "tel:", "sms:", "#"))


def links(html: str) -> Sequence[Link]:
    """Return the links of `<a>` and `<area>`, in their order; wrong HTML gives what can be read."""
    if "<a" not in html.lower():
        return ()
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.found


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[Link] = []
        self.open: Link | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag in ("a", "area") and "href" in given:
            label = given.get("_label") or given.get("title") or given.get("aria-label") or given.get("alt")
            link = Link(self._written(given["href"]), label or "")
            self.found.append(link)
            self.open = link if tag == "a" else None
        elif tag == "img" and self.open is not None:
            self._says(given.get("alt") or given.get("title") or "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self.open = None

    def handle_data(self, data: str) -> None:
        self._says(data)

    def _says(self, text: str) -> None:
        if self.open is not None and text.strip():
            self.open.label = self.open.label or text.strip()

    def _written(self, value: str) -> str:
        """Return an attribute's value as it stands in the source, where entities are not yet characters."""
        raw = self.get_starttag_text() or ""
        lower = raw.lower()
        at = lower.find("href")
        rest = raw[at + 4 :].lstrip().removeprefix("=").lstrip() if at >= 0 else ""
        if rest[:1] in ("'", '"'):
            end = rest.find(rest[0], 1)
            return rest[1:end] if end > 0 else value
        return rest.split(">", 1)[0].split(maxsplit=1)[0] if rest.split(">", 1)[0].split() else value
