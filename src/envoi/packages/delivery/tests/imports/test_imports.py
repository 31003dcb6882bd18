"""Imports of profiles: what is read, merged, rejected, and how it is undone."""

import gzip
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from envoi.engine import files
from envoi.kernel import clock, folders
from envoi.kernel.errors import Conflict, Invalid, NotAllowed, NotFound
from envoi.kernel.models import Folder
from envoi.kernel.rights import Actor, Right, actor_of, internal
from envoi.kernel.testing import make_operator
from envoi.packages.delivery.models import (
    Import,
    ImportReject,
    ImportState,
    RcpGrpRel,
    Recipient,
    Service,
    Subscription,
)
from envoi.packages.delivery.services import imports, lists
from envoi.packages.delivery.services.imports import Error, Null, Operation, Plan, Target, phones, tables

Write = Callable[..., Path]
COUNTS = ("rows", "inserted", "updated", "unchanged", "deleted", "doubles", "skipped", "rejected", "warnings")


def made(path: Path, *, plan: Plan | None = None, actor: Actor | None = None, **changes: Any) -> Import:
    """Make an import; `changes` are fields of the proposed plan."""
    form = files.detect(files.Source.of(path))
    wanted = replace(plan or imports.propose(form.columns), **changes)
    return imports.create(path, form, actor=actor or internal(), plan=wanted)


def done(path: Path, *, actor: Actor | None = None, **changes: Any) -> Import:
    """Carry an import out."""
    job = made(path, actor=actor, **changes)
    imports.start(job, actor=actor or internal(), queue=False)
    return imports.work(job.pk)


def counts(job: Import) -> dict[str, int]:
    """Return the counts that are not 0."""
    assert job.error == ""
    return {name: getattr(job, name) for name in COUNTS if getattr(job, name)}


def rejects(job: Import) -> list[tuple[int, str, str, str]]:
    """Return (line, column, value, reason) of what was rejected."""
    found = ImportReject.objects.filter(job=job).order_by("line", "pk")
    return list(found.values_list("line", "column", "value", "reason"))


def names() -> list[str]:
    """Return the e-mail addresses that there are."""
    return sorted(Recipient.objects.values_list("email", flat=True))


