"""The diagram of a workflow as SVG, drawn on the server from plain data.

`draw` takes what the engine tells of a workflow and gives the drawing of a page, or with `standalone` a file
of its own with the tokens resolved to the light palette, a title and a foot line, for print and export.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from html import escape
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from envoi.console import icons, layout, words
from envoi.console.kinds import kind
from envoi.console.layout import HEIGHT, WIDTH, Edge, Place, Point
from envoi.kernel import clock

if TYPE_CHECKING:
    from envoi.engine.definition import Activity
    from envoi.engine.supervision import ActivityState, WorkflowDetail

STATIC = Path(__file__).parent / "static" / "console"
USUAL = ("result", "transition", "done", "")
"""Names of transitions that say nothing and are not written."""
LINE = 11
"""Letters that fit a line of a box."""

OVERLAYS: dict[str, tuple[str, str, str]] = {
    "done": ("done", "ok", "ok"),
    "working": ("work", "run", "run"),
    "warning": ("warnd", "warn", "warn"),
    "failed": ("fail", "bad", "bad"),
    "person": ("hold", "ask", "ask"),
    "waiting": ("", "wait", "wait"),
    "held": ("warnd", "warn", "paused"),
}
"""State of an activity -> (class of its outline, colour of its badge, icon of its badge)."""


@dataclass(frozen=True)
class Node:
    """One activity as it is drawn."""

    name: str
    label: str
    kind: str
    """What people call its type."""
    icon: str
    family: str
    fact: str = ""
    """What matters now, beside the type: a duration, a share, the time left."""
    state: str = ""
    """One of OVERLAYS, or empty when it was not reached."""
    x: int = 0
    y: int = 0
    address: str = ""
    off: bool = False


@dataclass(frozen=True)
class Way:
    """One transition as it is drawn."""

    source: str
    target: str
    name: str = ""
    label: str = ""
    error: bool = False
    state: str = ""
    """Empty: not fired; `on`: fired; `flow`: its target is at work with what it carried."""
    count: str = ""
    """What it carried, already written: `468,112`, `1 file`."""
    rows: str = ""
    """Address of the rows that it carried, while they exist."""


@dataclass(frozen=True)
class Picture:
    """All that a drawing shows."""

    label: str
    nodes: Sequence[Node]
    ways: Sequence[Way]
    selected: str = ""
    number: int = 0
    at: datetime | None = None
    zoom: int = 100
    """Hundredths of the natural size; 0 fits the width of the page."""


def draw(detail: "WorkflowDetail", language: str, *, standalone: bool = False) -> str:
    """Return the SVG of a workflow with its state; `standalone` makes a file of its own, without links."""
    with translation.override(language):
        return picture(picture_of(detail), language, standalone=standalone)


def picture_of(
    detail: "WorkflowDetail",
    *,
    selected: str = "",
    address: str = "",
    rows: Mapping[tuple[str, str], str] = MappingProxyType({}),
    figures: bool = True,
    zoom: int = 100,
) -> Picture:
    """Return what a drawing of the workflow shows. `address` + the name of an activity is its link.

    `rows`: address of what a transition carried, by (activity, transition). `figures`: whether counts and
    durations are written.
    """
    states = {state.name: state for state in detail.activities}
    fired = {(each.source, each.transition): each for each in detail.transitions}
    nodes: list[Node] = []
    ways: list[Way] = []
    for activity in detail.definition.activities:
        shown, state = kind(activity.type), states.get(activity.name)
        nodes.append(
            Node(
                name=activity.name,
                label=activity.label or str(shown.label),
                kind=str(shown.label),
                icon=shown.icon,
                family=shown.family,
                fact=_fact(activity, state, figures=figures),
                state=state.state if state else "",
                x=activity.x,
                y=activity.y,
                address=f"{address}{activity.name}" if address else "",
                off=activity.execution != "normal",
            )
        )
        for way in activity.transitions:
            event = fired.get((activity.name, way.name))
            if not way.enabled or (not way.target and way.optional and event is None):
                continue
            ways.append(
                Way(
                    source=activity.name,
                    target=way.target,
                    name=way.name,
                    label=way.label,
                    error=way.kind == "error",
                    state="" if event is None else "flow" if event.carrying else "on",
                    count=words.number(event.count) if figures and event and event.count is not None else "",
                    rows=rows.get((activity.name, way.name), ""),
                )
            )
    return Picture(detail.row.label, nodes, ways, selected, detail.definition_number, clock.now(), zoom)


def _fact(activity: "Activity", state: "ActivityState | None", *, figures: bool) -> str:
    if activity.execution == "skip":
        return _("switched off")
    if activity.execution == "hold":
        return _("is held")
    if state is None or not state.state:
        return ""
    if state.state == "waiting" and state.next_at:
        return words.moment(state.next_at)
    return words.duration(state.duration_s) if figures and state.duration_s is not None else ""


def counts(nodes: Sequence[Node]) -> list[tuple[str, str, str]]:
    """Return (colour, icon, words) of how many activities are in each state; the diagram's head says it."""
    found = {key: sum(node.state == key for node in nodes) for key in ("", *OVERLAYS)}
    sentences = {
        "done": ngettext("%(n)d done", "%(n)d done", found["done"]),
        "warning": ngettext("%(n)d with a warning", "%(n)d with warnings", found["warning"]),
        "working": ngettext("%(n)d working", "%(n)d working", found["working"]),
        "waiting": ngettext("%(n)d waits", "%(n)d wait", found["waiting"]),
        "person": ngettext("%(n)d waits for approval", "%(n)d wait for approval", found["person"]),
        "held": ngettext("%(n)d held", "%(n)d held", found["held"]),
        "failed": ngettext("%(n)d failed", "%(n)d failed", found["failed"]),
        "": ngettext("%(n)d not reached", "%(n)d not reached", found[""]),
    }
    return [
        (
            OVERLAYS[key][1] if key else "",
            OVERLAYS[key][2] if key else "",
            sentence % {"n": found[key]},
        )
        for key, sentence in sentences.items()
        if found[key]
    ]


