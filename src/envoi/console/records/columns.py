"""Columns of a list: attributes of a schema and what its links lead to, and how a value of each shows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from babel.dates import format_date
from django.utils.html import format_html
from django.utils.translation import gettext as _

from envoi.console import words
from envoi.kernel.errors import Invalid
from envoi.kernel.expression import Path, parse, walk
from envoi.kernel.registry import Attribute, Link, Registry, Schema, Type, translate
from envoi.kernel.registry import current as registry_now
from envoi.kernel.rights import Actor, Right

MOST = 24
"""Columns of a list."""
FIRST = 6
"""Columns of a list for which nobody has chosen any."""
CUT = 80
"""Characters of a text in a list."""
NUMBERS = (Type.BYTE, Type.SHORT, Type.LONG, Type.INT64, Type.FLOAT, Type.DOUBLE)
UNSORTED = (Type.MEMO, Type.JSON)
"""Types that no list is sorted by: no index could help."""


@dataclass(frozen=True)
class Column:
    """One column: its expression and, when it is an attribute, which one of which schema."""

    expr: str
    label: str
    attribute: Attribute | None
    own: bool
    """It is an attribute of the list's schema itself."""

    @property
    def name(self) -> str:
        """The attribute's name, when a cell of it may be edited."""
        return self.attribute.name if self.attribute is not None and self.own else ""

    @property
    def numeric(self) -> bool:
        """Numbers stand at the end of their cell; keys and codes do not count as numbers."""
        found = self.attribute
        return (
            found is not None
            and found.type in NUMBERS
            and found.enumeration is None
            and not found.name.endswith("id")
        )

    @property
    def sortable(self) -> bool:
        """Whether the list may be sorted by it."""
        return self.attribute is None or self.attribute.type not in UNSORTED


def column(expr: str, schema: Schema) -> Column:
    """Return the column of an expression. Raises Invalid when it does not parse, or passes a collection."""
    node = parse(expr)
    if not isinstance(node, Path):
        name = translate(schema.singular) if expr == schema.text else expr
        return Column(expr, name, None, own=False)
    at, labels = schema, list[str]()
    schemas = registry_now()
    whole = "/".join((*node.steps, node.attribute))
    inside = schema.attributes.get(whole)
    if inside is not None:
        return Column(expr, translate(inside.label), inside, own=True)
    for step in node.steps:
        link = at.links.get(step)
        if link is None:
            return Column(expr, expr, None, own=False)
        if link.collection:
            raise Invalid(_("%(expr)s leads to several rows; a column shows one value.") % {"expr": expr})
        labels.append(translate(link.label))
        at = schemas[link.target]
    found = at.attributes.get(node.attribute)
    if found is None:
        return Column(expr, expr, None, own=not node.steps)
    if labels and found.xpath == at.text:
        return Column(expr, " › ".join(labels), found, own=False)
    return Column(expr, " › ".join([*labels, translate(found.label)]), found, own=not labels)


def chosen(exprs: Sequence[str], schema: Schema) -> list[Column]:
    """Return columns by their expressions, each once. Raises Invalid for too many or a wrong one."""
    wanted = list(dict.fromkeys(each.strip() for each in exprs if each.strip()))
    if len(wanted) > MOST:
        raise Invalid(_("A list has at most %(most)s columns.") % {"most": MOST})
    return [column(each, schema) for each in wanted]


def usual(schema: Schema, actor: Actor) -> list[str]:
    """Return the columns of a list for which nobody has chosen any: the name first, then what tells most."""
    found = [schema.text] if schema.text != "@id" else []
    said = {each.attribute for each in walk(parse(schema.text)) if isinstance(each, Path) and not each.steps}
    first, later = list[str](), list[str]()
    for each in readable(schema, actor):
        if each.column in schema.key or each.type in (Type.MEMO, Type.JSON, Type.UUID):
            continue
        if each.name in said and each.name != "email":
            continue  # the name says it already
        link = link_over(schema, each)
        if link is not None:
            target = registry_now()[link.target]
            if target.text.startswith("@"):
                later.append(f"[{link.name}/{target.text}]")
        elif each.column.startswith(("created_", "modified_")):
            later.append(each.xpath)
        else:
            first.append(each.xpath)
    kept = [*found, *first[: FIRST - len(found)]]
    return [*kept, *later[: max(0, FIRST + 1 - len(kept))]] or ["@id"]


def offered(schema: Schema, actor: Actor, registry: Registry) -> Iterator[Column]:
    """Yield the columns that can be chosen by a tick: the name, attributes, names of what links lead to."""
    if not schema.text.startswith("@"):
        yield column(schema.text, schema)
    for each in readable(schema, actor):
        yield Column(each.xpath, translate(each.label), each, own=True)
    for link in schema.links.values():
        target = registry[link.target]
        hidden = target.reading and not actor.has(Right(target.reading))
        if link.collection or hidden or not target.text.startswith("@"):
            continue
        yield column(f"[{link.name}/{target.text}]", schema)


def readable(schema: Schema, actor: Actor) -> list[Attribute]:
    """Return the attributes of a schema that the actor may read."""
    return [each for each in schema.attributes.values() if not each.right or actor.has(Right(each.right))]


def link_over(schema: Schema, attribute: Attribute) -> Link | None:
    """Return the link whose column an attribute is, or None."""
    if not attribute.column or attribute.column in schema.key:
        return None
    own = (link for link in schema.links.values() if not link.collection)
    return next((link for link in own if link.join[0][0] == attribute.column), None)


def plain(found: Attribute | None, value: Any) -> str:
    """Return a value as a text: enumerations by label, truth in words; empty for nothing."""
    if value is None or value == "":
        return ""
    if found is not None and found.enumeration is not None:
        named = found.enumeration.valued(value)
        return translate(named.label) if named else str(value)
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, datetime):
        return words.moment(value)
    if isinstance(value, date):
        return format_date(value, "d MMM y", locale=words.locale())
    if found is not None and found.type is Type.TIMESPAN:
        return words.duration(value)
    if isinstance(value, (int, float)) and found is not None and not found.name.endswith("id"):
        return words.number(value)
    return str(value)


def shown(found: Attribute | None, value: Any, *, cut: bool = True) -> Any:
    """Return a value as a page shows it; `—` for nothing. Texts are isolated by direction, in lists cut."""
    if isinstance(value, datetime):
        return words.time_tag(value)
    text = plain(found, value)
    if not text:
        return format_html('<span class="mut">{}</span>', words.NONE)
    if cut and len(text) > CUT:
        return format_html('<bdi title="{}">{}…</bdi>', text[:500], text[: CUT - 1].rstrip())
    return format_html("<bdi>{}</bdi>", text)
