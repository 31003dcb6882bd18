from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from django.db import connection

from envoi.kernel import clock as product_clock
from envoi.kernel.clock import Frozen
from envoi.kernel.testing import admin_actor
from envoi.packages.delivery.models import (
    BroadLogRcp,
    Delivery,
    DeliveryRun,
    DeliveryState,
    DlvExclusion,
    FailureReason,
    MessageStatus,
    Recipient,
    RuleType,
    Typology,
    TypologyRule,
)
from envoi.packages.delivery.services import analysis, typologies
from envoi.packages.delivery.services.typologies.pressure import Window, window
from envoi.packages.delivery.testing import make_delivery, make_recipients

pytestmark = pytest.mark.django_db
CLEAN = {"black_list": 0, "black_list_email": 0}


def on(month: int, day: int, hour: int = 10) -> datetime:
    return datetime(2027, month, day, hour, tzinfo=ZoneInfo(settings.CONFIG.instance.timezone))


def people(count: int) -> list[int]:
    ids = list(make_recipients(count, **CLEAN))
    for number, each in enumerate(ids):
        Recipient.objects.filter(pk=each).update(email=f"a{number}@example.org", last_name=f"L{number}")
    return ids


def pressure(name: str = "fatigue", **definition: Any) -> TypologyRule:
    """Make a rule that every delivery without a typology of its own is under."""
    actor = admin_actor()
    rule = typologies.create_rule(
        name, actor=actor, type=RuleType.PRESSURE, definition={"threshold": 3, "days": 14, **definition}
    )
    typologies.put_in(typologies.find_typology(typologies.DEFAULT), rule, actor=actor)
    return rule


def sent(when: datetime, targeting: Any = None, **values: Any) -> tuple[Delivery, set[int], set[int]]:
    """Analyse a delivery for a moment; returns whom it reaches, and whom a pressure rule kept out."""
    delivery, run = ready(when, targeting, **values)
    logs = BroadLogRcp.objects.filter(run_id=run.pk)
    held = logs.filter(failure_reason=FailureReason.ARBITRATION).values_list("target_id", flat=True)
    kept = logs.filter(status=MessageStatus.PENDING).values_list("target_id", flat=True)
    return delivery, set(kept), set(held)


def ready(when: datetime, targeting: Any = None, **values: Any) -> tuple[Delivery, DeliveryRun]:
    columns = {name: values.pop(name) for name in ("weight", "typology") if name in values}
    delivery = make_delivery(targeting, contact_date=when, **values)
    if columns:
        Delivery.objects.filter(pk=delivery.pk).update(**columns)
        delivery.refresh_from_db()
    run = analysis.work(analysis.start(delivery, actor=admin_actor(), queue=False).pk, actor=admin_actor())
    delivery.refresh_from_db()
    assert delivery.status in (DeliveryState.READY, DeliveryState.START_PENDING)
    return delivery, run


def out(*made: Delivery) -> None:
    """Let deliveries be sent: every pending message arrives."""
    for each in made:
        BroadLogRcp.objects.filter(delivery_id=each.pk, status=MessageStatus.PENDING).update(
            status=MessageStatus.SENT
        )
        Delivery.objects.filter(pk=each.pk).update(
            state=DeliveryState.FINISHED, broad_start=each.contact_date
        )


DATES = ((5, 30), (6, 3), (6, 8), (6, 12), (6, 22), (6, 30))


@pytest.mark.case("D16", "D17")
@pytest.mark.parametrize(
    ("grouping", "excluded"),
    [("month", {(6, 12), (6, 30)}), ("quarter", {(6, 12), (6, 22), (6, 30)}), ("none", {(6, 12)})],
)
@pytest.mark.parametrize("goes_out", [True, False], ids=["sent", "scheduled"])
def test_at_most_three_messages_in_a_fortnight_widened_to_whole_units(
    clock: Frozen, grouping: str, excluded: set[tuple[int, int]], goes_out: bool
) -> None:
    [ann] = people(1)
    pressure(threshold=3, days=14, grouping=grouping)
    found: set[tuple[int, int]] = set()
    for month, day in DATES:
        clock.move_to(on(month, day, 9) if goes_out else on(5, 1))
        made, kept, held = sent(on(month, day))
        assert kept | held == {ann}
        if held:
            found.add((month, day))
        if goes_out:
            out(made)
    assert found == excluded


@pytest.mark.case("D18")
def test_the_window_of_a_delivery() -> None:
    day = date(2027, 12, 11)
    assert window(day, 15, "none") == Window(date(2027, 11, 27), date(2027, 12, 12))
    assert window(day, 15, "none", provisional=True) == Window(date(2027, 11, 27), date(2027, 12, 27))
    assert window(day, 15, "month") == Window(date(2027, 11, 1), date(2028, 1, 1))
    # No days: the unit that the delivery lies in, alone.
    assert window(day, 0, "week") == Window(date(2027, 12, 6), date(2027, 12, 13))
    assert window(day, 0, "none") == Window(day, date(2027, 12, 12))
    assert window(date(2027, 11, 30), 1, "month") == Window(date(2027, 11, 1), date(2027, 12, 1))
    assert window(day, 400, "year") == Window(date(2026, 1, 1), date(2028, 1, 1))
    assert window(date(2027, 4, 1), 2, "quarter") == Window(date(2027, 1, 1), date(2027, 7, 1))


