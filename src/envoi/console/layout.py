"""Where the activities of a diagram stand and how their transitions run: geometry only, no drawing.

Boxes are 118 × 48, columns 172 apart, rows 96. Coordinates of the definition are kept when no two boxes would
touch; otherwise columns follow the longest way from a start, and rows keep the main way straight. A column is
wider where the transitions into it have names. A diagram of more than seven columns folds into bands of
seven, read in the same direction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 118, 48
COLUMN, ROW = 172, 96
MARGIN_X, MARGIN_Y = 24, 36
NAMED = 34
"""What a column gains for the names of transitions."""
FOLD = 7
CAPTION = 20
"""What the caption takes under a box."""
PARALLEL = 13
"""Distance of lines that end at the same box."""
STUB = 14
"""How far a line leaves a box before it turns."""
ROUND = 8


@dataclass(frozen=True)
class Place:
    """The upper left corner of a box."""

    x: float
    y: float

    @property
    def out(self) -> tuple[float, float]:
        """Where transitions leave: the middle of the end side."""
        return self.x + WIDTH, self.y + HEIGHT / 2

    @property
    def into(self) -> tuple[float, float]:
        """Where transitions arrive: the middle of the start side."""
        return self.x, self.y + HEIGHT / 2


@dataclass(frozen=True)
class Edge:
    """A transition between two boxes; `target` empty when it leads nowhere."""

    source: str
    target: str
    error: bool = False
    named: bool = False


Point = tuple[float, float]


def place(
    names: Sequence[str], edges: Sequence[Edge], wanted: Mapping[str, tuple[int, int]]
) -> dict[str, Place]:
    """Return a place for each name; `wanted` holds the coordinates of the definition."""
    if not names:
        return {}
    if len({wanted.get(name, (0, 0)) for name in names}) == len(names) and _free_of_contact(wanted, names):
        left = min(wanted[name][0] for name in names)
        top = min(wanted[name][1] for name in names)
        return {
            name: Place(wanted[name][0] - left + MARGIN_X, wanted[name][1] - top + MARGIN_Y) for name in names
        }
    columns = _columns(names, edges)
    rows = _rows(names, edges, columns)
    return _fold(names, columns, rows, {edge.target for edge in edges if edge.named and not edge.error})


def size(places: Mapping[str, Place]) -> tuple[int, int]:
    """Return width and height of the whole drawing."""
    if not places:
        return 2 * MARGIN_X + WIDTH, 2 * MARGIN_Y + HEIGHT
    right = max(spot.x for spot in places.values()) + WIDTH + 2 * MARGIN_X
    bottom = max(spot.y for spot in places.values()) + HEIGHT + MARGIN_Y + CAPTION
    return round(right), round(bottom)


def routes(edges: Sequence[Edge], places: Mapping[str, Place]) -> list[list[Point]]:
    """Return the corners of each edge's line, in the order of `edges`."""
    ends = _ends(edges, places)
    taken = {(spot.x, spot.y) for spot in places.values()}
    loose = dict.fromkeys({edge.source for edge in edges if edge.target in places}, 1)
    found: list[list[Point]] = []
    for number, edge in enumerate(edges):
        source = places[edge.source]
        if edge.target not in places:
            step = loose.get(edge.source, 0)
            loose[edge.source] = step + 1
            found.append(_open(source, step))
        else:
            found.append(_route(source, places[edge.target], ends[number], edge, taken))
    return found


def path(points: Sequence[Point]) -> str:
    """Return the SVG path through the corners, each rounded."""
    if len(points) < 2:
        return ""
    parts = [f"M{_n(points[0][0])} {_n(points[0][1])}"]
    for before, here, after in zip(points, points[1:], points[2:], strict=False):
        reach = min(ROUND, _length(before, here) / 2, _length(here, after) / 2)
        start, end = _toward(here, before, reach), _toward(here, after, reach)
        parts.append(f"L{_n(start[0])} {_n(start[1])}")
        parts.append(f"Q{_n(here[0])} {_n(here[1])} {_n(end[0])} {_n(end[1])}")
    last = _toward(points[-1], points[-2], 7)
    parts.append(f"L{_n(last[0])} {_n(last[1])}")
    return "".join(parts)


