"""Schema documents: written for clients, read as extensions."""

from contextlib import suppress
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from envoi.kernel import extensions, registry
from envoi.kernel.errors import Invalid, NotFound, Refused
from envoi.kernel.extensions import NewField, NewLink, documents
from envoi.kernel.registry import Type
from envoi.kernel.registry.documents import document, text_of
from envoi.kernel.testing import admin_actor

EXTENSION = """<?xml version="1.0"?>
<srcSchema namespace="cus" name="extAccount" extendedSchema="nms:extAccount">
  <enumeration name="tier" basetype="byte">
    <value name="none" value="0" label="None"/><value name="gold" value="1" label="Gold"/>
  </enumeration>
  <element name="extAccount">
    <attribute name="region" label="Region" type="string" length="32" default="'north'"/>
    <attribute name="tier" label="Tier" type="byte" enum="cus:extAccount:tier" default="gold"/>
    <attribute name="kind" type="string" length="5" userEnum="domain"/>
    <attribute name="label" type="string" length="128"/>
    <element name="notes" type="memo" label="Notes"/>
    <element name="keeper" type="link" target="xtk:operator" label="Keeper" revLink="keptAccount"/>
  </element>
</srcSchema>"""
TABLE = """<srcSchema namespace="cus" name="store" label="Stores" labelSingular="Store">
  <element name="store" autopk="true">
    <key name="code"><keyfield xpath="@code"/></key>
    <attribute name="id" type="int64"/>
    <attribute name="code" type="string" length="8" label="Code"/>
    <element name="folder" type="link" target="xtk:folder"/>
  </element>
</srcSchema>"""


def read(text: str | bytes) -> documents.Reading:
    return documents.read(text, registry.fresh())


def test_an_extension_is_read_shown_and_applied(db):
    found = read(EXTENSION)
    assert found.name == "nms:extAccount"
    assert found.known == ("label",)
    members = {member.name: member for _, member in found.additions.members}
    assert members["region"] == NewField("region", "Region", Type.STRING, 32, "north")
    assert members["keeper"] == NewLink("keeper", "xtk:operator", "Keeper", "keptAccount")
    assert members["kind"].list_name == "domain"
    extensions.add(found.additions, actor=admin_actor())
    schema = registry.fresh()["nms:extAccount"]
    tier = schema.attributes["tier"]
    assert tier.enumeration is not None
    assert (tier.default, [each.label for each in tier.enumeration.values]) == (1, ["None", "Gold"])
    again = read(EXTENSION)
    assert not again.adds
    assert set(again.known) == {"region", "tier", "kind", "label", "notes", "keeper"}


def test_a_table_is_read_with_its_key_and_folder(db):
    found = read(TABLE)
    (table,) = found.additions.tables
    assert (table.label, table.singular, table.parent) == ("Stores", "Store", "folder")
    assert dict(table.keys) == {"code": ("code",)}
    extensions.add(found.additions, actor=admin_actor())
    assert registry.fresh()["cus:store"].folder == ("folder",)


def test_a_document_says_all_of_a_schema(db):
    extensions.add(read(TABLE).additions, actor=admin_actor())
    extensions.add(read(EXTENSION).additions, actor=admin_actor())
    known = registry.fresh()
    root = document(known["nms:extAccount"], known, language="fr")
    body = root.find("element")
    assert body is not None
    assert (root.get("namespace"), root.get("name"), body.get("name")) == ("nms", "extAccount", "extAccount")
    assert root.get("label") == "Comptes externes"
    region = body.find("attribute[@name='region']")
    assert region is not None
    assert dict(region.attrib) == {
        "name": "region", "type": "string", "label": "Region", "length": "32", "default": "'north'",
        "sqlname": "region",
    }  # fmt: skip
    folder = body.find("element[@name='folder']")
    assert folder is not None
    join = folder.find("join")
    assert join is not None
    assert (folder.get("target"), join.get("xpath-src"), join.get("xpath-dst")) == (
        "xtk:folder",
        "@folder-id",
        "@id",
    )
    assert root.find("enumeration[@name='tier']/value[@name='gold']") is not None
    assert body.find("key[@internal='true']/keyfield") is not None


