"""Pages of addresses, texts of servers, mail rules and inbound mails."""

import re
from html import unescape
from typing import Any

import pytest
from django.test import Client

from envoi.kernel import clock
from envoi.kernel.models import Folder
from envoi.kernel.testing import allow, make_operator
from envoi.packages.delivery.models import (
    Address,
    AddressStatus,
    BroadLogMsg,
    Channel,
    FailureReason,
    FailureType,
    MailRule,
)
from envoi.packages.delivery.services import quarantine
from envoi.packages.delivery.services.inbound.applying import Received, Settings, handle
from envoi.packages.delivery.services.qualification import Said, qualify, rule_sets
from envoi.packages.delivery.services.quarantine import Failure
from envoi.packages.delivery.tests.inbound.sent_mail import IDENTITY, make_sent, report

pytestmark = pytest.mark.usefixtures("db", "clock")
BACKEND = "django.contrib.auth.backends.ModelBackend"


def signed_in(name: str, *rights: str) -> Client:
    client = Client()
    operator = make_operator(name, rights)
    for model in ("nms:address", "nms:broadLogMsg", "nms:inboundMail"):
        allow(Folder.objects.get(model=model), operator)
    client.force_login(operator, BACKEND)
    return client


def text_of(answer: Any, code: int = 200) -> str:
    assert answer.status_code == code, answer.content[:2_000]
    found = re.sub(r"<(script|style)\b.*?</\1>", "", answer.content.decode(), flags=re.S)
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", found)))


def fail(*addresses: str, text: str = "550 5.1.1 <b>user unknown</b>") -> None:
    now, reason = clock.now(), FailureReason.USER_UNKNOWN
    quarantine.note(
        [Failure(each, Channel.EMAIL, None, FailureType.HARD, reason, text, now) for each in addresses],
        now=now,
    )


def test_addresses_are_found_and_made_valid_by_tick_and_by_filter() -> None:
    fail(*(f"p{n:02}@provider.example" for n in range(60)), "other@example.org")
    client = signed_in("op", "PREPARE DELIVERIES")
    page = client.get("/non-deliverables", follow=True)
    said = text_of(page)
    assert "61 addresses get no messages any more." in said
    assert "User unknown" in said
    assert b"&lt;b&gt;user unknown" in page.content
    address = page.redirect_chain[-1][0]
    later = re.search(r'rel="next" href="([^"]+)"', page.content.decode())
    assert later
    listed = re.findall(r"\S+@(?:provider\.example|example\.org)", said)
    listed += re.findall(
        r"\S+@(?:provider\.example|example\.org)", text_of(client.get(address + unescape(later[1])))
    )
    assert sorted(listed) == sorted(Address.objects.values_list("address", flat=True))
    narrowed = f"{address}?q=provider&status=4&reason=1&text=USER"
    assert "60 addresses become" in text_of(client.get(narrowed))

    row = Address.objects.get(address="other@example.org")
    assert client.post(address, {"do": "ticked", "id": row.pk, "status": 2}).status_code == 302
    row.refresh_from_db()
    assert row.status == AddressStatus.VALID
    assert "60 addresses have changed" in text_of(
        client.post(narrowed, {"do": "all", "status": 2}, follow=True)
    )
    assert not Address.objects.filter(status=AddressStatus.QUARANTINE).exists()
    refused = client.post(address, {"do": "put", "address": "x@example.org", "channel": 0, "status": 5})
    assert "Nothing was changed." in text_of(refused, 400)
    client.post(address, {"do": "put", "address": "X@example.org", "channel": 0, "status": 3})
    assert Address.objects.get(address="x@example.org").status == AddressStatus.DENYLISTED
    for wrong in ("?status=999&since=nonsense&before=x_y&channel=%C3%A9", "?before=2026-01-01_1&reason=-1"):
        assert client.get(address + wrong).status_code == 200