def neighbours(places: Mapping[str, Place], edges: Sequence[Edge]) -> dict[str, dict[str, str]]:
    """Return for each name where the arrow keys lead: along transitions, and up and down between branches."""
    found: dict[str, dict[str, str]] = {name: {} for name in places}
    for edge in edges:
        if edge.target in places:
            found[edge.source].setdefault("right", edge.target)
            found[edge.target].setdefault("left", edge.source)
    for name, spot in places.items():
        near = sorted(
            (abs(other.x - spot.x) + abs(other.y - spot.y), other.y, label)
            for label, other in places.items()
            if label != name and abs(other.x - spot.x) <= COLUMN
        )
        above = next((label for _d, y, label in near if y < spot.y), None)
        below = next((label for _d, y, label in near if y > spot.y), None)
        found[name] |= ({"up": above} if above else {}) | ({"down": below} if below else {})
    return found


def _free_of_contact(wanted: Mapping[str, tuple[int, int]], names: Sequence[str]) -> bool:
    spots = [wanted[name] for name in names if name in wanted]
    if len(spots) != len(names):
        return False
    return all(
        abs(one[0] - other[0]) >= WIDTH + 2 * STUB or abs(one[1] - other[1]) >= HEIGHT + CAPTION + 8
        for at, one in enumerate(spots)
        for other in spots[at + 1 :]
    )


def _columns(names: Sequence[str], edges: Sequence[Edge]) -> dict[str, int]:
    """Longest way from a start; edges that lead back are left out."""
    ways: dict[str, list[str]] = {name: [] for name in names}
    entered = set()
    for edge in edges:
        if edge.target in ways and edge.source in ways:
            ways[edge.source].append(edge.target)
            entered.add(edge.target)
    order: list[str] = []
    state: dict[str, int] = {}
    forward: dict[str, list[str]] = {name: [] for name in names}

    for root in [*(name for name in names if name not in entered), *names]:
        if state.get(root):
            continue
        stack: list[tuple[str, int]] = [(root, 0)]
        state[root] = 1
        while stack:
            name, at = stack.pop()
            if at < len(ways[name]):
                stack.append((name, at + 1))
                target = ways[name][at]
                if state.get(target) != 1:
                    forward[name].append(target)
                if not state.get(target):
                    state[target] = 1
                    stack.append((target, 0))
            else:
                state[name] = 2
                order.append(name)
    columns = dict.fromkeys(names, 0)
    for name in reversed(order):
        for target in forward[name]:
            columns[target] = max(columns[target], columns[name] + 1)
    return columns


def _rows(names: Sequence[str], edges: Sequence[Edge], columns: Mapping[str, int]) -> dict[str, int]:
    """The first way of an activity goes on in its row, each further one below; error branches last."""
    ways: dict[str, list[Edge]] = {name: [] for name in names}
    for edge in sorted(edges, key=lambda edge: edge.error):
        if edge.target in ways:
            ways[edge.source].append(edge)
    rows: dict[str, int] = {}
    lowest: dict[int, int] = {}

    def settle(name: str, row: int) -> None:
        stack = [(name, row)]
        while stack:
            here, wanted = stack.pop()
            if here in rows:
                continue
            rows[here] = max(wanted, lowest.get(columns[here], 0))
            lowest[columns[here]] = rows[here] + 1
            # Pushed in reverse, so that the first way is settled first and keeps its row.
            below = rows[here]
            following = [edge for edge in ways[here] if columns[edge.target] > columns[here]]
            for at, edge in reversed(list(enumerate(following))):
                stack.append((edge.target, below + (1 if edge.error and at == 0 else at)))

    for name in sorted(names, key=lambda name: columns[name]):
        if name not in rows:
            settle(name, lowest.get(columns[name], 0) if columns[name] == 0 else 0)
    return rows


