"""The process that takes mails in: from where, and exactly once (delivery.md §3.5)."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import OperationalError

from envoi.kernel import clock as product_clock
from envoi.kernel.config import Config, InboundConfig
from envoi.packages.delivery.models import Address, BroadLogRcp, InboundKind, InboundMail
from envoi.packages.delivery.services import routing
from envoi.packages.delivery.services.inbound import applying, kept, process, sources
from envoi.packages.delivery.services.inbound.process import Process
from envoi.packages.delivery.tests.inbound.sent_mail import Sent, make_sent, report

pytestmark = pytest.mark.django_db


@pytest.fixture
def sent(db: Any) -> Sent:
    return make_sent(30)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    folder = tmp_path / "Maildir"
    for name in ("new", "cur", "tmp"):
        (folder / name).mkdir(parents=True)
    return replace(settings.CONFIG, inbound=InboundConfig(maildir=str(folder)), home=tmp_path)


def bounce(config: Config, sent: Sent, number: int) -> bytes:
    return report(sent.return_address(number, routing.identity(config)), sent.address(number))


def drop(config: Config, name: str, raw: bytes) -> Path:
    path = Path(config.inbound.maildir) / "new" / name
    path.write_bytes(raw)
    return path


def files(config: Config) -> list[str]:
    return sorted(path.name for path in (Path(config.inbound.maildir) / "new").iterdir())


def test_mails_of_a_folder_are_handled_and_removed(config: Config, sent: Sent) -> None:
    for number in range(25):
        drop(config, f"{number:03}", bounce(config, sent, number))
    (Path(config.inbound.maildir) / "new" / "link").symlink_to("/etc/passwd")
    Process(config).once()
    assert files(config) == ["link"]
    assert sent.figures() == (30, 5, 25, 25)
    assert BroadLogRcp.objects.filter(run_id=sent.run_id, status=2).count() == 25


def test_a_crash_between_effect_and_removal_does_nothing_twice(
    config: Config, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(config, "1", bounce(config, sent, 1))

    class Killed(BaseException):
        pass

    def killed(self: Any, id: str) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(sources._Folder, "delete", killed)
        with pytest.raises(Killed):
            Process(config).once()
    assert files(config) == ["1"]
    Process(config).once()
    assert files(config) == []
    assert sent.figures() == (30, 29, 1, 1)
    assert Address.objects.get().error_count == 1


def test_a_mail_that_breaks_the_handling_is_set_aside_alone(
    config: Config, sent: Sent, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = applying.handle

    def fragile(mails: Any, *args: Any, **named: Any) -> list[bool]:
        if any(b"POISON" in each.raw for each in mails):
            raise ValueError("it cannot be read")
        return real(mails, *args, **named)

    monkeypatch.setattr(applying, "handle", fragile)
    drop(config, "1", b"Subject: POISON\n\nx")
    drop(config, "2", bounce(config, sent, 2))
    with caplog.at_level(logging.CRITICAL, logger=process.__name__):
        Process(config).once()
    assert files(config) == []
    assert sent.log(2).status == 2
    assert set(InboundMail.objects.values_list("kind", flat=True)) == {
        InboundKind.UNREADABLE, InboundKind.BOUNCE,
    }  # fmt: skip


def test_mails_stay_where_they_are_while_the_database_is_away(
    config: Config, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_args: Any, **_named: Any) -> list[bool]:
        raise OperationalError("the server has gone")

    drop(config, "1", bounce(config, sent, 1))
    with monkeypatch.context() as patched:
        patched.setattr(applying, "handle", away)
        patched.setattr(process.connection, "close", lambda: None)
        assert Process(config).once() is False
    assert files(config) == ["1"]
    Process(config).once()
    assert files(config) == []


def test_a_bounce_ahead_of_its_message_waits_and_holds_up_nobody(
    config: Config, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    BroadLogRcp.objects.filter(run_id=sent.run_id, target_id=sent.targets[0]).update(status=6)
    drop(config, "0", bounce(config, sent, 0))
    drop(config, "1", bounce(config, sent, 1))
    work = Process(config)
    work.once()
    assert files(config) == ["0"]
    BroadLogRcp.objects.filter(run_id=sent.run_id, target_id=sent.targets[0]).update(status=1)
    work.once()
    assert files(config) == ["0"]  # it is looked at again after a while
    monkeypatch.setattr(process, "AGAIN_S", 0.0)
    work.once()
    assert files(config) == []
    assert sent.figures() == (30, 28, 2, 2)

    # One whose message is never settled does not wait for ever.
    BroadLogRcp.objects.filter(run_id=sent.run_id, target_id=sent.targets[2]).update(status=6)
    drop(config, "2", bounce(config, sent, 2))
    work.once()
    work.once()
    assert files(config) == ["2"]
    monkeypatch.setattr(process, "PATIENCE_S", 0.0)
    work.once()
    assert files(config) == []
    assert sent.log(2).status == 2


def test_rows_go_after_their_time(config: Config, sent: Sent, clock: Any) -> None:
    drop(config, "1", bounce(config, sent, 1))
    work = Process(config)
    work.once()
    assert InboundMail.objects.count() == 1
    clock.step(days=61)
    kept.purge(now=product_clock.now())
    assert not InboundMail.objects.exists()
