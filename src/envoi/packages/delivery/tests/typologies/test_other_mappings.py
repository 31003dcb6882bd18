"""Deliveries on every mapping that the product ships, and the logs of each in the registry."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client

from envoi.kernel import clock, query, registry
from envoi.kernel.errors import Invalid, NotFound
from envoi.kernel.models import Folder, Operator
from envoi.kernel.query import Condition, Field, QueryDef
from envoi.kernel.rights import Right, actor_of
from envoi.kernel.testing import admin_actor, allow, make_folder, make_operator
from envoi.kernel.writing import may_remove, may_write, writable
from envoi.packages.delivery.models import (
    Delivery,
    DeliveryMapping,
    DeliveryRun,
    DeliveryState,
    Recipient,
    Visitor,
    VisitorSub,
)
from envoi.packages.delivery.services import (
    analysis,
    chosen,
    deliveries,
    log_tables,
    mappings,
    subscriptions,
)
from envoi.packages.delivery.testing import make_delivery, make_recipients, make_service

pytestmark = pytest.mark.django_db


def visitor(email: str, folder: Folder | None = None, **columns: Any) -> Visitor:
    where = folder or Folder.objects.get(name="visitors")
    now = clock.now()
    return Visitor.objects.create(email=email, folder=where, created_at=now, modified_at=now, **columns)


def analyse(mapping: str, **values: Any) -> DeliveryRun:
    delivery = make_delivery(text_source="Leave: https://x.example/unsubscribe", **values)
    Delivery.objects.filter(pk=delivery.pk).update(mapping=DeliveryMapping.objects.get(name=mapping))
    run = analysis.work(analysis.start(delivery, actor=admin_actor(), queue=False).pk, actor=admin_actor())
    delivery.refresh_from_db()
    assert delivery.status is DeliveryState.READY
    return run


def settled(run: DeliveryRun, storage: str, statuses: dict[int, int]) -> None:
    """Let a delivery be over, its messages with these statuses by target."""
    with connection.cursor() as cursor:
        for target, status in statuses.items():
            cursor.execute(
                f"UPDATE nms_broad_log_{storage} SET status = %s WHERE run_id = %s AND target_id = %s",
                [status, run.pk, target],
            )
            assert cursor.rowcount == 1
    Delivery.objects.filter(pk=run.delivery_id).update(state=DeliveryState.FINISHED)
    run.delivery.refresh_from_db()


def targets(run: DeliveryRun, storage: str) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT target_id FROM nms_broad_log_{storage} WHERE run_id = %s AND status = 6 ORDER BY 1",
            [run.pk],
        )
        return [row[0] for row in cursor.fetchall()]


def logs(name: str, actor: Any = None, link: str = "target") -> dict[int, tuple[str, int]]:
    definition = QueryDef(
        name, select=(Field(f"[@{link}-id]"), Field("@address"), Field("@failureReason")), line_count=100
    )
    rows = query.run(definition, actor=actor or admin_actor()).rows
    return {target: (address, reason) for target, address, reason in rows}


def test_visitors() -> None:
    hidden = make_folder("hidden", model="nms:visitor")
    allow(hidden, make_operator("keeper"))
    ann, bob = visitor("ann@example.org"), visitor("bob@example.org", hidden)
    twin = visitor("ann@example.org")
    run = analyse("mapVisitor")
    expected = {ann.pk: (ann.email, 0), bob.pk: (bob.email, 0), twin.pk: (twin.email, 10)}
    assert logs("nms:broadLogVisitor", link="visitor") == expected
    # Whoever does not see a visitor does not see what was written to it.
    joe = actor_of(make_operator("joe", rights=(Right.PREPARE_DELIVERIES,)))
    assert set(logs("nms:broadLogVisitor", joe, link="visitor")) == {ann.pk, twin.pk}
    reached = QueryDef(
        "nms:visitor",
        select=(Field("@email"),),
        where=(
            Condition(
                "[broadLog]", set_operator="EXISTS",
                conditions=(Condition(f"[delivery/@id] = {run.delivery_id} AND @status = 6"),),
            ),
        ),
    )  # fmt: skip
    assert len(query.run(reached, actor=admin_actor()).rows) == 2
    client = Client()
    client.force_login(Operator.objects.get(name="admin"), "django.contrib.auth.backends.ModelBackend")
    listed = client.get("/data/nms/broadLogVisitor/?c=@address")
    assert listed.status_code == 200
    assert b"bob@example.org" in listed.content
    apart = analyse("mapVisitor", exclusion_log=True)
    assert logs("nms:exclLogVisitor", link="visitor") == {twin.pk: (twin.email, 10)}
    counted = QueryDef("nms:delivery", select=(Field("Count([broadLogVisitor/@id])"),),
                       where=(Condition(f"@id = {apart.delivery_id}"),))  # fmt: skip
    assert query.run(counted, actor=admin_actor()).rows == [(2,)]


def test_once_more_to_the_visitors_who_did_not_get_it() -> None:
    ann, bob, eve = (visitor(f"{name}@example.org") for name in ("ann", "bob", "eve"))
    run = analyse("mapVisitor")
    settled(run, "visitor", {ann.pk: 1, bob.pk: 2, eve.pk: 2})
    again = deliveries.resend(run.delivery, actor=admin_actor())
    first = analysis.work(again.run_id or 0, actor=admin_actor())
    assert targets(first, "visitor") == [bob.pk, eve.pk]
    again.refresh_from_db()
    # Whatever the filter is made to say, nobody comes in who has got it.
    deliveries.change(again, {"targeting": {**again.targeting, "filter": "@id > 0"}}, actor=admin_actor())
    second = analysis.work(analysis.start(again, actor=admin_actor(), queue=False).pk, actor=admin_actor())
    assert targets(second, "visitor") == [bob.pk, eve.pk]


def test_subscriptions_of_recipients_and_of_visitors() -> None:
    service = make_service("news")
    ann, bob = make_recipients(2, black_list=0, black_list_email=0)
    Recipient.objects.filter(pk=ann).update(email="ann@example.org")
    Recipient.objects.filter(pk=bob).update(email="bob@example.org", black_list_email=1)
    subscriptions.subscribe(service, chosen.ids([ann, bob]), actor=admin_actor())
    run = analyse("mapSubscribe")
    found = sorted(logs("nms:broadLogSub", link="subscription").values())
    assert found == [("ann@example.org", 0), ("bob@example.org", 8)]
    assert run.storage == "sub"
    eve = visitor("eve@example.org")
    now = clock.now()
    VisitorSub.objects.create(visitor=eve, service=service, created_at=now)
    analyse("mapVisitorSub")
    assert list(logs("nms:broadLogVisitorSub", link="visitorSub").values()) == [("eve@example.org", 0)]


def test_operators() -> None:
    ann, bob = make_operator("ann", email="ann@example.org"), make_operator("bob")
    Operator.objects.exclude(pk__in=[ann.pk, bob.pk]).update(email="")
    analyse("mapOperator")
    found = logs("nms:broadLogOperator", link="operator")
    assert found[ann.pk] == ("ann@example.org", 0)
    assert found[bob.pk][1] == 7
    # Operators lie in no folder: their logs are bound by that of the delivery.
    assert registry.fresh()["nms:broadLogOperator"].folder == ("delivery", "folder")


def test_a_mapping_without_an_address_is_refused_before() -> None:
    delivery = make_delivery(mapping="mapService")
    with pytest.raises(Invalid, match="no address"):
        analysis.start(delivery, actor=admin_actor())
    assert logs("nms:broadLogService", link="service") == {}


def test_logs_of_a_mapping_come_and_go_with_it_and_are_read_only() -> None:
    actor = admin_actor()
    mappings.create(
        "mapGroups",
        actor=actor,
        label="Groups",
        schema="nms:group",
        storage="grp",
        addresses={"email": "@name"},
    )
    schema = registry.fresh()["nms:broadLogGrp"]
    assert schema.label == "Delivery logs: Groups"
    assert registry.fresh()["nms:group"].links["broadLog"].target == "nms:broadLogGrp"
    partition = log_tables.partition("broad_log", "grp", 1)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {partition} (id, run_id, target_id, delivery_id, modified_at) SELECT 7,1,1,1, %s",
            [clock.now()],
        )
    assert writable(schema, actor=actor, creating=True) == {}
    assert not may_write(schema, 7, actor=actor)
    assert not may_remove(schema, 7, actor=actor)
    mappings.delete("mapGroups", actor=actor)
    with pytest.raises(NotFound):
        registry.fresh()["nms:broadLogGrp"]
    assert "broadLog" not in registry.fresh()["nms:group"].links
