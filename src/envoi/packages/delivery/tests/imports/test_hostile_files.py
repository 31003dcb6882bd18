"""Files that mean harm, or were made badly: each is refused or handled, and nothing of it is half written."""

import gzip
import zipfile
from dataclasses import replace
from pathlib import Path

import openpyxl
import pytest
from django.db import connection

from envoi.engine import files
from envoi.engine.files import format as limits
from envoi.engine.files import reading, sheets, stream
from envoi.kernel.errors import Invalid, Refused
from envoi.kernel.rights import internal
from envoi.packages.delivery.models import ImportReject, ImportState, Recipient
from envoi.packages.delivery.services import imports
from envoi.packages.delivery.services.imports import Plan, Target

GOOD = "email,lastName\na@example.org,A\n"


def work(path: Path, form: files.Format | None = None, plan: Plan | None = None):
    """Import a file as it comes."""
    form = form or files.detect(files.Source.of(path))
    job = imports.create(path, form, actor=internal(), plan=plan)
    imports.start(job, actor=internal(), queue=False)
    return imports.work(job.pk)


def nothing_is_left() -> None:
    """See that no profile came in, and no table of an import is left but that of a failed one's rows."""
    assert not Recipient.objects.exists()


@pytest.fixture
def path(tmp_path: Path, db: None) -> Path:
    return tmp_path / "people.csv"


def test_nul_bytes_reject_their_line(path: Path) -> None:
    path.write_bytes(b"email,lastName\na@example.org,A\nb@example.org,B\0b\nc@example.org,C\n")
    job = work(path)
    assert (job.status, job.inserted, job.rejected) == (ImportState.FINISHED, 2, 1)
    reject = ImportReject.objects.get(job=job)
    assert (reject.line, reject.column) == (3, "lastName")


def test_a_file_of_bytes_is_no_text(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 40)
    with pytest.raises(Invalid):
        files.detect(files.Source.of(path))


def test_a_cell_of_ten_megabytes_rejects_its_line(path: Path) -> None:
    path.write_text(f"{GOOD}b@example.org,{'x' * (10 << 20)}\nc@example.org,C\n", encoding="utf-8")
    job = work(path)
    assert (job.inserted, job.rejected) == (2, 1)
    reject = ImportReject.objects.get(job=job)
    assert (reject.line, len(reject.value)) == (3, reading.SHORT)


def test_a_line_without_end_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LONGEST_LINE", 1 << 20)
    monkeypatch.setattr(reading, "BATCH_BYTES", 1 << 20)
    path.write_text(f'{GOOD}b@example.org,"never closed\n' + "x" * (4 << 20), encoding="utf-8")
    job = work(path, replace(files.detect(files.Source.of(path)), quote='"'))
    assert job.status is ImportState.FAILED
    assert "Line 3" in job.error
    nothing_is_left()


def test_mixed_encodings_are_refused_with_the_line_or_replaced_when_asked(path: Path) -> None:
    lines = [f"p{n}@example.org,Lefèvre".encode() for n in range(20_000)]
    lines[15_000] = "x@example.org,Lefèvre".encode("cp1252")
    path.write_bytes(b"email,lastName\n" + b"\n".join(lines) + b"\n")
    form = files.detect(files.Source.of(path))
    assert form.encoding is files.Encoding.UTF_8
    job = work(path, form)
    assert job.status is ImportState.FAILED
    assert "Line 15002" in job.error
    nothing_is_left()
    job = work(path, replace(form, replace=True))
    assert (job.status, job.inserted) == (ImportState.FINISHED, 20_000)
    assert Recipient.objects.get(email="x@example.org").last_name == "Lef�vre"


def test_a_bomb_of_gzip_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "FREE_BYTES", 1 << 20)
    path.write_bytes(gzip.compress(b"email,lastName\n" + b"a@example.org,A\n" * 2_000_000))
    form = files.detect(files.Source.of(path))
    job = work(path, form)
    assert job.status is ImportState.FAILED
    assert "bomb" in job.error
    nothing_is_left()


