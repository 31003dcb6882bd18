"""Direct mail, telephone and fax: from a target to a file that its provider has, once."""

import gzip
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection

from envoi.engine import background
from envoi.engine.definition import Activity, Transition
from envoi.engine.models import State
from envoi.engine.testing import lines, make_workflow, run_until_passive
from envoi.engine.testing import start as begin
from envoi.kernel import accounts, outbox
from envoi.kernel import clock as product_clock
from envoi.kernel.config import NetworkConfig
from envoi.kernel.models import Folder, OutboxItem
from envoi.kernel.rights import actor_of
from envoi.kernel.testing import admin_actor, allow, make_folder, make_operator
from envoi.packages.delivery.models import (
    ApprovalStep,
    BroadLogRcp,
    Delivery,
    DeliveryApproval,
    DeliveryPart,
    DeliveryRun,
    DeliveryState,
    JobLog,
    MessageStatus,
    Recipient,
    SeedMember,
)
from envoi.packages.delivery.services import analysis, deliveries, extractions
from envoi.packages.delivery.services.deliveries import approvals
from envoi.packages.delivery.testing import make_recipients

pytestmark = pytest.mark.django_db
S = DeliveryState
COLUMNS = [
    {"expr": "@lastName", "label": "Name"},
    {"expr": "[location/@zipCode]", "label": "Code"},
    {"expr": "@account", "label": "Account"},
]
BY_CODE = [{"expr": "[location/@zipCode]", "descending": True}]


def people(*names: str) -> list[int]:
    ids = list(make_recipients(len(names), black_list=0))
    for number, (key, name) in enumerate(zip(ids, names, strict=True)):
        Recipient.objects.filter(pk=key).update(
            first_name="A", last_name=name, zip_code=f"{75001 + number}", city="Paris"
        )
    return ids


def seed(name: str, code: str) -> SeedMember:
    now = product_clock.now()
    return SeedMember.objects.create(
        folder=Folder.objects.get(name="seedAddresses"), first_name="S", last_name=name, zip_code=code,
        city="Lyon", created_at=now, modified_at=now,
    )  # fmt: skip


def make(extraction: dict[str, Any], template: str = "paper", **values: Any) -> Delivery:
    actor = admin_actor()
    given = {"targeting": {"filter": "@id > 0"}, **values}
    return deliveries.create(
        deliveries.find(template, actor=actor), actor=actor, extraction=extraction, **given
    )


def analysed(delivery: Delivery) -> DeliveryRun:
    analysis.work(analysis.start(delivery, actor=admin_actor(), queue=False).pk, actor=admin_actor())
    delivery.refresh_from_db()
    return DeliveryRun.objects.get(pk=delivery.run_id)


def work(*deliveries: Delivery) -> None:
    """Do what workers do beside activities."""
    for answer in background.lost.ask():
        for name, number in answer:
            background.carry_out(name, number)
    for each in deliveries:
        each.refresh_from_db()


def content(delivery: Delivery) -> bytes:
    run = DeliveryRun.objects.get(pk=delivery.run_id)
    file = extractions.made(run)
    assert file is not None, [deliveries.text(each) for each in JobLog.objects.filter(delivery=delivery)]
    return extractions.path_of(run, file).read_bytes()


def handed(name: str) -> Path:
    return Path(django_settings.ENVOI.home) / "files" / "providers" / name


def statuses(delivery: Delivery) -> set[int]:
    return set(BroadLogRcp.objects.filter(run_id=delivery.run_id).values_list("status", flat=True))


