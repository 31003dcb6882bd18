"""Definitions as JSON and as XML: what is written is read again, and no input breaks the reader."""

import string
from contextlib import suppress
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envoi.kernel.errors import Invalid
from envoi.kernel.query import (
    Condition,
    Field,
    Operation,
    QueryDef,
    from_json,
    from_xml,
    to_json,
    to_xml,
    xml_text,
)

# Surrogates and control characters can stand in no XML document.
TEXT = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff")
    | st.sampled_from("\n\t'<&\"@[")
)
FIELDS = st.builds(
    Field, TEXT, alias=TEXT, analyze=st.booleans(), descending=st.booleans(), group=st.booleans()
)


def fields() -> Any:
    return st.lists(FIELDS, max_size=3).map(tuple)


def queries(conditions: Any) -> Any:
    return st.builds(
        QueryDef,
        schema=st.text(string.ascii_letters + ":", min_size=1),
        operation=st.sampled_from(Operation),
        select=fields(),
        where=conditions,
        order_by=fields(),
        group_by=fields(),
        having=conditions,
        distinct=st.booleans(),
        line_count=st.none() | st.integers(0, 999_999_999),
        start_line=st.integers(0, 999_999_999),
    )


CONDITIONS = st.recursive(
    st.just(()),
    lambda inner: st.lists(
        st.builds(
            Condition,
            expr=TEXT,
            operator=st.sampled_from(("AND", "OR", "AND NOT", "OR NOT")),
            enabled_if=TEXT,
            set_operator=st.sampled_from(("", "IN", "NOT IN", "EXISTS", "NOT EXISTS")),
            conditions=inner,
            subquery=st.none() | queries(inner),
        ),
        max_size=2,
    ).map(tuple),
    max_leaves=6,
)


@settings(max_examples=80, deadline=None)
@given(queries(CONDITIONS))
def test_what_is_written_is_read_again(definition):
    assert from_json(to_json(definition)) == definition
    assert from_xml(xml_text(definition)) == definition
    assert from_xml(to_xml(definition)) == definition


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ("schema", "select", "node", "where", "condition", "expr", "subQuery", "lineCount")
            )
            | st.text(max_size=4),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@settings(max_examples=100, deadline=None)
@given(JSON)
def test_any_json_is_read_or_refused(document):
    with suppress(Invalid):
        assert isinstance(from_json(document), QueryDef)


NAMES = st.sampled_from(
    ("queryDef", "select", "node", "where", "condition", "subQuery", "orderBy", "having", "other")
)


@st.composite
def elements(draw: Any, depth: int = 0) -> ET.Element:
    name = "queryDef" if depth == 0 else draw(NAMES)
    words = st.sampled_from(("schema", "expr", "operation", "lineCount", "sortDesc", "where", "x-y"))
    element = ET.Element(name, draw(st.dictionaries(words, TEXT | st.sampled_from(("1", "true", "a:b")))))
    element.text = draw(st.none() | st.sampled_from((" ", "text")))
    if depth < 4:
        element.extend(draw(st.lists(elements(depth + 1), max_size=3)))
    return element


@settings(max_examples=80, deadline=None)
@given(elements() | st.binary() | st.text())
def test_any_xml_is_read_or_refused(document):
    with suppress(Invalid):
        assert isinstance(from_xml(document), QueryDef)


def test_the_form_of_the_product_is_read():
    found = from_xml(
        """<queryDef schema="xtk:workflow" operation="select" lineCount="10" xtkschema="xtk:queryDef">
          <!-- a comment -->
          <select><node expr="@id"/><node expr="@state" analyze="true"/></select>
          <where><condition expr="@internalName = 'cleanup'"/>
            <condition bool-operator="OR" expr="@state = 2"/>
            <condition setOperator="NOT IN" expr="@id"><subQuery schema="xtk:workflow"><select>
            <node expr="@id"/></select></subQuery></condition></where>
          <orderBy><node expr="@id" sortDesc="true"/></orderBy></queryDef>"""
    )
    assert found.select == (Field("@id"), Field("@state", analyze=True))
    assert [each.operator for each in found.where] == ["AND", "OR", "AND"]
    assert found.where[2].subquery == QueryDef("xtk:workflow", select=(Field("@id"),))
    assert found.order_by == (Field("@id", descending=True),)
    assert found.line_count == 10


BOMB = '<!DOCTYPE q [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><queryDef schema="&b;"/>'


TWICE = "<where><condition/></where>" * 2
DEEP = f"<where>{'<condition>' * 40}{'</condition>' * 40}</where>"


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (BOMB, "has a DTD"),
        ('<!DOCTYPE q SYSTEM "file:///etc/passwd"><queryDef/>', "has a DTD"),
        ("<query/>", "begins with <query>"),
        ("<queryDef", "no XML"),
        ("x" * 1_000_001, "more than 1000000"),
        (f"<queryDef schema='a:b'>{TWICE}</queryDef>", "queryDef/where: .*twice"),
        (f"<queryDef schema='a:b'>{DEEP}</queryDef>", "nested too deep"),
        (
            "<queryDef schema='a:b'><where><condition expres='1'/></where></queryDef>",
            r"condition\[1\].*did you mean expr",
        ),
        ("<queryDef schema='a:b' lineCount='many'/>", "queryDef/lineCount"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(document, said):
    with pytest.raises(Invalid, match=said):
        from_xml(document)


def test_a_character_that_xml_cannot_hold_is_refused():
    with pytest.raises(Invalid, match="U\\+0000"):
        to_xml(QueryDef("a:b", select=(Field("'\0'"),)))
