"""`envoi delivery`: `send` with real processes and a real server, the others in this process."""

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from envoi.cli.delivery import delivery as command
from envoi.kernel.errors import Conflict, NotFound
from envoi.kernel.testing import admin_actor
from envoi.packages.delivery.models import Delivery, DeliveryState, Recipient
from envoi.packages.delivery.services import analysis, deliveries
from envoi.packages.delivery.testing import make_recipients
from envoi.packages.delivery.tests.mta.stage import CONTENT, listening


def make(name: str, **more: Any) -> Delivery:
    actor = admin_actor()
    given = {"targeting": {"filter": "@id > 0"}, **CONTENT, **more}
    template = deliveries.find("mail", actor=actor)
    made = deliveries.create(template, actor=actor, name=name, label=name, **given)
    analysis.work(analysis.start(made, actor=actor, queue=False).pk)
    return made


def test_a_delivery_is_sent_from_the_shell_with_no_sender_alive(
    committed_db: Any, run_envoi: Callable[..., Any]
) -> None:
    for number, id in enumerate(make_recipients(12, black_list=0, black_list_email=0)):
        Recipient.objects.filter(pk=id).update(email=f"p{number}@shop.example")
    spring = make("spring")
    make("held", approvals={"content": {}})
    with listening() as sink:
        env = {**committed_db.env, "SMTP_URL": f"smtp://127.0.0.1:{sink.port}?tls=off"}
        refused = run_envoi("delivery", "send", "held", "--json", env=env)
        assert (refused.code, refused.out) == (3, "")
        assert "not approved yet: Content" in refused.err
        sent = run_envoi("delivery", "send", "spring", "--wait", "50", "--json", env=env, code=0)
        assert (sent.json["state"], sent.json["success"], sent.json["pending"]) == ("finished", 12, 0)
        assert dict(sink.count()) == {f"p{number}@shop.example": 1 for number in range(12)}
    spring.refresh_from_db()
    assert spring.status is DeliveryState.FINISHED


def shell(*arguments: str) -> Any:
    context = SimpleNamespace(setup=lambda: SimpleNamespace(packages=("delivery",)))
    done = CliRunner().invoke(command, list(arguments), obj=context, catch_exceptions=False)
    assert done.exit_code == 0
    return json.loads(done.stdout) if "--json" in arguments else done.stdout


@pytest.mark.django_db
def test_deliveries_are_told_of_paused_and_stopped_from_the_shell() -> None:
    make_recipients(10, black_list=0, black_list_email=0, email="")
    for number, person in enumerate(Recipient.objects.all()):
        Recipient.objects.filter(pk=person.pk).update(email=f"p{number}@shop.example")
    make("spring", sending={"waves": {"size": 4, "every": "1h"}})
    assert [each["state"] for each in shell("list", "--json")] == ["ready to be delivered"]
    assert shell("list", "--state", "finished", "--json") == []
    assert {each["name"] for each in shell("list", "--templates", "--json")} >= {"mail", "sms"}
    assert shell("send", "spring", "--json")["state"] == "start pending"
    stats = shell("stats", "spring", "--json")
    assert [each["left"] for each in stats["waves"]] == [4, 4, 2]
    assert (stats["pending"], stats["confirmed_by"], stats["owner"]) == (10, "internal", "admin")
    assert "wave 3" in shell("stats", "spring")
    assert shell("pause", "spring", "--json")["state"] == "paused"
    with pytest.raises(Conflict):
        shell("pause", "spring")
    assert shell("resume", "spring", "--json")["state"] == "start pending"
    assert shell("stop", "spring", "--json")["state"] == "stop requested"
    said = [each["message"] for each in shell("log", "spring", "--json")]
    assert said[-3:] == ["Pause asked.", "Resumed.", "Stop asked."]
    assert "Stop asked." in shell("log", "spring")
    with pytest.raises(NotFound):
        shell("stats", "nothing")
