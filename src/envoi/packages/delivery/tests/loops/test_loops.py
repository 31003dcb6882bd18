"""Loops over collections of a reader: read for a part at once, sorted and bounded in the database."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from envoi.kernel import clock as product_clock
from envoi.kernel.models import Folder
from envoi.kernel.testing import admin_actor
from envoi.packages.delivery.models import DeliveryPart, JobLevel, JobLog, Recipient, SeedMember, Subscription
from envoi.packages.delivery.services import analysis, chosen, content, deliveries, subscriptions
from envoi.packages.delivery.services.content import loops, preview
from envoi.packages.delivery.testing import make_delivery, make_recipients, make_service

pytestmark = pytest.mark.django_db
ALL = "{% for each in recipient.subscription %}{{ each.service.label }};{% endfor %}"
LAST = (
    '{% for s in (recipient.subscription|sort(attribute="created", reverse=true))[:2] %}'
    "{{ s.service.label }}={{ s.created|date }};{% else %}none{% endfor %}"
)


def readers(count: int) -> list[int]:
    """Recipients of whom the n-th subscribes to n services, one a day."""
    ids = list(make_recipients(count, black_list=0, black_list_email=0, email_format=0))
    services = [make_service(name, label=name) for name in ("north", "south", "west")]
    for number, each in enumerate(ids):
        Recipient.objects.filter(pk=each).update(email=f"a{number}@example.org")
        for day, service in enumerate(services[:number]):
            subscriptions.subscribe(service, chosen.ids([each]), actor=admin_actor())
            Subscription.objects.filter(recipient_id=each, service=service).update(
                created_at=product_clock.now() + timedelta(days=day)
            )
    return ids


def made(delivery: Any) -> dict[int, str]:
    run = analysis.work(analysis.start(delivery, actor=admin_actor(), queue=False).pk, actor=admin_actor())
    assert [deliveries.text(e) for e in JobLog.objects.filter(run=run, level=JobLevel.ERROR)] == []
    loaded = content.load(run)
    found: dict[int, str] = {}
    for part in DeliveryPart.objects.filter(run=run):
        with CaptureQueriesContext(connection) as asked:
            rows = loaded.rows(run.storage, part.first_id, part.last_id)
        # Whatever the number of messages, one statement more (and savepoints, and one for data of seeds).
        reads = [each for each in asked.captured_queries if "envoi_log" in each["sql"]]
        assert len(reads) == 2
        for row in rows:
            found[row.target_id] = loaded.render(row).text
    return found


def test_each_reader_sees_rows_of_their_own(clock: Any) -> None:
    ids = readers(4)
    texts = made(make_delivery(text_source=ALL))
    assert [set(texts[each].split(";")) - {""} for each in ids] == [
        set(), {"north"}, {"north", "south"}, {"north", "south", "west"},
    ]  # fmt: skip


def test_rows_are_sorted_and_bounded(clock: Any) -> None:
    ids = readers(4)
    texts = made(make_delivery(text_source=LAST))
    labels = [[each.partition("=")[0] for each in texts[number].split(";") if each] for number in ids]
    assert labels == [["none"], ["north"], ["south", "north"], ["west", "south"]]


def test_a_preview_and_a_seed_see_rows_too(clock: Any) -> None:
    ids = readers(3)
    seed = SeedMember.objects.create(
        email="seed@example.org", label="Seed", folder=Folder.objects.get(name="seedAddresses"),
        created_at=product_clock.now(), modified_at=product_clock.now(),
    )  # fmt: skip
    delivery = make_delivery({"filter": f"@id = {ids[2]}", "seeds": {"ids": [seed.pk]}}, text_source=LAST)
    reader = preview.find(delivery, "a2@example.org", actor=admin_actor())
    shown = preview.preview(delivery, actor=admin_actor(), reader=reader).parts["text"]
    assert shown.startswith("south=")
    texts = made(delivery)
    assert texts[-seed.pk] == texts[ids[2]] == shown


def test_what_is_read_of_a_loop_is_found() -> None:
    inner = "{% for d in a.rows %}{{ d.no }}{{ a.e }}{% endfor %}"
    nested = f"{{% for a in recipient.x %}}{{{{ a.b.c }}}}{inner}{{% endfor %}}{{{{ a.f }}}}"
    assert loops.of({"html": nested})["recipient.x"] == loops.Loop({"b.c", "rows", "e"})
    few, more = (
        "{% for a in recipient.x[:2] %}{{ a.b }}{% endfor %}",
        "{% for a in recipient.x[:9] %}{{ a.d }}{% endfor %}",
    )
    assert loops.of({"text": few + more})["recipient.x"] == loops.Loop({"b", "d"}, most=9)


def test_what_is_cut_off_is_read_too(clock: Any) -> None:
    (one,) = readers(1)
    Recipient.objects.filter(pk=one).update(first_name="Zoë")
    delivery = make_delivery(text_source="{{ recipient.firstName[:2] }}")
    run = analysis.work(analysis.start(delivery, actor=admin_actor(), queue=False).pk, actor=admin_actor())
    loaded = content.load(run)
    assert [loaded.render(row).text for row in loaded.first()] == ["Zo"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ recipient.subscription }}", "recipient.subscription is a collection: go through it"),
        ("{% for s in recipient.subscription %}{{ s.servise.label }}{% endfor %}", "Did you mean"),
        ("{% for s in recipient.orders %}{{ s.x }}{% endfor %}", "recipient.orders is no field"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_remedy(text: str, said: str) -> None:
    readers(1)
    delivery = make_delivery(text_source=text)
    run = analysis.work(analysis.start(delivery, actor=admin_actor(), queue=False).pk, actor=admin_actor())
    (error,) = [deliveries.text(each) for each in JobLog.objects.filter(run=run, level=JobLevel.ERROR)]
    assert said in error
