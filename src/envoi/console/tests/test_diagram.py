"""Diagrams are pure functions of data: where boxes stand, how lines run, what the drawing says."""

import random
import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from envoi.console import diagram, layout
from envoi.console.diagram import Node, Picture, Way
from envoi.console.icons import SYMBOLS
from envoi.console.kinds import KINDS, kind
from envoi.console.layout import COLUMN, HEIGHT, ROW, WIDTH, Edge
from envoi.engine.activities import kinds


def node(name: str, **settings) -> Node:
    given = {"label": name.capitalize(), "kind": "Query", "icon": "query", "family": "targeting", **settings}
    return Node(name, **given)


def chain(count: int) -> list[Edge]:
    return [Edge(f"a{n}", f"a{n + 1}") for n in range(count - 1)]


def names(count: int) -> list[str]:
    return [f"a{n}" for n in range(count)]


def touching(places) -> list[tuple[str, str]]:
    spots = list(places.items())
    return [
        (one, other)
        for at, (one, a) in enumerate(spots)
        for other, b in spots[at + 1 :]
        if abs(a.x - b.x) < WIDTH and abs(a.y - b.y) < HEIGHT
    ]


def test_a_chain_runs_in_one_row_at_the_pitch():
    places = layout.place(names(5), chain(5), {})
    assert [places[name].x - places["a0"].x for name in names(5)] == [n * COLUMN for n in range(5)]
    assert len({spot.y for spot in places.values()}) == 1


def test_a_long_chain_folds_into_rows_of_seven_read_in_the_same_direction():
    places = layout.place(names(26), chain(26), {})
    rows = sorted({spot.y for spot in places.values()})
    assert len(rows) == 4
    assert [b - a for a, b in pairwise(rows)] == [ROW] * 3
    for first in (0, 7, 14, 21):
        assert places[f"a{first}"].x == places["a0"].x
    assert max(spot.x for spot in places.values()) == places["a6"].x


def test_branches_take_rows_below_and_the_main_way_stays_straight():
    edges = [Edge("q", "s"), Edge("s", "fr"), Edge("s", "be"), Edge("s", "ch"), Edge("q", "err", error=True)]
    places = layout.place(["q", "s", "fr", "be", "ch", "err"], edges, {})
    assert places["q"].y == places["s"].y == places["fr"].y
    assert places["fr"].y < places["be"].y < places["ch"].y
    assert places["err"].y > places["q"].y


def test_coordinates_of_the_definition_are_kept_unless_boxes_would_touch():
    wanted = {"a0": (100, 50), "a1": (400, 50), "a2": (400, 200)}
    places = layout.place(names(3), chain(3), wanted)
    assert (places["a1"].x - places["a0"].x, places["a2"].y - places["a1"].y) == (300, 150)
    crowded = layout.place(names(3), chain(3), {"a0": (0, 0), "a1": (30, 0), "a2": (60, 0)})
    assert touching(crowded) == []


def test_loops_and_islands_have_their_place():
    places = layout.place(["a", "b", "c"], [Edge("a", "b"), Edge("b", "a")], {})
    assert touching(places) == []
    assert len(places) == 3


@pytest.mark.parametrize("seed", range(40))
def test_no_two_boxes_of_any_graph_touch_and_every_line_ends_at_its_target(seed):
    chance = random.Random(seed)
    all_names = names(chance.randint(1, 30))
    edges = [
        Edge(chance.choice(all_names), chance.choice([*all_names, ""]), chance.random() < 0.2)
        for _n in range(chance.randint(0, 45))
    ]
    places = layout.place(all_names, edges, {})
    assert set(places) == set(all_names)
    assert touching(places) == []
    width, height = layout.size(places)
    for edge, points in zip(edges, layout.routes(edges, places), strict=True):
        assert all(a[0] == b[0] or a[1] == b[1] for a, b in pairwise(points)), "right angles"
        assert all(0 <= x <= width and 0 <= y <= height for x, y in points)
        if edge.target:
            spot = places[edge.target]
            assert points[-1][0] == spot.x
            assert spot.y <= points[-1][1] <= spot.y + HEIGHT


