"""Every page that a message can begin with compiles, can be sent, and shows well in light and dark."""

import re

import pytest
from django.test import Client

from envoi.kernel.errors import NotFound
from envoi.kernel.testing import admin_actor, make_operator
from envoi.packages.delivery.models import Image, Recipient
from envoi.packages.delivery.services.content import checking, images, preview, starters, visual
from envoi.packages.delivery.services.content.checking import Weight
from envoi.packages.delivery.testing import make_delivery, make_recipients

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("language", starters.LANGUAGES)
@pytest.mark.parametrize("name", starters.NAMES)
def test_a_message_begins_with_it_and_can_be_sent(name: str, language: str) -> None:
    (one,) = make_recipients(1, first_name="Zoë")
    Recipient.objects.filter(pk=one).update(email="zoe@example.org")
    delivery = make_delivery(text_source="", html_source="")
    source = starters.source(name, language, actor=admin_actor())
    assert "@" not in re.sub(r"@media|\S+@\S+\.\w+", "", source)
    for field, value in visual.values(delivery, source).items():
        setattr(delivery, field, value)
    delivery.save()
    assert visual.kept(delivery.mjml_source) == delivery.mjml_source
    found = checking.check(delivery, actor=admin_actor())
    assert [each for each in found if each.weight is Weight.STOPS] == []
    html = preview.preview(
        delivery, actor=admin_actor(), reader=preview.find(delivery, "", actor=admin_actor())
    ).parts["html"]
    assert ("Bonjour Zoë" in html or "Zoë, tout" in html) == (language == "fr")
    assert "{{" not in html
    assert len(html) < checking.CLIPPED
    assert "zoe@example.org" in html
    assert f'lang="{language}"' in html
    assert preview.knows_dark(html)
    assert all('alt="' in each for each in re.findall(r"<img[^>]*>", html))
    assert set(images.shown_in(html)) == set(Image.objects.values_list("digest", flat=True))


def test_the_page_offers_them_and_starts() -> None:
    client = Client()
    client.force_login(
        make_operator("sofia", ("ADMINISTRATION",)), "django.contrib.auth.backends.ModelBackend"
    )
    delivery = make_delivery(html_source="", text_source="")
    address = f"/deliveries/{delivery.pk}/content/visual"
    page = client.get(f"{address}?language=fr").content.decode()
    assert page.count('class="vstarter"') == 6
    assert "Ce que nous avons préparé" in page
    assert "recipient.firstName" not in page
    policy = client.get(address)["Content-Security-Policy"]
    assert "script-src 'self';" in policy
    assert client.post(address, {"do": "start", "starter": "letter", "language": "fr"}).status_code == 302
    delivery.refresh_from_db()
    assert "Bien à vous" in delivery.html_source
    assert "Bien à vous" in delivery.text_source
    answer = client.post(
        address,
        {"do": "keep", "mjml_source": "<mjml><mj-body><mj-include path='x'/></mj-body></mjml>"},
        headers={"Accept": "application/json"},
    )
    assert "mj-include" in answer.json()["problem"]
    with pytest.raises(NotFound):
        starters.source("../head", "en", actor=admin_actor())


def test_html_written_through_another_door_ends_the_visual_editor() -> None:
    from envoi.packages.delivery.services import deliveries

    delivery = make_delivery(html_source="", text_source="")
    source = starters.source("empty", "en", actor=admin_actor())
    deliveries.change(delivery, visual.values(delivery, source), actor=admin_actor())
    assert delivery.mjml_source
    deliveries.change(delivery, {"subject": "New", "html_source": delivery.html_source}, actor=admin_actor())
    assert delivery.mjml_source
    copy = deliveries.create(delivery, actor=admin_actor())
    assert copy.mjml_source == delivery.mjml_source
    deliveries.change(delivery, {"html_source": "<p>by hand</p>"}, actor=admin_actor())
    assert delivery.mjml_source == ""


@pytest.mark.parametrize("dark", [False, True])
def test_the_preview_answers_for_the_scheme_of_the_reader(dark: bool) -> None:
    html = (
        "<style>@media (prefers-color-scheme:dark){p{color:red}}</style>"
        "<style media='(prefers-color-scheme: light)'>p{}</style><p>(prefers-color-scheme:dark)</p>"
    )
    seen = preview.in_scheme(html, dark=dark)
    assert seen.startswith(f"<style>@media {'(min-width:0)' if dark else '(max-width:0)'}{{p{{color:red}}}}")
    assert f"<style media='{'(max-width:0)' if dark else '(min-width:0)'}'>" in seen
    assert seen.endswith("<p>(prefers-color-scheme:dark)</p>")
    plain = preview.in_scheme("<p>x</p>", dark=dark)
    assert ("invert" in plain) == dark
