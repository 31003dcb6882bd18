from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from envoi.engine import worktable
from envoi.kernel import outbox, writing
from envoi.kernel.errors import NotFound
from envoi.kernel.models import Folder, OutboxItem
from envoi.kernel.rights import Actor, actor_of
from envoi.kernel.testing import admin_actor, allow, internal_actor, make_folder, make_operator
from envoi.packages.delivery.models import (
    Confirmation,
    Service,
    SubAction,
    SubHisto,
    SubOrigin,
    Subscription,
)
from envoi.packages.delivery.services import chosen, confirmations, subscriptions
from envoi.packages.delivery.testing import make_recipients, make_service

pytestmark = pytest.mark.django_db


def states(service: Service) -> set[int]:
    found = Subscription.objects.filter(service=service, delete_status=0)
    return set(found.values_list("recipient_id", flat=True))


def lines(service: Service) -> list[tuple[int, int]]:
    found = SubHisto.objects.filter(service=service).order_by("date", "recipient_id")
    return list(found.values_list("recipient_id", "action"))


def test_people_subscribe_and_leave_and_the_history_tells(clock: Any) -> None:
    actor, service = admin_actor(), make_service("news")
    ann, bob, eve = make_recipients(3)
    assert subscriptions.subscribe(service, chosen.ids([ann, bob]), actor=actor).changed == 2
    clock.step(days=1)
    # Who has subscribed already stays, and nothing is told of it.
    assert subscriptions.subscribe(service, chosen.ids([bob, eve, 999]), actor=actor).changed == 1
    clock.step(days=1)
    done = subscriptions.unsubscribe(service, chosen.ids([ann, eve]), actor=actor, origin=SubOrigin.FORM)
    assert done.changed == 2
    assert subscriptions.unsubscribe(service, chosen.ids([ann]), actor=actor).changed == 0
    assert states(service) == {bob}
    assert lines(service) == [(ann, 1), (bob, 1), (eve, 1), (ann, 0), (eve, 0)]
    last = SubHisto.objects.filter(recipient_id=ann).latest("date")
    assert (last.origin, last.operator_id) == (SubOrigin.FORM, actor.operator_id)
    numbers = subscriptions.figures(service, actor=actor, since=datetime(2000, 1, 1, tzinfo=UTC))
    assert (numbers.subscribers, numbers.came, numbers.went, numbers.evolution) == (1, 3, 2, 1)
    assert numbers.loyalty == pytest.approx(1 - 2 / (1 + 3 - 2))
    assert [(day.came, day.went) for day in numbers.days] == [(2, 0), (1, 0), (0, 2)]


def test_a_work_table_subscribes_as_one(clock: Any) -> None:
    from envoi.engine.definition import Activity
    from envoi.engine.testing import chain, make_workflow

    workflow = make_workflow(
        chain(Activity("start", "start"), Activity("end", "end")), name="W", actor=admin_actor()
    )
    table = worktable.create(workflow.pk, 1, [worktable.Column("id", "bigint")], "id")
    ids = make_recipients(2500)
    with connection.cursor() as cursor:
        cursor.execute(f'INSERT INTO "{table}" SELECT unnest(%s::bigint[])', [list(ids)])
    service = make_service("news")
    done = subscriptions.subscribe(
        service, chosen.table(table), actor=internal_actor(), origin=SubOrigin.WORKFLOW
    )
    assert done.changed == 2500
    assert states(service) == set(ids)
    assert Subscription.objects.values("subscription_id").distinct().count() == 2500
    assert SubHisto.objects.values("batch_id").distinct().count() == 1


@pytest.mark.parametrize(
    ("length", "unit", "ends"),
    [
        (0, "d", None),
        (30, "d", datetime(2027, 3, 2, 9, tzinfo=UTC)),
        (1, "m", datetime(2027, 2, 28, 9, tzinfo=UTC)),
        (12, "m", datetime(2028, 1, 31, 9, tzinfo=UTC)),
    ],
)
def test_a_limited_subscription_ends_days_or_months_later(
    clock: Any, length: int, unit: str, ends: datetime | None
) -> None:
    clock.move_to(datetime(2027, 1, 31, 9, tzinfo=UTC))
    service = make_service("trial", validity_length=length, validity_unit=unit)
    subscriptions.subscribe(service, chosen.ids(make_recipients(1)), actor=admin_actor())
    assert Subscription.objects.get(service=service).expiration_date == ends


