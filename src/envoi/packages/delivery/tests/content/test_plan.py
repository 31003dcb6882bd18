"""A template taken apart gives what minijinja makes of the whole."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envoi.packages.delivery.services.content.frozen import builder
from envoi.packages.delivery.services.content.plan import Filled, Plan, Whole
from envoi.packages.delivery.services.content.reading import Column
from envoi.packages.delivery.services.content.templates import PARTS, Templates
from envoi.packages.delivery.services.sending import mime

COLUMNS = [
    Column("recipient.firstName", "TEXT"),
    Column("recipient.age", "INTEGER"),
    Column("recipient.location.city", "TEXT"),
    Column("recipient.vip", "BOOLEAN"),
    Column("recipient.folder", "TEXT"),
    Column("recipient.folder.name", "TEXT"),
]
ROW = ("Zoë", 41, "Århus", True, "x", "Clients")
FUNCTIONS: dict[str, Callable[..., str]] = {
    "_html": lambda number, *params: f"https://t.example/?{number}&amp;{'|'.join(map(_said, params))}",
    "_text": lambda number, *params: f"https://t.example/?{number}&{'|'.join(map(_said, params))}",
    "_html_page": lambda name: f"https://t.example/{name}?a&amp;b",
    "_text_page": lambda name: f"https://t.example/{name}?a&b",
    "_open": lambda: "https://t.example/open",
}


def _said(value: object) -> str:
    return "" if value is None else str(value)


def both(sources: dict[str, str], row: tuple[Any, ...] = ROW) -> tuple[Plan, Filled, dict[str, str]]:
    """Fill the plan and render the templates."""
    made = Templates(
        sources, language="en", zone="UTC", limit=0, constants={"delivery": {"label": "L"}},
        functions=FUNCTIONS,
    )  # fmt: skip
    plan = Plan(
        {name: sources.get(name, "") for name in PARTS},
        [(each.path, each.kind) for each in COLUMNS],
        FUNCTIONS,
    )
    made.add(plan.foreign)
    seen = builder(COLUMNS)(row)
    return plan, plan.fill(row, lambda name: made.piece(name, seen)), made.render(seen)


def check(sources: dict[str, str], row: tuple[Any, ...] = ROW) -> Plan:
    plan, filled, rendered = both(sources, row)
    for name, text in (("text", filled.text), ("html", filled.html)):
        assert bool(text) == bool(rendered[name])
        assert mime.decoded(text).rstrip(b"\n") == mime.decoded(rendered[name]).rstrip(b"\n")
        if isinstance(text, mime.Coded):
            data = b"".join(text.data)
            assert all(len(line) <= 76 and not line.startswith(b".") for line in data.split(b"\r\n"))
            assert data.count(b"\n") == data.count(b"\r") == data.count(b"\r\n")
            assert data.endswith(b"\r\n")
    assert dict(filled.parts) == {name: rendered[name] for name in PARTS if name not in ("text", "html")}
    return plan


PLAIN = [
    "Dear {{ recipient.firstName }},\r\n{{recipient.location.city}} {{ recipient.age }}",
    '<a href="{{ _html(3, (recipient.firstName), (recipient.age))|safe }}">x</a>{{ _open()|safe }}',
    "{% for line in range(3) %}<td>{{ line }} of {{ recipient.firstName }}</td>\n{% endfor %}.",
    "  {%- for line in range(2) -%}  {{ line }} {% endfor -%}  \n .",
    "a <%-- {{ not }} {% shown --%> b  {{- recipient.firstName -}}\n  c",
    "{{ recipient.firstName }}" + "x" * 76 + "{{ recipient.firstName }}" + ".\n.\n.x" + "y" * 75 + "\n",
    "= \t\n  two  blanks \t{{ recipient.location.city }} \n\n",
    "no field at all, and {# no comment #}",
    "",
]
WITH_FOREIGN = [
    "{{ recipient.firstName|upper }} {{ delivery.label }} {{ recipient.vip }} {{ recipient['age'] }}",
    "{% if recipient.age > 40 %}old{% elif recipient.vip %}{{ recipient.firstName }}{% else %}x{% endif %}.",
    "{% for a in range(2) %}{% for b in range(2) %}{{ a * b }}{% endfor %},{% endfor %}.",
    "{% for a in [1, 2] %}{{ loop.index }}{{ recipient.firstName }}\n{% endfor %}.",
    "{% for n in range(2) %}{{ n + 1 }}{% endfor %}{{ recipient.folder.name }} {{ recipient.nothing }}.",
    "{{ _html_page('mirrorUrl')|safe }} {{ _text_page('mirrorUrl') }} {{ _open() }}.",
    "{{ recipient.folder }}.",
]


@pytest.mark.parametrize("source", PLAIN)
def test_fields_links_and_fixed_loops_are_put_together_without_a_template(source: str) -> None:
    in_text = source.replace("_html", "_text").replace("|safe", "")
    assert not check({"html": source, "text": in_text, "subject": in_text}).foreign


@pytest.mark.parametrize("source", WITH_FOREIGN)
def test_whatever_else_a_template_does_is_left_to_it(source: str) -> None:
    assert check({"text": source, "html": source, "subject": source}).foreign


@pytest.mark.parametrize(
    "source",
    [
        "{% set x = 3 %}{{ x }}.",
        "{% if recipient.age %}{% set x = 3 %}{% endif %}{{ x }}.",
        "{% macro m() %}y{% endmacro %}{{ m() }}.",
        "{% raw %}{{ recipient.firstName }}{% endraw %}.",
        "{{ recipient.firstName }}",
        "a\r{{ recipient.firstName }}.",
    ],
)
def test_what_cannot_be_taken_apart_is_left_whole(source: str) -> None:
    with pytest.raises(Whole):
        both({"text": source})


@pytest.mark.parametrize(
    "row",
    [
        (None, None, None, None, None, None),
        ("", Decimal(7), ".", False, "", ""),
        ("a\r\nb", 0, " \t ", True, "\n", "<&>\"'/"),
        ("x" * 300, -1, "é" * 200, True, "=", "=?"),
        (UUID(int=5), 2**62, "\n.\n", True, "a  b", "\u2028"),
    ],
)
def test_fields_are_shown_as_templates_show_them(row: tuple[Any, ...]) -> None:
    for source in (*PLAIN, *WITH_FOREIGN[:3]):
        check({"html": source, "subject": source}, row)
        check({"text": source.replace("_html", "_text").replace("|safe", "")}, row)


@given(
    name=st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])),
    text=st.text("ab.= \n\té"),
)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_any_value_and_any_text_come_through(name: str, text: str) -> None:
    source = f"{text}{{{{ recipient.firstName }}}}{text}{{{{ recipient.location.city }}}}!"
    check({"html": source, "text": source, "subject": source}, (name, 1, text, True, "", ""))


def test_a_value_that_is_not_shown_plainly_is_left_to_the_template() -> None:
    with pytest.raises(Whole):
        both({"text": "{{ recipient.age }}."}, ("x", 1.5, "y", True, "", ""))
