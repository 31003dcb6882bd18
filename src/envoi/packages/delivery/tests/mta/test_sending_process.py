"""The sender process with the real database and a real mail server."""

import os
import signal
import subprocess
import sys
from collections import deque
from dataclasses import replace
from datetime import timedelta
from typing import Any

import dkim
import pytest
from django.db import transaction

from envoi.kernel import clock as product_clock
from envoi.kernel.testing import admin_actor
from envoi.packages.delivery.models import (
    Address,
    BroadLogRcp,
    Delivery,
    DeliveryContent,
    DeliveryPart,
    DeliveryRetry,
    DeliveryStat,
    DeliveryState,
    DkimKey,
    JobLog,
    MxRule,
    SenderProcess,
)
from envoi.packages.delivery.services import deliveries
from envoi.packages.delivery.services.mta import journals
from envoi.packages.delivery.services.mta import parts as part_leases
from envoi.packages.delivery.services.mta.composing import REPEAT_HEADER
from envoi.packages.delivery.services.routing import keys
from envoi.packages.delivery.services.sending.journal import Journal
from envoi.packages.delivery.tests.mta.stage import (
    DROP,
    QUICK,
    Sink,
    confirmed,
    parts,
    people,
    send,
    state_is,
    statuses,
    wait,
)

S = DeliveryState


def test_all_messages_go_out_once_and_all_is_told(committed_db: Any, sink: Sink) -> None:
    people(60)
    delivery = confirmed()
    send(sink, state_is(delivery, S.FINISHED))
    assert sink.count() == {f"a{number}@one.example": 1 for number in range(60)}
    assert statuses(delivery) == {1: 60}
    delivery.refresh_from_db()
    assert (delivery.processed, delivery.success, delivery.error) == (60, 60, 0)
    assert delivery.broad_start is not None
    assert delivery.broad_end is not None
    assert (parts(delivery), DeliveryRetry.objects.count(), SenderProcess.objects.count()) == (0, 0, 0)
    (stat,) = DeliveryStat.objects.all()
    assert (stat.mx, stat.domain, stat.sent, stat.failed) == ("mx.one.example", "one.example", 60, 0)
    assert stat.bytes == sum(len(each.data) for each in sink.got)


@pytest.mark.case("D24")
@pytest.mark.case("D42")
@pytest.mark.case("D43")
@pytest.mark.case("D44")
def test_a_soft_failure_is_tried_again_until_the_validity_ends(
    committed_db: Any, sink: Sink, clock: Any
) -> None:
    people(2)
    full = "a0@one.example"
    sink.rcpt[full] = deque([b"452 4.2.2 mailbox full"] * 100)
    delivery = confirmed(sending={"retry": {"count": 5, "period": "1h"}})
    begin, tried, counts = product_clock.now(), [timedelta(0)], []

    def ended() -> bool:
        row = DeliveryRetry.objects.filter(part_id=None).first()
        if row is not None and row.next_at > product_clock.now() and statuses(delivery) == {6: 1, 1: 1}:
            found = Address.objects.get(address=full)
            counts.append((found.status, found.error_count))
            tried.append(row.next_at - begin)
            clock.move_to(row.next_at)
        return state_is(delivery, S.FINISHED)()

    send(sink, ended, seconds=60)
    hours = [round(each.total_seconds() / 3600) for each in tried]
    assert hours == [0, 1, 2, 3, 4, 5, 29, 53, 77, 101]
    assert sink.asked[full] == len(tried)
    assert statuses(delivery) == {2: 1, 1: 1}
    failed = BroadLogRcp.objects.get(address=full)
    assert failed.failure_reason == 5
    delivery.refresh_from_db()
    assert (delivery.processed, delivery.success, delivery.error, delivery.new_quarantine) == (2, 1, 1, 1)
    # Six failures within a day count once; the fourth day leaves the address with errors, the fifth does not.
    assert counts == [(1, 1)] * 6 + [(1, 2), (1, 3), (1, 4)]
    found = Address.objects.get(address=full)
    assert (found.status, found.error_count) == (4, 5)


