"""What mails do to messages, figures, addresses and profiles (delivery.md §3.5)."""

from collections.abc import Callable
from typing import Any

import pytest

from envoi.kernel import clock
from envoi.kernel.models import OutboxItem
from envoi.packages.delivery.models import (
    Address,
    AddressStatus,
    BroadLogMsg,
    BroadLogRcp,
    Channel,
    InboundKind,
    InboundMail,
    InboundOutcome,
    Qualification,
    Recipient,
)
from envoi.packages.delivery.services.inbound.applying import Received, Settings, handle
from envoi.packages.delivery.services.sending.identity import Identity
from envoi.packages.delivery.tests.inbound.sent_mail import IDENTITY, Sent, make_sent, report

pytestmark = pytest.mark.django_db


@pytest.fixture
def sent(db: Any) -> Sent:
    return make_sent()


def come(*mails: bytes, **settings: Any) -> list[bool]:
    received = [Received(each, "test") for each in mails]
    return handle(received, IDENTITY, Settings(**settings), now=clock.now())


def standing(address: str) -> AddressStatus | None:
    found = Address.objects.filter(address=address).first()
    return None if found is None else AddressStatus(found.status)


def last() -> InboundMail:
    return InboundMail.objects.order_by("-pk")[0]


def letter(to: str, text: str = "Hello, a question about my order", **headers: str) -> bytes:
    given = {"From": "Ana <ana@example.net>", "To": to, "Subject": "Re: spring", **headers}
    return "".join(f"{name}: {value}\n" for name, value in given.items()).encode() + f"\n{text}\n".encode()


@pytest.mark.case("D41")
def test_an_unknown_user_fails_the_message_and_brings_the_address_into_quarantine_at_once(sent: Sent) -> None:
    come(report(sent.return_address(0), sent.address(0)), report(sent.return_address(1), sent.address(1)))
    log = sent.log(0)
    assert (log.status, log.failure_reason) == (2, 1)
    text = BroadLogMsg.objects.get(pk=log.msg_id)
    assert (text.text, text.rule, text.qualification) == ("550 5.1.1 user unknown", "User_unknown", 1)
    assert text.occurrences == 2
    assert standing(sent.address(0)) is AddressStatus.QUARANTINE
    row = Address.objects.get(address=sent.address(0))
    assert (row.error_count, row.error_reason, row.delivery_id) == (1, 1, sent.delivery.pk)
    assert sent.figures() == (5, 3, 2, 2)
    assert (sent.log(2).status, standing(sent.address(2))) == (1, None)


def test_a_mail_that_comes_twice_does_nothing_the_second_time(sent: Sent) -> None:
    mail = report(sent.return_address(0), sent.address(0))
    assert come(mail, mail.replace(b"\n", b"\r\n")) == [True, True]
    assert come(mail) == [True]
    assert sent.figures() == (5, 4, 1, 1)
    assert Address.objects.get().error_count == 1
    assert InboundMail.objects.count() == 1
    # Another server tells of the same message.
    come(report(sent.return_address(0), sent.address(0), **{"X-Other": "1"}))
    assert sent.figures() == (5, 4, 1, 1)
    assert Address.objects.get().error_count == 1


@pytest.mark.case("D49")
def test_an_answer_from_holiday_is_ignored(sent: Sent) -> None:
    come(
        letter(
            sent.return_address(0), "I am out of the office until Monday.",
            Subject="Out of office: spring", **{"Auto-Submitted": "auto-replied"},
        )
    )  # fmt: skip
    assert (last().kind, last().outcome) == (InboundKind.AUTO_REPLY, InboundOutcome.NOTHING)
    assert last().rule == "Auto_replies"
    assert sent.log(0).status == 1
    assert not Address.objects.exists()
    assert sent.figures() == (5, 5, 0, 0)


FEEDBACK = """\
From: feedback@provider.example
To: {to}
Subject: complaint
Content-Type: multipart/report; report-type=feedback-report; boundary="b"

--b
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: Provider/1.0
Version: 1

--b
Content-Type: message/rfc822

Message-ID: <{id}>
To: redacted@provider.example
Subject: spring

--b--
"""


@pytest.mark.case("D50")
def test_a_complaint_denylists_the_address_and_leaves_the_profile_alone(sent: Sent) -> None:
    Address.objects.create(
        address="+33612345678", type=Channel.SMS, created_at=clock.now(), modified_at=clock.now()
    )
    message_id = IDENTITY.message_id(sent.run_id, sent.id(3))
    come(FEEDBACK.format(to="abuse@bounces.example.org", id=message_id).encode())
    assert standing(sent.address(3)) is AddressStatus.DENYLISTED
    person = Recipient.objects.get(pk=sent.targets[3])
    assert (person.black_list, person.black_list_email, person.black_list_mobile) == (0, 0, 0)
    assert standing("+33612345678") is AddressStatus.UNKNOWN
    assert Address.objects.filter(address=sent.address(3)).values_list("type", flat=True)[0] == Channel.EMAIL
    assert sent.figures() == (5, 5, 0, 1)


def test_a_tag_that_was_made_up_brings_nobody_into_quarantine(sent: Sent) -> None:
    forged = Identity("bounces.example.org", b"guessed").return_address(sent.run_id, sent.id(0))
    come(report(forged, sent.address(0)), report("bounces@bounces.example.org", sent.address(1)))
    assert list(InboundMail.objects.values_list("outcome", flat=True)) == [InboundOutcome.UNKNOWN] * 2
    assert not Address.objects.exists()
    come(report("bounces@bounces.example.org", "A1@example.net", **{"X-N": "2"}), trust_addresses=True)
    assert standing(sent.address(1)) is AddressStatus.QUARANTINE
    assert sent.figures() == (5, 5, 0, 0)


