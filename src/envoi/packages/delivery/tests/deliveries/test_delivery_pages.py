"""The page of a delivery and of a template."""

import re
from html import unescape
from typing import Any

import pytest
from django.test import Client

from envoi.kernel.models import Folder
from envoi.kernel.testing import admin_actor, allow, make_folder, make_operator
from envoi.packages.delivery.models import Delivery, DeliveryState, Recipient
from envoi.packages.delivery.services import analysis, chosen, deliveries, lists
from envoi.packages.delivery.testing import make_recipients

pytestmark = pytest.mark.usefixtures("db", "clock")
BACKEND = "django.contrib.auth.backends.ModelBackend"


def signed_in(name: str, *rights: str, language: str = "") -> Client:
    client = Client()
    client.force_login(make_operator(name, rights, language=language), BACKEND)
    return client


def words(answer: Any) -> str:
    text = re.sub(r"<(script|style)[^>]*>.*?</\1>", " ", answer.content.decode(), flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())


CONTENT = {"subject": "Spring", "text_source": "It is spring.", "from_address": "shop@example.org"}


def make(**more: Any) -> Delivery:
    made = deliveries.create(deliveries.find("mail", actor=admin_actor()), actor=admin_actor(), **more)
    return write(made)


def write(delivery: Delivery) -> Delivery:
    """Give a delivery something to say: without it its analysis has an error."""
    Delivery.objects.filter(pk=delivery.pk).update(**CONTENT)
    delivery.refresh_from_db()
    return delivery


def place(delivery: Delivery) -> str:
    return f"/deliveries/{delivery.pk}"


def target(delivery: Delivery) -> str:
    return f"{place(delivery)}/target"


def people(count: int) -> list[int]:
    ids = list(make_recipients(count, black_list=0, black_list_email=0))
    for number, each in enumerate(ids):
        Recipient.objects.filter(pk=each).update(email=f"p{number}@example.org")
    return ids


def test_from_a_template_to_a_confirmed_delivery() -> None:
    ids = people(9)
    Recipient.objects.filter(pk=ids[0]).update(black_list=1)
    client, actor = signed_in("mary", "ADMINISTRATION"), admin_actor()
    group = lists.create("News", actor=actor, folder=Folder.objects.get(name="lists"), name="news")
    lists.add(group, chosen.ids(ids), actor=actor)

    template = deliveries.find("mail", actor=actor)
    assert "New delivery from this template" in words(client.get(place(template)))
    answer = client.post(place(template), {"do": "create", "label": "Spring"}, follow=True)
    made = write(Delivery.objects.get(label="Spring"))
    assert answer.redirect_chain[-1][0] == target(made)
    assert "Spring is made. Say whom it is for." in words(answer)

    refused = client.post(place(made), {"do": "analyse"})
    assert (refused.status_code, "Spring has no target" in words(refused)) == (400, True)
    client.post(target(made), {"do": "target", "filter": "", "list": ["news"], "limit": "", "percent": "25"})
    made.refresh_from_db()
    assert made.targeting == {"lists": ["news"], "exclude": {"limit": 0}, "control": {"percent": "25"}}
    page = client.get(target(made)).content.decode()
    assert re.search(r'name="list" value="news" checked', page)

    run = analysis.start(made, actor=actor, queue=False)
    waiting = client.get(place(made)).content.decode()
    assert 'data-live="1"' in waiting
    assert 'name="do" value="analyse"' not in waiting
    analysis.work(run.pk, actor=actor)
    shown = words(client.get(place(made)))
    assert "Initial population 9 Rejected 3 To deliver 6 Control group 2 Parts 1" in shown
    assert "Denylisted address 1 11.1%" in shown
    assert "Analysis ended: 6 messages to deliver." in shown
    said = words(client.post(place(made), {"do": "confirm"}, follow=True))
    assert "Confirmed: 6 messages may go out." in said
    made.refresh_from_db()
    assert made.status is DeliveryState.START_PENDING
    assert client.post(target(made), {"do": "target", "filter": "@id > 0"}).status_code == 400
    assert client.post(place(made), {"do": "delete"}).status_code == 400


def test_a_built_condition_stays_and_wrong_ones_are_told() -> None:
    client = signed_in("mary", "ADMINISTRATION")
    built = {"condition": [{"expr": "@id > 0"}]}
    delivery = make(targeting={"filter": built})
    page = client.get(target(delivery)).content.decode()
    assert 'name="filter"' not in page
    client.post(target(delivery), {"do": "target", "limit": "5", "percent": ""})
    delivery.refresh_from_db()
    assert delivery.targeting == {"filter": built, "exclude": {"limit": 5}}
    for wrong in ({"limit": "many"}, {"percent": "120"}):
        assert client.post(target(delivery), {"do": "target", **wrong}).status_code == 400


def test_who_may_only_look_finds_no_commands_and_a_closed_folder_hides() -> None:
    delivery = make(targeting={"filter": "@id > 0"})
    page = signed_in("ann").get(place(delivery)).content.decode()
    assert 'name="do"' not in page
    closed = make_folder("closed", "deliveries", model="nms:delivery")
    allow(closed, make_operator("keeper"))
    hidden = make(folder=closed)
    bob = signed_in("bob", "PREPARE DELIVERIES")
    assert bob.get(place(hidden)).status_code == 404
    assert bob.post(place(hidden), {"do": "analyse"}).status_code == 404
    analysis.work(analysis.start(delivery, actor=admin_actor(), queue=False).pk, actor=admin_actor())
    assert 'value="confirm"' not in bob.get(place(delivery)).content.decode()


def test_the_page_speaks_french() -> None:
    people(2)
    delivery = make(targeting={"filter": "@id > 0"})
    analysis.work(analysis.start(delivery, actor=admin_actor(), queue=False).pk, actor=admin_actor())
    shown = words(signed_in("jeanne", "ADMINISTRATION", language="fr").get(place(delivery)))
    assert "Population initiale 2" in shown
    assert "Analyse terminée : 2 messages à envoyer." in shown.replace("\u00a0", " ")
    assert "Confirmer 2 messages" in shown


def test_the_word_deliveries_leads_to_their_folder() -> None:
    client = signed_in("mary", "ADMINISTRATION")
    answer = client.get("/deliveries", follow=True)
    make(label="Spring")
    assert answer.status_code == 200
    assert "Spring" in words(client.get(answer.redirect_chain[-1][0]))
