"""What a sender is told of the outside: from no rows at all to rules, addresses and keys."""

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from envoi.app import boot, checks
from envoi.kernel import clock as product_clock
from envoi.kernel import config as configuration
from envoi.kernel import options, shipped
from envoi.kernel.config import Config, SendingConfig, SmtpConfig
from envoi.kernel.errors import Conflict, Invalid, NotAllowed
from envoi.kernel.models import AuditEntry
from envoi.kernel.testing import admin_actor, make_actor
from envoi.packages.delivery.models import DeliveryStat, DkimKey, MxBlock, MxRule, SendingIp
from envoi.packages.delivery.services import routing
from envoi.packages.delivery.services.routing import (
    addresses,
    blocks,
    domain_rules,
    keys,
    masks,
    mx_rules,
    routes,
    standing,
)
from envoi.packages.delivery.services.sending.dkim import sign
from envoi.packages.delivery.services.sending.replies import Reply
from envoi.packages.delivery.services.sending.smtp import Tls
from envoi.packages.delivery.services.sending.throttle import Rule, Source, Throttle
from envoi.packages.delivery.testing import make_delivery

pytestmark = pytest.mark.django_db


@pytest.fixture
def config(settings: Any, tmp_path: Path) -> Config:
    settings.CONFIG = replace(
        configuration.load(tmp_path, {}), sending=SendingConfig(helo="mail.us.example", sink="127.0.0.1:2525")
    )
    return settings.CONFIG


def rule_for(found: routing.Routing, host: str) -> Any:
    return Throttle(found.rules).rule(host)


def test_an_instance_without_rows_can_send(config: Config) -> None:
    MxRule.objects.all().delete()
    found = routing.load(config)
    (source,) = found.sources()
    assert (source.address, source.helo) == ("", "mail.us.example")
    assert found.sources("partners") == [], "an affinity that is unknown here leaves deliveries pending"
    assert found.keys("news@us.example") == ()
    assert found.rules == ()
    assert found.identity.read(found.identity.return_address(7, 42)) == (7, 42)
    assert found.identity.domain == "mail.us.example"
    assert routing.identity(replace(config, sending=SendingConfig(sender="n@from.example"))).domain == (
        "from.example"
    )


def test_where_mail_goes_follows_the_configuration(config: Config) -> None:
    def tls(url: str) -> Tls:
        return routes.relay(url).tls

    assert tls("smtp://mail.example") is Tls.OPPORTUNISTIC
    assert tls("smtp://a:b@mail.example") is Tls.VERIFIED
    assert tls("smtp://a:b@mail.example?tls=required&verify=no") is Tls.REQUIRED
    assert tls("smtp://a:b@localhost:2525") is Tls.OPPORTUNISTIC
    assert tls("smtp://mail.example?tls=off") is Tls.NONE
    relayed = replace(config, sending=SendingConfig(), smtp=SmtpConfig("smtp://mail.example"))
    assert routes.relay_url(relayed) == "smtp://mail.example"
    assert routes.relay_url(replace(relayed, sending=SendingConfig(relay="mx"))) == ""
    assert routes.routes(config) is routes.routes(config), "what was looked up is kept"
    with pytest.raises(Invalid, match="host:port"):
        routes.routes(replace(config, sending=SendingConfig(sink="nowhere")))


def test_a_sink_gets_all_mail_under_the_names_of_its_domains() -> None:
    sink = routes.SinkRoutes("127.0.0.1", 2525)
    assert sink.known("gmail.com") is None
    route = asyncio.run(sink.of("gmail.com"))
    assert (route.hosts[0].name, route.hosts[0].addresses, route.port) == (
        "mx.gmail.com",
        ("127.0.0.1",),
        2525,
    )
    assert sink.known("gmail.com") is route
    ruled = domain_rules.RuledRoutes(
        ((domain_rules.Rule("*.partner.example"), routes.SinkRoutes("127.0.0.2", 26)),), sink
    )
    assert asyncio.run(ruled.of("eu.partner.example")).port == 26
    assert asyncio.run(ruled.of("partner.example")).port == 2525


