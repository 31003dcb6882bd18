"""deliverabilityUpdate: a signed feed over HTTPS becomes rules; whatever is wrong with it leaves them."""

import base64
import http.server
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings

from envoi.engine import notify
from envoi.engine.models import Workflow
from envoi.engine.testing import lines, run_to, start
from envoi.kernel import options
from envoi.kernel.config import NetworkConfig
from envoi.kernel.errors import Invalid
from envoi.kernel.models import OutboxItem
from envoi.kernel.testing import admin_actor, make_certificate, make_operator
from envoi.packages.delivery.models import (
    BroadLogMsg,
    DeliverabilityUpdate,
    FailureReason,
    FailureType,
    MailRule,
    MxRule,
    Qualification,
)
from envoi.packages.delivery.services import bounces, suppression
from envoi.packages.delivery.services.bounces.rules import shipped
from envoi.packages.delivery.services.deliverability import feed, updating
from envoi.packages.delivery.services.routing import mx_rules

pytestmark = pytest.mark.django_db
NAME = "deliverabilityUpdate"
EVENING = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)
NIGHT = timedelta(hours=12)
KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
PUBLIC = base64.b64encode(
    KEY.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
).decode()


def document(version: int = 1, **sections: Any) -> bytes:
    said = {"format": 1, "version": version, "issued": "2026-11-23T12:00:00+00:00", **sections}
    return json.dumps(said).encode()


def bounce_rules(*more: dict[str, Any]) -> dict[str, Any]:
    """The shipped rules as a document, some before them."""
    rules = [
        {
            "id": rule.name,
            "kind": kind,
            "type": rule.error_type,
            "reason": rule.reason,
            "texts": [" … ".join(pieces) for pieces in rule.texts],
            "codes": sorted(rule.codes),
        }
        for kind, each in shipped().by_kind.items()
        for rule in each
    ]
    return {"version": shipped().version + 1, "rules": [*more, *rules]}


HELD = {
    "id": "mailbox-on-holiday",
    "kind": "text",
    "type": "soft",
    "reason": 4,
    "texts": ["this mailbox is on holiday"],
}
MX = {
    "name": "orange",
    "mask": "*.quick.example",
    "connections": 7,
    "per_connection": 11,
    "per_hour": 1234,
    "shared": False,
}


class Server(http.server.BaseHTTPRequestHandler):
    """Offers what `served` holds, and keeps what is told to it."""

    served = b""
    status = 200
    told: list[Any]

    def do_GET(self) -> None:
        self.send_response(type(self).status)
        self.send_header("Content-Length", str(len(type(self).served)))
        self.end_headers()
        self.wfile.write(type(self).served)

    def do_POST(self) -> None:
        type(self).told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls") / "feed.pem")


