import time
from datetime import UTC, date, datetime
from typing import Any

import pytest

from envoi.kernel.errors import Invalid
from envoi.packages.delivery.services.content import settings, translating
from envoi.packages.delivery.services.content.plain import of_html
from envoi.packages.delivery.services.content.templates import CannotRender, Templates, TooLong, fields
from envoi.packages.delivery.services.deliveries import sending

RECIPIENT = {
    "firstName": '<b>Zoë & "Co"</b>',
    "location": {"city": "Århus"},
    "birthDate": date(1990, 3, 4),
    "created": datetime(2026, 1, 2, 23, 30, tzinfo=UTC),
    "points": 1234567,
}
LONG = "{% for i in range(9000) %}{% for j in range(9000) %}{{ i }}{% endfor %}{% endfor %}"


def rendered(limit: float = 0, language: str = "en", **sources: str) -> dict[str, str]:
    made = Templates(sources, language=language, zone="Europe/Paris", limit=limit, constants={}, functions={})
    return made.render({"recipient": RECIPIENT})


def test_html_escapes_values_and_other_parts_do_not() -> None:
    source = "Hi {{ recipient.firstName }}"
    made = rendered(html=source, text=source, subject=source)
    assert made["html"] == "Hi &lt;b&gt;Zoë &amp; &quot;Co&quot;&lt;&#x2f;b&gt;"
    assert made["text"] == made["subject"] == 'Hi <b>Zoë & "Co"</b>'


def test_what_is_missing_is_empty_however_deep() -> None:
    source = "[{{ recipient.lastName }}{{ recipient.a.b.c|upper }}{{ recipient.d|date }}{{ x.y|urlencode }}]"
    assert rendered(text=source)["text"] == "[]"
    assert rendered(text="{% if recipient.age > 18 %}no{% endif %}")["text"] == ""


def test_style_sheets_are_no_comments_and_line_ends_stay() -> None:
    source = "<style>@media x{#a{b:c}}</style>\r\n<%-- not shown --%>{{ recipient.location.city }}\n\n"
    made = rendered(html=source)["html"]
    assert made == "<style>@media x{#a{b:c}}</style>\r\nÅrhus\n\n"


def test_dates_and_numbers_speak_the_language_of_the_delivery() -> None:
    source = (
        "{{ recipient.birthDate|date('long') }} {{ recipient.created|date }} {{ recipient.points|number }}"
        " {{ recipient.points|currency('EUR') }}"
    )
    assert rendered(text=source)["text"] == "March 4, 1990 Jan 3, 2026 1,234,567 €1,234,567.00"
    french = rendered(language="fr", text=source)["text"].replace("\u202f", " ").replace("\xa0", " ")
    assert french == "4 mars 1990 3 janv. 2026 1 234 567 1 234 567,00 €"


def test_fields_are_found_wherever_they_stand() -> None:
    html = (
        "{% if recipient.age > 3 %}{{ recipient.location.city|upper }}{% endif %}{{ _html(3) }}{{ range(2) }}"
    )
    found = fields({"html": html, "subject": "{% set x = targetData.score %}{{ x }}{{ message.id }}"})
    assert found == {"recipient.age", "recipient.location.city", "targetData.score", "message.id"}


def test_errors_name_the_part_and_the_line() -> None:
    with pytest.raises(Invalid, match=r"HTML content, line 2: syntax error: unexpected"):
        fields({"html": "<p>\n{{ recipient. }}</p>"})
    with pytest.raises(Invalid, match=r"recipient is a reserved object"):
        fields({"html": "{% set recipient = 3 %}"})
    with pytest.raises(CannotRender, match=r"Subject, line 1: .*unknown filter"):
        rendered(subject="{{ recipient.x|shout }}")


@pytest.mark.django_db
@pytest.mark.case("D13")
def test_a_message_that_takes_too_long_is_aborted_and_without_a_limit_it_is_not() -> None:
    assert sending.read({}).personalisation == 5
    for limit in (0.02, 0.2):
        begun = time.thread_time()
        with pytest.raises(TooLong, match=rf"takes longer than {limit:g} s"):
            rendered(limit, text=LONG)
        # About the limit, not the minute that the template would take.
        assert time.thread_time() - begun < limit * 4 + 0.3
    short = LONG.replace("9000", "300")
    with pytest.raises(TooLong):
        rendered(0.0001, text=short)
    assert len(rendered(0, text=short)["text"]) > 200_000


def test_a_value_cannot_reach_what_is_behind_it() -> None:
    for source in ("{{ recipient.birthDate.__class__ }}", "{{ recipient.birthDate|attr('__class__') }}"):
        assert rendered(text=source)["text"] == ""


@pytest.mark.parametrize(
    ("said", "made"),
    [
        ("Hi <%= recipient.firstName %>,", "Hi {{ recipient.firstName }},"),
        ("a.php?n=<%=escapeUrl(recipient.lastName)%>", "a.php?n={{ recipient.lastName|urlencode }}"),
        ("<%@ include view='greetings' %>", '{% include "greetings" %}'),
        ('<%@ value object="delivery" xpath="@label" %>', "{{ delivery.label }}"),
        ("&lt;%= recipient.firstName.toUpperCase() %&gt;", "{{ recipient.firstName|upper }}"),
        (
            "<% if (recipient.age >= 18 && recipient.gender != 1) { %>A<% } else { %>B<% } %>",
            "{% if recipient.age >= 18 and recipient.gender != 1 %}A{% else %}B{% endif %}",
        ),
        ("<%asm_global_unsubscribe_raw_url%>", "<%asm_global_unsubscribe_raw_url%>"),
        (
            "<% if (recipient.age == 1) { %><% for (i in x) { %>y<% } %><% } %>",
            "{% if recipient.age == 1 %}<% for (i in x) { %>y<% } %>{% endif %}",
        ),
    ],
)
def test_the_marks_of_the_product_are_translated(said: str, made: str) -> None:
    first = translating.translated(said, html=True)
    assert first.source == made
    assert bool(first.kept) == ("<%" in made)
    assert translating.translated(made, html=True).source == made


def test_a_text_is_made_of_html() -> None:
    html = (
        "<head><style>p{}</style><title>T</title></head><h1>News</h1><p>Dear "
        "{{ recipient.firstName }},<br>see\n"
        ' <a href="https://a.example/?x={{ recipient.id }}&amp;y=1">our <b>shop</b></a>.</p>'
        '<ul><li>One</li><li>Two</li></ul><img alt="Logo" src="x"><a href="#top">Up</a>'
    )
    assert of_html(html) == (
        "News\n\nDear {{ recipient.firstName }},\n"
        "see our shop (https://a.example/?x={{ recipient.id }}&y=1).\n\n"
        "- One\n- Two\n\nLogoUp"
    )


def test_settings_are_checked() -> None:
    said: dict[str, Any] = {"tracking": False, "opens": False, "language": "fr"}
    assert settings.read(settings.read(said).said()) == settings.read(said)
    for wrong in (
        {"timeLimit": -1},
        {"timeLimit": True},
        {"tracking": 1},
        {"colour": "red"},
        {"language": 3},
    ):
        with pytest.raises(Invalid):
            settings.read(wrong)
