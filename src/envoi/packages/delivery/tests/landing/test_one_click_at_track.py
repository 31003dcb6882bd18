"""One click from the mail program to the profile: `track` answers, the loader carries it out."""

from typing import Any

import pytest
from django.test import Client

from envoi.kernel.testing import wait_until
from envoi.packages.delivery.models import OptOut, OptOutWay, Recipient, SubAction, SubHisto, TrackingInbox
from envoi.packages.delivery.testing import make_service
from envoi.packages.delivery.tests.landing import stage
from envoi.packages.delivery.tests.redirection.stage import PAGES, track


@pytest.fixture
def mailed(committed_db: Any, monkeypatch: pytest.MonkeyPatch) -> stage.Mail:
    stage.person()
    return stage.mailed(stage.track(monkeypatch))


def test_a_mail_program_unsubscribes(mailed: stage.Mail, committed_db: Any, tmp_path: Any) -> None:
    assert mailed.made.unsubscribe == f"https://t.example{mailed.unsubscribe}"
    with track(committed_db.home, tmp_path) as running:
        looked = running.ask(mailed.unsubscribe)
        assert (looked.status, looked.header("location")) == (302, f"{PAGES}{mailed.unsubscribe}")
        for path in (mailed.mirror, mailed.preferences, mailed.forward, mailed.registration):
            assert running.ask(path).header("location") == f"{PAGES}{path}"
        forged = mailed.unsubscribe[:-1] + ("A" if mailed.unsubscribe[-1] != "A" else "B")
        assert running.ask(forged, method="POST", body=b"List-Unsubscribe=One-Click").status == 404
        assert not Recipient.objects.get().black_list_email
        got = running.ask(mailed.unsubscribe, method="POST", body=b"List-Unsubscribe=One-Click")
        assert (got.status, got.header("location")) == (200, "")
        wait_until(lambda: Recipient.objects.filter(black_list_email=1).exists(), 20, running.said)
    proof = OptOut.objects.get()
    assert (proof.way, proof.broad_log_id, proof.address) == (
        OptOutWay.ONE_CLICK, mailed.id, "ann@example.org",
    )  # fmt: skip
    assert TrackingInbox.objects.filter(kind=2).count() == 1
    page = Client().get(mailed.unsubscribe)
    assert "a…@example.org gets no e-mail" in stage.text(page)


@pytest.mark.usefixtures("committed_db")
def test_a_subscriber_leaves_the_service_alone(
    committed_db: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    from envoi.kernel.testing import admin_actor
    from envoi.packages.delivery.services import chosen, subscriptions

    ann = stage.person()
    service = make_service("news")
    subscriptions.subscribe(service, chosen.ids([ann.pk]), actor=admin_actor())
    mail = stage.mailed(stage.track(monkeypatch), mapping="mapSubscribe")
    with track(committed_db.home, tmp_path) as running:
        assert running.ask(mail.unsubscribe, method="POST", body=b"List-Unsubscribe=One-Click").status == 200
        wait_until(lambda: OptOut.objects.exists(), 20, running.said)
    assert SubHisto.objects.latest("sub_histo_id").action == SubAction.UNSUBSCRIBE
    assert not Recipient.objects.get().black_list_email
