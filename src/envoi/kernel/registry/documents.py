"""Schemas as XML documents, in the form that clients of the product read (soap-api.md §6)."""

from collections.abc import Callable
from xml.etree import ElementTree as ET

from envoi.kernel.registry.labels import translate
from envoi.kernel.registry.schema import Attribute, Link, Registry, Schema
from envoi.kernel.registry.types import Type


def document(schema: Schema, registry: Registry, *, language: str | None = None) -> ET.Element:
    """Return the document of a schema: attributes, enumerations, keys, links with their joins, labels.

    Labels are in `language` (default: the active one). Attributes with slashes in their names stand inside of
    elements. `sqltable` and `sqlname` are the names in the database.
    """

    def say(label: str) -> str:
        return translate(label, language)

    root = ET.Element(
        "schema",
        namespace=schema.namespace,
        name=schema.local_name,
        label=say(schema.label),
        labelSingular=say(schema.singular),
        mappingType="sql",
        xtkschema="xtk:schema",
    )
    for each in schema.enumerations.values():
        found = ET.SubElement(root, "enumeration", name=each.name, basetype=each.base.value)
        for value in each.values:
            ET.SubElement(found, "value", name=value.name, value=str(value.value), label=say(value.label))
    body = ET.SubElement(root, "element", name=schema.local_name, label=say(schema.singular))
    body.set("autopk", "true")
    body.set("sqltable", schema.table)
    if schema.text:
        ET.SubElement(body, "compute-string", expr=schema.text)
    _key(body, "id", [_path(schema, each) for each in schema.key], internal=True)
    for name, parts in schema.keys.items():
        _key(body, name, [_part(schema, each) for each in parts])
    for attribute in schema.attributes.values():
        element, _, last = attribute.name.rpartition("/")
        _attribute(_inside(body, element), last, attribute, schema, say)
    for link in schema.links.values():
        _link(body, link, schema, registry, say)
    return root


def text_of(element: ET.Element) -> str:
    """Return a document as text, indented."""
    ET.indent(element)
    return ET.tostring(element, encoding="unicode") + "\n"


def _key(body: ET.Element, name: str, paths: list[str], *, internal: bool = False) -> None:
    key = ET.SubElement(body, "key", name=name)
    if internal:
        key.set("internal", "true")
    for path in paths:
        ET.SubElement(key, "keyfield", xpath=path)


def _path(schema: Schema, column: str) -> str:
    attribute = schema.attribute_of(column)
    return attribute.xpath.strip("[]") if attribute is not None else "@id"


def _part(schema: Schema, name: str) -> str:
    attribute = schema.attributes.get(name) or schema.attributes.get(f"{name}-id")
    return attribute.xpath.strip("[]") if attribute is not None else f"@{name}"


def _inside(body: ET.Element, path: str) -> ET.Element:
    """Return the element in which an attribute stands, made when it is not there yet."""
    for step in filter(None, path.split("/")):
        found = next((each for each in body.findall("element") if each.get("name") == step), None)
        body = ET.SubElement(body, "element", name=step) if found is None else found
    return body


def _attribute(
    parent: ET.Element, name: str, attribute: Attribute, schema: Schema, say: Callable[[str], str]
) -> None:
    found = ET.SubElement(
        parent, "attribute", name=name, type=attribute.type.value, label=say(attribute.label)
    )
    if attribute.length is not None:
        found.set("length", str(attribute.length))
    if attribute.enumeration is not None:
        found.set("enum", f"{schema.name}:{attribute.enumeration.name}")
    if attribute.list_name:
        found.set("userEnum", attribute.list_name)
    if attribute.required:
        found.set("required", "true")
    if attribute.default not in (None, ""):
        found.set("default", _constant(attribute.type, attribute.default))
    if attribute.column:
        found.set("sqlname", attribute.column)
    if attribute.expr:
        found.set("expr", attribute.expr)


def _constant(kind: Type, value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and kind in (Type.STRING, Type.MEMO):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return str(value)


def _link(
    body: ET.Element, link: Link, schema: Schema, registry: Registry, say: Callable[[str], str]
) -> None:
    found = ET.SubElement(
        body, "element", name=link.name, type="link", target=link.target, label=say(link.label)
    )
    if link.collection:
        found.set("unbound", "true")
    elif link.unique:
        found.set("revCardinality", "single")
    if link.reverse:
        found.set("revLink", link.reverse)
    target = registry[link.target]
    for own, theirs in link.join:
        ET.SubElement(found, "join", {"xpath-src": _path(schema, own), "xpath-dst": _path(target, theirs)})
