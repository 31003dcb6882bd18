"""The editor as its templates draw it."""

import json
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.utils.translation import gettext as _

from envoi.console.conditions import changing, fields, operators, sentences, text, translating
from envoi.console.conditions.fields import Field, Sort
from envoi.console.conditions.operators import Form, Operator
from envoi.console.conditions.rows import Free, Group, Has, Join, Kept, Line, Row, condition_document
from envoi.kernel import registry
from envoi.kernel.errors import Invalid
from envoi.kernel.query import Condition, QueryDef, run
from envoi.kernel.query import Field as Node
from envoi.kernel.registry import Registry, Schema
from envoi.kernel.rights import Actor

CHOICES = 200
"""Rows of a link's target that are offered by name; of more, the number is typed."""


@dataclass(frozen=True)
class Input:
    """One input of a line. `options` are (value, label, chosen)."""

    kind: str
    label: str
    value: str = ""
    options: Sequence[tuple[str, Any, bool]] = ()
    index: int = 0
    """Which of the line's values it is."""
    form: str = ""
    """Form of what stands beside it, when that depends on its value."""

    @property
    def redraws(self) -> bool:
        """Whether another value may take another input beside it."""
        return bool(self.form)


@dataclass(frozen=True)
class Drawn:
    """One row. `at` is its place, `id` that of its element."""

    kind: str
    at: str
    id: str
    base: str
    """Schema that its own field is looked up in."""
    label: str = ""
    xpath: str = ""
    operators: Sequence[Operator] = ()
    operator: str = ""
    form: str = ""
    inputs: Sequence[Input] = ()
    joins: Sequence[tuple[str, Any, bool]] = ()
    none: bool = False
    expr: str = ""
    kept: str = ""
    problem: str = ""
    inner_base: str = ""
    """Schema that the fields of its rows are looked up in."""
    rows: "Sequence[Drawn]" = ()
    focus: bool = False


@dataclass(frozen=True)
class Editor:
    """A whole editor."""

    id: str
    name: str
    schema: str
    label: str
    text: str
    top: Drawn
    values: str
    """What each request of the editor carries, as JSON."""
    sentence: str = ""
    problem: str = ""
    live: bool = True
    frame: Mapping[str, Any] = field(default_factory=dict[str, Any])


def editor(
    schema: str,
    name: str,
    value: str | Sequence[Condition],
    *,
    actor: Actor,
    zone: str = "UTC",
    within: Registry | None = None,
    live: bool = True,
    key: str = "",
) -> Editor:
    """Return the editor of a field `name`, whose value is a text (`text.read`) or conditions.

    A text that cannot be read is shown as it is, with the reason. Raises NotFound for an unknown schema.
    """
    known = within or registry.current()
    said = value if isinstance(value, str) else text.write(tuple(value))
    group, problem = Group(), ""
    try:
        group = text.rows_in(said, schema, within=known)
    except Invalid as error:
        problem = str(error)
    made = of_rows(schema, name, group, actor=actor, zone=zone, within=known, live=live, key=key)
    return replace(made, text=said, problem=problem)


def of_rows(
    schema: str,
    name: str,
    group: Group,
    *,
    actor: Actor,
    zone: str = "UTC",
    within: Registry | None = None,
    live: bool = True,
    key: str = "",
    focus: changing.Place | None = None,
) -> Editor:
    """Return the editor that shows rows. Raises NotFound for an unknown schema."""
    known = within or registry.current()
    base = known[schema]
    group = changing.tidy(group, base, known)
    identity = "c-" + re.sub(r"[^A-Za-z0-9_-]", "-", name)
    pen = _Pen(identity, actor, zone, known, focus)
    carried = {"_schema": schema, "_name": name, "_zone": zone, "_key": key or secrets.token_hex(8)}
    return Editor(
        id=identity,
        name=name,
        schema=schema,
        label=registry.translate(base.label),
        text=text.of_rows(group, schema, within=known),
        top=pen.draw(group, base, ()),
        values=json.dumps(carried),
        sentence=sentences.of_group(group, base, known),
        live=live,
    )