def test_what_is_over_is_removed_and_told_of_and_renewal_begins_anew(clock: Any) -> None:
    actor, service = admin_actor(), make_service("trial", validity_length=10, validity_unit="d")
    ann, bob, eve = make_recipients(3)
    subscriptions.subscribe(service, chosen.ids([ann, bob, eve]), actor=actor)
    Subscription.objects.filter(recipient_id=eve).update(delete_status=1)
    clock.step(days=6)
    assert subscriptions.subscribe(service, chosen.ids([bob]), actor=actor).renewed == 1
    clock.step(days=5)
    assert subscriptions.expire_subscriptions(actor=actor, limit=1) == 1
    assert subscriptions.expire_subscriptions(actor=actor) == 1
    assert subscriptions.expire_subscriptions(actor=actor) == 0
    assert states(service) == {bob}
    ended = SubHisto.objects.filter(service=service, action=SubAction.UNSUBSCRIBE)
    assert [(each.recipient_id, each.origin) for each in ended] == [(ann, SubOrigin.EXPIRY)]
    # Whoever comes back after that is new.
    assert subscriptions.subscribe(service, chosen.ids([ann, eve]), actor=actor).changed == 2


@pytest.fixture
def sender(monkeypatch: pytest.MonkeyPatch) -> list[confirmations.Batch]:
    batches: list[confirmations.Batch] = []
    monkeypatch.setattr(confirmations, "_sender", lambda batch: batches.append(batch))
    return batches


def test_a_template_asks_for_one_confirmation_of_all_that_changed(sender: list[confirmations.Batch]) -> None:
    actor, service = admin_actor(), make_service("news", subscription_template_id=77)
    ann, bob = make_recipients(2)
    subscriptions.subscribe(service, chosen.ids([ann]), actor=actor, confirm=False)
    assert not OutboxItem.objects.exists()
    subscriptions.subscribe(service, chosen.ids([ann, bob]), actor=actor)
    item = OutboxItem.objects.get()
    line = SubHisto.objects.get(confirmation=Confirmation.ASKED)
    assert line.recipient_id == bob
    confirmations._deliver(item)
    assert sender == [confirmations.Batch(line.batch_id, service.service_id, 77, SubAction.SUBSCRIBE)]
    line.refresh_from_db()
    assert line.confirmation == Confirmation.SENT
    # The end of it has no template of its own here.
    subscriptions.unsubscribe(service, chosen.ids([bob]), actor=actor)
    assert OutboxItem.objects.count() == 1


def test_confirmations_wait_while_nothing_sends_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confirmations, "_sender", None)
    service = make_service("news", subscription_template_id=77)
    subscriptions.subscribe(service, chosen.ids(make_recipients(1)), actor=admin_actor())
    (standing,) = [each for each in outbox.standing() if each.kind == confirmations.KIND]
    assert (standing.waiting, standing.ready) == (1, False)


@pytest.fixture
def ann() -> Actor:
    """One who writes in `mine`, reads `shared`, and does not see the folder of all others."""
    operator = make_operator("ann")
    for name, rights in (("mine", {"write": True}), ("shared", {})):
        allow(make_folder(name, "profilesAndTargets", model="nms:recipient"), operator, **rights)
    allow(Folder.objects.get(name="services"), operator)
    allow(Folder.objects.get(name="recipients"), make_operator("other"))
    return actor_of(operator)


def test_an_operator_changes_the_subscriptions_of_its_own_people_alone(ann: Actor) -> None:
    service = make_service("news")
    (mine,), (shared,), (closed,) = (
        make_recipients(1, folder=name) for name in ("mine", "shared", "recipients")
    )
    everybody = chosen.ids([mine, shared, closed])
    assert subscriptions.subscribe(service, everybody, actor=ann).changed == 1
    assert states(service) == {mine}
    subscriptions.subscribe(service, everybody, actor=admin_actor())
    assert subscriptions.figures(service, actor=ann, since=datetime(2000, 1, 1, tzinfo=UTC)).subscribers == 2
    assert subscriptions.unsubscribe(service, everybody, actor=ann).changed == 1
    assert states(service) == {shared, closed}
    hidden = make_service("hidden", folder=make_folder("secret", "profilesAndTargets", model="nms:service"))
    allow(hidden.folder, make_operator("nobody"))
    with pytest.raises(NotFound):
        subscriptions.subscribe(hidden, everybody, actor=ann)


def test_a_recipient_takes_its_subscriptions_along() -> None:
    actor, service = admin_actor(), make_service("news")
    (one,) = make_recipients(1)
    subscriptions.subscribe(service, chosen.ids([one]), actor=actor)
    writing.remove("nms:recipient", one, actor=actor)
    assert not Subscription.objects.exists()
    assert not SubHisto.objects.exists()


def test_validity_is_a_matter_of_calendar_months() -> None:
    service = make_service("trial", validity_length=1, validity_unit="m")
    start = datetime(2028, 1, 31, tzinfo=UTC)
    assert subscriptions.expiration(service, start) == datetime(2028, 2, 29, tzinfo=UTC)
    assert subscriptions.expiration(make_service("endless"), start) is None
    assert start + timedelta(days=29) == datetime(2028, 2, 29, tzinfo=UTC)
