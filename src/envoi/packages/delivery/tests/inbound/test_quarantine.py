"""The way into quarantine and out of it (delivery.md §3.4)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from envoi.packages.delivery.models import Address, AddressStatus, Channel, FailureReason, FailureType
from envoi.packages.delivery.services.quarantine import Failure, note, succeeded

pytestmark = pytest.mark.django_db
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
WHO = "full@example.org"


def failure(at: datetime = START, kind: int = FailureType.SOFT, **values: Any) -> Failure:
    given: dict[str, Any] = {
        "address": WHO,
        "channel": Channel.EMAIL,
        "delivery_id": None,
        "failure_type": kind,
        "failure_reason": FailureReason.MAILBOX_FULL,
        "text": "552 mailbox full",
        "at": at,
    }
    return Failure(**{**given, **values})


def fail(*failures: Failure) -> dict[int, int]:
    return note(failures, now=max(each.at for each in failures))


def standing(address: str = WHO) -> tuple[AddressStatus, int]:
    found = Address.objects.get(address=address)
    return AddressStatus(found.status), found.error_count


@pytest.mark.case("D42")
@pytest.mark.case("D43")
def test_the_fifth_soft_error_a_day_apart_brings_an_address_into_quarantine() -> None:
    for day in range(4):
        fail(failure(START + day * DAY))
    assert standing() == (AddressStatus.ERRORS, 4)
    fail(failure(START + 4 * DAY, text="552 still full"))
    assert standing() == (AddressStatus.QUARANTINE, 5)
    row = Address.objects.get()
    assert (row.error_text, row.error_reason, row.domain) == ("552 still full", 5, "example.org")
    assert row.last_error == START + 4 * DAY


def test_a_batch_of_days_counts_like_the_days_one_by_one() -> None:
    fail(*(failure(START + day * DAY) for day in (4, 0, 3, 1, 2)))
    assert standing() == (AddressStatus.QUARANTINE, 5)


@pytest.mark.case("D44")
def test_retries_of_a_message_inside_a_day_count_once() -> None:
    for hour in range(5):
        fail(failure(START + timedelta(hours=hour)))
    fail(*(failure(START + timedelta(hours=5, minutes=each)) for each in range(5)))
    assert standing() == (AddressStatus.ERRORS, 1)


@pytest.mark.case("D45")
def test_after_ten_days_without_an_error_the_count_begins_anew() -> None:
    for day in range(3):
        fail(failure(START + day * DAY))
    assert standing() == (AddressStatus.ERRORS, 3)
    fail(failure(START + 13 * DAY))
    assert standing() == (AddressStatus.ERRORS, 1)


def test_errors_that_do_not_count_keep_the_ten_days_from_passing() -> None:
    fail(failure(START), failure(START + 9 * DAY), failure(START + 18 * DAY))
    assert standing() == (AddressStatus.ERRORS, 3)


@pytest.mark.case("D47")
def test_quarantine_outlasts_a_mail_that_arrives_and_errors_do_not() -> None:
    fail(failure(kind=FailureType.HARD, failure_reason=FailureReason.USER_UNKNOWN))
    fail(failure(address="soft@example.org"))
    assert standing() == (AddressStatus.QUARANTINE, 1)
    reached = [(WHO, Channel.EMAIL), ("soft@example.org", Channel.EMAIL), ("new@example.org", 0)]
    assert succeeded(reached, now=START + DAY) == 1
    assert standing() == (AddressStatus.QUARANTINE, 1)
    assert standing("soft@example.org") == (AddressStatus.VALID, 0)
    fail(failure(START + 2 * DAY, address="soft@example.org"))
    assert standing("soft@example.org") == (AddressStatus.ERRORS, 1)


@pytest.mark.parametrize("kind", [FailureType.IGNORED, FailureType.UNDEFINED])
def test_what_is_ignored_or_not_defined_leaves_no_trace(kind: FailureType) -> None:
    assert fail(failure(kind=kind)) == {}
    assert not Address.objects.exists()


def test_an_allowlisted_address_bears_no_error_and_a_complaint_is_for_the_channel_alone() -> None:
    Address.objects.create(address=WHO, status=AddressStatus.ALLOWLISTED, created_at=START, modified_at=START)
    fail(failure(kind=FailureType.HARD), failure(kind=FailureType.HARD, complaint=True))
    assert standing() == (AddressStatus.ALLOWLISTED, 0)
    fail(failure(address="+33612345678", channel=Channel.SMS))
    fail(failure(address="+33612345678", kind=FailureType.HARD, complaint=True))
    found = Address.objects.filter(address="+33612345678").values_list("type", "status").order_by("type")
    assert list(found) == [(0, AddressStatus.DENYLISTED), (1, AddressStatus.ERRORS)]
    fail(failure(address="+33612345678", kind=FailureType.HARD))
    assert Address.objects.get(address="+33612345678", type=0).status == AddressStatus.DENYLISTED


def test_a_delivery_is_told_once_of_each_address_that_it_brought_in(django_assert_num_queries: Any) -> None:
    gone = [failure(kind=FailureType.HARD, address=f"p{n}@example.org", delivery_id=7) for n in range(50)]
    assert note([*gone, *gone], now=START) == {7: 50}
    assert note(gone, now=START) == {}
    with django_assert_num_queries(5):
        note([*gone, failure(START)], now=START)  # two options, rows, locks, result
