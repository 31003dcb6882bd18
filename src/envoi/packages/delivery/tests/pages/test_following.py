"""Following a delivery: dashboard, messages, exclusions, audit, calendar, throughput, a profile."""

import csv
import io
import re
from datetime import timedelta
from html import unescape
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test import Client

from envoi.engine.definition import Activity
from envoi.engine.testing import make_workflow
from envoi.kernel import clock
from envoi.kernel.models import Operator
from envoi.kernel.testing import allow, make_folder, make_operator
from envoi.packages.delivery.models import (
    Address,
    AddressStatus,
    BroadLogMsg,
    BroadLogRcp,
    Delivery,
    DeliveryMapping,
    DeliveryPart,
    DeliveryRetry,
    DeliveryRun,
    DeliveryState,
    DlvExclusion,
    FailureReason,
    JobLevel,
    JobLog,
    Recipient,
)
from envoi.packages.delivery.services import log_tables
from envoi.packages.delivery.services.statistics import remembering
from envoi.packages.delivery.testing import make_recipients, make_sent

pytestmark = pytest.mark.usefixtures("db", "clock")
BACKEND = "django.contrib.auth.backends.ModelBackend"
LIVE = {"HX-Request": "true", "HX-Target": "live-region"}


@pytest.fixture(autouse=True)
def _fresh() -> None:
    remembering.forget()


def signed_in(name: str, *rights: str, language: str = "") -> Client:
    client = Client()
    client.force_login(make_operator(name, rights, language=language), BACKEND)
    return client


def words(answer: Any) -> str:
    text = answer.content.decode()
    text = re.sub(r"<(script|style|template)[^>]*>.*?</\1>", " ", text, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())


def place(delivery: Delivery, *more: str, **asked: Any) -> str:
    query = f"?{urlencode(asked)}" if asked else ""
    return "/".join((f"/deliveries/{delivery.pk}", *more)) + query


def log(delivery: Delivery) -> Any:
    return BroadLogRcp.objects.filter(run_id=delivery.run_id)


def test_the_dashboard_says_how_far_it_is_and_asks_only_while_it_moves() -> None:
    made = make_sent(make_recipients(400), excluded=40, minutes=30)
    client = signed_in("mary", "ADMINISTRATION")
    done, every = made.success + made.error, made.to_deliver
    shown = words(client.get(place(made)))
    assert f"{done} of {every} messages processed" in shown
    assert (
        f"{made.success} Delivered {made.error} Errors {every - done} Still to send 40 Rejected by rules"
        in shown
    )
    assert re.search(r"[\d,]+ an hour · about \d+ min left · ends near \d\d:\d\d", shown)
    assert "Confirmed. sofia" in shown
    assert "First message" in shown
    assert "Pause… Stop…" in shown

    answer = client.get(place(made), headers=LIVE)
    assert 'data-live="1"' in answer.content.decode()
    assert "<nav" in answer.content.decode()
    assert "<html" not in answer.content.decode()
    same = client.get(place(made), headers={**LIVE, "If-None-Match": answer["ETag"]})
    assert (same.status_code, same.content) == (304, b"")
    Delivery.objects.filter(pk=made.pk).update(success=made.success + 1, modified_at=clock.now())
    other = client.get(place(made), headers={**LIVE, "If-None-Match": answer["ETag"]})
    assert (other.status_code, f"{done + 1} of {every}" in words(other)) == (200, True)

    Delivery.objects.filter(pk=made.pk).update(state=DeliveryState.FINISHED, success=every, error=0)
    ended = client.get(place(made)).content.decode()
    assert 'id="live-region" class="stack">' in ended
    assert "100%" in ended


def test_the_head_says_once_where_a_delivery_comes_from() -> None:
    made = make_sent(make_recipients(4))
    client = signed_in("mary", "ADMINISTRATION")
    sofia, internal = make_operator("sofia", ()), Operator.objects.get(name="internal")
    Operator.objects.filter(pk=sofia.pk).update(label="Sofia Lind")
    Delivery.objects.filter(pk=made.pk).update(created_by=sofia)
    assert "made and started by Sofia Lind" in words(client.get(place(made)))
    Delivery.objects.filter(pk=made.pk).update(created_by=internal)
    shown = words(client.get(place(made)))
    assert "made by the instance or its command line · started by Sofia Lind" in shown
    spring = make_workflow((Activity("start", "start"),), name="Spring")
    Delivery.objects.filter(pk=made.pk).update(workflow_id=spring.pk)
    JobLog.objects.filter(delivery=made, code="confirmed").update(operator_name="internal")
    shown = words(client.get(place(made)))
    assert shown.count("Spring") == 1
    assert "from the workflow Spring" in shown
    assert "made by" not in shown
    assert "started by" not in shown


