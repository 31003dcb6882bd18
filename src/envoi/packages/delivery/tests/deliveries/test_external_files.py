"""Deliveries to people who are in no table: the lines of a file that a workflow has loaded."""

import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client

from envoi.engine import background, local_files, population
from envoi.engine.definition import Activity, Transition
from envoi.engine.models import Event, State, Workflow
from envoi.engine.testing import lines, make_workflow, run_until_passive
from envoi.engine.testing import start as begin
from envoi.kernel import clock as product_clock
from envoi.kernel import options, query
from envoi.kernel.config import TrackingConfig
from envoi.kernel.errors import Conflict, Invalid, NotAllowed
from envoi.kernel.models import Folder, Operator
from envoi.kernel.options import DataType
from envoi.kernel.query import Condition, Field, QueryDef
from envoi.kernel.rights import Right, actor_of, internal
from envoi.kernel.testing import admin_actor, make_operator
from envoi.packages.delivery.models import (
    AddressStatus,
    Channel,
    Delivery,
    DeliveryPart,
    DeliveryRun,
    DeliveryState,
    FailureReason,
    JobLevel,
    JobLog,
    SeedMember,
)
from envoi.packages.delivery.services import (
    analysis,
    content,
    deliveries,
    extractions,
    file_target,
    quarantine,
    suppression,
    uploaded_target,
)
from envoi.packages.delivery.services.content import preview
from envoi.packages.delivery.testing import CONTENT, make_delivery

pytestmark = pytest.mark.django_db
S = DeliveryState
FILE = """Adresse e-mail;Prénom;Points
 Ann@One.Example ;Ann;7
bob@one.example;Bob;3
;Nobody;1
ann@one.example;Twin;2
no address;Eve;9
gone@one.example;Gone;5
stop@one.example;Stop;6
zoe@one.example;Zoë;8
"""
COLUMNS = [
    {"name": "contact", "source": 0, "label": "Adresse e-mail"},
    {"name": "first", "source": 1},
    {"name": "points", "source": 2, "type": "long"},
]


def load(tmp_path: Path, to: Activity, text: str = FILE, name: str = "WKF_file") -> Workflow:
    path = tmp_path / "people.csv"
    path.write_text(text, encoding="utf-8")
    options.set(local_files.FOLDERS, str(tmp_path), actor=internal(), data_type=DataType.MEMO)
    loading = Activity(
        "loadfile", "load", parameters={"file": str(path), "columns": COLUMNS},
        transitions=(Transition("transition", to.name),),
    )  # fmt: skip
    return begin(make_workflow((loading, to, Activity("end", "end")), name=name, keep_results=True))


def send(*ways: Transition, **parameters: Any) -> Activity:
    said = {"source": "template", "template": "mail", "recipients": "transition", **parameters}
    return Activity(
        "delivery", "send", parameters=said, transitions=ways or (Transition("transition", "end"),)
    )


def carry(workflow: Workflow, clock: Any) -> None:
    for _round in range(8):
        for answer in background.lost.ask():
            for name, number in answer:
                background.carry_out(name, number)
        clock.step(minutes=1)
        run_until_passive()
        workflow.refresh_from_db()
        if workflow.state != State.STARTED:
            break
    assert (workflow.state, workflow.failed) == (State.FINISHED, False), lines(workflow)


def template(name: str = "letter", of: str = "mail", **values: Any) -> Delivery:
    actor = admin_actor()
    said = {**CONTENT, **values}
    return deliveries.create(
        deliveries.find(of, actor=actor), actor=actor, name=name, label=name, as_template=True, **said
    )


def log(kind: str, run: DeliveryRun | int | None) -> dict[int, tuple[str, int, int, int]]:
    number = run.pk if isinstance(run, DeliveryRun) else run
    with connection.cursor() as cursor:
        more = "status, flags" if kind == "broad_log" else "0, 0"
        cursor.execute(
            f"SELECT target_id, address, failure_reason, {more} FROM nms_{kind}_file WHERE run_id = %s",
            [number],
        )
        return {row[0]: tuple(row[1:]) for row in cursor.fetchall()}


def rendered(run_id: int) -> list[tuple[str, str]]:
    loaded = content.load(run_id)
    rows = [
        row
        for each in DeliveryPart.objects.filter(run_id=run_id).order_by("first_id")
        for row in loaded.rows("file", each.first_id, each.last_id)
    ]
    return [(row.address, loaded.render(row).text) for row in rows]