def test_a_letter_becomes_a_file_and_its_messages_are_sent_with_it(clock: Any) -> None:
    people("Ånd, Ana", 'Ber"g', "=Cole")
    Recipient.objects.filter(last_name="=Cole").update(city="")
    first = seed("Seed", "75002")
    delivery = make(
        {
            "columns": COLUMNS, "order": BY_CODE, "delimiter": ";", "encoding": "utf-8-sig",
            "file": "letters <%= delivery.deliveryCode %>/1.csv",
        },
        code="L7",
        targeting={"filter": "@id > 0", "seeds": {"ids": [first.pk]}},
    )  # fmt: skip
    run = analysed(delivery)
    assert delivery.status is S.EXTRACTION
    work(delivery)
    assert delivery.status is S.READY
    file = extractions.made(DeliveryRun.objects.get(pk=run.pk))
    assert file is not None
    assert (file.name, file.rows) == ("letters L7_1.csv", 3)
    account = (
        Recipient.objects.get(last_name="Ånd, Ana").account,
        Recipient.objects.get(last_name='Ber"g').account,
    )
    # An incomplete address is left out; the seed stands where it belongs, with an account drawn for it.
    found = content(delivery).decode("utf-8-sig").split("\r\n")
    assert found[:2] == ["Name;Code;Account", f'"Ber""g";75002;{account[1]}']
    assert found[2].rpartition(";")[0] == "Seed;75002"
    assert found[2].rpartition(";")[2] in account
    assert found[3:] == [f"Ånd, Ana;75001;{account[0]}", ""]
    assert extractions.preview(DeliveryRun.objects.get(pk=run.pk), delivery, 1) == [
        ["Name", "Code", "Account"],
        ['Ber"g', "75002", account[1]],
    ]
    work(delivery)
    assert (delivery.status, statuses(delivery)) == (S.READY, {0, 6})
    deliveries.confirm(delivery, actor=admin_actor())
    work(delivery)
    assert delivery.status is S.IN_PROGRESS
    outbox.deliver()
    delivery.refresh_from_db()
    assert (delivery.status, delivery.processed, delivery.success) == (S.FINISHED, 2, 2)
    assert delivery.broad_end == product_clock.now()
    assert handed("letters L7_1.csv").read_bytes() == content(delivery)
    assert statuses(delivery) == {0, 1}
    assert not DeliveryPart.objects.filter(delivery=delivery).exists()


def test_files_of_deleted_deliveries_go(clock: Any) -> None:
    people("Ana")
    delivery, other = make({"columns": COLUMNS, "file": "a.csv"}), make({"columns": COLUMNS, "file": "b.csv"})
    for each in (delivery, other):
        analysed(each)
    work(delivery, other)
    place = Path(django_settings.ENVOI.home) / "extractions"
    (place / "999999999").mkdir()
    assert content(delivery)
    assert extractions.purge(actor=admin_actor()) >= 1
    assert content(delivery), "what is in use stays"
    assert content(other)
    Delivery.objects.filter(pk=other.pk).update(delete_status=1)
    assert extractions.purge(actor=admin_actor()) == 1
    assert not (place / str(other.run_id)).exists()
    assert not (place / "999999999").exists()
    assert (content(delivery) != b"", extractions.purge(actor=admin_actor())) == (True, 0)


def test_who_repeats_a_step_changes_nothing(clock: Any) -> None:
    """The file, the hand-over and what follows of it are made again after a crash, and are the same."""
    people("One", "Two")
    delivery = make({"columns": COLUMNS, "file": "a.csv"})
    run = analysed(delivery)
    work(delivery)
    before = content(delivery)
    # As if the worker had died before it committed: the file is there, and nothing says so.
    DeliveryRun.objects.filter(pk=run.pk).update(counts={k: v for k, v in run.counts.items() if k != "file"})
    Delivery.objects.filter(pk=delivery.pk).update(state=S.EXTRACTION)
    work(delivery)
    assert (content(delivery), delivery.status) == (before, S.READY)
    deliveries.confirm(delivery, actor=admin_actor())
    work(delivery)
    work(delivery)
    assert OutboxItem.objects.filter(key=f"extraction:{run.pk}").count() == 1
    # The file has gone, the note of it was lost: it goes again under its name.
    handed("a.csv").parent.mkdir(parents=True, exist_ok=True)
    handed("a.csv").write_bytes(b"half of it")
    outbox.deliver()
    delivery.refresh_from_db()
    assert (delivery.status, delivery.success) == (S.FINISHED, 2)
    OutboxItem.objects.filter(key=f"extraction:{run.pk}").update(state=0)
    outbox.deliver()
    delivery.refresh_from_db()
    assert (delivery.status, delivery.success, handed("a.csv").read_bytes()) == (S.FINISHED, 2, before)