def test_what_waits_is_told_retries_doubt_waves_and_delay() -> None:
    made = make_sent(make_recipients(100), sent=0.0, failed=0.0, state=51)
    run, now = made.run_id, clock.now()
    DeliveryRetry.objects.bulk_create(
        DeliveryRetry(run_id=run, id=at, delivery_id=made.pk, next_at=now + timedelta(hours=1), held=at > 3)
        for at in range(1, 6)
    )
    DeliveryPart.objects.create(
        delivery=made, run_id=run, first_id=10**9, last_id=10**9 + 9, quantity=1200, wave=1,
        due_at=now + timedelta(days=1),
    )  # fmt: skip
    shown = words(signed_in("mary", "ADMINISTRATION").get(place(made)))
    assert "2 messages are in doubt." in shown
    assert "Retries waiting 3" in shown
    assert "Wave 2 1,200 messages" in shown
    assert "Delayed: nothing has gone out since" in shown


def test_messages_in_doubt_are_sent_again_or_taken_as_sent() -> None:
    made = make_sent(make_recipients(20), sent=0.0, failed=0.0)
    held = list(log(made).order_by("broad_log_id")[:4])
    retry = [(each.pk, each.pk != held[3].pk) for each in held]
    DeliveryRetry.objects.bulk_create(
        DeliveryRetry(run_id=made.run_id, id=key, delivery_id=made.pk, next_at=clock.now(), held=holds)
        for key, holds in retry
    )
    log(made).filter(pk__in=[each.pk for each in held[:3]]).update(flags=8)
    log(made).filter(pk=held[0].pk).update(flags=9)
    client = signed_in("mary", "ADMINISTRATION")
    assert "doubt-repeat" not in signed_in("ann", "PREPARE DELIVERIES").get(place(made)).content.decode()
    said = words(client.post(place(made), {"do": "doubt-repeat"}, follow=True))
    assert "3 messages are sent again." in said
    assert sorted(log(made).filter(flags__gt=0).values_list("flags", flat=True)) == [4, 4, 5]
    assert DeliveryRetry.objects.filter(delivery_id=made.pk, held=False, repeat=True).count() == 3
    assert client.post(place(made), {"do": "doubt-repeat"}).status_code == 400

    DeliveryRetry.objects.filter(delivery_id=made.pk).exclude(id=held[3].pk).update(held=True)
    said = words(client.post(place(made), {"do": "doubt-sent"}, follow=True))
    assert "3 messages count as sent." in said
    made.refresh_from_db()
    assert (made.success, log(made).filter(status=1).count()) == (2, 3)  # one is a seed address
    assert list(DeliveryRetry.objects.values_list("id", flat=True)) == [held[3].pk]
    assert "Messages in doubt that are taken as sent: 3." in words(client.get(place(made, "audit")))


def test_failures_are_told_by_domain_and_reason() -> None:
    made = make_sent(make_recipients(600), failed=0.3, sent=0.5)
    # The raw text of the first failure is about somebody else, maybe of another domain.
    BroadLogMsg.objects.update(first_text="550 <zoe@elsewhere.example> is over quota")
    client = signed_in("mary", "ADMINISTRATION")
    answer = client.get(place(made, "failures"), headers={"HX-Request": "true"})
    shown = words(answer)
    assert f"Why {made.error} failed" in shown
    failed = log(made).filter(status=2, address__endswith="@orange.fr")
    assert re.search(
        rf"orange\.fr 552 5\.2\.2 Mailbox full \d+ {failed.count()} [\d.]+% 0 {failed.count()}", shown
    )
    unknown = log(made).filter(status=2, failure_reason=1).count()
    assert f"User unknown {unknown}" in shown
    again = client.get(
        place(made, "failures"), headers={"HX-Request": "true", "If-None-Match": answer["ETag"]}
    )
    assert again.status_code == 304


