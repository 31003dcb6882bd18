"""Exports of profiles to CSV."""

import csv
import gzip

import pytest

from envoi.engine import files
from envoi.kernel import folders
from envoi.kernel.errors import NotAllowed
from envoi.kernel.models import AuditEntry, Folder
from envoi.kernel.query import Condition, Field, QueryDef
from envoi.kernel.rights import Right, actor_of, internal
from envoi.kernel.testing import make_operator
from envoi.packages.delivery.services import exports
from envoi.packages.delivery.testing import make_recipients

pytestmark = pytest.mark.usefixtures("db", "clock")


def query(**more) -> QueryDef:
    select = exports.columns("@email", "Upper(@lastName)", "@account")
    return QueryDef("nms:recipient", select=select, order_by=(Field("@account"),), **more)


def test_rows_labels_formulas_and_the_trail() -> None:
    make_recipients(3, last_name="=HYPERLINK(1)", email="-2+3@example.org")
    done = exports.export(query(), actor=internal(), name="Spring offer")
    with done.path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0][0] == "E-mail"
    assert rows[1] == ["'-2+3@example.org", "'=HYPERLINK(1)", "C1"]
    assert (done.rows, len(rows)) == (3, 4)
    assert oct(done.path.stat().st_mode)[-3:] == "600"
    entry = AuditEntry.objects.get(entity=exports.ENTITY)
    assert (entry.entity_key, entry.detail["rows"]) == ("Spring offer", 3)


def test_packed_with_conditions_and_labels() -> None:
    make_recipients(50)
    condition = (Condition("@account = 'C7'"),)
    done = exports.export(
        query(where=condition), actor=internal(), labels=("a", "b", "c"), packed=True, delimiter=";"
    )
    with gzip.open(done.path, "rt", encoding="utf-8-sig") as file:
        lines = file.read().splitlines()
    assert lines[0] == "a;b;c"
    assert len(lines) == 2


def test_only_with_the_right_and_only_what_may_be_read() -> None:
    make_recipients(5)
    root = Folder.objects.get(name="profilesAndTargets")
    hidden = folders.create("hidden", actor=internal(), parent=root, model="nms:recipient")
    folders.set_rights(hidden, make_operator("other"), actor=internal(), read=True)
    make_recipients(5, folder=hidden, start=100)
    with pytest.raises(NotAllowed):
        exports.export(query(), actor=actor_of(make_operator("nobody")))
    clerk = actor_of(make_operator("clerk", rights=(Right.EXPORT,)))
    assert exports.export(query(), actor=clerk).rows == 5


def test_numbers_and_phones_are_no_formulas() -> None:
    for text in ("-12,5", "+33612345678", "-1 000", "plain", "", "a=b"):
        assert files.harmless(text) == text
    for text in ("=1", "+cmd", "-cmd", "@SUM(1)", "\t=1", "\r=1", "+"):
        assert files.harmless(text) == f"'{text}"