def analysed(delivery: Delivery, actor: Any = None) -> DeliveryRun:
    who = actor or admin_actor()
    run = analysis.work(analysis.start(delivery, actor=who, queue=False).pk, actor=who)
    delivery.refresh_from_db()
    return run


def told(delivery: Delivery) -> list[str]:
    return [deliveries.text(each) for each in JobLog.objects.filter(delivery=delivery, level=JobLevel.ERROR)]


@pytest.fixture
def file(tmp_path: Path) -> str:
    """The population of a file that is loaded, in a workflow that waits."""
    stay = Activity("signal", "stay", transitions=(Transition("transition", "end"),))
    workflow = load(tmp_path, stay)
    assert not workflow.failed, lines(workflow)
    (event,) = Event.objects.filter(source="load")
    return event.variables["tableName"]


def test_a_loaded_file_gets_messages(tmp_path: Path, clock: Any) -> None:
    """From a file to messages: whoever has no address, a wrong one, one in quarantine or on the suppression
    list, or is there twice, is left out, with the reason; what goes out has the data of the file.
    """
    actor = admin_actor()
    quarantine.put("gone@one.example", Channel.EMAIL, AddressStatus.QUARANTINE, actor=actor)
    suppression.add(["stop@one.example"], actor=actor)
    seed = SeedMember.objects.create(
        label="Boss", email="boss@shop.example", folder=Folder.objects.get(name="seedAddresses"),
        created_at=product_clock.now(), modified_at=product_clock.now(),
    )  # fmt: skip
    template(
        subject="Hello {{ recipient.first }}",
        text_source="{{ targetData.first }}: {{ targetData.points + 1 }} {{ message.mirrorUrl }}unsubscribe",
        targeting={"filter": "@id > 0", "seeds": {"ids": [seed.pk]}},
    )
    ways = (Transition("transition", "end"), Transition("others", "end", kind="complement"))
    workflow = load(tmp_path, send(*ways, template="letter", action="start"))
    carry(workflow, clock)
    delivery = Delivery.objects.get(is_model=False)
    assert (delivery.mapping.name, delivery.status) == ("mapExternalFile", S.START_PENDING)
    assert (delivery.total_target, delivery.to_deliver) == (8, 3)
    run = DeliveryRun.objects.get(pk=delivery.run_id)
    base = file_target.base(run.pk)
    assert base < -(10**15)
    found = {
        number - base if number < -(10**15) else number: row for number, row in log("broad_log", run).items()
    }
    assert found == {
        -seed.pk: ("boss@shop.example", 0, 6, 1),
        2: ("ann@one.example", 0, 6, 0),
        3: ("bob@one.example", 0, 6, 0),
        4: ("", FailureReason.NO_ADDRESS, 0, 0),
        5: ("ann@one.example", FailureReason.DOUBLE, 0, 0),
        6: ("no address", FailureReason.BAD_QUALITY, 0, 0),
        7: ("gone@one.example", FailureReason.QUARANTINE, 0, 0),
        8: ("stop@one.example", FailureReason.RULE, 0, 0),
        9: ("zoe@one.example", 0, 6, 0),
    }
    made = rendered(run.pk)
    assert made[:3] == [
        ("ann@one.example", "Ann: 8 unsubscribe"), ("bob@one.example", "Bob: 4 unsubscribe"),
        ("zoe@one.example", "Zoë: 9 unsubscribe"),
    ]  # fmt: skip
    # A seed is shown what somebody of the file is.
    assert made[3][0] == "boss@shop.example"
    assert made[3][1] in {text for _address, text in made[:3]}
    fired = {each.transition: each.variables for each in Event.objects.filter(source="send")}
    assert (fired["transition"]["recCount"], fired["others"]["recCount"]) == ("3", "5")
    reached = population.stored(fired["transition"]["tableName"])
    assert reached is not None
    assert (reached[0].dimension, [each.attribute for each in reached[0].columns]) == (
        "", ["contact", "first", "points"],
    )  # fmt: skip
    # A delivery that is for this population of itself gives its lines to the next activity, too.
    other = deliveries.create(
        delivery,
        actor=actor,
        label="again",
        targeting={"table": delivery.targeting["table"], "filter": "@points > 6"},
    )
    second = begin(
        make_workflow(
            (
                Activity("start", "start", transitions=(Transition("transition", "send"),)),
                send(*ways, source="explicit", delivery=other.internal_name, recipients="delivery"),
                Activity("end", "end"),
            ),
            name="WKF_second", keep_results=True,
        )
    )  # fmt: skip
    carry(second, clock)
    (event,) = Event.objects.filter(source="send", transition="transition", workflow=second)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT id FROM {event.variables['tableName']} ORDER BY id")
        assert cursor.fetchall() == [(2,), (9,)]
    # The log is one like the others, bound by the folder of the delivery.
    definition = QueryDef(
        "nms:broadLogFile", select=(Field("@address"),), where=(Condition(f"[delivery/@id] = {delivery.pk}"),)
    )
    assert len(query.run(definition, actor=actor).rows) == 9
    client = Client()
    client.force_login(Operator.objects.get(name="admin"), "django.contrib.auth.backends.ModelBackend")
    for tab in ("", "target", "content", "logs", "exclusions", "sending", "proofs"):
        page = client.get(f"/deliveries/{delivery.pk}/{tab}".rstrip("/"))
        assert page.status_code == 200, tab
    assert b"zoe@one.example" in client.get(f"/deliveries/{delivery.pk}/logs").content


