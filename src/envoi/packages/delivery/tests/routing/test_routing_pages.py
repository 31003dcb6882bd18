"""Pages of sending: domains and keys, addresses, MX rules, health, the mailbox of a demonstration."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from envoi.kernel import clock as product_clock
from envoi.kernel import rights
from envoi.kernel.config import InstanceConfig, SendingConfig
from envoi.kernel.testing import make_operator
from envoi.packages.delivery.models import (
    DeliveryStat,
    DkimKey,
    DomainRule,
    MxBlock,
    MxRule,
    SendingDomain,
    SendingIp,
)
from envoi.packages.delivery.services.routing import blocks, domains, health, keys
from envoi.packages.delivery.services.routing.spf import Look, UnansweredError
from envoi.packages.delivery.services.sink import Mails

pytestmark = pytest.mark.usefixtures("db", "clock")
BACKEND = "django.contrib.auth.backends.ModelBackend"


def signed_in(name: str, *rights: str) -> Client:
    client = Client()
    client.force_login(make_operator(name, rights), BACKEND)
    return client


@pytest.fixture
def admin() -> Client:
    return signed_in("mary", "ADMINISTRATION")


def text(client: Client, address: str, code: int = 200) -> str:
    answer = client.get(address, follow=True)
    assert answer.status_code == code, answer.content
    return re.sub(r"\s+", " ", answer.content.decode())


class Silent(Look):
    """DNS that knows what the test says, and does not answer about anything else."""

    known: dict[str, list[str]] = {}

    def __init__(self) -> None:
        pass

    def texts(self, name: str) -> list[str]:
        if name not in self.known:
            raise UnansweredError(f"{name}: no answer")
        return self.known[name]

    def servers(self, name: str) -> list[str]:
        raise UnansweredError(f"{name}: no answer")

    addresses = servers  # type: ignore[assignment]


def test_a_domain_gets_a_key_that_signs_once_dns_has_it(
    admin: Client, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CONFIG = replace(settings.CONFIG, home=tmp_path)
    monkeypatch.setattr(domains, "Look", Silent)
    page = text(admin, "/sending/domains")
    assert "No domain yet" in page
    folder = admin.get("/sending/domains").headers["Location"]
    refused = admin.post(folder, {"domain": "no domain"})
    assert refused.status_code == 400
    there = admin.post(folder, {"domain": "News.Us.example"}).headers["Location"]
    assert "DNS did not answer about SPF" in text(admin, there)
    assert admin.post(there, {"do": "make", "algorithm": "rsa"}).status_code == 302
    key = DkimKey.objects.get(domain="news.us.example")
    page = text(admin, there)
    assert keys.record(key).strings[1] in page
    assert "PRIVATE" not in page
    refused = admin.post(there, {"do": "activate", "key": key.pk})
    assert "not seen in DNS" in refused.content.decode()
    Silent.known = {keys.record(key).name: [key.record]}
    admin.post(there, {"do": "check"})
    assert "Seen in DNS, does not sign yet" in text(admin, there)
    admin.post(there, {"do": "activate", "key": key.pk})
    assert "DNS has the DKIM key" in text(admin, there)
    admin.post(there, {"do": "retire", "key": key.pk})
    admin.post(there, {"do": "delete", "key": key.pk})
    assert not DkimKey.objects.exists()
    admin.post(there, {"do": "remove"})
    assert not SendingDomain.objects.exists()
    assert signed_in("joe", "PREPARE DELIVERIES").get(folder).status_code in (403, 404)


def test_addresses_are_listed_changed_and_say_their_quota(admin: Client, clock: Any) -> None:
    assert "No address is listed" in text(admin, "/sending/addresses")
    form = {
        "address": "192.0.2.7", "public_id": "", "weight": "3", "affinities": "brand A",
        "warm_up_began": "2026-11-23", "warm_up_steps": "100, 400", "active": "1",
    }  # fmt: skip
    assert admin.post("/sending/addresses/new", form).status_code == 302
    row = SendingIp.objects.get()
    moment = datetime(2026, 11, 24, 8, tzinfo=UTC)
    DeliveryStat.objects.create(delivery_id=1, slice=moment, mx="mx.a.example", public_id=1, sent=100)
    page = text(admin, "/sending/addresses")
    for said in ("192.0.2.7", "brand A", "Day 2", "400 may go today", 'width="25"'):
        assert said in page
    page = f"/sending/addresses/{row.pk}"
    refused = admin.post(page, {**form, "address": "nowhere"})
    assert refused.status_code == 400
    assert "nowhere" in refused.content.decode()
    assert admin.post(page, {**form, "weight": "9"}).status_code == 302
    row.refresh_from_db()
    assert row.weight == 9
    assert "weight" in text(admin, page), "the audit trail says what was changed"
    admin.post(page, {"do": "delete"})
    assert not SendingIp.objects.exists()


def test_mx_rules_are_tried_ordered_and_changed(admin: Client) -> None:
    page = text(admin, "/sending/mx-rules")
    assert "*.google.com" in page
    folder = admin.get("/sending/mx-rules").headers["Location"]
    page = text(admin, f"{folder}?host=gmail-smtp-in.l.google.com")
    assert "20,000 messages an hour over 20 connections" in page
    admin.post(folder, {"do": "level", "level": "boost"})
    assert "200,000 messages an hour" in text(admin, f"{folder}?host=gmail-smtp-in.l.google.com")
    form = {
        "mask": "*.partner.example", "public_ids": "", "connections": "4", "per_connection": "10",
        "per_hour": "", "connect_timeout": "5", "command_timeout": "60", "data_timeout": "240", "tls": "2",
        "active": "1",
    }  # fmt: skip
    assert admin.post("/sending/mx-rules/new", form).status_code == 302
    row = MxRule.objects.get(mask="*.partner.example")
    assert MxRule.objects.first() == row
    admin.post(folder, {"do": "down", "rule": row.pk})
    assert MxRule.objects.all()[1] == row
    refused = admin.post(f"/sending/mx-rules/{row.pk}", {**form, "per_hour": "1"})
    assert (refused.status_code, "from 12" in refused.content.decode()) == (400, True)
    shipped = MxRule.objects.get(shipped="yahoo")
    admin.post(f"/sending/mx-rules/{shipped.pk}", {"do": "delete"})
    assert "Off" in text(admin, folder)
    rule = {
        "do": "add-domain-rule",
        "mask": "*.partner.example",
        "relay": "mail.partner.example",
        "port": "26",
    }
    admin.post(folder, rule)
    assert "mail.partner.example:26" in text(admin, folder)
    admin.post(folder, {"do": "delete-domain-rule", "rule": DomainRule.objects.get().pk})
    assert not DomainRule.objects.exists()


def test_health_shows_destinations_by_rule_and_opens_what_is_blocked(admin: Client) -> None:
    assert "Nothing was sent in this time" in text(admin, "/monitoring/sending")
    now = product_clock.now()
    slot = now.replace(minute=now.minute // 5 * 5, second=0, microsecond=0)
    rows = [
        ("a.google.com", 0, 90, 10, 0), ("b.google.com", 0, 100, 0, 0), ("mx.small.example", 1, 10, 60, 30),
        ("", 0, 0, 0, 5),
    ]  # fmt: skip
    for mx, number, sent, failed, deferred in rows:
        DeliveryStat.objects.create(
            delivery_id=1, slice=slot, mx=mx, public_id=number, sent=sent, failed=failed, deferred=deferred,
            bytes=sent * 10_000,
        )  # fmt: skip
    DeliveryStat.objects.create(delivery_id=1, slice=slot - timedelta(hours=2), mx="old.example", sent=40)
    page = text(admin, "/monitoring/sending")
    assert "old.example" not in page
    assert "2 servers" in page
    assert "mx.small.example" in page
    assert "no server answered" in page
    assert "<polyline" in page
    assert "old.example" in text(admin, "/monitoring/sending?span=3h")
    since = slot - timedelta(minutes=55)
    (google, small, nobody) = health.destinations(since, actor=rights.internal())
    assert (google.name, google.total, google.ratio) == ("*.google.com", 200, 0.05)
    assert (small.ratio, nobody.name) == (0.9, "")
    blocks.note({("mx.small.example", 1): (10_800, "550 5.7.1 no")}, moment=now)
    page = text(admin, "/monitoring/sending")
    assert "550 5.7.1 no" in page
    row = MxBlock.objects.get()
    watcher = signed_in("ann", "START DELIVERIES")
    assert "Unblock now" not in text(watcher, "/monitoring/sending")
    assert watcher.post("/monitoring/sending", {"block": row.pk}).status_code == 403
    assert admin.post("/monitoring/sending", {"block": row.pk}).status_code == 302
    assert "550 5.7.1 no" not in text(admin, "/monitoring/sending")
    assert signed_in("bob").get("/monitoring/sending").status_code == 403


def test_the_mailbox_of_a_demonstration_shows_mails_and_runs_nothing(settings: Any, tmp_path: Path) -> None:
    client = signed_in("ann", "PREPARE DELIVERIES")
    assert client.get("/mailbox").status_code == 404, "no other instance has one"
    settings.CONFIG = replace(
        settings.CONFIG,
        home=tmp_path,
        instance=InstanceConfig(demo=True),
        sending=SendingConfig(sink="127.0.0.1:2525"),
    )
    assert "No mail yet" in text(client, "/mailbox")
    content = (
        b"From: News <news@us.example>\r\nSubject: Autumn <b>\r\nTo: zoe@orange.example\r\n"
        b"Content-Type: text/html; charset=utf-8\r\n\r\n<!DOCTYPE html><p>Hi</p>"
        b"<a target=_top rel='opener' href='https://us.example/?target=1'>Go</a><script>alert(1)</script>"
    )
    mail = Mails(tmp_path).put("zoe@orange.example", "b-1@us.example", content, product_clock.now())
    page = text(client, "/mailbox?q=ZOE")
    assert "Autumn &lt;b&gt;" in page
    assert 'href="/mailbox"' in text(client, "/mailbox?q=nobody"), "it stands in the navigation"
    answer = client.get(f"/mailbox/{mail.number}")
    assert "frame-src 'self'" in answer["Content-Security-Policy"]
    assert "sandbox" in answer.content.decode()
    frame = client.get(f"/mailbox/{mail.number}/body")
    assert frame.content.startswith(
        b"<!DOCTYPE html><base target=\"_blank\"><p>Hi</p><a href='https://us.example/?target=1'>Go</a>"
    )
    policy = frame["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    allowed = "sandbox allow-popups allow-popups-to-escape-sandbox"
    assert policy.endswith(allowed), "no scripts, no forms, an origin of its own"
    assert f'sandbox="{allowed.partition(" ")[2]}"' in answer.content.decode()
    assert "script-src" not in policy
    assert "zoe@orange.example" in text(client, f"/mailbox/{mail.number}?view=headers")
    raw = client.get(f"/mailbox/{mail.number}/source")
    assert (raw.content, raw["Content-Type"]) == (content, "message/rfc822")
    assert client.get("/mailbox/index").status_code == 404
    assert signed_in("bob").get("/mailbox").status_code == 403