def _fold(
    names: Sequence[str], columns: Mapping[str, int], rows: Mapping[str, int], named: set[str]
) -> dict[str, Place]:
    places: dict[str, Place] = {}
    top = 0
    for band in range(max(columns.values()) // FOLD + 1):
        inside = [name for name in names if columns[name] // FOLD == band]
        first = min(rows[name] for name in inside)
        left = float(MARGIN_X)
        for column in range(band * FOLD, band * FOLD + FOLD):
            here = [name for name in inside if columns[name] == column]
            if column % FOLD and any(name in named for name in here):
                left += NAMED
            for name in here:
                places[name] = Place(left, MARGIN_Y + (top + rows[name] - first) * ROW)
            left += COLUMN
        top += max(rows[name] for name in inside) - first + 1
    return places


def _ends(edges: Sequence[Edge], places: Mapping[str, Place]) -> dict[int, float]:
    """How far from the middle of its target each line ends, so that parallel ones stay apart."""
    arriving: dict[str, list[int]] = {}
    for number, edge in enumerate(edges):
        if edge.target in places:
            arriving.setdefault(edge.target, []).append(number)
    offsets: dict[int, float] = {}
    for name, numbers in arriving.items():
        numbers.sort(key=lambda number: (places[edges[number].source].y, number))
        straight = next(
            (at for at, number in enumerate(numbers) if places[edges[number].source].y == places[name].y),
            None,
        )
        middle = (len(numbers) - 1) / 2 if straight is None else straight
        apart = min(PARALLEL, (HEIGHT / 2 - 5) / max(middle, len(numbers) - 1 - middle, 1))
        for at, number in enumerate(numbers):
            offsets[number] = (at - middle) * apart
    return offsets


def _route(
    source: Place, target: Place, offset: float, edge: Edge, taken: set[tuple[float, float]]
) -> list[Point]:
    x1, y1 = source.out
    x2, y2 = target.into[0], target.into[1] + offset
    if edge.error and target.y > source.y and target.x > source.x + WIDTH / 2:
        middle = source.x + WIDTH / 2
        return [(middle, source.y + HEIGHT + CAPTION), (middle, y2), (x2, y2)]
    if target.x >= source.x + WIDTH + 2 * STUB and not _something_between(source, target, taken):
        if abs(y2 - y1) < 1:
            return [(x1, y1), (x2, y1)]
        bend = x1 + STUB if x2 - x1 <= COLUMN else x2 - (COLUMN - WIDTH) + STUB
        return [(x1, y1), (bend, y1), (bend, y2), (x2, y2)]
    # Past other boxes, back, or to the next band: along the lane under the captions of the source's row.
    lane = source.y + HEIGHT + CAPTION + 16
    if target.y < source.y and target.x <= source.x:
        lane = source.y - 16
    return [(x1, y1), (x1 + STUB, y1), (x1 + STUB, lane), (x2 - STUB, lane), (x2 - STUB, y2), (x2, y2)]


def _something_between(source: Place, target: Place, taken: set[tuple[float, float]]) -> bool:
    if target.x - source.x <= COLUMN + 1:
        return False
    return any(
        source.x < x < target.x and (abs(y - source.y) < HEIGHT or abs(y - target.y) < HEIGHT)
        for x, y in taken
        if (x, y) not in ((source.x, source.y), (target.x, target.y))
    )


def _open(source: Place, step: int) -> list[Point]:
    x, y = source.out
    # More than four share the last place: the table beside the picture names them all.
    step = min(step, 3)
    if step == 0:
        return [(x, y), (x + 34, y)]
    return [(x, y), (x + STUB, y), (x + STUB, y + step * 22), (x + 34, y + step * 22)]


def _length(one: Point, other: Point) -> float:
    return abs(one[0] - other[0]) + abs(one[1] - other[1])


def _toward(here: Point, there: Point, far: float) -> Point:
    length = _length(here, there) or 1
    return here[0] + (there[0] - here[0]) * far / length, here[1] + (there[1] - here[1]) * far / length


def _n(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")
