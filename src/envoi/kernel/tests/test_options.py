from datetime import UTC, date, datetime

import pytest

from envoi.kernel import options
from envoi.kernel.errors import Conflict, Invalid, NotAllowed, NotFound
from envoi.kernel.models import AuditEntry, Option
from envoi.kernel.models.option import DataType
from envoi.kernel.testing import admin_actor, make_actor

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("kind", "given", "stored"),
    [
        (DataType.BYTE, "-128", -128),
        (DataType.SHORT, 32767, 32767),
        (DataType.LONG, "9223372036854775807", 9223372036854775807),
        (DataType.FLOAT, "1.5", 1.5),
        (DataType.DOUBLE, 2, 2.0),
        (DataType.STRING, "x" * 512, "x" * 512),
        (DataType.MEMO, "ü\n" * 5000, "ü\n" * 5000),
        (DataType.DATETIME, "2026-11-24T10:00:00+01:00", datetime(2026, 11, 24, 9, tzinfo=UTC)),
        (DataType.DATETIME, "", None),
        (DataType.DATE, "2026-11-24", date(2026, 11, 24)),
        (DataType.TIMESPAN, "180 d", 180 * 86400),
        (DataType.TIMESPAN, 90, 90),
        (DataType.TIMESPAN, "12h", 12 * 3600),
        (DataType.BOOLEAN, "Yes", True),
        (DataType.BOOLEAN, 0, False),
    ],
)
def test_each_type_comes_back_as_it_was_set(kind: DataType, given: object, stored: object) -> None:
    options.set("x", given, actor=admin_actor(), data_type=kind)
    value = options.get("x", actor=admin_actor())
    assert value == stored
    assert type(value) is type(stored)


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (DataType.BYTE, 128),
        (DataType.SHORT, "-32769"),
        (DataType.LONG, "1.5"),
        (DataType.LONG, True),
        (DataType.LONG, 1 << 63),
        (DataType.DOUBLE, "nan"),
        (DataType.DOUBLE, "much"),
        (DataType.STRING, "x" * 513),
        (DataType.STRING, "a\0b"),
        (DataType.STRING, 5),
        (DataType.DATETIME, "2026-11-24T10:00:00"),
        (DataType.DATETIME, "yesterday"),
        (DataType.TIMESPAN, "3 weeks"),
        (DataType.BOOLEAN, "perhaps"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_written(kind: DataType, given: object) -> None:
    with pytest.raises(Invalid, match="Option x is a"):
        options.set("x", given, actor=admin_actor(), data_type=kind)
    assert not Option.objects.filter(name="x").exists()


def test_an_unknown_option_names_the_nearest_and_is_not_created() -> None:
    with pytest.raises(NotFound, match=r"Did you mean XtkCleanup_NoStats\?"):
        options.get("xtkcleanup_nostat", actor=admin_actor())
    with pytest.raises(NotFound, match=r"Did you mean XtkCleanup_NoStats\?"):
        options.set("XtkCleanup_NoStat", 1, actor=admin_actor())
    assert options.get("Absent", actor=admin_actor(), default=0) == 0


def test_only_administrators_set_and_delete() -> None:
    ann = make_actor("ann", rights=("WORKFLOW",))
    with pytest.raises(NotAllowed, match="ADMINISTRATION"):
        options.set("XtkCleanup_NoStats", 1, actor=ann)
    with pytest.raises(NotAllowed):
        options.delete("XtkCleanup_NoStats", actor=ann)
    assert options.get("XtkCleanup_NoStats", actor=ann) == 0


def test_an_option_keeps_its_type() -> None:
    with pytest.raises(Conflict, match="is a long, not a string"):
        options.set("XtkCleanup_NoStats", "a", actor=admin_actor(), data_type=DataType.STRING)
    options.set("XtkCleanup_NoStats", "2", actor=admin_actor())
    assert options.get("XtkCleanup_NoStats", actor=admin_actor()) == 2


def test_the_trail_has_old_and_new_numbers_but_no_texts() -> None:
    options.set("XtkCleanup_NoStats", 2, actor=admin_actor())
    options.set("XtkCleanup_NoStats", 2, actor=admin_actor())
    options.set("XtkInstancePrefix", "a secret", actor=admin_actor())
    number = AuditEntry.objects.get(entity="xtk:option", entity_key="XtkCleanup_NoStats")
    text = AuditEntry.objects.get(entity="xtk:option", entity_key="XtkInstancePrefix")
    assert (number.action, number.operator_name, number.detail) == ("Modified", "admin", {"from": 0, "to": 2})
    assert text.detail == {}


def test_a_changed_option_says_by_whom_and_when(clock: object) -> None:
    options.set("XtkCleanup_NoStats", 1, actor=admin_actor())
    row = Option.objects.select_related("modified_by").get(name="XtkCleanup_NoStats")
    assert row.modified_by is not None
    assert row.modified_by.name == "admin"
    assert row.modified_at == datetime(2026, 11, 24, 9, tzinfo=UTC)


def test_shipped_retentions_are_in_seconds() -> None:
    actor = admin_actor()
    assert options.get("XtkCleanup_AuditTrailPurgeDelay", actor=actor) == 180 * 86400
    assert options.get("NmsServer_PausedWorkflowPeriod", actor=actor) == 7
    assert options.get("NmsCleanup_LastCleanup", actor=actor) is None


def test_a_deleted_option_is_gone_and_noted() -> None:
    options.delete("XtkCleanup_NoStats", actor=admin_actor())
    assert options.get("XtkCleanup_NoStats", actor=admin_actor(), default=None) is None
    assert AuditEntry.objects.get(entity_key="XtkCleanup_NoStats").action == "Deleted"


@pytest.mark.parametrize("name", ["", " x", "a\nb", "x" * 129])
def test_names_that_nobody_could_type_are_refused(name: str) -> None:
    with pytest.raises(Invalid, match="cannot name an option"):
        options.set(name, 1, actor=admin_actor(), data_type=DataType.LONG)
