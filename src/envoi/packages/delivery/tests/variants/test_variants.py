"""Contents in several languages: chosen, frozen, counted, edited."""

from dataclasses import replace
from typing import Any

import pytest
from django.conf import settings

from envoi.kernel import clock
from envoi.kernel.config import TrackingConfig
from envoi.kernel.errors import Invalid, NotFound
from envoi.kernel.models import Folder
from envoi.kernel.testing import admin_actor
from envoi.packages.delivery.models import (
    Delivery,
    DeliveryPart,
    DeliveryRun,
    JobLevel,
    JobLog,
    Recipient,
    SeedMember,
    TrackingUrl,
    UrlType,
)
from envoi.packages.delivery.services import analysis, content, deliveries, variants
from envoi.packages.delivery.services.content.frozen import Rendered
from envoi.packages.delivery.testing import make_delivery, make_recipients

pytestmark = pytest.mark.django_db
FR = {"subject": "Bonjour {{ recipient.firstName }}", "text_source": "Prix : {{ 1234.5|number }}"}


def readers(*languages: str, **columns: Any) -> list[int]:
    ids = list(make_recipients(len(languages), black_list=0, black_list_email=0, email_format=0, **columns))
    for number, (each, language) in enumerate(zip(ids, languages, strict=True)):
        Recipient.objects.filter(pk=each).update(email=f"a{number}@example.org", language=language)
    return ids


def analysed(delivery: Delivery) -> DeliveryRun:
    run = analysis.work(analysis.start(delivery, actor=admin_actor(), queue=False).pk, actor=admin_actor())
    delivery.refresh_from_db()
    return run


def made(delivery: Delivery) -> dict[int, Rendered]:
    """Analyse, and make every message in both ways."""
    run = analysed(delivery)
    assert said(delivery, JobLevel.ERROR) == []
    loaded = content.load(run)
    rows = [
        row
        for part in DeliveryPart.objects.filter(run=run).order_by("first_id")
        for row in loaded.rows(run.storage, part.first_id, part.last_id)
    ]
    found = {row.target_id: loaded.render(row) for row in rows}
    assert {row.target_id: loaded.sendable(row).subject for row in rows} == {
        number: each.subject for number, each in found.items()
    }
    return found


def said(delivery: Delivery, level: JobLevel) -> list[str]:
    return [deliveries.text(each) for each in JobLog.objects.filter(delivery=delivery, level=level)]


def test_a_reader_gets_the_variant_of_the_language() -> None:
    french, canadian, english, german, none = readers("fr", "fr_CA", "en", "de", "", first_name="Zoë")
    delivery = make_delivery(
        subject="Hello", text_source="Price: {{ 1234.5|number }}",
        variants={"language": "en", "of": {"fr": FR}},
    )  # fmt: skip
    got = made(delivery)
    assert {got[each].subject for each in (english, german, none)} == {"Hello"}
    assert {got[each].subject for each in (french, canadian)} == {"Bonjour Zoë"}
    # Numbers are written as in the language of the variant.
    assert got[english].text == "Price: 1,234.5"
    assert got[canadian].text == "Prix : 1 234,5".replace("1 2", "1\u202f2")
    assert got[french].from_name == "Shop"
    (warning,) = [each for each in said(delivery, JobLevel.WARNING) if "variant" in each]
    assert "2 readers" in warning
    assert "de 1" in warning
    assert "no language 1" in warning
    run = DeliveryRun.objects.get(pk=delivery.run_id)
    assert run.counts["variants"] == {"fr": 2, "en": 3}


def test_the_nearest_variant_is_chosen() -> None:
    known, asked = ("fr", "fr-ca", "zh-hant"), ("fr-CA", "fr_BE", "FR", "zh-Hant-TW", "zh", "", None)
    assert [variants.chosen(each, known) for each in asked] == [
        "fr-ca", "fr", "fr", "zh-hant", "", "", "",
    ]  # fmt: skip


def test_the_language_may_depend_on_anything() -> None:
    belgian, french = readers("", "", country_code="FR")
    Recipient.objects.filter(pk=belgian).update(country_code="BE")
    by = "{% if recipient.location.countryCode == 'BE' %}nl{% else %}fr{% endif %}"
    delivery = make_delivery(subject="Hello", variants={"by": by, "of": {"nl": {"subject": "Dag"}, "fr": FR}})
    got = made(delivery)
    assert got[belgian].subject == "Dag"
    # What a variant does not say is that of the default.
    assert got[belgian].text == delivery.text_source
    assert got[french].text.startswith("Prix")


