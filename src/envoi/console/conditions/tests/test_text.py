"""Conditions to rows and back, and the text that is stored."""

import json

import pytest

from envoi.console.conditions import read, sentence, write
from envoi.console.conditions.rows import from_document, to_document
from envoi.console.conditions.text import of_rows, rows_in
from envoi.kernel.errors import Invalid
from envoi.kernel.query import Condition

SCHEMA = "xtk:workflow"


def rows(*conditions: str | Condition) -> dict[str, object]:
    made = tuple(each if isinstance(each, Condition) else Condition(each) for each in conditions)
    return to_document(rows_in(write(made), SCHEMA))


def line(field: str, operator: str, *values: str) -> dict[str, object]:
    return {"field": field, "op": operator, "values": list(values)}


@pytest.mark.parametrize(
    ("expr", "field", "operator", "values"),
    [
        ("@label = 'x'", "@label", "eq", ["x"]),
        ("@label LIKE '%a\\\\%b%'", "@label", "contains", ["a%b"]),
        ("@label NOT LIKE '%x%'", "@label", "ncontains", ["x"]),
        ("@label LIKE 'x%'", "@label", "starts", ["x"]),
        ("@label LIKE '%x'", "@label", "ends", ["x"]),
        ("@label LIKE 'a_c'", "@label", "like", ["a_c"]),
        ("@label IN ('a', 'b')", "@label", "in", ["a", "b"]),
        ("@label IS NULL", "@label", "empty", []),
        ("[folder/@label] IS NOT NULL", "[folder/@label]", "filled", []),
        ("[folder] IS NOT NULL", "[folder]", "filled", []),
        ("@id BETWEEN 3 AND 7", "@id", "between", ["3", "7"]),
        ("@id >= -2.5", "@id", "gte", ["-2.5"]),
    ],
)
def test_an_expression_becomes_a_line(expr: str, field: str, operator: str, values: list[str]) -> None:
    """Each operator is found again in the expression that it writes."""
    assert rows(expr) == {"join": "all", "rows": [line(field, operator, *values)]}
    assert write(read(json.dumps({"schema": SCHEMA, **rows(expr)}))) == write((Condition(expr),))


def test_groups_come_back_as_they_were() -> None:
    """All, any and none of, and the rows of a collection, are what they were after a way through the text."""
    document = {
        "join": "any",
        "rows": [
            line("@label", "contains", "x"),
            {"join": "all", "rows": [line("@id", "gt", "5"), line("[folder]", "filled")]},
            {"join": "none", "rows": [line("@label", "empty"), line("@id", "eq", "7")]},
            {
                "has": "[task]",
                "none": True,
                "join": "any",
                "rows": [line("@id", "eq", "1"), {"expr": "@id = 2 + 1"}],
            },
        ],
    }
    group = from_document(document)
    text = of_rows(group, SCHEMA)
    assert text.startswith('{"condition"')
    assert rows_in(text, SCHEMA) == group


def test_a_line_without_a_value_is_refused() -> None:
    """A line that says nothing would widen the target if it were left out."""
    text = json.dumps({"schema": SCHEMA, "join": "all", "rows": [line("@label", "eq", "")]})
    with pytest.raises(Invalid, match="fill in the value"):
        read(text)
    assert of_rows(rows_in(text, SCHEMA), SCHEMA).startswith('{"schema"')


def test_what_no_row_can_show_is_kept() -> None:
    """Conditions with a subquery, and those that stand on a variable, come back unchanged."""
    text = json.dumps(
        {
            "condition": [
                {"expr": "@label = 'x'", "enabledIf": "$(vars/@a) = 1"},
                {
                    "expr": "@id",
                    "setOperator": "NOT IN",
                    "boolOperator": "OR NOT",
                    "subQuery": {
                        "schema": SCHEMA,
                        "operation": "select",
                        "select": {"node": [{"expr": "@id"}]},
                    },
                },
            ]
        }
    )
    found = rows_in(text, SCHEMA)
    assert [type(each).__name__ for each in found.rows] == ["Kept", "Group"]
    again = read(of_rows(found, SCHEMA))
    assert again[0].enabled_if == "$(vars/@a) = 1"
    assert again[1].conditions[0].subquery is not None


def test_a_sentence_says_what_is_asked() -> None:
    """A filter reads as a sentence, with labels and values as people see them."""
    where = read("@label LIKE '%news%' AND ([folder/@name] = 'a' OR @id > 7)")
    assert (
        sentence(where, SCHEMA)
        == "Label contains “news” and (Folder › Name equals “a” or Primary key is greater than 7)"
    )
    assert sentence((), SCHEMA) == ""


@pytest.mark.parametrize(
    "text", ["{", '{"rows": 3, "schema": "xtk:workflow"}', '{"conditions": []}', "@label =", "[1]"]
)
def test_what_cannot_be_read_is_refused(text: str) -> None:
    """No text breaks the reader."""
    with pytest.raises(Invalid):
        read(text)
