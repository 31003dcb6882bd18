"""The pages of typologies and rules."""

import json
import re
from html import unescape
from typing import Any

import pytest
from django.test import Client

from envoi.kernel import query, writing
from envoi.kernel.errors import Conflict
from envoi.kernel.query import Field, QueryDef
from envoi.kernel.testing import admin_actor, make_operator
from envoi.packages.delivery.models import BroadLogRcp, Recipient, Typology, TypologyRule
from envoi.packages.delivery.services import analysis, ready_filters, typologies
from envoi.packages.delivery.testing import make_delivery, make_recipients

pytestmark = pytest.mark.usefixtures("db", "clock")
BACKEND = "django.contrib.auth.backends.ModelBackend"


def signed_in(name: str, *rights: str) -> Client:
    client = Client()
    client.force_login(make_operator(name, rights), BACKEND)
    return client


def words(answer: Any) -> str:
    text = re.sub(r"<(script|style)[^>]*>.*?</\1>", " ", answer.content.decode(), flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())


def test_rules_of_each_type_are_made_changed_and_put_into_a_typology() -> None:
    client = signed_in("sofia", "ADMINISTRATION")
    listed = client.get("/typologies", follow=True)
    assert "Default typology" in words(listed)
    assert "Size of the target of a proof" in words(listed)
    where = json.dumps({"condition": [{"expr": "@company = 'Acme'"}]})
    common = {"label": "Rivals", "channel": "0", "rank": "20", "active": "1", "default": "1"}
    given = {**common, "name": "rivals", "schema": "nms:recipient", "where": where}
    answer = client.post("/typologies/rules/new?type=0", {**given, "type": "0"}, follow=True)
    assert "The rule is kept." in words(answer)
    rule = TypologyRule.objects.get(name="rivals")
    assert rule.definition["where"] == {"condition": [{"expr": "@company = 'Acme'"}]}
    assert "Acme" in words(client.get("/typologies", follow=True))
    pressure = {
        **common, "name": "tired", "label": "Tired", "type": "1", "schema": "nms:recipient", "threshold": "2",
        "weight": "", "days": "7", "grouping": "week",
    }  # fmt: skip
    client.post("/typologies/rules/new", pressure)
    assert TypologyRule.objects.get(name="tired").definition["threshold"] == "2"
    control = {**common, "name": "dated", "type": "3", "phase": "3", "level": "1", "script": "return true"}
    client.post("/typologies/rules/new", control)
    dated = TypologyRule.objects.get(name="dated")
    wrong = client.post(f"/typologies/rules/{dated.pk}", {**control, "script": " "})
    assert wrong.status_code == 400
    assert "needs a script" in words(wrong)
    wrong = client.post("/typologies/rules/new", {**pressure, "name": "x", "threshold": "@nothing"})
    assert wrong.status_code == 400
    assert 'value="@nothing"' in wrong.content.decode()
    client.post("/typologies", {"label": "Own", "name": "own", "filtering": "1"}, follow=True)
    folder = client.get("/typologies").headers["Location"]
    client.post(folder, {"label": "Own", "name": "own", "filtering": "1"})
    own = Typology.objects.get(name="own")
    page = client.get(f"/typologies/{own.pk}")
    assert "Rivals" in words(page)
    assert "Tired" not in words(page)
    client.post(f"/typologies/{own.pk}", {"label": "Own rules", "rule": [str(rule.pk)]})
    own.refresh_from_db()
    assert (own.label, [each.rule_id for each in own.rules.all()]) == ("Own rules", [rule.pk])
    proof = TypologyRule.objects.get(name="proofSize")
    kept = {"label": "Proofs", "channel": "-1", "rank": "10", "phase": "1", "level": "1"}
    client.post(f"/typologies/rules/{proof.pk}", kept)
    proof.refresh_from_db()
    assert (proof.label, proof.active, proof.level) == ("Proofs", False, 1)
    client.post(f"/typologies/rules/{rule.pk}", {"do": "delete"})
    assert not TypologyRule.objects.filter(name="rivals").exists()


def test_others_read_rules_and_change_none() -> None:
    client = signed_in("joe", "PREPARE DELIVERIES")
    rule = TypologyRule.objects.get(name="optOut")
    typology = typologies.find_typology(typologies.DEFAULT)
    for place in ("/typologies", f"/typologies/rules/{rule.pk}", f"/typologies/{typology.pk}"):
        page = client.get(place, follow=True)
        assert page.status_code == 200
        assert "Keep the" not in words(page)
    assert client.post(f"/typologies/rules/{rule.pk}", {"do": "delete"}).status_code == 400
    answer = client.post(
        f"/typologies/rules/{rule.pk}",
        {"label": "x", "channel": "-1", "rank": "1", "phase": "3", "level": "0"},
    )
    assert answer.status_code == 400
    assert client.post(f"/typologies/{typology.pk}", {"label": "x"}).status_code == 400
    rule.refresh_from_db()
    assert rule.label == "Link to unsubscribe"


def test_a_delivery_is_under_the_typology_and_has_the_weight_that_it_is_given() -> None:
    client = signed_in("sofia", "ADMINISTRATION")
    own = typologies.create_typology("own", actor=admin_actor(), label="Own")
    delivery = make_delivery()
    given = {"do": "target", "filter": "@id > 0", "typology": str(own.pk), "weight": "7"}
    assert client.post(f"/deliveries/{delivery.pk}/target", given).status_code == 302
    delivery.refresh_from_db()
    assert (delivery.typology_id, delivery.weight) == (own.pk, 7)
    for wrong in ({"weight": "-1"}, {"weight": "many"}, {"typology": "999999"}):
        assert client.post(f"/deliveries/{delivery.pk}/target", given | wrong).status_code == 400
    with pytest.raises(Conflict, match="uses it"):
        typologies.delete_typology(own, actor=admin_actor())
    client.post(f"/deliveries/{delivery.pk}/target", given | {"typology": "", "weight": ""})
    values = {"id": delivery.pk, "typology-id": own.pk, "weight": 3}
    delivery.refresh_from_db()
    assert (delivery.typology_id, delivery.weight) == (None, None)
    writing.write("nms:delivery", values, actor=admin_actor(), operation="update", key=["id"])
    delivery.refresh_from_db()
    assert (delivery.typology_id, delivery.weight) == (own.pk, 3)


def test_recipients_of_a_delivery_are_a_ready_filter() -> None:
    ids = list(make_recipients(4, black_list=0, black_list_email=0))
    for number, each in enumerate(ids):
        Recipient.objects.filter(pk=each).update(email=f"a{number}@example.org" if number else "")
    delivery = make_delivery(name="spring")
    other = make_delivery({"filter": f"@id = {ids[3]}"})
    for made in (delivery, other):
        run = analysis.work(analysis.start(made, actor=admin_actor(), queue=False).pk, actor=admin_actor())
    for each, status in ((ids[1], 1), (ids[2], 2)):
        BroadLogRcp.objects.filter(target_id=each).update(status=status)

    def found(name: str, value: str) -> set[int]:
        where = ready_filters.on_recipients()[name].conditions(value)
        definition = QueryDef("nms:recipient", select=(Field("@id"),), where=where)
        return {key for (key,) in query.run(definition, actor=admin_actor()).rows}

    assert found("deliveryRecipients", "spring") == set(ids[1:])
    assert found("deliverySent", "spring") == {ids[1]}
    assert found("deliveryFailed", str(delivery.pk)) == {ids[2]}
    assert found("deliveryRecipients", str(run.delivery_id)) == {ids[3]}