@dataclass(frozen=True)
class _Pen:
    id: str
    actor: Actor
    zone: str
    within: Registry
    focus: changing.Place | None

    def draw(self, row: Row, base: Schema, at: changing.Place) -> Drawn:
        place = ".".join(map(str, at))
        drawn = Drawn(
            kind=type(row).__name__.lower(),
            at=place,
            id=f"{self.id}-{place.replace('.', '-') or 'all'}",
            base=base.name,
            focus=self.focus == at,
        )
        match row:
            case Line():
                return self.line(row, drawn, base)
            case Group():
                return self.group(row, drawn, base, at)
            case Has():
                return self.collection(row, drawn, base, at)
            case Free():
                return replace(drawn, expr=row.expr, problem=self.problem(row, base))
            case Kept():
                return replace(drawn, kept=json.dumps(condition_document(row.condition), ensure_ascii=False))

    def line(self, row: Line, drawn: Drawn, base: Schema) -> Drawn:
        found = fields.find(base, row.field, self.within)
        if found is None:
            problem = _("%(schema)s has no field %(path)s.") % {"schema": base.name, "path": row.field}
            return replace(drawn, label=row.field, xpath=row.field, problem=problem)
        operator = operators.operator_of(found, row.operator)
        return replace(
            drawn,
            label=found.label,
            xpath=found.text,
            operators=operators.offered(found),
            operator=operator.name,
            form=operator.form.value,
            inputs=list(self.inputs(found, operator.form, row.values)),
        )

    def group(self, row: Group, drawn: Drawn, base: Schema, at: changing.Place) -> Drawn:
        return replace(
            drawn,
            joins=joins(row.join),
            inner_base=base.name,
            rows=[self.draw(each, base, (*at, index)) for index, each in enumerate(row.rows)],
        )

    def collection(self, row: Has, drawn: Drawn, base: Schema, at: changing.Place) -> Drawn:
        link = fields.find(base, row.path, self.within)
        if link is None or not link.target:
            problem = _("%(schema)s has no field %(path)s.") % {"schema": base.name, "path": row.path}
            return replace(drawn, label=row.path, xpath=row.path, problem=problem)
        inner = self.within[link.target]
        made = self.group(row.inner, drawn, inner, at)
        return replace(made, label=link.label, xpath=link.text, none=row.none)

    def problem(self, row: Row, base: Schema) -> str:
        try:
            translating.conditions_of(Group(rows=(row,)), base, self.within)
        except Invalid as error:
            return str(error)
        return ""

    def inputs(self, found: Field, form: Form, values: tuple[str, ...]) -> Iterator[Input]:
        label = _("Value of %(field)s") % {"field": found.label}
        match form:
            case Form.ONE:
                yield self.one(found, label, values[0])
            case Form.MANY:
                yield self.many(found, label, values)
            case Form.TWO:
                yield Input("number", _("From"), values[0])
                yield Input("number", _("To"), values[1], index=1)
            case Form.DAY | Form.DAYS:
                names = [label] if form is Form.DAY else [_("From"), _("To")]
                for index, name in enumerate(names):
                    yield from _day(name, 2 * index, *values[2 * index : 2 * index + 2])
            case Form.SPAN:
                yield Input("count", _("How many"), values[0])
                units = operators.units_of(found).items()
                chosen = [(name, each, name == values[1]) for name, each in units]
                yield Input("select", _("Unit"), options=chosen, index=1)
            case Form.NONE:
                pass

    def one(self, found: Field, label: str, value: str) -> Input:
        options = self.options(found)
        if options is not None:
            missing = [("", "…", not value)] if value not in [each for each, _label in options] else []
            known = [*missing, *((each, name, each == value) for each, name in options)]
            return Input("select", label, options=known)
        return Input("text" if found.sort is Sort.TEXT else "number", label, value)

    def many(self, found: Field, label: str, values: tuple[str, ...]) -> Input:
        options = self.options(found)
        if options is not None:
            return Input("checks", label, options=[(each, name, each in values) for each, name in options])
        return Input("lines", label, "\n".join(values))

    def options(self, found: Field) -> Sequence[tuple[str, str]] | None:
        """Return the values that a field may have, with their labels; None when they are too many."""
        if found.sort is Sort.CHOICE and found.attribute is not None and found.attribute.enumeration:
            return [(str(e.value), registry.translate(e.label)) for e in found.attribute.enumeration.values]
        return self.targets(self.within[found.target]) if found.sort is Sort.LINK else None

    def targets(self, target: Schema) -> Sequence[tuple[str, str]] | None:
        key = target.attribute_of(target.key[0])
        if key is None or not fields.readable(target, self.actor):
            return None
        query = QueryDef(
            target.name, select=(Node(key.xpath), Node(target.text or key.xpath)), line_count=CHOICES + 1
        )
        found = run(query, actor=self.actor, zone=self.zone, within=self.within).rows
        if len(found) > CHOICES:
            return None
        pairs = [(str(number), registry.translate(str(name or number))) for number, name in found]
        return sorted(pairs, key=lambda pair: pair[1].casefold())


def _day(label: str, index: int, way: str, amount: str) -> Iterator[Input]:
    ways = Input(
        "select", label, options=_ways(way), index=index, form=way if way in ("date", "today") else "count"
    )
    if way == "date":
        yield ways
        yield Input("date", label, amount, index=index + 1)
    elif way == "today":
        yield ways
        yield Input("hidden", "", index=index + 1)
    else:
        yield Input("count", _("How many"), amount, index=index + 1)
        yield ways


def _ways(way: str) -> list[tuple[str, Any, bool]]:
    return [(name, label, name == way) for name, label in operators.DAYS.items()]


def joins(join: Join) -> list[tuple[str, Any, bool]]:
    """Return how a group can be tied: (value, label, chosen)."""
    labels = {Join.ALL: _("All of"), Join.ANY: _("Any of"), Join.NONE: _("None of")}
    return [(each.value, label, each is join) for each, label in labels.items()]
