"""Limits of destinations, on a time that the test tells."""

import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pytest

from envoi.packages.delivery.services.sending.replies import Reply
from envoi.packages.delivery.services.sending.retries import EMAIL, SMS, Plan, next_attempt
from envoi.packages.delivery.services.sending.throttle import GENERAL, Rule, Source, Throttle, WarmUp

TODAY = date(2026, 11, 26)
A, B, C = (Source(f"192.0.2.{n}", n, f"mx{n}.example.org", weight) for n, weight in ((1, 5), (2, 5), (3, 1)))
OK = Reply(250)


def taken(throttle: Throttle, host: str, source: Source, now: float, most: int = 20_000) -> int:
    """Return how many messages may go in one moment."""
    return next(n for n in range(most) if not throttle.take(host, source, now=now, today=TODAY))


def test_the_first_rule_that_fits_a_host_wins() -> None:
    special, wide = Rule("mta?.mail.example"), Rule("*.mail.example")
    throttle = Throttle([special, wide])
    assert throttle.rule("MTA5.mail.example.") is special
    assert throttle.rule("mta55.mail.example") is wide
    assert throttle.rule("mail.example") is GENERAL
    assert throttle.rule("xmta5-mail.example") is GENERAL


@pytest.mark.case("D26")
def test_an_hour_is_given_out_in_twelfths() -> None:
    throttle = Throttle([Rule("mx.there.example", per_hour=10_000)])
    assert taken(throttle, "mx.there.example", A, 1000.0) == 833
    assert throttle.wait("mx.there.example", A, now=1000.0, today=TODAY) == 200.0
    assert taken(throttle, "mx.there.example", A, 1199.9) == 0
    assert taken(throttle, "mx.there.example", A, 1200.0) == 833
    assert taken(throttle, "mx.there.example", B, 1200.0) == 833, "each address has its own quota"


def test_a_shared_quota_counts_for_all_addresses_and_hosts_of_the_mask() -> None:
    throttle = Throttle([Rule("*.there.example", per_hour=1200, shared=True, connections=2)])
    assert taken(throttle, "a.there.example", A, 0.0) == 100
    assert taken(throttle, "b.there.example", B, 0.0) == 0
    throttle.connected("a.there.example", A)
    throttle.connected("b.there.example", B)
    assert not throttle.may_connect("c.there.example", C, now=0.0)
    throttle.disconnected("a.there.example", A)
    assert throttle.may_connect("c.there.example", C, now=0.0)


def test_several_processes_share_the_limits() -> None:
    throttle = Throttle([Rule("*", per_hour=1200, connections=30)], share=0.5)
    assert taken(throttle, "x.example", A, 0.0) == 50


@pytest.mark.case("D27")
@pytest.mark.parametrize(("blocked", "expected"), [(False, (45, 45, 10)), (True, (0, 83, 17))])
def test_addresses_are_taken_by_weight(blocked: bool, expected: tuple[int, ...]) -> None:
    throttle = Throttle(chance=random.Random(7))
    if blocked:
        throttle.back_off("mx.there.example", A, now=0.0)
    chosen = Counter(
        throttle.choose([A, B, C], "mx.there.example", "there.example", now=1.0, today=TODAY)
        for _ in range(20_000)
    )
    assert tuple(round(chosen[source] / 200) for source in (A, B, C)) == pytest.approx(expected, abs=1)


def test_addresses_serve_the_domains_that_they_are_for() -> None:
    only = Source("192.0.2.4", 4, "h", include=("*.fr",), exclude=("bad.fr",))
    throttle = Throttle()
    for domain, serves in (("orange.fr", True), ("bad.fr", False), ("there.example", False)):
        assert (throttle.choose([only], "mx", domain, now=0, today=TODAY) is only) == serves


def test_a_server_that_asks_for_less_is_left_alone_for_longer_and_longer() -> None:
    throttle = Throttle()
    now, waits = 0.0, []
    for reply in (Reply(421), Reply(450, "", "4.7.28"), Reply(421), Reply(421), Reply(421), Reply(421)):
        throttle.ended("mx", A, good=False, reply=reply, now=now)
        throttle.ended("mx", A, good=False, reply=reply, now=now)
        waits.append(throttle.blocked_for("mx", A, now=now))
        now += waits[-1]
    assert waits == [5, 10, 20, 40, 120, 120]
    assert throttle.blocked_for("mx", B, now=0) == 0
    throttle.ended("mx", A, good=True, reply=OK, now=now)
    throttle.ended("mx", A, good=False, reply=Reply(450, "", "4.2.1"), now=now)
    assert throttle.blocked_for("mx", A, now=now) == 0, "a full mailbox is no request for less"