@pytest.fixture
def file(tmp_path: Path) -> Write:
    """Write a file and return its path."""

    def write(content: str | bytes, name: str = "people.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_profiles_come_in_and_are_brought_into_their_form(file: Write, db: None) -> None:
    job = done(
        file(
            "E-mail;Prénom;Nom;Pays;Portable\nAnna@Example.org;Anna;Berg;Suède;\n"
            "bo@example.org;;Ek;fr;06 12 34 56 78\n"
        )
    )
    assert (job.status, counts(job)) == (ImportState.FINISHED, {"rows": 2, "inserted": 2})
    anna, bo = Recipient.objects.order_by("email")
    assert (anna.email, anna.first_name, anna.last_name, anna.country_code) == (
        "anna@example.org",
        "Anna",
        "Berg",
        "SE",
    )
    assert (bo.first_name, bo.mobile_phone, bo.country_code) == ("", "+33612345678", "FR")
    assert anna.folder.name == "recipients"
    assert not tables.exists(job.staging)


def test_known_profiles_are_changed_only_where_they_differ(file: Write, db: None) -> None:
    done(file("email,firstName,lastName\na@example.org,A,One\nb@example.org,B,Two\n"))
    before = {r.email: r.modified_at for r in Recipient.objects.all()}
    job = done(
        file("email,firstName,lastName\na@example.org,A,One\nb@example.org,B,Zwei\nc@example.org,C,Three\n")
    )
    assert counts(job) == {"rows": 3, "inserted": 1, "updated": 1, "unchanged": 1}
    after = {r.email: r for r in Recipient.objects.all()}
    assert after["a@example.org"].modified_at == before["a@example.org"]
    assert after["b@example.org"].last_name == "Zwei"


@pytest.mark.parametrize(
    ("operation", "expected", "left"),
    [
        (
            Operation.INSERT,
            {"rows": 2, "inserted": 1, "skipped": 1},
            ["a@example.org Old", "b@example.org New"],
        ),
        (Operation.UPDATE, {"rows": 2, "updated": 1, "skipped": 1}, ["a@example.org New"]),
        (
            Operation.BOTH,
            {"rows": 2, "inserted": 1, "updated": 1},
            ["a@example.org New", "b@example.org New"],
        ),
        (Operation.DELETE, {"rows": 2, "deleted": 1, "skipped": 1}, []),
    ],
)
def test_each_operation_and_its_undo(
    operation: Operation, expected: dict[str, int], left: list[str], file: Write, db: None
) -> None:
    done(file("email,lastName\na@example.org,Old\n"))
    kept = list(Recipient.objects.values())
    job = done(file("email,lastName\na@example.org,New\nb@example.org,New\n"), operation=operation)
    assert counts(job) == expected
    assert sorted(f"{r.email} {r.last_name}" for r in Recipient.objects.all()) == left
    imports.undo(job, actor=internal(), queue=False)
    job = imports.work(job.pk)
    assert (job.status, job.error, job.kept) == (ImportState.UNDONE, "", 0)
    assert list(Recipient.objects.values()) == kept


def test_an_undo_leaves_what_somebody_has_changed_since(file: Write, db: None) -> None:
    done(file("email,lastName\na@example.org,Old\nb@example.org,Old\n"))
    job = done(
        file("email,lastName\na@example.org,New\nb@example.org,New\nc@example.org,New\nd@example.org,New\n")
    )
    Recipient.objects.filter(email__in=["b@example.org", "d@example.org"]).update(
        last_name="Mine", modified_at=clock.now()
    )
    imports.undo(job, actor=internal(), queue=False)
    job = imports.work(job.pk)
    assert {r.email: r.last_name for r in Recipient.objects.all()} == {
        "a@example.org": "Old",
        "b@example.org": "Mine",
        "d@example.org": "Mine",
    }
    assert (job.undone, job.kept) == (2, 2)
    with pytest.raises(Conflict):
        imports.undo(job, actor=internal(), queue=False)


def test_lines_with_wrong_values_are_told_with_line_column_and_reason(file: Write, db: None) -> None:
    job = done(
        file(
            "email,birthDate,gender,mobilePhone,countryCode\n"
            "ok@example.org,1980-02-29,female,+33612345678,FR\n"
            "not an address,,,,\n"
            "date@example.org,1981-02-29,,,\n"
            "word@example.org,now,,,\n"
            "gender@example.org,,77,,\n"
            "phone@example.org,,,123,\n"
            "land@example.org,,,,Atlantis\n"
            ",,,,\n"
            "long@example.org,,,,,\n"
        )
    )
    assert counts(job) == {"rows": 8, "inserted": 1, "rejected": 8}
    assert [(line, column, value) for line, column, value, _reason in rejects(job)] == [
        (3, "E-mail", "not an address"),
        (4, "Birth date", "1981-02-29"),
        (5, "Birth date", "now"),
        (6, "Gender", "77"),
        (7, "Mobile", "123"),
        (8, "Country code", "Atlantis"),
        (9, "E-mail", ""),
        (10, "", "long@example.org,,,,,"),
    ]
    assert all(reason for *_rest, reason in rejects(job))
    assert names() == ["ok@example.org"]


def test_rules_for_empty_and_wrong_values(file: Write, db: None) -> None:
    path = file("mail;born;sex;city\na@example.org;31/12/1999;M;  paris \nb@example.org;soon;?;\n")
    plan = Plan(
        (
            Target(0, "email"),
            Target(1, "birthDate", date="dmy", error=Error.IGNORE),
            Target(2, "gender", error=Error.DEFAULT, default="female", values={"M": "male"}),
            Target(3, "location/city", case="first", default="Nowhere"),
        )
    )
    job = done(path, plan=plan)
    assert counts(job) == {"rows": 2, "inserted": 2, "warnings": 1}
    a, b = Recipient.objects.order_by("email")
    assert (str(a.birth_date), a.gender, a.city) == ("1999-12-31", 1, "Paris")
    assert (b.birth_date, b.gender, b.city) == (None, 2, "Nowhere")
    never = replace(plan, targets=(*plan.targets[:3], Target(3, "location/city", null=Null.NEVER)))
    assert [(line, column) for line, column, *_rest in rejects(done(path, plan=never))][-1] == (3, "City")


def test_an_empty_cell_empties_unless_told_otherwise(file: Write, db: None) -> None:
    done(file("email,firstName\na@example.org,Anna\n"))
    path = file("email,firstName\na@example.org,\n")
    assert counts(done(path, empties=False)) == {"rows": 1, "unchanged": 1}
    assert Recipient.objects.get().first_name == "Anna"
    assert counts(done(path)) == {"rows": 1, "updated": 1}
    assert Recipient.objects.get().first_name == ""


def test_of_lines_with_one_key_the_last_counts_or_all_but_the_first_are_rejected(
    file: Write, db: None
) -> None:
    path = file("email,lastName\na@example.org,1\nb@example.org,1\nA@example.org,2\na@EXAMPLE.org,3\n")
    job = done(path, doubles=imports.Doubles.REJECT)
    assert counts(job) == {"rows": 4, "inserted": 2, "rejected": 2}
    assert [line for line, *_rest in rejects(job)] == [4, 5]
    job = done(path)
    assert counts(job) == {"rows": 4, "updated": 1, "unchanged": 1, "doubles": 2}
    assert Recipient.objects.get(email="a@example.org").last_name == "3"


def test_a_key_that_several_profiles_have_is_rejected(file: Write, db: None) -> None:
    done(file("account,email\n7,a@example.org\n7,b@example.org\n"), keys=("email",))
    job = done(file("account,lastName\n7,New\n"))
    assert counts(job) == {"rows": 1, "rejected": 1}


def test_keys_may_be_several_columns(file: Write, db: None) -> None:
    plan = {"keys": ("email", "lastName")}
    done(file("email,lastName,firstName\na@example.org,One,x\na@example.org,Two,x\n"), **plan)
    job = done(file("email,lastName,firstName\na@example.org,Two,y\n"), **plan)
    assert counts(job) == {"rows": 1, "updated": 1}
    assert {r.last_name: r.first_name for r in Recipient.objects.all()} == {"One": "x", "Two": "y"}


def test_who_may_import_and_where_to(file: Write, db: None) -> None:
    path = file("email,lastName,folder\nmine@example.org,New,mine\nhidden@example.org,New,hidden\n")
    nobody = actor_of(make_operator("nobody"))
    with pytest.raises(NotAllowed):
        made(path, actor=nobody)
    root = Folder.objects.get(name="profilesAndTargets")
    mine = folders.create("mine", actor=internal(), parent=root, model="nms:recipient")
    hidden = folders.create("hidden", actor=internal(), parent=root, model="nms:recipient")
    shown = folders.create("shown", actor=internal(), parent=root, model="nms:recipient")
    clerk = make_operator("clerk", rights=(Right.RECIPIENT_IMPORT,))
    folders.set_rights(hidden, make_operator("other"), actor=internal(), read=True, write=True)
    folders.set_rights(shown, clerk, actor=internal(), read=True, write=False)
    done(file("email,folder\nhidden@example.org,hidden\nshown@example.org,shown\n", "first.csv"))
    actor = actor_of(clerk)
    job = imports.create(path, files.detect(files.Source.of(path)), actor=actor, folder=mine)
    imports.start(job, actor=actor, queue=False)
    job = imports.work(job.pk)
    # A folder that may not be written to is none; a profile there that cannot be seen is not touched.
    assert counts(job) == {"rows": 2, "inserted": 1, "rejected": 1}
    job = imports.create(
        file("email,lastName\nhidden@example.org,X\nshown@example.org,X\n", "more.csv"),
        files.detect(files.Source.of(path.parent / "more.csv")),
        actor=actor,
        folder=mine,
    )
    imports.start(job, actor=actor, queue=False)
    assert counts(imports.work(job.pk)) == {"rows": 2, "inserted": 1, "rejected": 1}
    assert Recipient.objects.get(email="hidden@example.org", folder=hidden).last_name == ""
    assert Recipient.objects.get(email="shown@example.org").last_name == ""
    with pytest.raises(NotAllowed):
        imports.create(path, files.detect(files.Source.of(path)), actor=actor, folder=shown)


@pytest.mark.parametrize("form", ["xlsx", "fixed", "utf-16", "cp1252", "gzip", "tab"])
def test_kinds_of_files(form: str, tmp_path: Path, db: None) -> None:
    rows = [
        ("email", "lastName", "zipCode"),
        ("é@example.org", "Lefèvre", "01000"),
        ("b@example.org", "Ek", "75001"),
    ]
    rows[1] = ("e@example.org", "Lefèvre", "01000")
    path = tmp_path / "people"
    text = "\r\n".join(";".join(row) for row in rows)
    fixed: dict[str, Any] = {}
    if form == "xlsx":
        book = openpyxl.Workbook()
        for row in rows:
            book.active.append(row)  # type: ignore[union-attr]
        book.save(path)
    elif form == "fixed":
        path.write_text("".join(f"{a:<20}{b:<12}{c:<8}\n" for a, b, c in rows), encoding="utf-8")
        fixed = {"kind": files.Kind.FIXED, "widths": (20, 12, 8)}
    elif form == "gzip":
        path.write_bytes(gzip.compress(text.encode()))
    elif form == "tab":
        path.write_text(text.replace(";", "\t"), encoding="utf-8-sig")
    else:
        path.write_bytes(text.encode(form))
    detected = files.detect(files.Source.of(path), **fixed)
    assert detected.columns == rows[0]
    again = files.detect(files.Source.of(path), detected, **fixed, header=False)
    assert again.columns == ("column 1", "column 2", "column 3")
    job = imports.create(path, detected, actor=internal())
    imports.start(job, actor=internal(), queue=False)
    assert counts(imports.work(job.pk)) == {"rows": 2, "inserted": 2}
    assert sorted(Recipient.objects.values_list("email", "last_name", "zip_code")) == sorted(rows[1:])


def test_quoted_cells_with_delimiters_quotes_and_line_breaks(file: Write, db: None) -> None:
    job = done(
        file(
            'email,lastName,address1\na@example.org,"Ek, ""Bo""","1 rue\nde la'
            ' Paix"\nb@example.org,B,x\nbad,B,x\n'
        )
    )
    assert counts(job) == {"rows": 3, "inserted": 2, "rejected": 1}
    a = Recipient.objects.get(email="a@example.org")
    assert (a.last_name, a.address1) == ('Ek, "Bo"', "1 rue\nde la Paix")
    assert rejects(job)[0][0] == 5


def test_a_plan_that_cannot_work_is_refused_before_it_begins(file: Write, db: None) -> None:
    path = file("email,lastName\na@example.org,A\n")
    for plan in (
        Plan((Target(0, "email"), Target(1, "email"))),
        Plan((Target(1, "lastName"),)),
        Plan((Target(9, "email"),)),
        Plan((Target(0, "email"), Target(1, "modified"))),
        Plan(()),
    ):
        job = made(path, plan=plan)
        with pytest.raises((Invalid, NotFound)):
            imports.start(job, actor=internal(), queue=False)


def test_a_file_that_has_changed_is_not_gone_on_with(file: Write, db: None) -> None:
    path = file("email\na@example.org\n")
    job = made(path)
    imports.start(job, actor=internal(), queue=False)
    path.write_text("email\na@example.org\nb@example.org\n", encoding="utf-8")
    job = imports.work(job.pk)
    assert job.status is ImportState.FAILED
    assert "changed" in job.error
    assert names() == []


def test_phone_numbers_are_what_the_library_says() -> None:
    for text, region in (
        ("06 12 34 56 78", "FR"), ("+33 6 12 34 56 78", "FR"), ("0033612345678", "FR"), ("612345678", "FR"),
        ("0612", "FR"), ("070-174 06 05", "SE"), ("212 555 0123", "US"), ("1 212 736 5000", "US"),
        ("02 1234 5678", "KR"), ("+4930901820", "FR"), ("030 901820", "DE"), ("06 1234 5678", "IT"),
        ("", "FR"), ("abc", "FR"), ("0800 123 456", "FR"), ("12", ""), ("+33612345678", ""),
        ("06 12 34 56 78 ext. 5", "FR"), ("33612345678", "FR"), ("٠٦١٢٣٤٥٦٧٨", "FR"),
    ):  # fmt: skip
        assert phones.e164(text, region) == phones.by_library(text, region), (text, region)


def test_profiles_come_into_a_list_and_a_service(file: Write, db: None) -> None:
    group = lists.create("Spring", actor=internal(), folder=Folder.objects.get(name="lists"), name="spring")
    service = Service.objects.create(
        name="news",
        label="News",
        folder=Folder.objects.get(name="services"),
        created_at=clock.now(),
        modified_at=clock.now(),
    )
    done(file("email\na@example.org\n"))
    job = done(file("email\na@example.org\nb@example.org\nbad\n", "more.csv"), group="spring", service="news")
    assert counts(job) == {"rows": 3, "inserted": 1, "unchanged": 1, "rejected": 1}
    assert RcpGrpRel.objects.filter(group=group).count() == 2
    assert Subscription.objects.filter(service=service).count() == 2
    imports.undo(job, actor=internal(), queue=False)
    imports.work(job.pk)
    assert names() == ["a@example.org"]
    assert RcpGrpRel.objects.filter(group=group).count() == 1
    missing = made(file("email\nc@example.org\n", "third.csv"), group="summer")
    with pytest.raises(NotFound):
        imports.start(missing, actor=internal(), queue=False)


@pytest.mark.parametrize(
    ("cells", "form"),
    [
        (["1990-12-31"], "ymd"),
        (["31/12/1990"], "dmy"),
        (["1/2/1990", "12/31/1990"], "mdy"),
        (["1.2.1990", ""], "dmy"),
    ],
)
def test_the_form_of_dates_is_seen_from_the_rows(cells: list[str], form: str, file: Write, db: None) -> None:
    path = file("email,birthDate\n" + "".join(f"p{n}@example.org,{cell}\n" for n, cell in enumerate(cells)))
    source = files.Source.of(path)
    plan = imports.propose_for(source, files.detect(source))
    assert next(each.date for each in plan.targets if each.attribute == "birthDate") == form


@pytest.mark.parametrize(
    ("header", "attribute"),
    [
        ("E-Mail", "email"), ("courriel", "email"), ("Förnamn", "firstName"), ("Nom de famille", "lastName"),
        ("이메일", "email"), ("last_name", "lastName"), ("Code postal", "location/zipCode"),
        ("land", "location/countryCode"),
        ("@mobilePhone", "mobilePhone"), ("Dossier", "folder/@name"), ("something else", ""), ("", ""),
    ],
)  # fmt: skip
def test_headers_are_understood_in_every_language(header: str, attribute: str, db: None) -> None:
    plan = imports.propose((header, "x y z"))
    assert [each.attribute for each in plan.targets] == ([attribute] if attribute else [])
