"""Contrast of text against its background (WCAG 2.2, 1.4.3), where both can be told from the HTML alone."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from html.parser import HTMLParser

LEAST, LEAST_LARGE = 4.5, 3.0
"""Ratios of level AA; large is 24 px, or 18.66 px and bold."""
_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}
)
_NAMES: Mapping[str, str] = {
    "black": "000000", "white": "ffffff", "gray": "808080", "grey": "808080", "silver": "c0c0c0",
    "red": "ff0000", "green": "008000", "blue": "0000ff", "yellow": "ffff00", "orange": "ffa500",
    "navy": "000080", "maroon": "800000", "purple": "800080", "teal": "008080", "lightgray": "d3d3d3",
    "lightgrey": "d3d3d3", "darkgray": "a9a9a9", "darkgrey": "a9a9a9", "pink": "ffc0cb",
}  # fmt: skip
_STYLE = re.compile(
    r"(?:^|;)\s*(color|background(?:-color)?|font-size|font-weight|display)\s*:\s*([^;]+)", re.I
)
_RGB = re.compile(r"^rgb\(\s*(\d{1,3})\s*,\s*(\d{1,3})\s*,\s*(\d{1,3})\s*\)$")
_MARK = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.S)
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Weak:
    """A text whose contrast is too small."""

    line: int
    text: str
    ratio: float


@dataclass(frozen=True)
class _Look:
    """How text looks in an element; None: it cannot be told."""

    colour: Colour | None = (0, 0, 0)
    background: Colour | None = (255, 255, 255)
    size: float = 16
    bold: bool = False
    hidden: bool = False


def weak(html: str) -> list[Weak]:
    """Return the texts that are too weak, in their order; what style sheets by class decide is left out."""
    reader = _Reader("<style" in html.lower())
    reader.feed(html)
    return reader.found


def ratio(one: Colour, other: Colour) -> float:
    """Return the contrast of two colours, 1 to 21."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


class _Reader(HTMLParser):
    def __init__(self, styled: bool) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[Weak] = []
        self._styled = styled
        self._open: list[tuple[str, _Look]] = [("", _Look())]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _VOID:
            self._open.append((tag, self._look(tag, {name: value or "" for name, value in attrs})))

    def handle_endtag(self, tag: str) -> None:
        for index in range(len(self._open) - 1, 0, -1):
            if self._open[index][0] == tag:
                del self._open[index:]
                return

    def handle_data(self, data: str) -> None:
        tag, look = self._open[-1]
        text = " ".join(_MARK.sub("…", data).split())
        if not text or tag in ("style", "script", "title") or look.hidden:
            return
        if look.colour is None or look.background is None:
            return
        large = look.size >= 24 or (look.size >= 18.66 and look.bold)
        found = ratio(look.colour, look.background)
        if found < (LEAST_LARGE if large else LEAST):
            self.found.append(Weak(self.getpos()[0], text[:60], found))

    def _look(self, tag: str, attributes: Mapping[str, str]) -> _Look:
        above = self._open[-1][1]
        style = {name.lower(): value.strip() for name, value in _STYLE.findall(attributes.get("style", ""))}
        # A class may change any of it, and so may the colour that programs give to links.
        free = self._styled and bool(attributes.get("class") or attributes.get("id"))
        colour = None if free or tag == "a" else above.colour
        background = None if free else above.background
        if said := style.get("color") or attributes.get("color"):
            colour = _colour(said)
        if attributes.get("background"):
            background = None
        elif said := style.get("background-color") or style.get("background") or attributes.get("bgcolor"):
            background = (
                above.background if said.lower() in ("transparent", "none", "inherit") else _colour(said)
            )
        size, bold = above.size, above.bold
        if (found := re.match(r"([\d.]+)px", style.get("font-size", ""))) is not None:
            size = float(found[1])
        elif tag in ("h1", "h2"):
            size, bold = 24, True
        if tag in ("b", "strong", "th") or style.get("font-weight", "").strip() in (
            "bold",
            "600",
            "700",
            "800",
        ):
            bold = True
        hidden = above.hidden or style.get("display", "").lower().startswith("none")
        return _Look(colour, background, size, bold, hidden)


def _colour(said: str) -> Colour | None:
    text = said.strip().lower().removesuffix("!important").strip()
    text = _NAMES.get(text, text.removeprefix("#") if text.startswith("#") else text)
    if (found := _RGB.match(text)) is not None:
        return (min(int(found[1]), 255), min(int(found[2]), 255), min(int(found[3]), 255))
    if re.fullmatch(r"[0-9a-f]{3}", text):
        text = "".join(each * 2 for each in text)
    if re.fullmatch(r"[0-9a-f]{6}", text):
        return (int(text[:2], 16), int(text[2:4], 16), int(text[4:], 16))
    return None


def _luminance(colour: Colour) -> float:
    parts = [each / 255 for each in colour]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