def state_words(state: str) -> str:
    """Return the state of an activity in words."""
    return {
        "": _("not reached"),
        "done": _("done"),
        "working": _("working"),
        "warning": _("done with a warning"),
        "failed": _("failed"),
        "person": _("waits for a person"),
        "waiting": _("waits"),
        "held": _("held"),
    }[state]


def picture(image: Picture, language: str, *, standalone: bool = False) -> str:
    """Return the SVG of a picture, its words in `language`."""
    with translation.override(language):
        return _standalone(image) if standalone else _inline(image)


def icons_of(image: Picture) -> set[str]:
    """Return the icons that the inline drawing refers to."""
    return {node.icon for node in image.nodes} | {
        OVERLAYS[node.state][2] for node in image.nodes if node.state
    }


def _inline(image: Picture) -> str:
    places, body = _body(image, links=True)
    width, height = layout.size(places)
    css = "wf" if image.zoom else "wf fit"
    share = image.zoom or 100
    return (
        f'<svg class="{css}" width="{width * share // 100}" height="{height * share // 100}"'
        f' viewBox="0 0 {width} {height}" role="group"'
        f' aria-label="{escape(_summary(image))}">{body}</svg>'
    )


def _standalone(image: Picture) -> str:
    places, body = _body(image, links=False)
    width, height = layout.size(places)
    width = max(width, 480)
    foot = [image.label]
    if image.number:
        foot.append(_("version %(n)d") % {"n": image.number})
    if image.at:
        foot.append(f"{words.day(image.at)} {words.time_of_day(image.at)} {words.zone_name()}")
    defs = "".join(icons.symbol(name) for name in sorted(icons_of(image)))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="wf" width="{width}" height="{height + 64}"'
        f' viewBox="0 0 {width} {height + 64}" role="img" aria-label="{escape(_summary(image))}">'
        f"<title>{escape(image.label)}</title><style>{_light_style()}</style><defs>{defs}</defs>"
        f'<rect width="100%" height="100%" fill="#fff"/>'
        f'<text class="ti" x="14" y="28">{escape(image.label)}</text>'
        f'<g transform="translate(0 32)">{body}</g>'
        f'<text class="cap" x="14" y="{height + 52}">{escape(" · ".join(foot))}</text></svg>'
    )