def test_a_file_that_was_changed_is_not_handed_over(clock: Any) -> None:
    people("One")
    delivery = make({"columns": COLUMNS, "file": "b.csv"})
    run = analysed(delivery)
    work(delivery)
    deliveries.confirm(delivery, actor=admin_actor())
    work(delivery)
    file = extractions.made(DeliveryRun.objects.get(pk=run.pk))
    assert file is not None
    extractions.path_of(run, file).write_bytes(b"other\r\n")
    assert outbox.deliver().failed == 1
    delivery.refresh_from_db()
    assert (delivery.status, statuses(delivery)) == (S.IN_PROGRESS, {6})
    assert not handed("b.csv").exists()


@pytest.mark.parametrize(("seeds", "place"), [("start", 0), ("end", -1), ("random", None)])
def test_where_seeds_stand(clock: Any, seeds: str, place: int | None) -> None:
    people(*(f"N{number:02}" for number in range(20)))
    added = seed("Seed", "75010")
    delivery = make(
        {
            "columns": [COLUMNS[0]],
            "order": [{"expr": "@lastName"}],
            "header": False,
            "seeds": seeds,
            "gzip": True,
        },
        targeting={"filter": "@id > 0", "seeds": {"ids": [added.pk]}},
    )
    analysed(delivery)
    work(delivery)
    found = gzip.decompress(content(delivery)).decode().split()
    assert sorted(found) == [*(f"N{number:02}" for number in range(20)), "Seed"]
    if place is not None:
        assert found[place] == "Seed"
    found.remove("Seed")
    assert found == sorted(found)


def test_a_file_is_approved_or_sent_back(clock: Any) -> None:
    people("One")
    delivery = make({"columns": COLUMNS, "file": "c.csv"}, approvals={"extraction": {"operators": ["admin"]}})
    analysed(delivery)
    work(delivery)
    work(delivery)
    assert delivery.status is S.EXTRACTION
    asked = DeliveryApproval.objects.get(delivery=delivery, step=ApprovalStep.EXTRACTION)
    extractions.reject(delivery, actor=admin_actor())
    assert delivery.status is S.EDITING
    analysed(delivery)
    work(delivery)
    asked = DeliveryApproval.objects.filter(delivery=delivery, approved=None).latest("pk")
    approvals.answer(asked.pk, yes=True, actor=admin_actor())
    work(delivery)
    assert delivery.status is S.READY


def test_what_is_wrong_with_a_file_is_told(clock: Any) -> None:
    people("One")
    delivery = make({"columns": [{"expr": "@nothing"}]})
    analysed(delivery)
    work(delivery)
    assert delivery.status is S.FAILED
    told = [deliveries.text(each) for each in JobLog.objects.filter(delivery=delivery, level=2)]
    assert "nothing" in told[0]
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_class WHERE relname LIKE 'wkdlv_%'")
        assert cursor.fetchone() == (0,)


def test_only_providers_that_one_sees(clock: Any) -> None:
    people("One")
    hidden = make_folder("hidden", model="nms:extAccount")
    allow(hidden, make_operator("other"))
    accounts.create(
        "printer", actor=admin_actor(), type="routing", folder=hidden,
        values={"channel": "paper", "mode": "external"},
    )  # fmt: skip
    clerk = make_operator("clerk", ("PREPARE DELIVERIES",))
    delivery = make({"columns": COLUMNS, "provider": "printer"})
    allow(delivery.folder, clerk, write=True)
    allow(Folder.objects.get(name="recipients"), clerk)
    who = actor_of(clerk)
    analysis.work(analysis.start(delivery, actor=who, queue=False).pk, actor=who)
    work(delivery)
    told = " ".join(deliveries.text(each) for each in JobLog.objects.filter(delivery=delivery, level=2))
    assert (delivery.status, "printer" in told) == (S.FAILED, True), told


