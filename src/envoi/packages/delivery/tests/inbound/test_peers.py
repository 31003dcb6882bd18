"""Real servers: Postfix delivers to mailboxes, and what it cannot deliver comes back through Dovecot."""

import asyncio
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from envoi.kernel import accounts
from envoi.kernel.config import InboundConfig, NetworkConfig, SendingConfig
from envoi.kernel.testing import admin_actor
from envoi.packages.delivery.models import Address, AddressStatus, BroadLogRcp, InboundMail
from envoi.packages.delivery.services import routing
from envoi.packages.delivery.services.inbound.process import Process
from envoi.packages.delivery.services.sending.identity import Identity
from envoi.packages.delivery.services.sending.journal import Journal
from envoi.packages.delivery.services.sending.mime import Head, Skeleton
from envoi.packages.delivery.services.sending.mx import Relay, RelayRoutes
from envoi.packages.delivery.services.sending.outcomes import Message, Outcome, State
from envoi.packages.delivery.services.sending.sender import Item, Sender
from envoi.packages.delivery.services.sending.throttle import Source, Throttle
from envoi.packages.delivery.tests.inbound.mail_servers import (
    BOUNCES,
    PASSWORD,
    THERE,
    Servers,
    running,
    wait,
)
from envoi.packages.delivery.tests.inbound.sent_mail import Sent, make_sent

pytestmark = pytest.mark.django_db
HERE, GONE, FULL = ("ana", "bo", "chen"), ("gone1", "gone2", "gone3"), ("full",)
NAMES = (*HERE, *GONE, *FULL)


@pytest.fixture
def servers() -> Iterator[Servers]:
    if os.geteuid() != 0:
        pytest.skip("Postfix starts as root only")
    with running(HERE, {f"{name}@{THERE}": "error:5.2.2 mailbox full" for name in FULL}) as found:
        yield found


def send(servers: Servers, sent: Sent, identity: Identity, folder: Path) -> None:
    """Send the messages of a delivery through Postfix."""
    skeleton = Skeleton(text=True, html=False)

    def compose(item: Item) -> Message:
        head = Head(
            message_id=identity.message_id(item.run, item.id),
            date=datetime.now(UTC),
            from_name="News",
            from_address="news@example.org",
            to_name="",
            to_address=item.recipient,
            subject="Spring",
        )
        data = skeleton.build(head, text="Hello", html="")
        return Message(item.id, item.run, identity.return_address(item.run, item.id), item.recipient, data)

    outcomes: list[Outcome] = []
    written = Journal(folder)
    sender = Sender(
        RelayRoutes(Relay("127.0.0.1", servers.smtp)), Throttle(), written, [Source("", 0, "me.example")]
    )
    items = [Item(sent.id(n), sent.run_id, f"{name}@{THERE}") for n, name in enumerate(NAMES)]
    asyncio.run(sender.run(iter(items), compose, outcomes.append))
    written.close()
    assert {each.state for each in outcomes} == {State.SENT}


@pytest.mark.peer("postfix")
@pytest.mark.peer("dovecot")
def test_what_postfix_cannot_deliver_comes_back_by_imap_and_pop3_into_quarantine(
    servers: Servers, settings: Any, tmp_path: Path
) -> None:
    settings.CONFIG = config = replace(
        settings.CONFIG,
        sending=SendingConfig(bounce_domain=BOUNCES),
        inbound=InboundConfig(account="bounces"),
        network=NetworkConfig(allow_private=("127.0.0.0/8",)),
    )
    identity = routing.identity(config)
    spring, summer = make_sent(len(NAMES)), make_sent(len(NAMES))
    for sent in (spring, summer):
        for number, name in enumerate(NAMES):
            BroadLogRcp.objects.filter(run_id=sent.run_id, target_id=sent.targets[number]).update(
                address=f"{name}@{THERE}"
            )
    signing = {"server": "127.0.0.1", "security": "none", "account": "bounces", "password": PASSWORD}
    accounts.create("bounces", actor=admin_actor(), type="imap", values={**signing, "port": servers.imap})
    accounts.create("by-pop3", actor=admin_actor(), type="pop3", values={**signing, "port": servers.pop3})
    lost = len(GONE) + len(FULL)

    send(servers, spring, identity, tmp_path)
    wait(lambda: len(servers.mails("bounces")) == lost and all(servers.mails(name) for name in HERE))
    Process(config).once()
    assert spring.figures() == (len(NAMES), len(HERE), lost, len(GONE))
    assert dict(Address.objects.values_list("address", "status")) == {
        **{f"{name}@{THERE}": AddressStatus.QUARANTINE for name in GONE},
        **{f"{name}@{THERE}": AddressStatus.ERRORS for name in FULL},
    }
    assert servers.mails("bounces") == []

    send(servers, summer, identity, tmp_path)
    wait(lambda: len(servers.mails("bounces")) == lost)
    Process(replace(config, inbound=InboundConfig(account="by-pop3"))).once()
    assert summer.figures() == (len(NAMES), len(HERE), lost, 0)
    assert set(
        Address.objects.filter(status=AddressStatus.QUARANTINE).values_list("error_count", flat=True)
    ) == {2}
    assert servers.mails("bounces") == []
    assert set(InboundMail.objects.values_list("source", flat=True)) == {"bounces", "by-pop3"}
