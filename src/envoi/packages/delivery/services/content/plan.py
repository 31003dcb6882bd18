"""What the messages of a delivery share is found once; what differs is a slot in it.

Most of a template is text, most of the rest are fields and links. The text is encoded once for all messages,
a field once for all readers who share its value, and a message is joined from these pieces. Whatever else a
template does is left to minijinja as it stands, piece by piece. A template that cannot be taken apart so is
`Whole`: it is rendered as one.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from operator import itemgetter
from typing import Any, Final, NamedTuple
from uuid import UUID

from envoi.kernel.expression import Kind
from envoi.packages.delivery.services.sending import mime

HTML: Final = "html"
TEXTS: Final = ("text", HTML)
SEPARATOR: Final = "\x00"
"""Between pieces that minijinja renders: no value from the database has it."""
_LONGEST_LOOP: Final = 100
_KEPT: Final = 4096

_TOKEN = re.compile(r"(?P<comment><%--.*?--%>)|(?P<value>\{\{.*?\}\})|(?P<statement>\{%.*?%\})", re.S)
_PATH = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+"
_FIELD = re.compile(rf"\{{\{{-?\s*({_PATH})\s*-?\}}\}}", re.A)
_CALL = re.compile(
    rf"\{{\{{\s*(?P<name>_[a-z_]+)\((?P<said>\d+|'\w+'|)(?P<params>(?:, \({_PATH}\))*)\)(?P<safe>\|safe)?"
    r"\s*\}\}",
    re.A,
)
_PARAM = re.compile(rf"\(({_PATH})\)", re.A)
_WORD = re.compile(r"\{%[-+]?\s*(\w+)", re.A)
_RANGE = re.compile(r"\{%-?\s*for\s+([a-z]\w*)\s+in\s+range\((\d{1,3})\)\s*-?%\}", re.A)
_INSIDE = frozenset({"for", "endfor", "if", "elif", "else", "endif"})
_MARKUP = re.compile(r"[&<>\"'/]")
_ENTITIES = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;", "/": "&#x2f;"}
)


class Whole(Exception):  # noqa: N818 no error
    """A template, or the message to one reader, is to be rendered as one."""


class Filled(NamedTuple):
    """The message to one reader: texts, and all else that is a template, by name."""

    text: mime.Text
    html: mime.Text
    parts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Field:
    """A column of the row as it is shown."""

    column: int
    integer: bool
    escaped: bool


@dataclass(frozen=True, slots=True)
class _Called:
    """What a function of ours gives for something fixed and some fields: an address, mostly."""

    name: str
    said: tuple[int | str, ...]
    params: tuple[_Field, ...]


@dataclass(frozen=True, slots=True)
class _Foreign:
    """A piece of a template that minijinja renders."""

    source: str
    escaped: bool


_Slot = _Field | _Called | _Foreign
_Node = str | _Slot
_Nodes = Sequence[_Node]
_Functions = Mapping[str, Callable[..., str]]
_Pick = Callable[[list[Any]], tuple[Any, ...]]


class Plan:
    """The templates of a delivery, taken apart. `foreign`: what is left to minijinja, templates by their
    names, in which `SEPARATOR` stands behind each piece.
    """

    def __init__(
        self, sources: Mapping[str, str], columns: Sequence[tuple[str, str]], functions: _Functions
    ) -> None:
        """`columns` of rows: path and kind. Raises Whole."""
        fields = _fields(columns)
        nodes = {
            name: _nodes(source, fields, functions, escaped=name == HTML) for name, source in sources.items()
        }
        texts = [_ended(nodes.pop(name, [])) for name in TEXTS]
        self._coded = _Slots([*texts[0], *texts[1]], functions, mime.inserted)
        self._texts = tuple(_Text(text, self._coded.places) for text in texts)
        self._fixed = {
            name: "".join(map(str, each)) for name, each in nodes.items() if not any(map(_is_slot, each))
        }
        active = {name: each for name, each in nodes.items() if name not in self._fixed}
        self._plain = _Slots([each for part in active.values() for each in part], functions, str)
        self._parts = {name: _Picked(each, self._plain.places) for name, each in active.items()}
        self.foreign = {**self._coded.foreign, **self._plain.foreign}

    def fill(self, row: Sequence[Any], render: Callable[[str], str]) -> Filled:
        """Return the message to a reader; `render` carries out one of `foreign`. Raises Whole."""
        coded = self._coded.values(row, render)
        text, html = self._texts
        parts = dict(self._fixed)
        if self._parts:
            plain = self._plain.values(row, render)
            for name, part in self._parts.items():
                parts[name] = "".join(part.of(plain))
        return Filled(text.of(coded), html.of(coded), parts)


class _Slots:
    """Distinct slots. `code` makes of what a reader sees what is inserted for it."""

    def __init__(self, nodes: Iterable[_Node], functions: _Functions, code: Callable[[str], Any]) -> None:
        slots = dict.fromkeys(each for each in nodes if not isinstance(each, str))
        shown = [each for each in slots if isinstance(each, _Field)]
        called = [each for each in slots if isinstance(each, _Called)]
        foreign = [each for each in slots if isinstance(each, _Foreign)]
        foreign.sort(key=lambda each: each.escaped)
        self.places: dict[_Slot, int] = {each: at for at, each in enumerate([*shown, *called, *foreign])}
        self.foreign = {
            f"{'html ' * escaped}pieces for {code.__name__}": "".join(
                each.source + SEPARATOR for each in foreign if each.escaped == escaped
            )
            for escaped in sorted({each.escaped for each in foreign})
        }
        self._code = code
        self._shown = [(_Shown(each, code), each.column) for each in shown]
        self._called = [
            (functions[each.name], each.said, [(_Shown(param, str), param.column) for param in each.params])
            for each in called
        ]

    def values(self, row: Sequence[Any], render: Callable[[str], str]) -> list[Any]:
        """Return what the slots hold for a reader, in the order of `places`. Raises Whole."""
        code = self._code
        made = [table[row[column]] for table, column in self._shown]
        for function, said, params in self._called:
            made.append(code(function(*said, *[table[row[column]] for table, column in params])))
        for name in self.foreign:
            made += map(code, render(name).split(SEPARATOR)[:-1])
        if len(made) != len(self.places):
            raise Whole
        return made


class _Shown(dict[Any, Any]):
    """Value of a column -> what is inserted for it. What is not shown plainly raises Whole."""

    def __init__(self, of: _Field, code: Callable[[str], Any]) -> None:
        super().__init__()
        self._of, self._code = of, code

    def __missing__(self, value: Any) -> Any:
        text = _integer(value) if self._of.integer else _text(value)
        if self._of.escaped and _MARKUP.search(text):
            text = text.translate(_ENTITIES)
        if len(self) >= _KEPT:
            self.clear()
        made = self[value] = self._code(text)
        return made


class _Picked:
    """Pieces that are fixed, and others from among the values of slots, in their order."""

    def __init__(self, pieces: Iterable[Any], places: Mapping[_Slot, int]) -> None:
        self.fixed: list[Any] = []
        wanted = list[int]()
        for each in pieces:
            if _is_slot(each):
                wanted.append(places[each])
            else:
                wanted.append(len(places) + len(self.fixed))
                self.fixed.append(each)
        # One by itself would not come as a tuple.
        self._pick: _Pick = itemgetter(*wanted) if len(wanted) > 1 else lambda every: (every[wanted[0]],)

    def of(self, values: list[Any]) -> tuple[Any, ...]:
        """Return the pieces."""
        return self._pick(values + self.fixed)


class _Text:
    """A text in quoted-printable. What is inserted ends its line by a soft break, as do the pieces around it:
    so none of them depends on another.
    """

    def __init__(self, nodes: _Nodes, places: Mapping[_Slot, int]) -> None:
        self._empty = not nodes
        fixed = [mime.fixed(each) if isinstance(each, str) else each for each in nodes]
        self._data = _Picked([each.data if isinstance(each, mime.Fixed) else each for each in fixed], places)
        relaxed = _Picked([each.relaxed if isinstance(each, mime.Fixed) else each for each in fixed], places)
        self._relaxed = None if relaxed.fixed == self._data.fixed else relaxed

    def of(self, values: list[bytes]) -> mime.Text:
        """Return the text."""
        if self._empty:
            return ""
        data = self._data.of(values)
        return mime.Coded(data, data if self._relaxed is None else self._relaxed.of(values))


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, (str, UUID)):
        return str(value)
    raise Whole


def _integer(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise Whole
    if isinstance(value, Decimal) and not value.is_finite():
        raise Whole
    return str(int(value))


# --- taken apart


def _fields(columns: Sequence[tuple[str, str]]) -> dict[str, _Field]:
    """Return the columns that are shown plainly, by their paths."""
    paths = [path for path, _kind in columns]
    return {
        path: _Field(column, kind == Kind.INTEGER.name, escaped=False)
        for column, (path, kind) in enumerate(columns)
        if kind in (Kind.TEXT.name, Kind.INTEGER.name)
        # The value of a link itself gives way to what is read behind it.
        and not any(other.startswith(f"{path}.") for other in paths)
    }


def _nodes(source: str, fields: Mapping[str, _Field], functions: _Functions, *, escaped: bool) -> list[_Node]:
    """Return a template as text and slots. Raises Whole."""
    made: list[_Node] = []
    place, trim = 0, False

    def text(end: int, before: str) -> None:
        nonlocal trim
        piece = source[place:end]
        piece = piece.lstrip() if trim else piece
        made.append(piece.rstrip() if before[2:3] == "-" else piece)
        trim = False

    while found := _TOKEN.search(source, place):
        token = found[0]
        text(found.start(), token if not found["comment"] else "")
        if found["comment"]:
            if token.startswith("<%---") or token.endswith("---%>"):
                raise Whole
            place = found.end()
            continue
        place = found.end()
        if found["value"]:
            made.append(_slot(token, fields, functions, escaped=escaped))
        else:
            end = _end_of_block(source, found.start())
            made += _block(source[found.start() : end], fields, functions, escaped=escaped)
            token, place = source[found.start() : end], end
        trim = token[-3:-2] == "-"
    text(len(source), "")
    return _joined(made)


def _slot(token: str, fields: Mapping[str, _Field], functions: _Functions, *, escaped: bool) -> _Slot:
    if (found := _FIELD.fullmatch(token)) and (column := fields.get(found[1])):
        return _Field(column.column, column.integer, escaped)
    call = _CALL.fullmatch(token)
    # What a function gives is markup in HTML only where the template says so.
    if call and bool(call["safe"]) == escaped and call["name"] in functions:
        params = [fields.get(each) for each in _PARAM.findall(call["params"])]
        said = call["said"]
        if all(params):
            return _Called(
                call["name"],
                (int(said),) if said.isdigit() else (said.strip("'"),) if said else (),
                tuple(each for each in params if each),
            )
    return _Foreign(token, escaped)


def _end_of_block(source: str, start: int) -> int:
    """Return where a block ends that begins at `start`. Raises Whole for statements that others see."""
    depth, place = 0, start
    while found := _TOKEN.search(source, place):
        place = found.end()
        if not found["statement"]:
            continue
        word = _WORD.match(found[0])
        if word is None or word[1] not in _INSIDE:
            raise Whole
        depth += {"for": 1, "if": 1, "endfor": -1, "endif": -1}.get(word[1], 0)
        if depth <= 0:
            return place
    raise Whole


def _block(source: str, fields: Mapping[str, _Field], functions: _Functions, *, escaped: bool) -> list[_Node]:
    """Return a block: a loop over a fixed range is written out, anything else is a piece of its own."""
    begin, body, end = _inside(source)
    loop = _RANGE.fullmatch(begin)
    if loop is None or "{%" in body or int(loop[2]) > _LONGEST_LOOP:
        return [_Foreign(source, escaped)]
    name = loop[1]
    if any(path.startswith(f"{name}.") for path in fields):
        return [_Foreign(source, escaped)]
    body = body.lstrip() if begin[-3:-2] == "-" else body
    body = body.rstrip() if end[2:3] == "-" else body
    own = re.compile(rf"\{{\{{\s*{name}\s*\}}\}}")
    made: list[_Node] = []
    for number in range(int(loop[2])):
        made += _nodes(own.sub(str(number), body), fields, functions, escaped=escaped)
    return [_Foreign(source, escaped)] if any(isinstance(each, _Foreign) for each in made) else made


def _inside(source: str) -> tuple[str, str, str]:
    """Return the first mark of a block, what it holds, and its last mark."""
    tokens = list(_TOKEN.finditer(source))
    return tokens[0][0], source[tokens[0].end() : tokens[-1].start()], tokens[-1][0]


def _joined(nodes: Iterable[_Node]) -> list[_Node]:
    made: list[_Node] = []
    for each in nodes:
        if isinstance(each, str) and made and isinstance(made[-1], str):
            made[-1] += each
        elif each:
            made.append(each)
    return made


def _ended(nodes: list[_Node]) -> list[_Node]:
    """Return a text with an end to its last line, and all ends as LF. Raises Whole for one that may turn out
    empty, or whose ends of lines are not known.
    """
    if not nodes:
        return nodes
    if all(map(_is_slot, nodes)):
        raise Whole
    last = nodes[-1]
    made = _joined([*nodes, "" if isinstance(last, str) and last.endswith(("\n", "\r")) else "\n"])
    for at, each in enumerate(made):
        if isinstance(each, str) and "\r" in each:
            # The other half of an end of line could come out of a slot.
            if each.startswith("\n") or each.endswith("\r"):
                raise Whole
            made[at] = each.replace("\r\n", "\n").replace("\r", "\n")
    return made


def _is_slot(node: object) -> bool:
    return isinstance(node, (_Field, _Called, _Foreign))