def test_a_notice_of_delay_is_no_failure_and_a_soft_one_counts(sent: Sent) -> None:
    full = {"diagnostic": "smtp; 452 4.2.2 mailbox full", "status": "4.2.2"}
    come(report(sent.return_address(0), sent.address(0), action="delayed", **full))
    assert (sent.log(0).status, standing(sent.address(0))) == (1, None)
    come(report(sent.return_address(0), sent.address(0), **full))
    assert (sent.log(0).status, sent.log(0).failure_reason) == (2, 5)
    assert standing(sent.address(0)) is AddressStatus.ERRORS


def test_a_text_that_is_to_be_ignored_fails_the_message_and_spares_the_address(sent: Sent) -> None:
    come(report(sent.return_address(0), sent.address(0)))
    BroadLogMsg.objects.update(qualification=Qualification.IGNORE)
    come(report(sent.return_address(1), sent.address(1)))
    assert sent.log(1).status == 2
    assert standing(sent.address(1)) is None


def test_a_bounce_ahead_of_its_message_waits_until_that_is_settled(sent: Sent) -> None:
    BroadLogRcp.objects.filter(run_id=sent.run_id).update(status=6)
    sent.delivery.__class__.objects.filter(pk=sent.delivery.pk).update(processed=0, success=0)
    mail = report(sent.return_address(0), sent.address(0))
    assert come(mail) == [False]
    assert not InboundMail.objects.exists()
    assert handle([Received(mail, waited=True)], IDENTITY, Settings(), now=clock.now()) == [True]
    assert sent.log(0).status == 2
    assert sent.figures() == (1, 0, 1, 1)
    BroadLogRcp.objects.filter(run_id=sent.run_id, target_id=sent.targets[1]).update(flags=8)
    assert come(report(sent.return_address(1), sent.address(1))) == [True]
    assert sent.log(1).status == 2


def test_seeds_count_in_no_figure(sent: Sent) -> None:
    BroadLogRcp.objects.filter(run_id=sent.run_id).update(flags=1)
    come(report(sent.return_address(0), sent.address(0)))
    assert sent.log(0).status == 2
    assert sent.figures() == (5, 5, 0, 0)


@pytest.mark.parametrize("by", ["address", "subject"])
def test_a_mail_that_unsubscribes_makes_the_profile_refuse_mail(sent: Sent, by: str) -> None:
    if by == "address":
        mail = letter(IDENTITY.unsubscribe_address(sent.run_id, sent.id(2)), "", Subject="please")
    else:
        reply = f"<{IDENTITY.message_id(sent.run_id, sent.id(2))}>"
        mail = letter("news@example.org", "", Subject="unsubscribe", **{"In-Reply-To": reply})
    come(mail)
    person = Recipient.objects.get(pk=sent.targets[2])
    assert (person.black_list_email, person.black_list, person.black_list_mobile) == (1, 0, 0)
    assert last().kind == InboundKind.UNSUBSCRIPTION
    assert not Address.objects.exists()


def test_a_person_who_replies_is_kept_and_forwarded(sent: Sent) -> None:
    come(letter(sent.return_address(4)))
    assert (last().kind, last().outcome) == (InboundKind.REPLY, InboundOutcome.KEPT)
    assert (last().sender, last().address, last().delivery_id) == (
        "ana@example.net", sent.address(4), sent.delivery.pk,
    )  # fmt: skip
    assert bytes(last().content).startswith(b"From: Ana")
    come(letter(sent.return_address(4), "again"), errors_to="care@example.org")
    assert last().outcome == InboundOutcome.FORWARDED
    item = OutboxItem.objects.get()
    assert item.payload["to"] == ["care@example.org"]
    assert "again" in item.payload["text"]
    come(report("b@bounces.example.org", "x@example.org"), errors_to="care@example.org")
    assert OutboxItem.objects.count() == 2
    come(report(sent.return_address(0), sent.address(0)), errors_to="care@example.org")
    assert OutboxItem.objects.count() == 2


HOSTILE: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "nul": lambda: b"From: \x00a\nSubject: \x00\n\n\x00",
    "no headers": lambda: bytes(range(256)) * 100,
    "deep": lambda: b"".join(
        f'Content-Type: multipart/mixed; boundary="b{n}"\n\n--b{n}\n'.encode() for n in range(2_000)
    ),
    "long header": lambda: b"Subject: " + b"x" * 3_000_000 + b"\n\nhi",
    "many headers": lambda: b"X: y\n" * 300_000 + b"\nhi",
    "fifty megabytes": lambda: b"Subject: big\n\n" + b"0123456789abcdef\n" * 3_000_000,
    "charset": lambda: (
        b"Subject: =?utf-7?B?//8=?= =?x?Q?=ff?=\nContent-Type: text/plain; charset=nope\n\n\xff"
    ),
    "surrogates": lambda: b"Subject: =?utf-8?B?7aCA?=\n\n" + b"\xed\xa0\x80",
    "loop": lambda: b"Received: from a by b\n" * 500 + b"From: b@bounces.example.org\n\nround and round",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_mail_is_done_with(sent: Sent, name: str) -> None:
    mail = HOSTILE[name]()
    good = report(sent.return_address(0), sent.address(0))
    assert come(mail, good) == [True, True]
    assert sent.log(0).status == 2
    assert InboundMail.objects.count() == 2
    assert come(mail) == [True]
    assert InboundMail.objects.count() == 2
