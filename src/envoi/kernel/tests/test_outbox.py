import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connection, transaction

from envoi.kernel import clock as kernel_clock
from envoi.kernel import outbox
from envoi.kernel.errors import Broken
from envoi.kernel.models import OutboxItem
from envoi.kernel.models.outbox import OutboxState


class Receiver:
    """A handler of kind `test` that notes what it gets."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.error: Exception | None = None
        self.ready = True

    def deliver(self, item: OutboxItem) -> str | None:
        self.keys.append(item.key)
        if self.error is not None:
            raise self.error
        return None


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    made = Receiver()
    handler = outbox.Handler("test", made.deliver, lambda: made.ready)
    monkeypatch.setitem(outbox._handlers, "test", handler)
    return made


@pytest.mark.django_db
def test_posted_in_a_transaction_that_rolls_back_it_never_was(receiver: Receiver) -> None:
    with transaction.atomic():
        outbox.post("test", "one", {})
        transaction.set_rollback(True)
    outbox.post("test", "two", {"a": 1})
    assert list(OutboxItem.objects.values_list("key", flat=True)) == ["two"]


@pytest.mark.django_db
def test_a_key_is_posted_once(receiver: Receiver) -> None:
    first = outbox.post("test", "one", {"a": 1})
    assert outbox.post("test", "one", {"a": 2}).pk == first.pk
    assert OutboxItem.objects.get().payload == {"a": 1}


@pytest.mark.django_db
def test_a_kind_without_a_handler_is_refused() -> None:
    with pytest.raises(Broken, match="No handler"):
        outbox.post("pigeon", "one", {})
    outbox.register(outbox.Handler("mail", outbox._handlers["mail"].deliver, lambda: True))
    with pytest.raises(Broken, match="Two handlers"):
        outbox.register(outbox.Handler("mail", lambda item: None, lambda: True))


def test_delivered_once_in_order_of_due_time(committed_db: object, receiver: Receiver, clock) -> None:
    now = kernel_clock.now()
    outbox.post("test", "late", {}, due_at=now + timedelta(hours=1))
    outbox.post("test", "second", {})
    outbox.post("test", "first", {}, due_at=now - timedelta(minutes=1))
    assert outbox.deliver() == outbox.Delivered(done=2)
    assert outbox.deliver() == outbox.Delivered()
    assert receiver.keys == ["first", "second"]
    clock.step(hours=1)
    assert outbox.deliver(limit=1) == outbox.Delivered(done=1)
    assert not OutboxItem.objects.exclude(state=OutboxState.DONE).exists()


def test_tried_again_with_growing_delay_then_given_up(
    committed_db: object, receiver: Receiver, clock
) -> None:
    outbox.post("test", "one", {})
    receiver.error = OSError("no route")
    waited = []
    for attempt in range(1, outbox.ATTEMPTS):
        assert outbox.deliver() == outbox.Delivered(retried=1)
        item = OutboxItem.objects.get()
        assert (item.attempts, item.error) == (attempt, "OSError: no route")
        waited.append((item.due_at - kernel_clock.now()) / timedelta(minutes=1))
        clock.move_to(item.due_at - timedelta(seconds=1))
        assert outbox.deliver() == outbox.Delivered()
        clock.move_to(item.due_at)
    assert waited == [1, 2, 4, 8, 16, 32, 64, 128, 256, 360, 360]
    assert outbox.deliver() == outbox.Delivered(failed=1)
    clock.step(days=9)
    assert outbox.deliver() == outbox.Delivered()
    assert OutboxItem.objects.get().state == OutboxState.FAILED
    receiver.error = None
    outbox.again(OutboxItem.objects.get())
    assert outbox.deliver() == outbox.Delivered(done=1)


def test_what_can_never_succeed_is_not_tried_again(committed_db: object, receiver: Receiver) -> None:
    outbox.post("test", "one", {})
    receiver.error = outbox.Permanent("gone for good")
    assert outbox.deliver() == outbox.Delivered(failed=1)
    assert OutboxItem.objects.get().error == "Permanent: gone for good"


def test_without_a_ready_handler_items_wait_and_are_seen(committed_db: object, receiver: Receiver) -> None:
    receiver.ready = False
    posted = outbox.post("test", "one", {})
    assert outbox.deliver() == outbox.Delivered()
    assert outbox.standing() == [outbox.Standing("test", 1, 0, posted.created_at, False)]
    assert OutboxItem.objects.get().attempts == 0
    receiver.ready = True
    assert outbox.deliver() == outbox.Delivered(done=1)
    assert outbox.standing() == []


def test_a_handler_that_fails_in_the_database_does_not_lose_the_item(
    committed_db: object, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(item: OutboxItem) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1/0")

    monkeypatch.setitem(outbox._handlers, "test", outbox.Handler("test", broken, lambda: True))
    outbox.post("test", "one", {})
    assert outbox.deliver() == outbox.Delivered(retried=1)
    assert "division by zero" in OutboxItem.objects.get().error


def test_two_processes_never_take_the_same_item(
    committed_db: object, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of two threads is held inside of its first item until the other is inside of one too."""
    both = threading.Barrier(2, timeout=20)
    seen: list[str] = []

    def slow(item: OutboxItem) -> None:
        seen.append(item.key)
        if len(seen) <= 2:
            both.wait()

    monkeypatch.setitem(outbox._handlers, "test", outbox.Handler("test", slow, lambda: True))
    for index in range(6):
        outbox.post("test", f"item {index}", {})

    def work() -> None:
        try:
            outbox.deliver()
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == [f"item {index}" for index in range(6)]


def test_a_process_that_dies_before_its_note_delivers_again_with_the_same_key(
    committed_db: object, receiver: Receiver
) -> None:
    outbox.post("test", "one", {})
    receiver.error = KeyboardInterrupt()  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        outbox.deliver()
    receiver.error = None
    assert outbox.deliver() == outbox.Delivered(done=1)
    assert receiver.keys == ["one", "one"]