def test_limit_control_group_condition_and_exclusions_apart(file: str) -> None:
    delivery = make_delivery(
        {
            "table": file, "filter": "@points > 1", "columns": {"email": "contact"},
            "exclude": {"doubles": False, "limit": 4},
            "control": {"number": 1, "method": "sorted", "sort": [{"expr": "@points", "descending": True}]},
        },
        mapping="mapExternalFile", exclusion_log=True, batch_quantity=2,
    )  # fmt: skip
    run = analysed(delivery)
    assert told(delivery) == []
    sent, left_out = log("broad_log", run), log("excl_log", run)
    # Of the six who could get a message, four may; the first of them by points gets none.
    assert sorted(reason for _address, reason, _status, _flags in sent.values()) == [0, 0, 0, 127]
    assert sorted(row[1] for row in left_out.values()) == [FailureReason.BAD_QUALITY, 17, 17]
    assert [each.quantity for each in DeliveryPart.objects.filter(run=run).order_by("first_id")] == [2, 1]
    # Analysed anew, the same people have other numbers: those of their run.
    again = analysed(delivery)
    assert log("broad_log", run) == {}
    line = {file_target.line(number): row[0] for number, row in sent.items()}
    assert {file_target.line(number): row[0] for number, row in log("broad_log", again).items()} == line
    assert not set(sent) & set(log("broad_log", again))


def test_once_more_to_the_lines_that_did_not_get_it(file: str) -> None:
    text = "{{ targetData.first }} {{ targetData.points }} unsubscribe"
    delivery = make_delivery(
        {"table": file, "columns": {"email": "contact"}}, mapping="mapExternalFile", text_source=text
    )
    run = analysed(delivery)
    got, *left = sorted(number for number, row in log("broad_log", run).items() if row[2] == 6)
    assert len(left) == 4
    with connection.cursor() as cursor:
        cursor.execute("UPDATE nms_broad_log_file SET status = 2 WHERE run_id = %s AND status = 6", [run.pk])
        cursor.execute("UPDATE nms_broad_log_file SET status = 1 WHERE target_id = %s", [got])
    Delivery.objects.filter(pk=delivery.pk).update(state=S.FINISHED)
    delivery.refresh_from_db()
    again = deliveries.resend(delivery, actor=admin_actor())
    second = analysis.work(again.run_id or 0, actor=admin_actor())
    assert told(again) == []
    numbers = {number for number, row in log("broad_log", second).items() if row[2] == 6}
    assert {file_target.line(each) for each in numbers} == {file_target.line(each) for each in left}
    assert ("bob@one.example", "Bob 3 unsubscribe") in [(a, t.strip()) for a, t in rendered(second.pk)]