def _body(image: Picture, *, links: bool) -> tuple[dict[str, Place], str]:
    names = [node.name for node in image.nodes]
    edges = [
        Edge(way.source, way.target if way.target in names else "", way.error, _shown_name(way) != "")
        for way in image.ways
    ]
    places = layout.place(names, edges, {node.name: (node.x, node.y) for node in image.nodes})
    arrows = layout.neighbours(places, edges)
    lines = layout.routes(edges, places)
    parts = [_way(way, line, links=links) for way, line in zip(image.ways, lines, strict=True)]
    parts += [
        _node(node, places[node.name], arrows[node.name], image.selected == node.name, links=links)
        for node in image.nodes
    ]
    return places, "".join(parts)


def _way(way: Way, points: Sequence[Point], *, links: bool) -> str:
    style = "er" if way.error else way.state
    css = f" {style}" if style else ""
    parts = [f'<path class="ln{css}" d="{layout.path(points)}"/>']
    x, y = points[-1]
    if way.target:
        turn = _turn(points[-2], points[-1])
        head = {"right": "l-9-4.5v9z", "left": "l9-4.5v9z", "down": "l-4.5-9h9z", "up": "l-4.5 9h9z"}[turn]
        parts.append(f'<path class="hd{css}" d="M{_n(x)} {_n(y)}{head}"/>')
    else:
        parts.append(f'<path class="open" d="M{_n(x - 8)} {_n(y)}l7-6 7 6-7 6z"/>')
    at_x, at_y = _middle(points)
    if way.count:
        count = (
            f'<text class="n" x="{_n(at_x)}" y="{_n(at_y - 6)}" text-anchor="middle">'
            f"{escape(way.count)}</text>"
        )
        if links and way.rows:
            spoken = _("%(count)s, show the rows") % {"count": way.count}
            count = f'<a href="{escape(way.rows)}" class="cn" aria-label="{escape(spoken)}">{count}</a>'
        parts.append(count)
    if name := _shown_name(way):
        shown = name if len(name) <= 14 else f"{name[:13]}…"
        parts.append(
            f'<text class="tn" x="{_n(at_x)}" y="{_n(at_y + 14)}" text-anchor="middle">{escape(shown)}</text>'
        )
    return "".join(parts)


def _shown_name(way: Way) -> str:
    name = way.label or way.name
    return "" if name.lower() in USUAL else name


def _node(node: Node, spot: Place, arrows: Mapping[str, str], chosen: bool, *, links: bool) -> str:
    css, colour, badge = OVERLAYS.get(node.state, ("", "", ""))
    caption = f"{node.kind} · {node.fact}" if node.fact else node.kind
    spoken = ", ".join(part for part in (node.label, caption, state_words(node.state)) if part)
    classes = " ".join(
        part for part in ("act", css, "sel" if chosen else "", "off" if node.off else "") if part
    )
    moves = "".join(f' data-{side}="{escape(name)}"' for side, name in arrows.items())
    current = ' aria-current="true"' if chosen else ""
    if links and node.address:
        opening = (
            f'<a href="{escape(node.address)}" class="{classes}" id="act-{escape(node.name)}"'
            f' data-name="{escape(node.name)}"{moves}{current} aria-label="{escape(spoken)}">'
        )
        closing = "</a>"
    else:
        opening, closing = f'<g class="{classes}"><title>{escape(spoken)}</title>', "</g>"
    x, y = spot.x, spot.y
    parts = [opening]
    if chosen:
        parts.append(f'<rect class="ring" x="{_n(x - 5)}" y="{_n(y - 5)}" width="{WIDTH + 10}"')
        parts.append(f' height="{HEIGHT + 10}" rx="10"/>')
    parts.append(_shape(node.family, x, y))
    inset = {"flow": 13, "event": 13, "action": 13}.get(node.family, 10)
    parts.append(
        f'<svg x="{_n(x + inset)}" y="{_n(y + 16)}" width="16" height="16" class="ic two">'
        f'<use href="#i-{node.icon}"/></svg>'
    )
    lines = _lines(node.label)
    first = y + (28.5 if len(lines) == 1 else 21)
    for at, line in enumerate(lines):
        parts.append(f'<text x="{_n(x + inset + 21)}" y="{_n(first + 15 * at)}">{escape(line)}</text>')
    shown = caption if len(caption) <= 28 else f"{caption[:27]}…"
    parts.append(
        f'<text class="cap" x="{_n(x + WIDTH / 2)}" y="{_n(y + HEIGHT + 15)}" text-anchor="middle">'
        f"{escape(shown)}</text>"
    )
    if badge:
        parts.append(
            f'<g class="t-{colour}"><circle class="halo" cx="{_n(x + 115)}" cy="{_n(y + 1)}" r="9.5"/>'
            f'<svg x="{_n(x + 107)}" y="{_n(y - 7)}" width="16" height="16" class="ic">'
            f'<use href="#i-{badge}"/></svg></g>'
        )
    parts.append(closing)
    return "".join(parts)


