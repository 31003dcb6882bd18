"""Where mail goes: with a real name server on this machine, and a real web server for policies."""

import asyncio
import ssl
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from envoi.kernel.errors import Invalid
from envoi.packages.delivery.services.sending.mta_sts import Policies, Policy, parse
from envoi.packages.delivery.services.sending.mx import (
    Host,
    MxRoutes,
    NoRouteError,
    Relay,
    RelayRoutes,
    relay,
)
from envoi.packages.delivery.services.sending.smtp import Login, Tls

ZONE: dict[tuple[str, str], list[str] | str | None] = {
    ("there.example", "MX"): ["20 b.there.example.", "10 a.there.example.", "5 gone.example."],
    ("a.there.example", "A"): ["203.0.114.1", "203.0.114.2"],
    ("a.there.example", "AAAA"): ["2a00:1::1"],
    ("b.there.example", "A"): ["203.0.114.9"],
    ("nomx.example", "A"): ["203.0.114.3"],
    ("null.example", "MX"): ["0 ."],
    ("inside.example", "MX"): ["10 inner.example."],
    ("inner.example", "A"): ["10.1.2.3"],
    ("dead.example", "MX"): ["10 gone.example."],
    ("ill.example", "MX"): "SERVFAIL",
    ("mute.example", "MX"): None,
}


def failure(domain: str, routes: MxRoutes) -> Any:
    async def ask() -> NoRouteError:
        with pytest.raises(NoRouteError) as raised:
            await routes.of(domain)
        return raised.value

    return ask()


def test_hosts_come_in_order_with_their_addresses(name_server: Callable[..., Any]) -> None:
    async def run() -> None:
        async with name_server(ZONE) as (resolver, server):
            routes = MxRoutes(resolver=resolver)
            assert routes.known("there.example") is None
            both = await asyncio.gather(routes.of("there.example"), routes.of("there.example"))
            assert both[0] is both[1]
            first, second = both[0].hosts
            assert (first.name, second) == ("a.there.example", Host("b.there.example", ("203.0.114.9",)))
            # A name server shuffles the records of a name.
            assert sorted(first.addresses[:2]) == ["203.0.114.1", "203.0.114.2"]
            assert first.addresses[2:] == ("2a00:1::1",)
            assert server.asked.count(("there.example", "MX")) == 1
            assert routes.known("there.example") is both[0]
            assert (await routes.of("nomx.example")).hosts == (Host("nomx.example", ("203.0.114.3",)),)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("domain", "status", "lasting", "says"),
    [
        ("null.example", "5.1.10", True, "null MX"),
        ("nowhere.example", "5.1.2", False, "no domain"),
        ("inside.example", "5.4.4", False, "private addresses"),
        ("dead.example", "5.4.4", False, "no mail server"),
        ("ill.example", "4.4.3", False, "no answer"),
        ("mute.example", "4.4.3", False, "no answer"),
        ("x" * 64 + ".example", "5.1.2", True, "no domain"),
    ],
)
def test_there_is_no_route(
    name_server: Callable[..., Any], domain: str, status: str, lasting: bool, says: str
) -> None:
    async def run() -> None:
        async with name_server(ZONE) as (resolver, server):
            routes = MxRoutes(resolver=resolver)
            for _again in range(2):
                error = await failure(domain, routes)
                assert (error.reply.enhanced, error.lasting) == (status, lasting)
                assert says in error.reply.text or "is no domain" in error.reply.text
            asked = len(server.asked)
            await failure(domain, routes)
            assert len(server.asked) == asked, "that there is no route is remembered too"

    asyncio.run(run())


def test_private_networks_can_be_allowed(name_server: Callable[..., Any]) -> None:
    async def run() -> None:
        async with name_server(ZONE) as (resolver, _server):
            routes = MxRoutes(resolver=resolver, allowed=[ip_network("10.1.0.0/16")])
            assert (await routes.of("inside.example")).hosts == (Host("inner.example", ("10.1.2.3",)),)

    asyncio.run(run())


def test_the_address_of_a_relay() -> None:
    assert relay("smtp://mail.example") == Relay("mail.example")
    assert relay("smtps://me%40x:p%3Aw@mail.example") == Relay(
        "mail.example", 465, Tls.REQUIRED, True, Login("me@x", "p:w")
    )
    assert relay("smtp://[::1]:2525?tls=none") == Relay("::1", 2525, Tls.NONE)
    for wrong in ("http://x", "smtp://", "smtp://x:port", "smtp://x?tls=maybe", "mail.example"):
        with pytest.raises(Invalid, match="SMTP_URL"):
            relay(wrong)
    route = asyncio.run(RelayRoutes(Relay("localhost", 2525)).of("any.example"))
    assert route.port == 2525
    assert "127.0.0.1" in route.hosts[0].addresses


# --- MTA-STS

ENFORCE = (
    "version: STSv1\r\nmode: enforce\r\nmx: mx.there.example\r\nmx: *.mail.example\r\nmax_age: 86400\r\n"
)


def test_a_policy_covers_its_hosts() -> None:
    policy = parse(ENFORCE)
    assert policy == Policy("enforce", ("mx.there.example", "*.mail.example"), 86400)
    for host, covered in (
        ("MX.there.example.", True),
        ("a.mail.example", True),
        ("a.b.mail.example", False),
        ("mail.example", False),
        ("other.example", False),
    ):
        assert policy.covers(host) == covered
    for wrong in (ENFORCE.replace("STSv1", "STSv2"), ENFORCE.replace("86400", "x"), "mode: enforce", ""):
        assert parse(wrong) is None


@pytest.mark.parametrize(
    ("answer", "named", "found"),
    [
        ((200, ENFORCE.encode()), "mta-sts.there.example", True),
        ((200, ENFORCE.encode()), "mta-sts.other.example", False),
        ((301, ENFORCE.encode()), "mta-sts.there.example", False),
        ((200, b"x" * 70_000), "mta-sts.there.example", False),
    ],
)
def test_a_policy_is_fetched_over_a_connection_that_is_verified(
    name_server: Callable[..., Any],
    certificate: Callable[[str], Path],
    web_server: Callable[..., Any],
    answer: tuple[int, bytes],
    named: str,
    found: bool,
) -> None:
    own = certificate(named)
    zone: dict[tuple[str, str], list[str]] = {("_mta-sts.there.example", "TXT"): ['"v=STSv1; id=20261126;"']}

    async def run(port: int) -> None:
        async with name_server(zone) as (resolver, server):
            policies = Policies(
                resolver,
                context=ssl.create_default_context(cafile=str(own)),
                port=port,
                find=lambda _host: [ip_address("127.0.0.1")],
            )
            policy = await policies.of("there.example")
            assert (policy is not None) == found
            assert policy is None or policy.enforced
            asked = len(server.asked)
            assert await policies.of("there.example") is policy
            assert len(server.asked) == asked
            assert await policies.of("none.example") is None
            if policy is not None:
                # An attacker who hides the record does not take the policy away.
                zone.clear()
                policies._asked.clear()
                assert await policies.of("there.example") is policy

    with web_server(own, [answer]) as port:
        asyncio.run(run(port))