def test_every_schema_has_a_document_that_is_xml(db):
    known = registry.fresh()
    for schema in known:
        again = ET.fromstring(text_of(document(schema, known)))  # noqa: S314 our own
        body = again.find("element")
        assert body is not None
        assert body.get("name") == schema.local_name
        for name in schema.attributes:
            path = "/".join(
                [f"element[@name='{each}']" for each in name.split("/")[:-1]]
                + [f"attribute[@name='{name.rpartition('/')[2]}']"]
            )
            assert body.find(path) is not None, (schema.name, name)


BODY = '<srcSchema extendedSchema="nms:extAccount"><element name="extAccount">{}</element></srcSchema>'
LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LAUGHS + BODY.format(""), "DTD"),
        ('<!DOCTYPE x SYSTEM "file:///etc/passwd">' + BODY.format(""), "DTD"),
        ("<srcSchema", "no XML"),
        ("", "no XML"),
        ("<form/>", "begins with <form>"),
        ("<srcSchema extendedSchema='nms:extAccount'/>", "has no <element"),
        (BODY.format("x" * 1_000_001), "are allowed"),
        (BODY.format("<a>" * 20 + "</a>" * 20), "nested more than 12"),
        (BODY.format('<attribute name="a"/>' * 6_000), "more than 5000"),
        (BODY.format('<attribute name="a"/>' * 2), "stands in the document twice"),
        (BODY.format('<attribute name="a" type="blob"/>'), "no field has the type blob"),
        (BODY.format('<attribute name="a" length="long"/>'), "no whole number"),
        (BODY.format('<attribute name="a" expr="@b"/>'), "is calculated"),
        (BODY.format('<attribute name="a" default="GetDate()"/>'), "is no constant"),
        (BODY.format('<attribute name="a" enum="nms:x:y"/>'), "no enumeration nms:x:y"),
        (BODY.format('<element name="a" type="link"/>'), "names its target"),
        (BODY.format('<method name="a"/>'), "<method> has no meaning"),
        (BODY.format('<attribute name="label" type="long"/>'), "otherwise than the document"),
    ],
    ids=lambda each: each[:20],
)
def test_what_is_wrong_is_refused(db, text, said):
    with pytest.raises(Invalid, match=said):
        read(text)


def test_a_schema_that_is_not_there_is_named(db):
    with pytest.raises(NotFound, match="Did you mean nms:extAccount"):
        read('<srcSchema extendedSchema="nms:extAccounts"><element name="extAccounts"/></srcSchema>')


WORDS = st.sampled_from(
    ("name", "type", "label", "length", "enum", "default", "target", "extendedSchema", "expr", "unbound")
)
VALUES = st.sampled_from(
    (
        "extAccount",
        "nms:extAccount",
        "byte",
        "link",
        "string",
        "'a'",
        "-1",
        "999999999999999999",
        "tier",
        "true",
    )
) | st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=8)


@st.composite
def elements(draw: Any, depth: int = 0) -> ET.Element:
    tags = (
        ("srcSchema",) if depth == 0 else ("element", "attribute", "enumeration", "value", "key", "keyfield")
    )
    element = ET.Element(draw(st.sampled_from(tags)), draw(st.dictionaries(WORDS, VALUES, max_size=5)))
    if depth < 3:
        element.extend(draw(st.lists(elements(depth + 1), max_size=3)))
    return element


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(elements().map(ET.tostring) | st.binary() | st.text())
def test_any_document_is_read_or_refused(db, text):
    with suppress(Refused):
        found = read(text).additions
        planned = extensions.plan(found, actor=admin_actor())
        assert len(planned.fields) == len(found.members) + sum(len(each.members) for each in found.tables)