@pytest.mark.case("D18")
@pytest.mark.parametrize(
    ("provisional", "counted"),
    [(False, {(11, 27), (12, 11)}), (True, {(11, 27), (12, 11), (12, 12), (12, 26)})],
)
def test_what_lies_on_the_edges_of_the_window_is_counted(
    clock: Frozen, provisional: bool, counted: set[tuple[int, int]]
) -> None:
    clock.move_to(on(11, 1))
    ids = dict(zip([(11, 26), (11, 27), (12, 11), (12, 12), (12, 26), (12, 27)], people(6), strict=True))
    for (month, day), each in ids.items():
        # From the first to the last minute of the period, whatever UTC thinks of the day.
        hour = 0 if (month, day) in {(11, 27), (12, 12), (12, 27)} else 23
        out(ready(on(month, day, hour), {"filter": f"@id = {each}"})[0])
    pressure(threshold=1, days=15, provisional=provisional)
    _made, _kept, held = sent(on(12, 11))
    assert held == {ids[each] for each in counted}


@pytest.mark.case("D21")
def test_a_threshold_of_nothing_excludes_everybody() -> None:
    ids = people(3)
    rule = pressure(threshold=0)
    made, kept, held = sent(product_clock.now() + timedelta(days=1))
    assert (kept, held) == (set(), set(ids))
    [counted] = DlvExclusion.objects.filter(delivery=made)
    assert (counted.failure_reason, counted.rule, counted.count) == (12, "fatigue", 3)
    assert typologies.label_of(counted.rule) == rule.label


def test_of_what_is_scheduled_the_greater_weight_counts_and_of_equal_ones_the_earlier(
    clock: Frozen,
) -> None:
    clock.move_to(on(3, 1))
    [ann] = people(1)
    pressure(threshold=1, days=7, grouping="week", weight=5)
    light, kept, _held = sent(on(3, 4), weight=3)
    assert kept == {ann}
    # It comes later and is heavier, so what is scheduled before does not stand in its way.
    heavy, kept, _held = sent(on(3, 5))
    assert kept == {ann}
    assert sent(on(3, 4))[1] == {ann}  # as heavy as that, and earlier
    assert sent(on(3, 6))[2] == {ann}
    # What goes out goes out, whatever its weight.
    clock.move_to(on(3, 4, 11))
    Delivery.objects.filter(pk=light.pk).update(state=DeliveryState.IN_PROGRESS)
    Delivery.objects.exclude(pk__in=[light.pk, heavy.pk]).filter(is_model=False).update(
        state=DeliveryState.STOPPED
    )
    assert sent(on(3, 5), weight=9)[2] == {ann}
    BroadLogRcp.objects.filter(delivery_id=light.pk).update(status=MessageStatus.FAILED)
    assert sent(on(3, 5), weight=9)[1] == {ann}


def test_threshold_and_weight_may_follow_from_the_person(clock: Frozen) -> None:
    clock.move_to(on(3, 1))
    ann, bob, eve = people(3)
    Recipient.objects.filter(pk=ann).update(last_name="VIP")
    pressure(
        threshold="Iif(@lastName = 'VIP', 2, 1)",
        weight="Iif(@lastName = 'VIP', 9, 5)",
        days=7,
        recipients=f"@id <> {eve}",
    )
    out(ready(on(3, 2), {"filter": f"@id = {ann} OR @id = {bob} OR @id = {eve}"})[0])
    assert sent(on(3, 3))[1:] == ({ann, eve}, {bob})
    # The message of the third to ann is as heavy as the rule says for her, 9.
    assert sent(on(3, 3, 9), weight=8)[1:] == ({eve}, {ann, bob})
    assert sent(on(3, 3, 9), weight=10)[1:] == ({ann, eve}, {bob})


def test_only_deliveries_that_the_rule_names_count_and_never_proofs(
    clock: Frozen,
) -> None:
    clock.move_to(on(3, 1))
    [ann] = people(1)
    pressure(threshold=1, days=7, deliveries="@code = 'ad'")
    out(ready(on(3, 2), code="service")[0], ready(on(3, 2), code="ad", proof=True)[0])
    assert sent(on(3, 3), code="service")[1] == {ann}
    out(ready(on(3, 3), code="ad")[0])
    assert sent(on(3, 4), code="service")[2] == {ann}
    assert sent(on(3, 4), proof=True)[1] == {ann}
    # Another typology: the rule is none of its own.
    actor = admin_actor()
    other = typologies.create_typology("plain", actor=actor)
    assert sent(on(3, 4), typology=Typology.objects.get(pk=other.pk))[1] == {ann}


def test_logs_of_runs_outside_of_the_window_are_not_read(clock: Frozen) -> None:
    clock.move_to(on(1, 1))
    [ann] = people(1)
    out(ready(on(1, 2))[0])
    clock.move_to(on(6, 1))
    rule = pressure(threshold=1, days=7)
    from envoi.packages.delivery.services.analysis import target
    from envoi.packages.delivery.services.typologies import pressure as room

    delivery = make_delivery(contact_date=on(6, 2))
    run = DeliveryRun.objects.create(delivery=delivery, storage="rcp", started_at=product_clock.now())
    with connection.cursor() as cursor:
        name = target.table(run)
        cursor.execute(f"CREATE TABLE {name} AS SELECT {ann}::bigint AS id, 0 AS reason, 0 AS rule")
        seen: list[str] = []

        def watch(execute: Any, sql: Any, params: Any, many: Any, context: Any) -> Any:
            seen.append(str(params))
            return execute(sql, params, many, context)

        with connection.execute_wrapper(watch):
            assert room.apply(run, delivery, rule, name) == 0
    assert "'runs': []" in seen[-1]
    assert "'last': -1" in seen[-1]