def test_shipped_rules_follow_the_level_until_somebody_changes_them(config: Config) -> None:
    actor = admin_actor()
    mx_rules.plant(actor=actor)
    assert mx_rules.plant(actor=actor) == []
    google = rule_for(routing.load(config), "gmail-smtp-in.l.google.com")
    assert (google.per_hour, google.connections, google.messages_per_connection) == (20_000, 20, 50)
    assert rule_for(routing.load(config), "mx.small.example").per_hour == 1200
    mx_rules.set_level("fast", actor=actor)
    assert rule_for(routing.load(config), "gmail-smtp-in.l.google.com").per_hour == 40_000
    row, rule = mx_rules.fitting("ASPMX.l.google.com.", actor=actor)
    assert row is not None
    assert rule is not None
    assert (row.shipped, rule.per_hour) == ("google", 40_000)
    mx_rules.save(row.mx_rule_id, {"per_hour": "500", "tls": 2}, actor=actor)
    mine = rule_for(routing.load(config), "aspmx.l.google.com")
    assert (mine.per_hour, mine.tls) == (500, Tls.REQUIRED)
    # A new version ships other values: the changed rule stays, the others follow.
    rules: list[dict[str, Any]] = [dict(each, per_hour=99_996) for each in mx_rules._shipped()]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(mx_rules, "_shipped", lambda: rules)
        assert mx_rules.plant(actor=actor) == ["nms:mxRule google"]
        assert MxRule.objects.get(shipped="google").per_hour == 500
        assert MxRule.objects.get(shipped="yahoo").per_hour == 99_996
        assert ("nms:mxRule", "google") in shipped.open_offers()
        mx_rules.set_level("custom", actor=actor)
        rules[:] = [dict(each, per_hour=12) for each in rules]
        assert mx_rules.plant(actor=actor) == []
        assert MxRule.objects.get(shipped="yahoo").per_hour == 99_996, "custom keeps new versions away"


def test_rules_are_ordered_and_a_shipped_one_is_switched_off_instead_of_deleted(config: Config) -> None:
    actor = admin_actor()
    mx_rules.plant(actor=actor)
    own = mx_rules.save(None, {"mask": "*.L.google.com.", "per_hour": "", "public_ids": "5,1-3"}, actor=actor)
    assert (own.mask, own.public_ids, own.changed) == ("*.l.google.com", "1-3, 5", False)
    assert mx_rules.fitting("aspmx.l.google.com", actor=actor)[0] == own
    mx_rules.move(own.mx_rule_id, up=False, actor=actor)
    below = mx_rules.fitting("aspmx.l.google.com", actor=actor)[0]
    assert below is not None
    assert below.shipped == "google"
    mx_rules.delete(below.mx_rule_id, actor=actor)
    assert not MxRule.objects.get(shipped="google").active
    mx_rules.plant(actor=actor)
    assert not MxRule.objects.get(shipped="google").active
    mx_rules.delete(own.mx_rule_id, actor=actor)
    assert AuditEntry.objects.filter(entity="nms:mxRule", entity_key="*.l.google.com").count() == 3
    for values, told in (
        ({"mask": "a b"}, "no mask"),
        ({"per_hour": "1"}, "from 12"),
        ({"public_ids": "5-1"}, "no range"),
        ({"colour": 1}, "has no"),
    ):
        with pytest.raises(Invalid, match=told):
            mx_rules.save(below.mx_rule_id, values, actor=actor)
    with pytest.raises(NotAllowed):
        mx_rules.save(below.mx_rule_id, {"per_hour": 20}, actor=make_actor("x"))


def test_a_new_process_goes_on_with_the_quota_of_the_day(config: Config, clock: Any) -> None:
    actor, today = admin_actor(), product_clock.now().date()
    values = {"warm_up_began": today.isoformat(), "warm_up_steps": "10 20", "active": True}
    addresses.save(None, {"address": "192.0.2.9", "public_id": "9", **values}, actor=actor)
    (source,) = routing.load(config).sources()
    assert source.warm_up

    def left(throttle: Throttle) -> int:
        return sum(throttle.take("mx", source, now=0.0, today=today) for _each in range(30))

    slot = product_clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    for at, deferred in ((slot, 2), (slot - timedelta(minutes=5), 90)):
        DeliveryStat.objects.create(delivery_id=1, slice=at, mx="mx", public_id=9, sent=5, deferred=deferred)
    assert left(Throttle()) == 10
    again = Throttle()
    addresses.count(again, today)
    assert left(again) == 3
    addresses.count(again, today)
    assert left(again) == 0, "what it has counted itself since then stays counted"
    half = Throttle(share=0.5)
    addresses.count(half, today)
    assert left(half) == 1
    # What others have sent beyond their part is told once a minute.
    DeliveryStat.objects.create(delivery_id=1, slice=slot, mx="other", public_id=9, sent=3)
    half = Throttle(share=0.5)
    addresses.count(half, today)
    assert left(half) == 0


