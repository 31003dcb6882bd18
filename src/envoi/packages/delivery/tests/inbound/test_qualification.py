"""Texts of servers, kept once and qualified (delivery.md §3.3)."""

import pytest

from envoi.kernel import options
from envoi.kernel.testing import admin_actor
from envoi.packages.delivery.models import BroadLogMsg, FailureReason, FailureType, Qualification
from envoi.packages.delivery.services.qualification import Said, Verdict, qualify

pytestmark = pytest.mark.django_db
NEW = "550 strange answer for user {} at {}"


def kept(msg_id: int) -> BroadLogMsg:
    return BroadLogMsg.objects.get(pk=msg_id)


@pytest.mark.case("D52")
def test_a_new_text_waits_to_be_qualified_and_its_like_are_counted_to_a_hundred_thousand() -> None:
    first, second = qualify(
        [
            Said("strange answer for user 123 at x@y.example", 550),
            Said("strange answer for user 98765 at other.person@shop.example", 550),
        ]
    )
    row = kept(first.msg_id)
    assert first == second == Verdict(row.pk, FailureType.UNDEFINED, FailureReason.NONE)
    assert (row.text, row.first_text) == (
        "550 strange answer for user #NUMBER# at *",
        "550 strange answer for user 123 at x@y.example",
    )
    assert (row.qualification, row.failure_reason, row.occurrences) == (Qualification.TO_QUALIFY, 0, 2)

    BroadLogMsg.objects.filter(pk=row.pk).update(occurrences=99_999)
    qualify([Said("strange answer for user 7 at a@b.example", 550)] * 3)
    qualify([Said("strange answer for user 8 at a@b.example", 550)])
    assert kept(row.pk).occurrences == 100_000
    assert BroadLogMsg.objects.count() == 1


def test_a_text_that_a_rule_knows_has_its_meaning_at_once() -> None:
    hard, full = qualify([Said("user unknown", 550, "5.1.1"), Said("mailbox is full", 452, "4.2.2")])
    assert (hard.failure_type, hard.failure_reason) == (FailureType.HARD, FailureReason.USER_UNKNOWN)
    assert (full.failure_type, full.failure_reason) == (FailureType.SOFT, FailureReason.MAILBOX_FULL)
    row = kept(hard.msg_id)
    assert (row.qualification, row.rule) == (Qualification.KEEP, "User_unknown")


@pytest.mark.parametrize(
    ("said", "failure_type", "reason"),
    [
        (Said("unknown user", 450, "4.1.1"), FailureType.SOFT, FailureReason.USER_UNKNOWN),
        (Said("user unknown", 550, "5.1.1", "mail"), FailureType.SOFT, FailureReason.REFUSED),
        (Said("the server takes 7-bit text only (8BITMIME)", 0, "5.6.3"), FailureType.IGNORED, 20),
        (Said("there is no domain nowhere.example", 0, "5.1.2", "route"), FailureType.SOFT, 2),
        (Said("x@y.example: Greylisted, see http://z.example", 451, "4.7.1"), FailureType.IGNORED, 20),
        (Said("no", 550), FailureType.UNDEFINED, FailureReason.NONE),
    ],
)
def test_a_text_means_what_it_can_mean_where_it_was_said(
    said: Said, failure_type: FailureType, reason: int
) -> None:
    (found,) = qualify([said])
    assert (found.failure_type, found.failure_reason) == (failure_type, reason)


def test_what_an_operator_decided_about_a_text_holds() -> None:
    (found,) = qualify([Said("user unknown", 550, "5.1.1")])
    BroadLogMsg.objects.filter(pk=found.msg_id).update(qualification=Qualification.IGNORE)
    (again,) = qualify([Said("user unknown", 550, "5.1.1")])
    assert (again.msg_id, again.failure_type) == (found.msg_id, FailureType.IGNORED)


def test_an_instance_takes_out_more_of_a_text_and_any_bytes_can_be_kept() -> None:
    options.set("NmsBroadcast_RegexRules", "ticket [A-Z]{3} => #ID#\n[broken => x", actor=admin_actor())
    one, other = qualify([Said("ticket ABC closed", 550), Said("ticket XYZ closed", 550)])
    assert one.msg_id == other.msg_id
    assert kept(one.msg_id).text == "550 #ID# closed"
    (odd,) = qualify([Said("nul \x00 and half \udc80 " + "x " * 9_000, 550)])
    assert "\x00" not in kept(odd.msg_id).text