def test_paused_and_stopped_before_it_has_left(clock: Any) -> None:
    people("One")
    delivery = make({"columns": COLUMNS, "file": "d.csv"})
    run = analysed(delivery)
    work(delivery)
    deliveries.confirm(delivery, actor=admin_actor())
    work(delivery)
    Delivery.objects.filter(pk=delivery.pk).update(state=S.PAUSE_ASKED)
    work(delivery)
    assert (delivery.status, OutboxItem.objects.filter(key=f"extraction:{run.pk}").count()) == (S.PAUSED, 0)
    deliveries.resume(delivery, actor=admin_actor())
    work(delivery)
    assert delivery.status is S.IN_PROGRESS
    deliveries.stop(delivery, actor=admin_actor())
    work(delivery)
    outbox.deliver()
    delivery.refresh_from_db()
    assert (delivery.status, statuses(delivery)) == (S.STOPPED, {MessageStatus.CANCELLED})
    assert not handed("d.csv").exists()


class _Takes(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.taken[self.path] = body  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()


@pytest.fixture
def provider(settings: Any) -> Iterator[Any]:
    """A call centre that takes files by HTTP."""
    settings.CONFIG = replace(settings.CONFIG, network=NetworkConfig(allow_private=("127.0.0.0/8",)))
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), _Takes)
    server.taken = {}
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    actor = admin_actor()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    accounts.create("callIn", actor=actor, type="http", values={"server": address})
    accounts.create(
        "callCentre", actor=actor, type="routing",
        values={"channel": "phone", "mode": "external", "transfer": "callIn", "folder": "spring"},
    )  # fmt: skip
    yield server
    server.shutdown()
    server.server_close()
    thread.join(10)


def test_a_workflow_hands_a_file_to_a_call_centre(clock: Any, provider: Any) -> None:
    """From a query to state 95, with what the query has computed in the file."""
    ids = people("One", "Two", "Three")
    Recipient.objects.filter(pk__in=ids[:2]).update(phone="+33145000000")
    Recipient.objects.filter(pk=ids[1]).update(phone="+33145000001")
    actor = admin_actor()
    deliveries.create(
        deliveries.find("phone", actor=actor), actor=actor, name="calls", label="Calls", as_template=True,
        extraction={
            "columns": ["@phone", {"expr": "targetData/@tier", "label": "Tier"}],
            "order": ["@phone"], "file": "calls.csv", "provider": "callCentre",
        },
    )  # fmt: skip
    workflow = begin(
        make_workflow(
            (
                Activity(
                    "query", "query", transitions=(Transition("result", "calls", kind="result"),),
                    parameters={
                        "targetingDimension": "nms:recipient", "filter": "@id > 0",
                        "columns": [{"expr": "Upper(@lastName)", "alias": "tier"}],
                    },
                ),
                Activity(
                    "deliveryPhone", "calls", parameters={"template": "calls", "waitForEnd": True},
                    transitions=(Transition("transition", "end"),),
                ),
                Activity("end", "end"),
            )
        )
    )  # fmt: skip
    for _round in range(8):
        work()
        outbox.deliver()
        clock.step(minutes=1)
        run_until_passive()
        workflow.refresh_from_db()
    assert (workflow.state, workflow.failed) == (State.FINISHED, False), lines(workflow)
    delivery = Delivery.objects.get(is_model=False)
    assert (delivery.status, delivery.success, delivery.reject) == (S.FINISHED, 2, 1)
    assert provider.taken == {"/spring/calls.csv": b"phone,Tier\r\n+33145000000,ONE\r\n+33145000001,TWO\r\n"}