@pytest.mark.case("D41")
def test_a_hard_failure_is_final_and_brings_into_quarantine(committed_db: Any, sink: Sink) -> None:
    people(2)
    sink.rcpt["a1@one.example"] = deque([b"550 5.1.1 user unknown"])
    delivery = confirmed()
    send(sink, state_is(delivery, S.FINISHED))
    failed = BroadLogRcp.objects.get(address="a1@one.example")
    assert (failed.status, failed.failure_reason) == (2, 1)
    assert Address.objects.get(address="a1@one.example").status == 4
    delivery.refresh_from_db()
    assert (delivery.success, delivery.error, delivery.new_quarantine) == (1, 1, 1)


@pytest.mark.parametrize("doubt", ["repeat", "hold"])
def test_what_may_have_arrived_is_repeated_and_marked_or_held(
    committed_db: Any, sink: Sink, clock: Any, doubt: str
) -> None:
    people(3)
    lost = "a1@one.example"
    sink.dot[lost] = deque([DROP])
    delivery = confirmed(sending={"doubt": doubt})

    def settled() -> bool:
        row = DeliveryRetry.objects.first()
        if row is not None and row.held:
            # The state of the delivery follows its messages a moment later.
            return statuses(delivery) == {1: 2, 6: 1} and state_is(delivery, S.RETRY_PENDING)()
        if row is not None and row.next_at > product_clock.now():
            clock.move_to(row.next_at)
        return state_is(delivery, S.FINISHED)()

    send(sink, settled)
    log = BroadLogRcp.objects.get(address=lost)
    mails = [each.mail for each in sink.got if each.recipient == lost]
    assert len({mail["Message-ID"] for mail in mails}) == 1
    if doubt == "repeat":
        assert [mail[REPEAT_HEADER] for mail in mails] == [None, "2"]
        assert (log.status, log.flags) == (1, 4)
        return
    assert [mail[REPEAT_HEADER] for mail in mails] == [None]
    assert (log.status, log.flags) == (6, 8)
    assert state_is(delivery, S.RETRY_PENDING)()
    clock.step(days=6)
    send(sink, state_is(delivery, S.FINISHED))
    assert statuses(delivery) == {1: 2, 7: 1}


def test_a_delivery_pauses_goes_on_and_stops(committed_db: Any, sink: Sink) -> None:
    actor = admin_actor()
    people(400)
    delivery = confirmed(batch_quantity=50)
    sink.shut()
    verbs = iter([lambda: deliveries.pause(delivery, actor=actor), sink.open])

    def paused() -> bool:
        if sink.waiting and (verb := next(verbs, None)):
            delivery.refresh_from_db()
            verb()
        return state_is(delivery, S.PAUSED)()

    send(sink, paused)
    assert not DeliveryPart.objects.exclude(journal="").exists()
    gone = statuses(delivery)
    assert 0 < gone[1] < 400
    assert sink.count().total() == gone[1]
    delivery.refresh_from_db()
    deliveries.resume(delivery, actor=actor)
    sink.shut()
    verbs = iter([lambda: deliveries.stop(delivery, actor=actor), sink.open])

    def stopped() -> bool:
        if sink.waiting and (verb := next(verbs, None)):
            delivery.refresh_from_db()
            verb()
        return state_is(delivery, S.STOPPED)()

    send(sink, stopped)
    gone = statuses(delivery)
    assert gone[1] + gone[7] == 400
    assert max(sink.count().values()) == 1
    assert sink.count().total() == gone[1] < 400
    assert parts(delivery) == 0


def test_a_sender_that_is_killed_leaves_only_what_was_on_the_wire_in_doubt(
    committed_db: Any, sink: Sink
) -> None:
    people(300)
    MxRule.objects.all().delete()
    delivery = confirmed()
    environment = os.environ | committed_db.env | {
        "ENVOI_SENDING_SINK": f"127.0.0.1:{sink.port}",
        "ENVOI_SENDING_BOUNCE_DOMAIN": "bounces.example",
    }  # fmt: skip
    sink.shut()
    process = subprocess.Popen([sys.executable, "-m", "envoi.cli", "sender"], env=environment)
    try:
        wait(lambda: sink.waiting >= 1, 20)
        wait(lambda: SenderProcess.objects.count() == 1, 5)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    on_the_wire = sink.waiting
    sink.open()
    send(sink, state_is(delivery, S.FINISHED))
    assert statuses(delivery) == {1: 300}
    marked = [each for each in sink.got if each.mail[REPEAT_HEADER]]
    assert sink.count().total() - 300 <= len(marked) <= on_the_wire <= 30
    assert {each.recipient for each in marked} == {log.address for log in BroadLogRcp.objects.filter(flags=4)}
    assert SenderProcess.objects.count() == 0