def test_proofs_and_a_preview_show_lines_of_the_file(file: str) -> None:
    actor = admin_actor()
    seed = SeedMember.objects.create(
        label="Boss", email="boss@shop.example", folder=Folder.objects.get(name="seedAddresses"),
        created_at=product_clock.now(), modified_at=product_clock.now(),
    )  # fmt: skip
    delivery = make_delivery(
        {"table": file, "seeds": {"ids": [seed.pk]}, "filter": "@points = 3"},
        mapping="mapExternalFile", text_source="{{ targetData.first }} unsubscribe",
    )  # fmt: skip
    (reader, *_seeds) = preview.readers(delivery, actor=actor)
    assert reader.address == "bob@one.example"
    assert preview.preview(delivery, actor=actor, reader=reader).parts["text"] == "Bob unsubscribe"
    assert preview.find(delivery, "zoe@one.example", actor=actor)
    analysed(delivery)
    for mode, more, expected in (
        ("seeds", {}, [("boss@shop.example", "Bob unsubscribe")]),
        ("target", {"target": {"filter": "@points = 8"}}, [("zoe@one.example", "Zoë unsubscribe")]),
        ("substitution", {"addresses": ["me@shop.example"]}, [("me@shop.example", "Bob unsubscribe")]),
    ):
        proof = deliveries.prove(delivery, mode, actor=actor, **more)  # type: ignore[arg-type]
        run = analysis.work(proof.run_id or 0, actor=actor)
        assert told(proof) == [], mode
        assert rendered(run.pk) == expected, mode


def test_what_cannot_be_the_target_is_refused(file: str, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="has no target: give it the population"):
        analysis.start(make_delivery(mapping="mapExternalFile"), actor=admin_actor())
    with pytest.raises(Invalid, match="has no lists"):
        analysis.start(
            make_delivery({"table": file, "lists": ["x"]}, mapping="mapExternalFile"), actor=admin_actor()
        )
    for said, why in (
        ({"table": "wkf0_0"}, "is there no more"),
        (
            {"table": file, "columns": {"email": "nick"}},
            "no column 'nick'; it has contact, first",
        ),
    ):
        delivery = make_delivery(said, mapping="mapExternalFile")
        analysed(delivery)
        assert any(why in each for each in told(delivery)), told(delivery)
        assert delivery.status is S.FAILED
    # On another channel no column is called like its address.
    delivery = make_delivery({"table": file}, mapping="mapExternalFile", template="sms")
    analysed(delivery)
    assert any("name it (columns/mobile)" in each for each in told(delivery))
    # Whoever may not see the workflow does not send to its file.
    delivery = make_delivery({"table": file}, mapping="mapExternalFile")
    run = analysis.start(delivery, actor=admin_actor(), queue=False)
    analysis.work(run.pk, actor=actor_of(make_operator("joe", rights=(Right.PREPARE_DELIVERIES,))))
    assert any("is there no more" in each for each in told(delivery))
    # A population of people is for the mapping of people.
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE xtk_work_table SET shape = jsonb_set(shape, '{dimension}', '\"nms:recipient\"')"
        )
    delivery = make_delivery({"table": file}, mapping="mapExternalFile")
    analysed(delivery)
    assert any("holds rows of nms:recipient" in each for each in told(delivery))


def test_a_file_goes_on_to_a_provider_with_its_columns(file: str) -> None:
    now = product_clock.now()
    seed = SeedMember.objects.create(
        label="Boss", phone="+33100000000", email="b@shop.example",
        folder=Folder.objects.get(name="seedAddresses"), created_at=now, modified_at=now,
    )  # fmt: skip
    said = {
        "table": file, "columns": {"phone": "contact"}, "filter": "@points > 6", "seeds": {"ids": [seed.pk]},
    }  # fmt: skip
    delivery = make_delivery(
        said, template="phone", mapping="mapExternalFile",
        extraction={"order": [{"expr": "@points"}], "seeds": "end"},
    )  # fmt: skip
    run = analysed(delivery)
    for answer in background.lost.ask():
        for name, number in answer:
            background.carry_out(name, number)
    run.refresh_from_db()
    made = extractions.made(run)
    assert made is not None, told(delivery)
    text = extractions.path_of(run, made).read_text()
    lines = text.split("\n")
    assert [each.strip() for each in lines[:4]] == [
        "Adresse e-mail,first,points", "Ann@One.Example,Ann,7", "zoe@one.example,Zoë,8", "no address,Eve,9",
    ]  # fmt: skip
    # A seed has its own address, and of the rest what somebody of the file has.
    address, first, _points = lines[4].strip().split(",")
    assert address.lstrip("'") == "+33100000000"
    assert first in ("Ann", "Zoë", "Eve")