def test_a_gzip_cut_off_in_the_middle_is_refused(path: Path) -> None:
    text = "email,lastName\n" + "".join(f"p{n}@example.org,{n * 7919 % 10007}\n" for n in range(200_000))
    packed = gzip.compress(text.encode())
    path.write_bytes(packed[: len(packed) * 3 // 4])
    job = work(path, files.detect(files.Source.of(path)))
    assert job.status is ImportState.FAILED
    nothing_is_left()


def workbook(path: Path) -> None:
    book = openpyxl.Workbook()
    for row in (("email", "lastName"), ("a@example.org", "A")):
        book.active.append(row)  # type: ignore[union-attr]
    book.save(path)


def test_a_bomb_of_zip_is_refused(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "FREE_BYTES", 1 << 20)
    workbook(path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/media/big.xml", b"0" * (64 << 20))
    with pytest.raises(Invalid, match="bomb"):
        files.detect(files.Source.of(path))


@pytest.mark.parametrize("part", ["xl/worksheets/sheet1.xml", "xl/sharedStrings.xml", "xl/workbook.xml"])
def test_a_bomb_of_xml_entities_is_refused(part: str, path: Path, tmp_path: Path) -> None:
    workbook(path)
    evil = tmp_path / "evil.xlsx"
    entities = (
        '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
        + "".join(f'<!ENTITY a{n} "{("&a" + (str(n - 1) if n else "") + ";") * 10}">' for n in range(9))
        + '<!ENTITY file SYSTEM "file:///etc/passwd">]>'
    )
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(evil, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            body = source.read(name)
            if name == part:
                head, _mark, rest = body.decode().partition("?>")
                body = (f"{head}?>{entities}{rest}" if rest else f"{entities}{head}").encode()
            target.writestr(name, body)
        if part not in source.namelist():
            target.writestr(part, f"{entities}<sst>&a8;&file;</sst>")
    with pytest.raises(Invalid, match="entities"):
        files.detect(files.Source.of(evil))


def test_a_workbook_that_is_none_is_refused(path: Path) -> None:
    path.write_bytes(b"PK\x03\x04" + b"rubbish" * 100)
    with pytest.raises(Invalid):
        files.detect(files.Source.of(path))


def test_formulas_of_a_workbook_are_not_carried_out(path: Path) -> None:
    book = openpyxl.Workbook()
    for row in (("email", "lastName"), ("a@example.org", "=1+1")):
        book.active.append(row)  # type: ignore[union-attr]
    book.save(path)
    job = work(path)
    assert job.inserted == 1
    assert Recipient.objects.get().last_name == ""


def test_columns_named_like_keywords_and_quotes(path: Path) -> None:
    path.write_text(
        'email;select;drop table nms_recipient;"a""b";user;email\na@example.org;1;2;3;4;5\n', encoding="utf-8"
    )
    form = files.detect(files.Source.of(path))
    assert form.columns == ("email", "select", "drop table nms_recipient", 'a"b', "user", "email 2")
    plan = Plan(
        tuple(Target(n, name) for n, name in enumerate(("email", "lastName", "text1", "text2", "company")))
    )
    assert work(path, form, plan).inserted == 1
    found = Recipient.objects.get()
    assert (found.last_name, found.text1, found.text2, found.company) == ("1", "2", "3", "4")


@pytest.mark.parametrize(
    "value",
    [
        "'; DROP TABLE nms_recipient;"
        " --", "$1", "%s", "%(now)s", "{0}", "\\.", "\\N", "NULL", '"', "''", "a\tb", "\u202e",
        "😀" * 60, "e\u0301", "{a,b}", "NaN",
    ],
)  # fmt: skip
def test_values_that_mean_something_elsewhere_are_texts_here(value: str, path: Path) -> None:
    cell = '"' + value.replace('"', '""') + '"'
    path.write_text(f"email,text1\na@example.org,{cell}\nb@example.org,{cell}\n", encoding="utf-8")
    assert work(path).inserted == 2
    assert {r.text1 for r in Recipient.objects.all()} == {value.strip(" \t\u00a0")}


def test_the_end_of_copy_is_a_text_too(path: Path) -> None:
    path.write_text("email\n\\.\na@example.org\n\\.\n", encoding="utf-8")
    job = work(path)
    assert (job.rows, job.inserted, job.rejected) == (3, 1, 2)


def test_ragged_and_empty_lines(path: Path) -> None:
    path.write_text(
        "email,lastName\n\na@example.org,A\r\nb@example.org\n\r\nc@example.org,C,x\nd@example.org,D",
        encoding="utf-8",
    )
    job = work(path)
    assert (job.inserted, job.rejected) == (2, 2)
    assert list(ImportReject.objects.filter(job=job).order_by("line").values_list("line", flat=True)) == [
        4,
        6,
    ]


@pytest.mark.parametrize("content", [b"", b"\n\n\n", b"\xef\xbb\xbf", b"\x1f\x8b\x08\x00"])
def test_files_with_nothing_in_them(content: bytes, path: Path) -> None:
    path.write_bytes(content)
    with pytest.raises(Refused):
        files.detect(files.Source.of(path))


def test_too_many_columns_are_refused(path: Path) -> None:
    path.write_text(",".join(f"c{n}" for n in range(limits.MOST_COLUMNS + 1)) + "\n", encoding="utf-8")
    with pytest.raises(Invalid):
        files.detect(files.Source.of(path))


def test_a_statement_that_fails_leaves_nothing_half_done(path: Path) -> None:
    """A constraint that no check foresees ends the batch, and the batch alone."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE nms_recipient ADD CONSTRAINT foreseen_by_nobody CHECK (last_name <> 'Z')")
    path.write_text(f"{GOOD}z@example.org,Z\n", encoding="utf-8")
    job = work(path)
    assert job.status is ImportState.FAILED
    assert "foreseen_by_nobody" in job.error
    nothing_is_left()