def test_who_may_only_look_gets_no_buttons() -> None:
    fail("p@example.org")
    client = signed_in("guest")
    page = client.get("/non-deliverables", follow=True)
    assert "p@example.org" in text_of(page)
    assert b'name="do"' not in page.content
    assert client.post(page.redirect_chain[-1][0], {"do": "ticked", "id": 1, "status": 2}).status_code == 400
    assert client.get("/inbound-mails", follow=True).status_code == 403


def test_texts_wait_first_and_are_qualified_together() -> None:
    qualify([Said("mystery <i>one</i>", 550), Said("mystery two", 550), Said("user unknown", 550, "5.1.1")])
    client = signed_in("op", "PREPARE DELIVERIES")
    page = client.get("/qualification", follow=True)
    said = text_of(page)
    assert "2 texts of servers say something that no rule knows" in said
    assert "user unknown" not in said
    assert b"&lt;i&gt;one" in page.content
    address = page.redirect_chain[-1][0]
    assert "by the rule User_unknown" in text_of(client.get(f"{address}?qualification="))
    ids = list(BroadLogMsg.objects.filter(text__contains="mystery").values_list("pk", flat=True))
    assert client.post(address, {"do": "keep", "id": ids, "type": 3}).status_code == 400
    client.post(address, {"do": "keep", "id": ids, "type": 3, "reason": 4})
    assert set(BroadLogMsg.objects.filter(pk__in=ids).values_list("failure_reason", "qualification")) == {
        (4, 1)
    }
    assert "Everything that servers said is understood." in text_of(client.get(address))


def test_an_administrator_writes_a_rule_and_switches_one_off() -> None:
    qualify([Said("mystery of the box", 550)])
    operator = signed_in("op", "PREPARE DELIVERIES")
    assert "Add the rule" not in text_of(operator.get("/qualification/rules"))
    assert operator.post("/qualification/rules", {"do": "add"}).status_code == 400
    client = signed_in("mary", "ADMINISTRATION")
    given = {
        "do": "add",
        "name": "Mystery",
        "wordings": "mystery … box",
        "type": 2,
        "reason": 5,
        "kind": "text",
    }
    said = text_of(client.post("/qualification/rules", given, follow=True))
    assert "Mystery holds from now on; it explains 1 text that waited." in said
    assert "Nothing was changed." in text_of(client.post("/qualification/rules", given), 400)
    rule = MailRule.objects.get(name="Mystery")
    client.post("/qualification/rules", {"do": "off", "rule": rule.pk})
    assert "Mystery" not in [each.name for each in rule_sets.current().by_kind["text"]]
    client.post("/qualification/rules", {"do": "remove", "rule": rule.pk})
    assert not MailRule.objects.filter(name="Mystery").exists()


def test_mails_that_came_in_are_listed_and_read() -> None:
    sent = make_sent(2)
    reply = (
        f"From: Ana <ana@example.net>\nTo: {sent.return_address(0)}\nSubject: Re: <script>spring\n"
        "Content-Type: text/plain; charset=utf-8\n\nWhere is my <order>? Grüße\n"
    ).encode()
    mails = [reply, report(sent.return_address(1), sent.address(1))]
    handle([Received(each, "test") for each in mails], IDENTITY, Settings(), now=clock.now())
    client = signed_in("op", "PREPARE DELIVERIES")
    page = client.get("/inbound-mails", follow=True)
    said = text_of(page)
    assert "1 person has replied." in said
    assert "Undelivered Mail Returned to Sender" in said
    assert b"<script>spring" not in page.content
    assert sent.delivery.label in said
    address = page.redirect_chain[-1][0]
    assert "Undelivered" not in text_of(client.get("/inbound-mails?kind=4", follow=True))
    one = re.findall(r'href="(/inbound-mails/\d+)"', client.get(f"{address}?kind=4").content.decode())[0]
    shown = client.get(one)
    assert "Where is my <order>? Grüße" in text_of(shown).replace("&lt;", "<")
    source = client.get(f"{one}/source")
    assert source.content == reply
    assert source["Content-Type"] == "application/octet-stream"
    assert client.get("/inbound-mails/999999").status_code == 404