@pytest.fixture
def server(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Server]]:
    """A feed's server on this machine, which the instance may reach and believes."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setattr(
        settings, "CONFIG", replace(settings.CONFIG, network=NetworkConfig(allow_private=("127.0.0.0/8",)))
    )

    class Fresh(Server):
        told: list[Any] = []

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Fresh) as listening:
        listening.socket = context.wrap_socket(listening.socket, server_side=True)
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        port = listening.server_address[1]
        options.set(updating.URL, f"https://127.0.0.1:{port}/feed", actor=admin_actor())
        options.set(updating.KEY, PUBLIC, actor=admin_actor())
        Fresh.address = f"https://127.0.0.1:{port}/texts"  # type: ignore[attr-defined]
        yield Fresh
        listening.shutdown()


@pytest.fixture
def night(clock) -> Callable[[], Workflow]:
    """Let one night pass."""
    clock.move_to(EVENING)
    workflow = start(Workflow.objects.get(internal_name=NAME))
    passed = 0

    def run() -> Workflow:
        nonlocal passed
        passed += 1
        run_to(EVENING + NIGHT + timedelta(days=passed - 1), clock)
        workflow.refresh_from_db()
        return workflow

    return run


def rules() -> list[tuple[Any, ...]]:
    return [
        *MailRule.objects.order_by("key").values_list("key", "patterns", "failure_type", "active"),
        *MxRule.objects.values_list("mask", "connections", "per_hour"),
    ]


def test_without_a_feed_the_rules_of_the_product_are_brought_up_to_date(night):
    MailRule.objects.filter(built_in=True).first().delete()  # type: ignore[union-attr]
    from envoi.packages.delivery.models import MailRuleSet

    MailRuleSet.objects.update(version=0)
    workflow = night()
    assert workflow.failed is False
    assert MailRule.objects.filter(built_in=True).count() == sum(map(len, shipped().by_kind.values()))
    assert "No feed is configured: the rules of the product are kept up to date" in lines(workflow)


def test_a_feed_becomes_rules_texts_and_suppressed_addresses(server, night):
    told = bounces.factorised("550 5.7.1 Our moon is in the wrong house")
    open_text = BroadLogMsg.objects.create(
        md5=bounces.key(told),
        text=told,
        first_text=told,
        qualification=Qualification.TO_QUALIFY,
        modified_at=EVENING,
    )
    decided_text = bounces.factorised("550 Somebody here decided this")
    decided = BroadLogMsg.objects.create(
        md5=bounces.key(decided_text),
        text=decided_text,
        first_text=decided_text,
        qualification=Qualification.KEEP,
        failure_type=FailureType.SOFT,
        failure_reason=FailureReason.REFUSED,
        modified_at=EVENING,
    )
    changed = "2026-11-20T00:00:00+00:00"
    server.served = feed.sign(
        document(
            3,
            bounceRules=bounce_rules(HELD),
            mxRules=[MX],
            suppression={"addresses": [suppression.digest("zoe@trap.example")], "domains": ["trap2.example"]},
            texts=[
                {"text": told, "type": "hard", "reason": 20, "changed": changed},
                {"text": decided_text, "type": "hard", "reason": 1, "changed": changed},
            ],
        ),
        KEY,
    )
    assert bounces.reply_rule("this mailbox is on holiday", "") is None
    workflow = night()
    assert workflow.failed is False
    assert MailRule.objects.filter(name=HELD["id"], built_in=True).count() == 1
    from envoi.packages.delivery.services.qualification import rule_sets

    found = bounces.reply_rule("this mailbox is on holiday", "", rule_sets.current())
    assert found is not None
    assert found.name == HELD["id"]
    assert MxRule.objects.get(shipped="orange").mask == "*.quick.example"
    assert suppression.suppressed(["zoe@trap.example", "a@trap2.example", "b@fine.example"]) == {
        "zoe@trap.example",
        "a@trap2.example",
    }
    open_text.refresh_from_db()
    assert (open_text.qualification, open_text.failure_type) == (Qualification.KEEP, FailureType.HARD)
    decided.refresh_from_db()
    assert (decided.failure_type, decided.failure_reason) == (FailureType.SOFT, FailureReason.REFUSED)
    assert options.get(updating.LAST_TEXTS, actor=admin_actor()) == datetime(2026, 11, 20, tzinfo=UTC)
    update = DeliverabilityUpdate.objects.get()
    assert (update.version, update.outcome["texts"], update.outcome["suppression"]) == (3, 1, 2)
    # The same version once more changes nothing, and an upgrade of the product does not fall back.
    before, revision = rules(), DeliverabilityUpdate.objects.get().applied_at
    night()
    updating.plant(actor=admin_actor())
    assert rules() == before
    assert DeliverabilityUpdate.objects.get().applied_at == revision


@pytest.mark.case("D85")
def test_a_feed_that_cannot_be_reached_stops_the_workflow_and_leaves_the_rules(night):
    before = rules()
    options.set(updating.URL, "https://127.0.0.1:9/feed", actor=admin_actor())
    options.set(updating.KEY, PUBLIC, actor=admin_actor())
    make_operator("watch", groups=(notify.STANDARD_GROUP,), email="watch@example.org")
    assert OutboxItem.objects.count() == 0
    workflow = night()
    assert workflow.failed is True
    assert rules() == before
    assert DeliverabilityUpdate.objects.count() == 0
    told = json.dumps([item.payload for item in OutboxItem.objects.all()])
    assert "watch@example.org" in told
    assert "Refresh for deliverability" in told


@pytest.mark.case("D86")
def test_mx_rules_that_are_custom_stay_while_bounce_rules_follow(server, night):
    mx_rules.set_level("custom", actor=admin_actor())
    server.served = feed.sign(document(1, bounceRules=bounce_rules(HELD), mxRules=[MX]), KEY)
    before = list(MxRule.objects.values())
    workflow = night()
    assert workflow.failed is False
    assert list(MxRule.objects.values()) == before
    assert MailRule.objects.filter(name=HELD["id"]).exists()


def test_an_operators_rules_stay_whatever_comes(server, night):
    from envoi.packages.delivery.services.qualification import rule_sets

    own = rule_sets.add(
        "ours", ["no such thing here"], FailureType.HARD, FailureReason.USER_UNKNOWN, actor=admin_actor()
    )
    off = MailRule.objects.filter(built_in=True).first()
    assert off is not None
    rule_sets.switch(off.pk, False, actor=admin_actor())
    server.served = feed.sign(document(1, bounceRules=bounce_rules(HELD)), KEY)
    night()
    assert MailRule.objects.filter(pk=own.pk, active=True).exists()
    assert MailRule.objects.filter(name=off.name, active=False).exists()


@pytest.mark.parametrize(
    "served",
    [
        pytest.param(lambda: document(1, mxRules=[MX]), id="unsigned"),
        pytest.param(
            lambda: feed.sign(document(1, mxRules=[MX]), KEY).replace(b"1234", b"9999"), id="changed"
        ),
        pytest.param(
            lambda: feed.sign(document(1, mxRules=[MX]), Ed25519PrivateKey.from_private_bytes(b"x" * 32)),
            id="another key",
        ),
        pytest.param(lambda: feed.sign(document(1, mxRules=[MX]), KEY)[:-20], id="cut"),
        pytest.param(lambda: b"", id="empty"),
        pytest.param(lambda: b"\0" * 1000, id="zeros"),
    ],
)
def test_what_is_not_signed_by_its_key_changes_nothing(server, night, served):
    server.served = served()
    before = rules()
    assert night().failed is True
    assert rules() == before
    assert DeliverabilityUpdate.objects.count() == 0


def test_an_older_version_and_another_status_are_refused(server, night):
    server.served = feed.sign(document(5, mxRules=[MX]), KEY)
    assert night().failed is False
    before = rules()
    server.served = feed.sign(document(4, mxRules=[{**MX, "per_hour": 1}]), KEY)
    assert night().failed is True
    assert rules() == before


def test_a_redirection_is_not_followed(server, night):
    server.served, server.status = feed.sign(document(1, mxRules=[MX]), KEY), 302
    assert night().failed is True
    assert DeliverabilityUpdate.objects.count() == 0


@pytest.mark.parametrize(
    "sections",
    [
        {"mxRules": [{**MX, "per_hour": 0}]},
        {"mxRules": [{**MX, "mask": "; DROP TABLE"}]},
        {"mxRules": [MX, MX]},
        {"mxRules": {"a": 1}},
        {"suppression": {"addresses": ["zoe@example.org"]}},
        {"suppression": {"domains": ["not a domain"]}},
        {"texts": [{"text": "x", "type": "deadly", "reason": 1, "changed": "2026-11-20T00:00:00+00:00"}]},
        {"texts": [{"text": "x", "type": "hard", "reason": 4711, "changed": "2026-11-20T00:00:00+00:00"}]},
        {"bounceRules": {"version": 2, "rules": []}},
        {"bounceRules": {"version": 2, "rules": [{"id": "x"}]}},
        {"report": "http://plain.example"},
        {"version": 0},
        {"format": 2},
    ],
)
def test_what_a_document_may_not_say_is_refused_with_its_place(sections):
    with pytest.raises(Invalid):
        feed.read(document(**{"version": 1, **sections}))


def test_texts_are_told_in_pages_when_an_operator_wants_it(server, night, monkeypatch):
    monkeypatch.setattr(updating, "PAGE", 10)
    rows = [
        BroadLogMsg(
            md5=f"{number:032x}",
            text=f"text {number}",
            first_text=f"text {number}",
            qualification=Qualification.TO_QUALIFY,
            modified_at=EVENING - timedelta(days=1) + timedelta(minutes=number // 4),
        )
        for number in range(25)
    ]
    BroadLogMsg.objects.bulk_create(rows)
    server.served = feed.sign(document(1, report=server.address), KEY)
    night()
    assert server.told == []
    options.set(updating.SHARE, True, actor=admin_actor())
    assert night().failed is False
    told = [each["text"] for page in server.told for each in page["texts"]]
    assert sorted(told) == sorted(each.text for each in rows)
    assert all(len(page["texts"]) <= 10 for page in server.told)
    night()
    assert len([each for page in server.told for each in page["texts"]]) == 25
