"""MJML is kept as XML and compiled on the server; marks of templates come through untouched."""

import re

import pytest

from envoi.kernel.errors import Invalid
from envoi.packages.delivery.services.content import visual


def _mjml(inner: str, head: str = "") -> str:
    return f"<mjml><mj-head>{head}</mj-head><mj-body>{inner}</mj-body></mjml>"


def _section(inner: str, attributes: str = "") -> str:
    return f"<mj-section{attributes}><mj-column>{inner}</mj-column></mj-section>"


MARKS = (
    '{{ recipient.firstName|default("a & b") }}',
    "{% if recipient.age < 18 and recipient['x'] > 3 %}",
    "{% else %}",
    "{% endif %}",
    "<%-- a remark --%>",
    '{{ "é" ~ recipient.city }}',
)


def test_marks_come_through_as_they_are_written(db):
    source = _mjml(
        _section(
            f"<mj-text>{MARKS[0]} {MARKS[1]}yes{MARKS[2]}no{MARKS[3]} {MARKS[4]}</mj-text>"
            f"<mj-button href=\"https://shop.example/?a=1&amp;b={{{{ recipient['account'] }}}}&c=2\">"
            f"{MARKS[5]}</mj-button>"
            "<mj-image src='https://img.example/{{ recipient.id }}.png' alt='{{ recipient.firstName }}'/>"
        ),
        head="<mj-preview>{{ recipient.firstName }}, hello</mj-preview>",
    )
    html = visual.compiled(source)
    for mark in MARKS:
        assert mark in html
    assert "href=\"https://shop.example/?a=1&amp;b={{ recipient['account'] }}&amp;c=2\"" in html
    assert 'src="https://img.example/{{ recipient.id }}.png"' in html
    assert "{{ recipient.firstName }}, hello" in html


def test_what_is_kept_is_the_same_when_it_is_kept_again(db):
    source = _mjml(
        _section(
            f"<mj-text>{''.join(MARKS)}<br>one&nbsp;&amp; two &eacute; <img src='a.png'></mj-text>",
            ' envoi-if="recipient.age > 18"',
        )
    )
    kept = visual.kept(source)
    assert visual.kept(kept) == kept
    assert visual.compiled(kept) == visual.compiled(source)
    assert "<br/>" in kept
    assert "one\xa0&amp; two é" in kept


def test_marks_of_the_product_are_translated(db):
    html = visual.compiled(_mjml(_section("<mj-text>Hi <%= recipient.firstName %></mj-text>")))
    assert "Hi {{ recipient.firstName }}" in html


def test_conditions_and_loops_of_the_editor_stand_around_their_elements(db):
    source = _mjml(
        _section(
            '<mj-text envoi-if="recipient.city == &quot;Lyon&quot;">Lyon</mj-text><mj-text>All</mj-text>'
            '<mj-spacer envoi-if="recipient.x"/>',
            ' envoi-each="purchase in recipient.purchases" envoi-if="recipient.age &gt; 18"',
        )
        + _section("<mj-text>Last</mj-text>")
    )
    html = visual.compiled(source)
    assert "envoi-" not in html
    order = [
        "{% for purchase in recipient.purchases %}",
        "{% if recipient.age > 18 %}",
        '{% if recipient.city == "Lyon" %}',
        ">Lyon<",
        "{% endif %}",
        ">All<",
        "{% if recipient.x %}",
        "{% endif %}",
        "{% endif %}",
        "{% endfor %}",
        ">Last<",
    ]
    place = 0
    for each in order:
        place = html.index(each, place) + len(each)
    # What a condition leaves out is whole: tables are balanced inside of it.
    inside = re.search(r"\{% if recipient.city.*?%\}(.*?)\{% endif %\}", html, re.S)
    assert inside
    assert inside[1].count("<tr>") == inside[1].count("</tr>") == 1


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("<html><body></body></html>", "no MJML"),
        (_mjml(_section("<mj-text>open")), "line 1"),
        (_mjml('<mj-include path="/etc/passwd"/>'), "mj-include"),
        ('<!DOCTYPE mjml [<!ENTITY a "b">]>' + _mjml("&a;"), "entities"),
        (_mjml(_section("<mj-text>" + "<div>" * 500 + "</div>" * 500 + "</mj-text>")), "within each other"),
        (_mjml(_section("<mj-text>" + "x" * 1_000_001 + "</mj-text>")), "larger than 1 MB"),
        (_mjml(_section("", ' envoi-if="{{ x }}"')), "without braces"),
        (_mjml("<mj-nothing/>"), "MJML"),
    ],
)
def test_what_cannot_be_compiled_is_refused(db, source, said):
    with pytest.raises(Invalid, match=said):
        visual.compiled(source)


def test_a_message_of_the_editor_asks_nobody_else_for_anything(db):
    html = visual.compiled(
        _mjml(
            _section(
                '<mj-text font-family="Roboto">a</mj-text><mj-social><mj-social-element '
                'name="facebook-noshare" href="https://social.example/us">us</mj-social-element></mj-social>'
            )
        )
    )
    assert "fonts.googleapis" not in html
    assert "mailjet" not in html
    assert "/static/delivery/social/facebook.png" in html


def test_style_sheets_reach_the_message_as_they_are_meant(db):
    source = _mjml(
        _section("<mj-text>a</mj-text>"), head="<mj-style>.a&gt;b{color:red}/* &amp; */</mj-style>"
    )
    assert ".a>b{color:red}/* & */" in visual.compiled(source)
