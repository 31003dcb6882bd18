"""What DNS must say of a sending domain, asked of a name server on loopback."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import dns.message
import dns.rcode
import dns.rdatatype
import dns.resolver
import dns.rrset
import pytest

from envoi.kernel import config as configuration
from envoi.kernel.config import Config, SendingConfig
from envoi.kernel.testing import admin_actor
from envoi.packages.delivery.models import CheckState, JobLog, SendingDomain
from envoi.packages.delivery.services import analysis, deliveries, routing
from envoi.packages.delivery.services.routing import addresses, domains, findings, keys, spf
from envoi.packages.delivery.services.routing.spf import Look, Spf
from envoi.packages.delivery.testing import make_delivery, make_recipients

Zone = dict[tuple[str, str], list[str] | None]


@contextmanager
def name_server(zone: Zone) -> Iterator[Look]:
    """Answer from a zone by UDP; None: no answer, a name that is not there: NXDOMAIN."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            data, sender = server.recvfrom(4096)
            if data == b"end":
                return
            query = dns.message.from_wire(data)
            question = query.question[0]
            name = question.name.to_text(omit_final_dot=True).lower()
            kind = dns.rdatatype.to_text(question.rdtype)
            answer = dns.message.make_response(query)
            found = zone.get((name, kind), [])
            if found is None:
                continue
            if found:
                answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *found))
            elif not any(known == name for known, _kind in zone):
                answer.set_rcode(dns.rcode.NXDOMAIN)
            server.sendto(answer.to_wire(), sender)

    thread = threading.Thread(target=serve)
    thread.start()
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], server.getsockname()[1]
    resolver.timeout, resolver.lifetime = 0.3, 0.3
    try:
        yield Look(resolver)
    finally:
        server.sendto(b"end", server.getsockname())
        thread.join()
        server.close()


@pytest.fixture
def config(settings: Any, tmp_path: Path) -> Config:
    sending = SendingConfig(
        helo="mail.us.example", bounce_domain="bounce.us.example", sender="news@us.example", relay="mx"
    )
    settings.CONFIG = replace(configuration.load(tmp_path, {}), sending=sending)
    return settings.CONFIG


def test_spf_is_read_as_its_standard_says() -> None:
    zone: Zone = {
        ("a.example", "TXT"): ['"v=spf1 ip4:198.51.100.0/24 include:b.example ~all"', '"other=1"'],
        ("b.example", "TXT"): ['"v=spf1 a:host.example" " mx -all"'],
        ("host.example", "A"): ["203.0.113.5"],
        ("host.example", "AAAA"): ["2001:db8::5"],
        ("b.example", "MX"): ["10 mx.b.example."],
        ("mx.b.example", "A"): ["203.0.113.9"],
        ("c.example", "TXT"): ['"v=spf1 redirect=a.example"'],
        ("loop.example", "TXT"): ['"v=spf1 include:loop.example -all"'],
        ("two.example", "TXT"): ['"v=spf1 -all"', '"v=spf1 +all"'],
        ("odd.example", "TXT"): ['"v=spf1 ip4:1.2.3 -all"'],
        ("silent.example", "TXT"): None,
    }
    asked = [
        ("a.example", "198.51.100.7", Spf.PASS),
        ("a.example", "203.0.113.5", Spf.PASS),
        ("a.example", "2001:db8::5", Spf.PASS),
        ("a.example", "203.0.113.9", Spf.PASS),
        ("a.example", "192.0.2.1", Spf.SOFTFAIL),
        ("b.example", "192.0.2.1", Spf.FAIL),
        ("c.example", "203.0.113.5", Spf.PASS),
        ("nothing.example", "192.0.2.1", Spf.NONE),
        ("loop.example", "192.0.2.1", Spf.ERROR),
        ("two.example", "192.0.2.1", Spf.ERROR),
        ("odd.example", "192.0.2.1", Spf.ERROR),
    ]
    with name_server(zone) as look:
        for domain, address, expected in asked:
            assert spf.check(look, domain, ip_address(address)) is expected, (domain, address)
        with pytest.raises(spf.UnansweredError):
            spf.check(look, "silent.example", ip_address("192.0.2.1"))