@pytest.mark.case("D28")
@pytest.mark.parametrize(("total", "errors", "blocked"), [(299, 299, 0), (300, 270, 10_800), (300, 269, 0)])
def test_an_mx_that_refuses_nearly_all_is_blocked(total: int, errors: int, blocked: float) -> None:
    throttle = Throttle()
    for number in range(total):
        good = number < total - errors
        throttle.ended("mx", A, good=good, reply=OK if good else Reply(550), now=float(number))
    assert throttle.blocked_for("mx", A, now=total - 1.0) == blocked


def test_old_results_do_not_count() -> None:
    throttle = Throttle()
    for number in range(400):
        throttle.ended("mx", A, good=False, reply=Reply(550), now=number * 60.0)
    assert throttle.blocked_for("mx", A, now=400 * 60.0) == 0


def test_a_server_that_takes_few_connections_gets_few() -> None:
    throttle = Throttle()
    for _number in range(3):
        throttle.connected("mx", A)
    throttle.turned_away("mx", A, now=0.0)
    throttle.disconnected("mx", A)
    assert throttle.blocked_for("mx", A, now=0.0) == 0, "the two that are open go on"
    assert not throttle.may_connect("mx", A, now=299.0)
    assert throttle.may_connect("mx", A, now=300.0)
    throttle.disconnected("mx", A)
    throttle.turned_away("mx", A, now=0.0)
    assert throttle.blocked_for("mx", A, now=0.0) == 5


def test_greylisting_is_no_request_for_less() -> None:
    throttle = Throttle()
    throttle.ended("mx", A, good=False, reply=Reply(451, "Greylisted, try again", "4.7.1"), now=0.0)
    assert throttle.blocked_for("mx", A, now=0.0) == 0


def test_a_new_address_is_warmed_up() -> None:
    new = Source("192.0.2.9", 9, "h", warm_up=WarmUp(TODAY - timedelta(days=1), (10, 25)))
    throttle = Throttle()
    assert taken(throttle, "a", new, 0.0) + taken(throttle, "b", new, 0.0) == 25
    assert throttle.take("a", new, now=0.0, today=TODAY + timedelta(days=1))
    assert not throttle.take("a", new, now=0.0, today=TODAY - timedelta(days=2))


def test_idle_hosts_are_forgotten() -> None:
    throttle = Throttle()
    for number in range(25_000):
        throttle.take(f"mx{number}", A, now=0.0 if number < 15_000 else 7200.0, today=TODAY)
    assert len(throttle._windows) < 15_000


def retries(plan: Plan, answers: int = 100) -> list[float]:
    """Return the hours after the first attempt at which a message that is always refused is tried again."""
    first = last = datetime(2026, 11, 26, 8, tzinfo=UTC)
    hours: list[float] = []
    for attempts in range(1, answers):
        moment = next_attempt(plan, first=first, last=last, attempts=attempts)
        if moment is None:
            return hours
        hours.append((moment - first) / timedelta(hours=1))
        last = moment
    return hours


def test_a_refused_message_is_tried_five_times_on_the_first_day_then_daily() -> None:
    assert retries(EMAIL) == [1, 2, 3, 4, 5, 29, 53, 77, 101]
    assert retries(SMS)[:6] == [0.25, 0.5, 0.75, 1, 1.25, 25.25]
    assert retries(Plan(validity=timedelta(hours=2))) == [1]


def test_a_late_retry_is_not_made_up_for() -> None:
    first = datetime(2026, 11, 26, 8, tzinfo=UTC)
    late = first + timedelta(hours=23, minutes=30)
    assert next_attempt(EMAIL, first=first, last=late, attempts=3) == late + timedelta(days=1)


def test_a_rule_may_be_about_some_of_our_addresses_only() -> None:
    throttle = Throttle(
        [
            Rule("*.there.example", per_hour=1200, shared=True, public_ids=((1, 2),)),
            Rule("*.there.example", per_hour=2400, shared=True, public_ids=((3, 9),)),
        ]
    )
    assert taken(throttle, "a.there.example", A, 0.0) == 100
    assert taken(throttle, "a.there.example", B, 0.0) == 0, "they share it"
    assert taken(throttle, "a.there.example", C, 0.0) == 200


def test_other_rules_hold_at_once_and_blocks_can_be_seen_and_lifted() -> None:
    throttle = Throttle([Rule("*.there.example", per_hour=1200)])
    throttle.ended("a.there.example", A, good=False, reply=Reply(421, "4.7.0 busy"), now=0.0)
    assert throttle.blocked(now=1.0) == {("*.there.example", 1): 4.0}
    throttle.follow([Rule("*.there.example", per_hour=12)])
    assert throttle.blocked_for("a.there.example", A, now=1.0) == 4.0
    throttle.block(("*.there.example", 1), 0, now=1.0)
    assert taken(throttle, "b.there.example", A, 1.0) == 1
    throttle.block(("*.there.example", 2), 60, now=1.0)
    assert throttle.blocked_for("a.there.example", B, now=1.0) == 60.0