def test_messages_go_page_by_page_and_are_filtered() -> None:
    made = make_sent(make_recipients(160), sent=0.8, failed=0.2)
    client = signed_in("mary", "ADMINISTRATION")
    seen: list[str] = []
    address = place(made, "logs")
    for _page in range(4):
        page = client.get(address).content.decode()
        seen += re.findall(r'<tr id="m(\d+)"', page)
        following = re.search(r'rel="next" href="([^"]+)"', page)
        if following is None:
            break
        address = place(made, "logs") + unescape(following[1])
    assert seen == [str(each) for each in log(made).order_by("broad_log_id").values_list("pk", flat=True)]
    back = re.search(r'rel="prev" href="([^"]+)"', page)
    assert back
    earlier = client.get(place(made, "logs") + unescape(back[1])).content.decode()
    assert re.findall(r'<tr id="m(\d+)"', earlier) == seen[100:150]

    gmail = log(made).filter(status=2, address__endswith="@gmail.com")
    page = client.get(place(made, "logs", status=2, domain="gmail.com")).content.decode()
    assert sorted(re.findall(r'<tr id="m(\d+)"', page)) == sorted(str(each.pk) for each in gmail[:50])
    one = gmail.first()
    assert one
    BroadLogRcp.objects.filter(pk=one.pk).update(flags=8, status=6)
    page = words(client.get(place(made, "logs", flag="doubt")))
    assert f"{one.address} in doubt Pending" in page
    assert (
        f"/recipients/{one.target_id}" in client.get(place(made, "logs", q=one.address[:4])).content.decode()
    )
    assert "No message fits the filter." in words(client.get(place(made, "logs", q="100%_")))


def test_messages_leave_as_csv_with_the_right_and_without_formulas() -> None:
    made = make_sent(make_recipients(30), sent=1.0, failed=0.0)
    first = log(made).first()
    assert first
    log(made).filter(pk=first.pk).update(address="=1+1@example.org")
    answer = signed_in("mary", "EXPORT").get(place(made, "logs.csv", status=1))
    body = b"".join(answer.streaming_content).decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(body)))
    assert len(rows) == 31
    assert any(row[1] == "'=1+1@example.org" for row in rows)
    assert {row[2] for row in rows[1:]} == {"Sent"}
    assert signed_in("ann").get(place(made, "logs.csv")).status_code == 403


def test_addresses_of_profiles_that_one_may_not_see_are_not_shown() -> None:
    closed = make_folder("closed", "recipients", model="nms:recipient")
    allow(closed, make_operator("keeper"))
    ids = [*make_recipients(5), *make_recipients(5, folder=closed, start=100)]
    made = make_sent(ids, sent=1.0, failed=0.0)  # type: ignore[arg-type]
    page = signed_in("bob").get(place(made, "logs")).content.decode()
    assert len(re.findall(r'<tr id="m', page)) == 5
    assert "p100@" not in page


def test_exclusions_and_audit() -> None:
    made = make_sent(make_recipients(100), excluded=30)
    client = signed_in("mary", "ADMINISTRATION")
    shown = words(client.get(place(made, "exclusions")))
    assert "Denylisted address 10 10%" in shown
    denied = client.get(place(made, "exclusions", reason=8)).content.decode()
    assert len(re.findall(r'<tr id="m', denied)) == 10
    JobLog.objects.create(
        delivery=made, level=JobLevel.ERROR, code="failed", detail={"error": "no luck"}, at=clock.now()
    )
    audit = words(client.get(place(made, "audit")))
    assert "Excluded: 10 (denylisted address)." in audit
    only = words(client.get(place(made, "audit", level=2)))
    assert ("no luck" in only, "Excluded" in only) == (True, False)
    assert DlvExclusion.objects.filter(delivery=made).count() == 3


def test_the_calendar_holds_what_goes_out_and_hides_what_is_closed() -> None:
    ids = make_recipients(10)
    noon = clock.now().replace(hour=12)
    made = make_sent(ids, label="Doors open", state=51, sent=0.0, failed=0.0)
    closed = make_folder("closed", "deliveries", model="nms:delivery")
    allow(closed, make_operator("keeper"))
    hidden = make_sent(ids, label="Hidden one", state=51, folder=closed)
    Delivery.objects.update(contact_date=noon, broad_start=None)
    DeliveryPart.objects.filter(delivery=made).update(wave=1, due_at=noon + timedelta(days=1))
    client = signed_in("bob")
    day = noon.date().isoformat()
    shown = words(client.get(f"/deliveries/calendar?day={day}&view=week"))
    assert "Doors open" in shown
    assert "Doors open · wave 2" in shown
    assert hidden.label not in shown
    assert 'aria-current="date"' in client.get(f"/deliveries/calendar?day={day}").content.decode()
    for filtered in ("channel=1", "state=finished", "view=list&state=failed"):
        assert "Doors open" not in words(client.get(f"/deliveries/calendar?day={day}&{filtered}"))
    assert "Doors open" in words(client.get(f"/deliveries/calendar?day={day}&view=list&state=pending"))
    for odd in ("day=2026-02-31", "day=x&view=y&channel=99&folder=-1", "day=2026-01-31&view=month"):
        assert client.get(f"/deliveries/calendar?{odd}").status_code == 200