def test_lines_that_end_at_one_box_stay_apart():
    edges = [Edge("a", "d"), Edge("b", "d"), Edge("c", "d")]
    places = layout.place(["a", "b", "c", "d"], edges, {})
    ends = [points[-1][1] for points in layout.routes(edges, places)]
    assert len(set(ends)) == 3
    assert min(abs(a - b) for a in ends for b in ends if a != b) >= 9


def test_arrow_keys_follow_transitions_and_change_between_branches():
    edges = [Edge("s", "fr"), Edge("s", "be")]
    moves = layout.neighbours(layout.place(["s", "fr", "be"], edges, {}), edges)
    assert moves["s"]["right"] == "fr"
    assert moves["fr"]["left"] == "s"
    assert moves["fr"]["down"] == "be"
    assert moves["be"]["up"] == "fr"


def drawn(*, standalone: bool = False, **settings) -> str:
    nodes = [
        node("start", kind="Scheduler", icon="cal", family="flow", state="done", address="?activity=start"),
        node(
            "send",
            kind="E-mail",
            icon="mail",
            family="action",
            state="working",
            fact="64 %",
            address="?activity=send",
        ),
        node("legal", label='Legal <text> & "law"', icon="ask", family="event", state="person"),
        node("late", state=""),
    ]
    ways = [
        Way("start", "send", "result", state="flow", count="412,680"),
        Way("start", "legal", "error", error=True),
        Way("send", "", "open"),
    ]
    return diagram.picture(
        Picture("My <flow>", nodes, ways, "send", 14, **settings), "en", standalone=standalone
    )


@pytest.mark.parametrize("standalone", [False, True])
def test_the_drawing_is_xml_whatever_people_wrote_in_it(standalone):
    text = drawn(standalone=standalone)
    ElementTree.fromstring(text)  # noqa: S314 our own drawing
    assert "<text>" not in text.replace("<text ", "")
    assert "&lt;text&gt;" in text


def test_states_families_and_transitions_have_their_signs():
    text = drawn()
    assert re.search(r'class="act done" id="act-start"', text)
    assert re.search(r'class="act work sel"[^>]*aria-current="true"', text)
    assert text.count('class="ring"') == 1
    assert 'rx="24"' in text, "flow control is a pill"
    assert text.count('class="band"') == 1, "an action has a bar"
    assert "h96l11 24-11 24h-96" in text, "a person's part is a hexagon"
    assert 'class="ln flow"' in text
    assert 'class="ln er"' in text
    assert text.count('class="open"') == 1, "a way without target ends in a diamond"
    assert ">412,680</text>" in text
    assert ">result</text>" not in text, "the usual name is not written"
    assert ">error</text>" in text
    assert 'aria-label="Send, E-mail · 64 %, working"' in text


def test_the_head_counts_in_words():
    nodes = [node("a", state="done"), node("b", state="done"), node("c", state="failed"), node("d")]
    assert [text for _colour, _icon, text in diagram.counts(nodes)] == ["2 done", "1 failed", "1 not reached"]


def test_the_export_stands_alone(clock):
    from envoi.kernel.clock import now

    text = drawn(standalone=True, at=now())
    assert "var(--" not in text
    assert "light-dark" not in text
    assert "<a " not in text
    assert "version 14" in text
    assert "Tuesday 24 November" in text
    for used in set(re.findall(r'href="#(i-\w+)"', text)):
        assert f'id="{used}"' in text


@pytest.mark.parametrize(
    ("label", "lines"),
    [
        ("End", ["End"]),
        ("Active in 12 months", ["Active in 12", "months"]),
        ("A very long name of an activity that goes on", ["A very long", "name of an…"]),
        ("데이터베이스정리작업을위한활동", ["데이터베이", "스정리작업…"]),
    ],
)
def test_a_label_takes_at_most_two_lines(label, lines):
    assert diagram._lines(label) == lines


def test_every_type_has_a_name_and_an_icon():
    for name in kinds():
        assert str(kind(name).label) != name, name
        assert kind(name).icon in SYMBOLS, name
    assert set(KINDS) <= set(kinds())
