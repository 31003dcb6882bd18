"""Fields of a schema as people look for them: attributes, and links to any depth."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from envoi.kernel import registry
from envoi.kernel.expression import Kind, Node, Path, parse
from envoi.kernel.expression.kinds import OF_TYPE
from envoi.kernel.expression.nodes import ExpressionError
from envoi.kernel.registry import Attribute, Link, Registry, Schema
from envoi.kernel.rights import Actor, Right


class Sort(StrEnum):
    """What a field can be asked."""

    TEXT = "text"
    NUMBER = "number"
    CHOICE = "choice"
    """One of an enumeration's values."""
    TRUTH = "truth"
    DAY = "day"
    MOMENT = "moment"
    LINK = "link"
    """A row that the field leads to."""


_SORTS = {
    Kind.TEXT: Sort.TEXT,
    Kind.INTEGER: Sort.NUMBER,
    Kind.REAL: Sort.NUMBER,
    Kind.BOOLEAN: Sort.TRUTH,
    Kind.DATE: Sort.DAY,
    Kind.DATETIME: Sort.MOMENT,
}


@dataclass(frozen=True)
class Field:
    """One field, from the schema that a question starts at. `attribute` is None for a link alone."""

    path: Path
    links: tuple[Link, ...]
    attribute: Attribute | None
    sort: Sort

    @property
    def text(self) -> str:
        """The field as an expression."""
        return str(self.path)

    @property
    def label(self) -> str:
        """The field in the reader's language, links before it."""
        parts = [registry.translate(link.label) for link in self.links]
        if self.attribute is not None:
            parts.append(registry.translate(self.attribute.label))
        return " › ".join(parts)

    @property
    def target(self) -> str:
        """Schema that a link leads to; empty for an attribute."""
        return self.links[-1].target if self.attribute is None else ""


def find(schema: Schema, text: str, within: Registry) -> Field | None:
    """Return the field that an expression names, or None when it is no path, or names nothing."""
    try:
        node = parse(text)
    except ExpressionError:
        return None
    return of_node(schema, node, within)


def of_node(schema: Schema, node: Node, within: Registry) -> Field | None:
    """Return the field that a path leads to, or None."""
    if not isinstance(node, Path):
        return None
    if node.attribute and node.steps and node.steps[0] not in schema.links:
        # Elements of a document: one table, names with slashes.
        inside = schema.attributes.get("/".join((*node.steps, node.attribute)))
        return Field(node, (), inside, _sort(inside)) if inside is not None else None
    links: list[Link] = []
    at = schema
    for step in node.steps:
        link = at.links.get(step)
        if link is None or link.target not in within:
            return None
        links.append(link)
        at = within[link.target]
    if not node.attribute:
        return Field(node, tuple(links), None, Sort.LINK)
    attribute = at.attributes.get(node.attribute)
    return Field(node, tuple(links), attribute, _sort(attribute)) if attribute is not None else None


def _sort(attribute: Attribute) -> Sort:
    return Sort.CHOICE if attribute.enumeration is not None else _SORTS[OF_TYPE[attribute.type]]


def attributes(schema: Schema, actor: Actor) -> list[Attribute]:
    """Return the attributes that an actor may read, by label in the reader's language.

    The number that a link stands on is left out: the link itself is asked instead.
    """
    linked = {link.join[0][0] for link in schema.links.values() if not link.collection} - set(schema.key)
    found = [
        each
        for each in schema.attributes.values()
        if each.column not in linked and (not each.right or actor.has(Right(each.right)))
    ]
    return sorted(found, key=lambda each: registry.translate(each.label).casefold())


def links(schema: Schema, actor: Actor, within: Registry) -> list[Link]:
    """Return the links whose target an actor may read, by label."""
    found = [each for each in schema.links.values() if each.target in within]
    found = [each for each in found if readable(within[each.target], actor)]
    return sorted(found, key=lambda each: registry.translate(each.label).casefold())


def readable(schema: Schema, actor: Actor) -> bool:
    """Return whether an actor may ask about a schema at all."""
    return not schema.reading or actor.has(Right(schema.reading))


def path_to(steps: tuple[str, ...], attribute: Attribute | None) -> Path:
    """Return the path to an attribute behind links, or to the last link itself."""
    if attribute is None:
        return Path(steps, "")
    element, _, last = attribute.name.rpartition("/")
    return Path((*steps, *(element.split("/") if element else ())), last)


def search(schema: Schema, wanted: str, actor: Actor, within: Registry, *, most: int = 60) -> Iterator[Field]:
    """Yield fields whose label or name has a text in it: own ones first, then those behind one link.

    Collections are asked about as a whole, so nothing behind them is found.
    """
    text, count = wanted.casefold(), 0
    ways: list[tuple[Schema, tuple[Link, ...]]] = [(schema, ())]
    ways += [(within[link.target], (link,)) for link in links(schema, actor, within) if not link.collection]
    for at, before in ways:
        steps = tuple(link.name for link in before)
        for attribute in attributes(at, actor):
            if text in registry.translate(attribute.label).casefold() or text in attribute.name.casefold():
                yield Field(path_to(steps, attribute), before, attribute, _sort(attribute))
                count += 1
                if count >= most:
                    return