def test_links_of_all_variants_are_tracked_and_those_in_common_once(monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(settings.ENVOI.config, tracking=TrackingConfig("https://t.example/"))
    monkeypatch.setattr(settings, "ENVOI", replace(settings.ENVOI, config=config))
    french, english = readers("fr", "en")
    common, own = "https://shop.example/a", "https://shop.example/fr"
    delivery = make_delivery(
        html_source=f'<a href="{common}">A</a>',
        variants={"of": {"fr": {"html_source": f'<a href="{common}">A</a><a href="{own}">F</a>'}}},
    )
    got = made(delivery)
    clicks = TrackingUrl.objects.filter(
        delivery=delivery, type=UrlType.CLICK, url__startswith="https://shop.example/"
    )
    assert {common, own} <= set(clicks.values_list("url", flat=True))
    assert clicks.filter(url=common).count() == 1
    assert got[french].html.count("https://t.example/r/?id=") == 3
    assert own not in got[french].html
    # A variant with HTML of its own has not the text of the default.
    assert (got[french].text, bool(got[english].text)) == ("", True)


def test_blocks_of_the_product_speak_the_language_of_their_variant() -> None:
    french, english = readers("fr", "en", first_name="Zoë")
    block = '{% include "greetings" %}'
    delivery = make_delivery(text_source=block, variants={"of": {"fr": {"text_source": block}}})
    got = made(delivery)
    assert (got[english].text, got[french].text) == ("Hello Zoë,", "Bonjour Zoë,")


def test_a_seed_gets_the_variant_of_its_own_language() -> None:
    readers("en", first_name="Zoë")
    delivery = make_delivery(subject="Hello", variants={"of": {"fr": FR}})
    seed = SeedMember.objects.create(
        email="seed@example.org", language="fr", label="Seed", first_name="Ève",
        folder=Folder.objects.get(name="seedAddresses"), created_at=clock.now(), modified_at=clock.now(),
    )  # fmt: skip
    deliveries.change(
        delivery, {"targeting": {"filter": "@id > 0", "seeds": {"ids": [seed.pk]}}}, actor=admin_actor()
    )
    assert made(delivery)[-seed.pk].subject == "Bonjour Ève"


def test_what_is_changed_while_a_variant_is_open_is_kept_with_it() -> None:
    delivery = make_delivery(
        subject="Hello", html_source="<p>Hello</p>", variants={"of": {"fr": FR, "de": {}}}
    )
    open_ = Delivery.objects.get(pk=delivery.pk)
    variants.enter(open_, "fr")
    assert (open_.subject, open_.html_source) == (FR["subject"], "")
    # Somebody else is at another one meanwhile.
    variants.enter(other := Delivery.objects.get(pk=delivery.pk), "de")
    deliveries.change(other, {"subject": "Hallo <%= recipient.firstName %>"}, actor=admin_actor())
    deliveries.change(open_, {"subject": "Salut", "from_address": "fr@shop.example"}, actor=admin_actor())
    assert open_.subject == "Salut"
    delivery.refresh_from_db()
    assert (delivery.subject, delivery.from_address) == ("Hello", "fr@shop.example")
    of = variants.read(delivery.variants).of
    assert (of["fr"]["subject"], of["fr"]["text_source"]) == ("Salut", FR["text_source"])
    assert of["de"]["subject"] == "Hallo {{ recipient.firstName }}"
    copy = deliveries.create(delivery, actor=admin_actor(), label="copy")
    assert copy.variants == delivery.variants
    with pytest.raises(NotFound):
        variants.enter(copy, "it")


@pytest.mark.parametrize(
    "wrong",
    [
        {"of": {"klingon!": {}}},
        {"of": {"fr": {"label": "x"}}},
        {"of": {"fr": {"subject": 1}}},
        {"x": 1},
        {"by": 1},
    ],
)
def test_what_is_no_variant_is_refused(wrong: Any) -> None:
    with pytest.raises(Invalid):
        variants.read(wrong)


def test_a_template_that_is_wrong_in_one_variant_stops_the_delivery() -> None:
    readers("en")
    delivery = make_delivery(variants={"of": {"fr": {"text_source": "{% if %}"}}})
    analysed(delivery)
    (error,) = said(delivery, JobLevel.ERROR)
    assert "Text content (fr)" in error