def test_the_page_of_the_target_says_which_column_holds_the_address(file: str) -> None:
    delivery = make_delivery({"table": file}, mapping="mapExternalFile")
    client = Client()
    client.force_login(Operator.objects.get(name="admin"), "django.contrib.auth.backends.ModelBackend")
    place = f"/deliveries/{delivery.pk}/target"
    page = client.get(place).content.decode()
    assert '<option value="contact" selected>Adresse e-mail</option>' in page
    assert "columns of the file" in page
    assert client.post(place, {"filter": "@points > 2", "column": "first"}).status_code == 302
    delivery.refresh_from_db()
    assert delivery.targeting == {
        "table": file, "filter": "@points > 2", "columns": {"email": "first"}, "exclude": {"limit": 0},
    }  # fmt: skip
    assert '<option value="first" selected>' in client.get(place).content.decode()
    empty = make_delivery({}, mapping="mapExternalFile")
    assert "is a file that is uploaded here" in client.get(f"/deliveries/{empty.pk}/target").content.decode()


def test_a_file_is_uploaded_and_becomes_the_target(clock: Any) -> None:
    client = Client()
    client.force_login(Operator.objects.get(name="admin"), "django.contrib.auth.backends.ModelBackend")
    client.post("/deliveries/new", {"label": "To a file", "template": _mail_template(), "file": "1"})
    delivery = Delivery.objects.get(label="To a file")
    assert delivery.mapping.name == "mapExternalFile"
    address = f"/deliveries/{delivery.pk}/target"
    assert "File with the addresses" in client.get(address).content.decode()

    def upload(content: bytes, name: str = "people.csv") -> Any:
        given = SimpleUploadedFile(name, content)
        return client.post(address, {"do": "upload", "file": given})

    folder = Path(settings.ENVOI.home) / "files" / "deliveries"
    refused = upload(b"\0\0\0")
    assert refused.status_code == 400
    assert list(folder.iterdir()) == []
    assert not uploads()
    assert upload(FILE.encode()).status_code == 302
    assert "The file is being read" in client.get(address).content.decode()
    carry(*uploads(), clock)
    page = client.get(address).content.decode()
    assert '<option value="Adresse_e_mail" selected>' in page
    delivery.refresh_from_db()
    deliveries.change(delivery, CONTENT, actor=admin_actor())
    run = analysed(delivery)
    assert (told(delivery), delivery.to_deliver, run.pk) == ([], 5, delivery.run_id)
    # Another file takes its place, also after an analysis; what was uploaded long ago is gone by then.
    (first,) = folder.iterdir()
    os.utime(first, (0, 0))
    assert upload(b"email\nann@one.example\n", "few.txt").status_code == 302
    carry(uploads()[-1], clock)
    delivery.refresh_from_db()
    again = analysed(delivery)
    assert [row[0] for row in log("broad_log", again).values()] == ["ann@one.example"]
    assert len(list(folder.iterdir())) == 1
    assert not first.exists()


def test_a_file_is_the_target_of_nothing_else() -> None:
    delivery = make_delivery()
    with pytest.raises(Conflict, match="not for a file"):
        uploaded_target.upload(delivery, "people.csv", [FILE.encode()], actor=admin_actor())
    alone = make_delivery({}, mapping="mapExternalFile")
    only_prepares = actor_of(make_operator("pat", (Right.PREPARE_DELIVERIES,)))
    with pytest.raises(NotAllowed):
        uploaded_target.upload(alone, "people.csv", [FILE.encode()], actor=only_prepares)
    assert not uploads()


def uploads() -> list[Workflow]:
    return list(Workflow.objects.filter(internal_name__startswith="fileOf").order_by("pk"))


def _mail_template() -> int:
    return deliveries.find("mail", actor=admin_actor()).pk


def test_at_the_time_of_the_delivery_with_links_but_without_a_mirror_page(
    file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the people of a file are, nobody knows; there is no row that a mirror page could be made of."""
    config = replace(settings.ENVOI.config, tracking=TrackingConfig("https://t.example/"))
    monkeypatch.setattr(settings, "ENVOI", replace(settings.ENVOI, config=config))
    contact = product_clock.now() + timedelta(days=2)
    delivery = make_delivery(
        {"table": file}, mapping="mapExternalFile", contact_date=contact,
        html_source="[{{ message.mirrorUrl }}]{% if message.mirrorUrl %}here{% endif %}"
        '<a href="https://shop.example/?who={{ targetData.first }}">to the shop</a> unsubscribe',
        sending={"local_time": True, "validity": {"duration": "5d"}},
    )  # fmt: skip
    run = analysed(delivery)
    assert told(delivery) == []
    assert {each.due_at for each in DeliveryPart.objects.filter(run=run)} == {contact}
    loaded = content.load(run)
    html = loaded.render(loaded.first()[0]).html
    assert html.startswith('[]<a href="https://t.example/r/')
    assert "here" not in html