def _shape(family: str, x: float, y: float) -> str:
    if family == "event":
        return f'<path class="sh" d="M{_n(x + 11)} {_n(y)}h96l11 24-11 24h-96l-11-24z"/>'
    radius = {"flow": 24, "targeting": 6}.get(family, 1)
    box = f'<rect class="sh" x="{_n(x)}" y="{_n(y)}" width="{WIDTH}" height="{HEIGHT}" rx="{radius}"/>'
    if radius == 1:
        box += f'<rect class="band" x="{_n(x)}" y="{_n(y)}" width="5" height="{HEIGHT}"/>'
    return box


def _lines(label: str) -> list[str]:
    """Break a label into at most two lines; what does not fit becomes …"""
    rest = label.split()
    if len(rest) == 1 and _wide(label) > LINE:
        # Scripts that are written without spaces, and long single words, break anywhere.
        half = next((at for at in range(len(label), 0, -1) if _wide(label[:at]) <= LINE), 1)
        rest = [label[:half], label[half:]]
    lines = [""]
    while rest:
        word = rest.pop(0)
        joined = f"{lines[-1]} {word}".strip()
        if _wide(joined) <= LINE or not lines[-1]:
            lines[-1] = joined
        elif len(lines) == 1:
            lines.append(word)
        else:
            lines[-1] = joined + (" " + " ".join(rest) if rest else "")
            rest = []
    return [_cut(line) for line in lines]


def _cut(line: str) -> str:
    if _wide(line) <= LINE + 1:
        return line
    kept = next((at for at in range(len(line), 0, -1) if _wide(line[:at]) <= LINE - 1), 1)
    return f"{line[:kept].rstrip()}…"


def _wide(text: str) -> float:
    """Return a width in average Latin letters: a CJK letter takes about two."""
    return sum(2 if ord(letter) > 0x2E7F else 0.55 if letter in "iljtfrI .,:'’" else 1 for letter in text)


def _summary(image: Picture) -> str:
    total = ngettext(
        "Diagram of the workflow: %(n)d activity",
        "Diagram of the workflow: %(n)d activities",
        len(image.nodes),
    ) % {"n": len(image.nodes)}
    return ", ".join([total, *(sentence for _colour, _icon, sentence in counts(image.nodes))])


def _turn(before: Point, end: Point) -> str:
    if abs(end[1] - before[1]) > abs(end[0] - before[0]):
        return "down" if end[1] > before[1] else "up"
    return "right" if end[0] >= before[0] else "left"


def _middle(points: Sequence[Point]) -> Point:
    """Return the middle of the longest level part of a line, without its arrow head."""
    level = [(one, other) for one, other in pairwise(points) if abs(one[1] - other[1]) < 1] or [
        (points[0], points[-1])
    ]
    one, other = max(level, key=lambda part: abs(part[0][0] - part[1][0]))
    return (one[0] + other[0] - 5) / 2, one[1]


def _n(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")


@cache
def _light_style() -> str:
    """Return the style of a drawing outside of the console: the same rules with the light tokens in place."""
    tokens = dict(
        re.findall(
            r"--([a-z0-9-]+):light-dark\((#[0-9a-f]+),", (STATIC / "tokens.css").read_text(encoding="utf-8")
        )
    )
    tokens |= {"sans": "system-ui,sans-serif", "mono": "monospace"}
    sheet = (STATIC / "console.css").read_text(encoding="utf-8")
    rules = re.findall(r"\.wf [^{}]*\{[^{}]*\}", sheet)
    rules = [re.sub(r"animation:[^;}]*;?", "", rule) for rule in rules]
    colours = [
        f".t-{name}{{color:{tokens[name]}}}" for name in ("draft", "wait", "run", "ok", "warn", "bad", "ask")
    ]
    text = "".join(rules) + "".join(colours) + f".two{{color:{tokens['text-2']}}}"
    text += f".wf .ti{{font:650 16px {tokens['sans']}}}"
    return re.sub(r"var\(--([a-z0-9-]+)\)", lambda found: tokens[found[1]], text)