def test_a_sender_that_is_told_to_stop_leaves_everything_pending(committed_db: Any, sink: Sink) -> None:
    people(300)
    delivery = confirmed()
    sink.rcpt |= {f"a{number}@one.example": deque([b"421 4.7.0 later"] * 9) for number in range(300)}
    send(sink, lambda: sum(sink.asked.values()) > 0)
    assert statuses(delivery)[6] == 300
    assert not DeliveryPart.objects.exclude(journal="").exists()
    assert SenderProcess.objects.count() == 0


@pytest.mark.case("D13")
def test_personalisation_that_takes_too_long_fails_the_delivery(committed_db: Any, sink: Sink) -> None:
    people(2)
    slow = {
        "text_source": "{% for n in range(99999) %}{% for m in range(9) %}{{ n }}{% endfor %}{% endfor %}"
        "{{ recipient.firstName }} https://shop.example/unsubscribe"
    }
    delivery = confirmed(**slow, sending={"personalisation": 0})
    # The analysis had time enough; the sender is to take none.
    kept = DeliveryContent.objects.get(run_id=delivery.run_id)
    kept.settings["limit"] = 0.05
    kept.save()
    send(sink, state_is(delivery, S.FAILED))
    assert statuses(delivery) == {6: 2}
    assert sink.got == []
    line = JobLog.objects.get(delivery=delivery, code="unsendable")
    assert "0.05 s" in line.detail["error"]
    patient = confirmed(**slow, sending={"personalisation": 0})
    send(sink, state_is(patient, S.FINISHED), seconds=60)
    assert statuses(patient) == {1: 2}


def test_a_name_cannot_add_a_header(committed_db: Any, sink: Sink) -> None:
    people(1, first_name="Eve\r\nBcc: all@there.example\r\n\r\nBody", last_name="X\nSubject: no")
    delivery = confirmed()
    send(sink, state_is(delivery, S.FINISHED))
    (mail,) = [each.mail for each in sink.got]
    assert mail["Bcc"] is None
    assert mail.get_all("Subject") == ["Hello Eve Bcc: all@there.example  Body"] or (
        len(mail.get_all("Subject") or []) == 1
    )
    assert len(mail.get_all("To") or []) == 1


def test_a_delivery_without_messages_ends_at_once(committed_db: Any, sink: Sink) -> None:
    people(1)
    delivery = confirmed()
    DeliveryPart.objects.filter(delivery=delivery).delete()
    BroadLogRcp.objects.filter(delivery_id=delivery.pk).update(status=0)
    send(sink, state_is(delivery, S.FINISHED))
    assert sink.got == []


def test_the_most_urgent_delivery_goes_first_and_none_before_its_date(
    committed_db: Any, sink: Sink, clock: Any
) -> None:
    people(20)
    later = confirmed(contact_date=product_clock.now() + timedelta(hours=2))
    low, high = confirmed(priority=1), confirmed(priority=4)
    Delivery.objects.filter(pk=later.pk).update(priority=5)
    for each, name in ((low, "low"), (high, "high"), (later, "later")):
        assert each.status is S.START_PENDING, name
    one_by_one = replace(QUICK, window=1, claim=8)
    send(sink, lambda: state_is(low, S.FINISHED)() and state_is(high, S.FINISHED)(), pace=one_by_one)
    runs = [each.sender.split("-")[1] for each in sink.got]
    assert runs == [str(high.run_id)] * 20 + [str(low.run_id)] * 20
    assert state_is(later, S.START_PENDING)()
    clock.step(hours=2)
    send(sink, state_is(later, S.FINISHED))
    assert len(sink.got) == 60