def test_the_list_of_deliveries_has_ready_filters_and_faces() -> None:
    make_sent(make_recipients(10), label="Doors open", state=95, sent=0.9, failed=0.1)
    client = signed_in("mary", "ADMINISTRATION")
    answer = client.get("/deliveries", follow=True)
    page = answer.content.decode()
    assert '<span class="st ok">' in page
    chip = re.search(r'href="([^"]+)"[^>]*>Failed</a>', page)
    assert chip
    assert "Doors open" not in words(client.get(unescape(chip[1])))


def test_throughput_adds_up_all_deliveries() -> None:
    ids = make_recipients(200)
    first, second = (make_sent(ids, label=label, sent=0.9, failed=0.1, minutes=50) for label in ("A", "B"))
    shown = words(signed_in("mary").get("/reports/throughput?span=1h"))
    assert f"Success {first.success + second.success} Errors" in shown
    assert "mx1.gmail.com" in shown
    assert "messages an hour now." in shown


def test_a_profile_tells_its_messages_and_what_is_wrong_with_its_address() -> None:
    ids = make_recipients(60, black_list=0, black_list_email=0)
    made = make_sent(ids, failed=0.5, sent=0.5)
    failed = log(made).filter(status=2, address__startswith="p").first()
    assert failed
    person = Recipient.objects.get(pk=failed.target_id)
    now = clock.now()
    Address.objects.create(
        address=person.email, type=0, status=AddressStatus.ERRORS, error_reason=FailureReason.MAILBOX_FULL,
        error_count=3, last_error=now, created_at=now, modified_at=now,
    )  # fmt: skip
    client = signed_in("mary", "ADMINISTRATION")
    shown = words(client.get(f"/recipients/{person.pk}?tab=history"))
    assert "Early access Failed · " in shown
    assert f"{person.email} 3 errors: mailbox full" in shown
    assert "Can be contacted" in shown
    Address.objects.update(status=AddressStatus.QUARANTINE)
    shown = words(client.get(f"/recipients/{person.pk}"))
    assert "in quarantine: mailbox full" in shown


def test_a_delivery_is_made_from_the_list_and_says_where_it_comes_from() -> None:
    client = signed_in("mary", "PREPARE DELIVERIES")
    template = Delivery.objects.get(internal_name="mail")
    assert "E-mail delivery E-mail" in words(client.get("/deliveries/new"))
    answer = client.post("/deliveries/new", {"label": "Spring", "template": template.pk}, follow=True)
    made = Delivery.objects.get(label="Spring")
    assert answer.redirect_chain[-1][0] == place(made, "target")
    assert client.post("/deliveries/new", {"label": "Odd", "template": "x"}).status_code == 400
    assert signed_in("ann").get("/deliveries/new").status_code == 403
    Delivery.objects.filter(pk=made.pk).update(parent_id=template.pk, fcp=True)
    assert "proof of E-mail delivery" in words(client.get(place(made)))


def test_messages_of_every_mapping_are_shown() -> None:
    ids = make_recipients(3)
    client = signed_in("mary", "ADMINISTRATION")
    mappings = DeliveryMapping.objects.exclude(storage="").order_by("pk")
    assert mappings.count() > 4
    for mapping in mappings:
        made = make_sent(ids, label=mapping.name, sent=1.0, failed=0.0)
        run = DeliveryRun.objects.get(pk=made.run_id)
        Delivery.objects.filter(pk=made.pk).update(mapping=mapping)
        DeliveryRun.objects.filter(pk=run.pk).update(storage=mapping.storage)
        into = log_tables.partition("broad_log", mapping.storage, run.pk)
        with connection.cursor() as cursor:
            cursor.execute(
                f"""INSERT INTO {into} (id, target_id, run_id, delivery_id, address, status, modified_at)
                    VALUES (%s, 999, %s, %s, 'who@example.org', 1, %s)""",
                [10**9, run.pk, made.pk, clock.now()],
            )
        for tab in ("logs", "exclusions", "failures"):
            assert client.get(place(made, tab)).status_code == 200, (mapping.name, tab)
        shown = words(client.get(place(made, "logs")))
        if mapping.schema in ("nms:recipient", "nms:visitor", "") and mapping.storage != "rcp":
            assert "who@example.org Sent" in shown, mapping.name