@pytest.mark.django_db
def test_a_domain_is_checked_from_nothing_to_all_in_order(config: Config, clock: Any) -> None:
    actor = admin_actor()
    addresses.save(None, {"address": "9.9.9.20"}, actor=actor)
    zone: Zone = {}

    def codes() -> dict[str, str]:
        with name_server(zone) as look:
            row = domains.check("us.example", config, actor=actor, look=look)
        found = {each.what: each.code for each in domains.findings(row)}
        for each in domains.findings(row):
            assert findings.told(each.code, each.detail) != each.code
        return found

    assert [each.code for each in routing.alignment("news@us.example")] == ["alignment.unknown", "dkim.none"]
    assert codes() == {"spf": "spf.none", "dkim": "dkim.none", "dmarc": "dmarc.none", "mx": "mx.none"}
    key = keys.make("us.example", "rsa", actor=actor, selector="s1")
    keys.activate(key.dkim_key_id, actor=actor, unseen=True)
    zone[("bounce.us.example", "TXT")] = ['"v=spf1 ip4:9.9.9.1 -all"']
    zone[("bounce.us.example", "MX")] = ["10 elsewhere.example."]
    zone[("_dmarc.us.example", "TXT")] = ['"v=DMARC1; aspf=s; adkim=s"']
    zone[("s1._domainkey.us.example", "TXT")] = ['"v=DKIM1; p=AAAA"']
    assert codes() == {
        "spf": "spf.left_out", "dkim": "dkim.other", "dmarc": "dmarc.invalid", "mx": "mx.elsewhere",
    }  # fmt: skip
    told = [each.text for each in routing.alignment("News <news@us.example>")]
    assert told[0] == "SPF of bounce.us.example does not let 9.9.9.20 send: v=spf1 ip4:9.9.9.1 -all"
    record = keys.record(key)
    zone[(record.name, "TXT")] = [" ".join(f'"{piece}"' for piece in record.strings)]
    zone[("bounce.us.example", "TXT")] = ['"v=spf1 ip4:9.9.9.20 -all"']
    zone[("bounce.us.example", "MX")] = ["10 mail.us.example."]
    zone[("_dmarc.us.example", "TXT")] = ['"v=DMARC1; p=reject; aspf=s; adkim=s"']
    assert codes() == {"spf": "spf.good", "dkim": "dkim.good", "dmarc": "dmarc.by_dkim", "mx": "mx.good"}
    key.refresh_from_db()
    assert key.verified_at == clock_now()
    assert routing.alignment("news@us.example") == []
    clock.step(days=31)
    assert [each.code for each in routing.alignment("news@us.example")] == ["alignment.old"]
    # A subdomain is under the policy and the key of the one above it.
    with name_server(zone) as look:
        row = domains.check("deep.us.example", config, actor=actor, look=look)
        assert (row.dkim, row.dmarc) == (CheckState.GOOD, CheckState.BAD), (
            "strict alignment wants the same domain"
        )
        zone[("_dmarc.us.example", "TXT")] = ['"v=DMARC1; p=quarantine"']
        row = domains.check("deep.us.example", config, actor=actor, look=look)
        assert row.dmarc == CheckState.GOOD
        zone[("_dmarc.deep.us.example", "TXT")] = None
        row = domains.check("deep.us.example", config, actor=actor, look=look)
        assert row.dmarc == CheckState.UNKNOWN, "no answer is not the same as no record"
    sink = replace(config, sending=replace(config.sending, sink="127.0.0.1:2525"))
    assert routing.alignment("x@nowhere.example", sink) == [], "nothing leaves there"


def clock_now() -> Any:
    from envoi.kernel import clock

    return clock.now()


@pytest.mark.django_db
def test_an_analysis_warns_of_a_sender_that_dns_does_not_stand_by(config: Config, clock: Any) -> None:
    actor = admin_actor()
    make_recipients(3, black_list=0, black_list_email=0)

    def lines() -> list[str]:
        delivery = make_delivery(from_address="news@us.example")
        analysis.work(analysis.start(delivery, actor=actor, queue=False).pk, actor=actor)
        found = JobLog.objects.filter(delivery=delivery, code="weak_sender")
        return [deliveries.text(each) for each in found]

    assert lines() == [], "nobody has looked yet"
    SendingDomain.objects.create(
        domain="us.example", spf=CheckState.BAD, dkim=CheckState.GOOD, dmarc=CheckState.WARNING,
        checked_at=clock_now(), modified_at=clock_now(),
    )  # fmt: skip
    (line,) = lines()
    assert "us.example: SPF, DMARC" in line
