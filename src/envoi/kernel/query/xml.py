"""Definitions from the product's XML and to it (soap-api.md §7), beside the same in JSON.

A document is turned into the structure of `from_json`, which then reads both; so both forms mean the same and
are refused with the same places.
"""

import re
from typing import Any, cast
from xml.etree import ElementTree as ET

from defusedxml import DefusedXmlException
from defusedxml import ElementTree as Safe

from envoi.kernel.errors import Invalid
from envoi.kernel.query.definition import QueryDef
from envoi.kernel.query.reading import DEEPEST, MOST, from_json, to_json

LARGEST = 1_000_000
"""Characters of a document."""
_LISTS = {"select": "node", "orderBy": "node", "groupBy": "node", "where": "condition", "having": "condition"}
# What no XML document can hold (XML 1.0 §2.2).
_UNSAYABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def from_xml(document: str | bytes | ET.Element) -> QueryDef:
    """Return the definition that `<queryDef schema="…" operation="select">…</queryDef>` says.

    An element is one that was parsed without DTD and entities. Raises Invalid with the place, also for what
    is no XML, has a DTD, is too large or nested too deep.
    """
    root = document if isinstance(document, ET.Element) else _parsed(document)
    if _local(root) != "queryDef":
        raise Invalid(f"queryDef: the document begins with <{_local(root)[:40]}>; expected <queryDef>.")
    return from_json(_Turn().query(root, "queryDef", 0))


def to_xml(definition: QueryDef) -> ET.Element:
    """Return the document of a definition; `from_xml` of it gives an equal one. `after` is no part of it.

    Raises Invalid for a text with characters that XML cannot hold.
    """
    return _query(to_json(definition), "queryDef")


def xml_text(definition: QueryDef) -> str:
    """Return the document of `to_xml` as text."""
    return ET.tostring(to_xml(definition), encoding="unicode")


def _parsed(document: str | bytes) -> ET.Element:
    if len(document) > LARGEST:
        raise Invalid(f"queryDef: the document has more than {LARGEST} characters.")
    try:
        return Safe.fromstring(document, forbid_dtd=True)
    except DefusedXmlException as error:
        raise Invalid("queryDef: the document has a DTD or entities; take them out.") from error
    except (ET.ParseError, ValueError, LookupError, RecursionError) as error:
        raise Invalid(f"queryDef: the document is no XML: {error}.") from error


class _Turn:
    """Elements to the structure that `from_json` reads."""

    def __init__(self) -> None:
        self.count = 0

    def query(self, element: ET.Element, place: str, depth: int) -> dict[str, Any]:
        found = self.attributes(element, place, depth)
        for child, where in self.children(element, place):
            item = _LISTS.get(_local(child))
            if item is None:
                raise Invalid(f"{where}: nothing is called {_local(child)[:40]!r}.")
            found[_local(child)] = self.group(child, item, where, depth + 1)
        return found

    def group(self, element: ET.Element, item: str, place: str, depth: int) -> dict[str, Any]:
        found = self.attributes(element, place, depth)
        inner: list[dict[str, Any]] = []
        for index, child in enumerate(element, 1):
            where = f"{place}/{item}[{index}]"
            if _local(child) != item:
                raise Invalid(f"{place}: nothing is called {_local(child)[:40]!r}; did you mean {item}?")
            inner.append(
                self.condition(child, where, depth + 1)
                if item == "condition"
                else self.leaf(child, where, depth + 1)
            )
        return {**found, item: inner} if inner else found

    def condition(self, element: ET.Element, place: str, depth: int) -> dict[str, Any]:
        found = self.attributes(element, place, depth)
        inner: list[dict[str, Any]] = []
        for child in element:
            if _local(child) == "condition":
                inner.append(self.condition(child, f"{place}/condition[{len(inner) + 1}]", depth + 1))
            elif _local(child) == "subQuery" and "subQuery" not in found:
                found["subQuery"] = self.query(child, f"{place}/subQuery", depth + 1)
            else:
                raise Invalid(f"{place}: nothing is called {_local(child)[:40]!r}, or it stands there twice.")
        return {**found, "condition": inner} if inner else found

    def leaf(self, element: ET.Element, place: str, depth: int) -> dict[str, Any]:
        if len(element):
            raise Invalid(f"{place}: a node has nothing inside of it.")
        return self.attributes(element, place, depth)

    def children(self, element: ET.Element, place: str) -> list[tuple[ET.Element, str]]:
        """Return the children, each with its place; the same one twice is refused."""
        seen: set[str] = set()
        for child in element:
            if _local(child) in seen:
                raise Invalid(f"{place}/{_local(child)[:40]}: it stands there twice.")
            seen.add(_local(child))
        return [(child, f"{place}/{_local(child)[:40]}") for child in element]

    def attributes(self, element: ET.Element, place: str, depth: int) -> dict[str, Any]:
        self.count += 1
        if depth > DEEPEST or self.count > MOST:
            raise Invalid(f"{place}: the definition is nested too deep, or has more than {MOST} parts.")
        for text in (element.text, *(child.tail for child in element)):
            if text is not None and text.strip():
                raise Invalid(f"{place}: there is text where none belongs: {text.strip()[:40]!r}.")
        # Those of another name space (xsi:type) say nothing here.
        return {name: value for name, value in element.attrib.items() if not name.startswith("{")}


def _local(element: ET.Element) -> str:
    tag = element.tag if isinstance(element.tag, str) else "?"  # pyright: ignore[reportUnnecessaryIsInstance] a comment's is none
    return tag.rpartition("}")[2]


def _query(said: dict[str, Any], tag: str) -> ET.Element:
    element = ET.Element(tag)
    for name, value in said.items():
        if name not in _LISTS:
            _set(element, name, value)
    for name, item in _LISTS.items():
        if name in said:
            group = ET.SubElement(element, name)
            for each in cast("list[dict[str, Any]]", said[name][item]):
                group.append(_condition(each) if item == "condition" else _node(each))
    return element


def _node(said: dict[str, Any]) -> ET.Element:
    element = ET.Element("node")
    for name, value in said.items():
        _set(element, name, value)
    return element


def _condition(said: dict[str, Any]) -> ET.Element:
    element = ET.Element("condition")
    for name, value in said.items():
        if name == "condition":
            element.extend(_condition(each) for each in value)
        elif name == "subQuery":
            element.append(_query(value, "subQuery"))
        else:
            # Clients of the product write the operator with a dash.
            _set(element, "bool-operator" if name == "boolOperator" else name, value)
    return element


def _set(element: ET.Element, name: str, value: object) -> None:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if (wrong := _UNSAYABLE.search(text)) is not None:
        raise Invalid(f"{name}: XML cannot hold the character U+{ord(wrong[0]):04X}.")
    element.set(name, text)