def test_addresses_serve_their_affinities_and_hosts_and_grow_warm(config: Config, clock: Any) -> None:
    actor = admin_actor()
    clock.move_to(datetime(2026, 11, 3, 12, tzinfo=UTC))
    one = addresses.save(None, {"address": "192.0.2.1", "weight": 5}, actor=actor)
    two = addresses.save(
        None,
        {
            "address": "192.0.2.2",
            "affinities": "partners; brand B",
            "exclude_domains": "*.example, gmail.com",
            "warm_up_began": "2026-11-01",
            "warm_up_steps": "10 20 30",
        },
        actor=actor,
    )
    addresses.save(None, {"address": "2001:db8::1", "host": "another.example"}, actor=actor)
    assert (one.public_id, two.public_id) == (1, 2)
    found = routing.load(config)
    assert [source.address for source in found.sources()] == ["192.0.2.1"]
    (partners,) = found.sources("partners")
    assert found.sources("brand B") == [partners]
    assert found.sources("unknown") == []
    assert not partners.serves("gmail.com")
    assert partners.serves("yahoo.com")
    assert partners.warm_up
    assert [partners.warm_up.most(date(2026, 11, day)) for day in (1, 2, 3, 4)] == [10, 20, 30, None]
    assert addresses.affinities() == ["brand B", "partners"]
    standing = {each.row.public_id: (each.sent, each.most, each.day) for each in addresses.standing()}
    assert standing == {1: (0, None, None), 2: (0, 30, 3), 3: (0, None, None)}
    with pytest.raises(Conflict, match="identifier 1"):
        addresses.save(two.ip_id, {"public_id": 1}, actor=actor)
    for values in ({"address": "300.1.1.1"}, {"warm_up_steps": "many"}, {"weight": "-1"}, {"helo": "a b"}):
        with pytest.raises(Invalid):
            addresses.save(two.ip_id, values, actor=actor)
    addresses.delete(one.ip_id, actor=actor)
    assert not SendingIp.objects.filter(pk=one.ip_id).exists()


def test_keys_are_sealed_sign_when_seen_and_are_changed_without_a_gap(config: Config, clock: Any) -> None:
    actor = admin_actor()
    clock.move_to(datetime(2026, 11, 3, 12, tzinfo=UTC))
    rsa = keys.make("News.us.example", "rsa", actor=actor)
    edwards = keys.make("us.example", "ed25519", actor=actor, selector="e1")
    assert (rsa.selector, rsa.domain) == ("r202611", "news.us.example")
    record = keys.record(rsa)
    assert record.name == "r202611._domainkey.news.us.example"
    assert len(record.strings) == 2
    assert max(map(len, record.strings)) == 255
    assert "PRIVATE" not in rsa.private_key
    with pytest.raises(Conflict, match="not seen in DNS"):
        keys.activate(rsa.dkim_key_id, actor=actor)
    for row in (rsa, edwards):
        keys.activate(row.dkim_key_id, actor=actor, unseen=True)
    found = routing.load(config)
    assert [key.selector for key in found.keys("a@deep.news.us.example")] == ["r202611"]
    assert [key.selector for key in found.keys("a@us.example")] == ["e1"]
    assert found.keys("a@elsewhere.example") == ()
    signed = sign(b"From: a@us.example\r\n\r\nx\r\n", found.keys("a@us.example"), at=1)
    assert b"s=e1" in signed
    other = keys.make("news.us.example", "rsa", actor=actor)
    assert other.selector == "r2026112"
    keys.activate(other.dkim_key_id, actor=actor, unseen=True)
    assert [key.selector for key in routing.load(config).keys("a@news.us.example")] == ["r2026112"]
    assert DkimKey.objects.get(pk=rsa.pk).retired_at is not None
    with pytest.raises(Conflict, match="signs"):
        keys.delete(other.dkim_key_id, actor=actor)
    keys.delete(rsa.dkim_key_id, actor=actor)
    # A sealed key moved to another name cannot be opened: the mail leaves without it, and `check` tells.
    DkimKey.objects.filter(pk=edwards.pk).update(selector="moved")
    assert routing.load(config).keys("a@us.example") == ()
    assert keys.unreadable(config.home) == ["moved._domainkey.us.example"]
    with pytest.raises(NotAllowed):
        keys.make("us.example", "rsa", actor=make_actor("x"))