@pytest.mark.parametrize("algorithm", ["rsa", "ed25519"])
def test_what_arrives_is_signed_with_its_ways_to_leave(committed_db: Any, sink: Sink, algorithm: str) -> None:
    made = keys.make("shop.example", algorithm, actor=admin_actor())
    DkimKey.objects.update(active=True)
    people(2)
    delivery = confirmed()
    send(sink, state_is(delivery, S.FINISHED))
    for got in sink.got:
        signed = dkim.DKIM(got.data)
        assert signed.verify(dnsfunc=lambda _name, timeout=5: made.record.encode())
        assert {b"from", b"to", b"subject"} <= {name.lower() for name in signed.include_headers}
        signature = got.mail["DKIM-Signature"].lower()
        assert "list-unsubscribe" in signature
        assert got.mail["List-Unsubscribe"]
        assert got.sender.startswith("b-")
        assert got.mail["Message-ID"] == f"<{got.sender}>"


def test_copies_are_archived_passed_on_and_go_after_a_week(committed_db: Any, sink: Sink, clock: Any) -> None:
    people(2)
    delivery = confirmed(sending={"bcc": True})
    folder = committed_db.home / "archive"

    def passed() -> bool:
        return len(list(folder.glob("2026-11-24/09h/*-sent.eml"))) == 2

    send(sink, lambda: state_is(delivery, S.FINISHED)() and passed(), bcc="archive@books.example")
    assert sink.count() == {"a0@one.example": 1, "a1@one.example": 1, "archive@books.example": 2}
    sent = sorted(each.data for each in sink.got if each.recipient != "archive@books.example")
    copies = sorted(each.data for each in sink.got if each.recipient == "archive@books.example")
    assert copies == sent == sorted(path.read_bytes() for path in folder.glob("*/*/*.eml"))
    clock.step(days=8)
    send(sink, lambda: not list(folder.iterdir()), bcc="archive@books.example")


def test_what_a_lost_host_held_is_in_doubt(committed_db: Any, sink: Sink, run_envoi: Any) -> None:
    people(20)
    delivery = confirmed(batch_quantity=10)
    now = product_clock.now()
    SenderProcess.objects.create(
        journal="f" * 32, host="lost.example", pid=1, started_at=now, seen_at=now - timedelta(hours=2)
    )
    with transaction.atomic():
        (held,) = part_leases.claim("f" * 32, most=5, now=now)
    told = run_envoi("check", "--json", code=1).json
    assert [each["place"] for each in told["findings"] if each["thing"] == "sender"] == ["lost.example"]
    assert "10 messages in doubt" in run_envoi("sender", "--give-up", "lost.example", code=0).out
    send(sink, state_is(delivery, S.FINISHED))
    assert statuses(delivery) == {1: 20}
    marked = {each.recipient for each in sink.got if each.mail[REPEAT_HEADER]}
    ids = range(held.first_id, held.last_id + 1)
    assert marked == set(BroadLogRcp.objects.filter(broad_log_id__in=ids).values_list("address", flat=True))
    assert marked == set(BroadLogRcp.objects.filter(flags=4).values_list("address", flat=True))


@pytest.mark.parametrize(("boot", "doubts"), [("another", 10), (None, 0)])
def test_after_a_crash_of_the_host_all_that_was_leased_is_in_doubt(
    committed_db: Any, sink: Sink, boot: str | None, doubts: int
) -> None:
    people(20)
    delivery = confirmed(batch_quantity=10)
    now = product_clock.now()
    folder = journals.folder(committed_db.home)
    lost = Journal(folder)
    journals.register(lost.path.stem, now)
    if boot is not None:
        SenderProcess.objects.update(boot=boot)
    with transaction.atomic():
        part_leases.claim(lost.path.stem, most=5, now=now)
    lost.close()  # its lock is free, as that of a process that has died
    send(sink, state_is(delivery, S.FINISHED))
    assert statuses(delivery) == {1: 20}
    assert BroadLogRcp.objects.filter(flags=4).count() == doubts
    assert sum(1 for each in sink.got if each.mail[REPEAT_HEADER]) == doubts


def test_a_delivery_of_an_affinity_that_no_host_knows_stays_pending(committed_db: Any, sink: Sink) -> None:
    people(5)
    MxRule.objects.all().delete()
    waiting = confirmed(sending={"affinity": "gold"})
    delivery = confirmed()
    send(sink, state_is(delivery, S.FINISHED))
    waiting.refresh_from_db()
    assert (waiting.status, waiting.broad_start) == (S.START_PENDING, None)
    assert statuses(waiting) == {6: 5}