def test_blocks_are_shared_by_senders_and_lifted_once(config: Config, clock: Any) -> None:
    moment = datetime(2026, 11, 3, 12, tzinfo=UTC)
    clock.move_to(moment)
    path = ("*.there.example", 1)
    first, second = Throttle([Rule("*.there.example")]), Throttle([Rule("*.there.example")])
    mine, other = blocks.Exchange(first), blocks.Exchange(second)
    source = Source("192.0.2.1", 1, "us.example")
    for _ in range(300):
        first.ended("a.there.example", source, good=False, reply=Reply(550, "5.7.1 no"), now=0.0)
    first.block(("a.small.example", 1), 20, now=0.0)
    mine.work(moment=moment, now=0.0)
    (row,) = blocks.current()
    assert (row.mx, row.public_id, row.reason, row.until) == (
        *path,
        "300 of 300 refused, the last with: 550 5.7.1 no",
        moment + timedelta(hours=3),
    )
    other.work(moment=moment, now=500.0)
    assert second.blocked(now=500.0) == {path: 10_800.0}
    blocks.lift(row.mx_block_id, actor=admin_actor())
    assert blocks.current() == []
    mine.work(moment=moment, now=60.0)
    assert first.blocked(now=60.0) == {}
    # What is blocked again after that stays so, and is noted anew.
    first.block(path, 10_800, now=60.0)
    mine.work(moment=moment, now=61.0)
    mine.work(moment=moment, now=62.0)
    assert path in first.blocked(now=62.0)
    assert MxBlock.objects.get().lifted_at is None
    other.work(moment=moment, now=501.0)
    assert second.blocked(now=501.0)[path] > 10_000


def test_the_level_is_an_option_that_an_administrator_sets(config: Config) -> None:
    actor = admin_actor()
    assert mx_rules.level(actor=actor) is mx_rules.Level.NORMAL
    with pytest.raises(Invalid):
        mx_rules.set_level("sometimes", actor=actor)
    options.set(mx_rules.LEVEL, "rubbish", actor=actor)
    assert mx_rules.level(actor=actor) is mx_rules.Level.NORMAL


def test_masks_and_domains_are_kept_in_one_form() -> None:
    assert masks.masks("*.Example.com., a?b.example;x.example") == (
        "*.example.com",
        "a?b.example",
        "x.example",
    )
    assert masks.domain("@Bücher.example") == "xn--bcher-kva.example"
    assert masks.numbers("7, 1-3") == ((1, 3), (7, 7))


def test_check_tells_what_keeps_mail_from_being_believed(config: Config, clock: Any) -> None:
    actor = admin_actor()
    direct = replace(config, sending=SendingConfig(relay="mx", sender="news@us.example"))
    make_delivery(from_address="Shop <a@shop.example>")
    make_delivery(from_address="a@deep.us.example")
    assert standing.unsigned_domains(direct) == ["deep.us.example", "shop.example", "us.example"]
    keys.activate(keys.make("us.example", "ed25519", actor=actor).dkim_key_id, actor=actor, unseen=True)
    assert standing.unsigned_domains(direct) == ["shop.example"]
    assert not standing.never_answered(direct)
    at = product_clock.now() - timedelta(hours=1)
    DeliveryStat.objects.create(delivery_id=1, slice=at, mx="", deferred=20)
    assert standing.never_answered(direct)
    instance = replace(boot.current(), config=direct)
    assert [each.level for each in checks.sending(instance)] == ["hint", "hint"]
    unset = replace(boot.current(), config=replace(config, sending=SendingConfig(relay="mx")))
    assert "bounces" in next(checks.sending(unset)).message
    DeliveryStat.objects.create(delivery_id=1, slice=at, mx="mx.there.example", sent=1)
    assert not standing.never_answered(direct)
    assert list(checks.sending(replace(boot.current(), config=config))) == [], "nothing leaves to a sink"
