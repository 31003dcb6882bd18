# ruff: noqa: N999 the name is that of the command
"""Imports: a million profiles of sixteen columns, next to COPY and a merge written by hand.

A fifth of the profiles is known, half of those differ. Both sides do everything from the file to the
profiles, on the same data; ours also rejects, keeps what an undo needs, and can go on after any crash. The
limit is the same for both lines: the second brings e-mail addresses, phone numbers and countries into their
form besides.
"""

import random
import time
from collections.abc import Callable
from pathlib import Path

from bench import frame

ROWS, QUICK = 1_000_000, 100_000
KNOWN = 5
HEADER = (
    "email,account,lastName,firstName,salutation,company,language,phone,mobilePhone,address1,address2,zipCode,"
    "city,countryCode,origin,text1"
)
COLUMNS = (
    "email, account, last_name, first_name, salutation, company, language, phone, mobile_phone, address1,"
    " address2, zip_code, city, country_code, origin, text1"
)
NAMES = ("Martin", "Bernard", "Durand", "Lefèvre", "Müller", "Åström", "Kim", "Wang", "García", "Smith")
CITIES = (
    ("75001", "Paris"),
    ("69003", "Lyon"),
    ("13001", "Marseille"),
    ("33000", "Bordeaux"),
    ("59000", "Lille"),
)


def lines(params: frame.Params) -> list[frame.Line]:
    """Measure the lines that are asked for, on one instance."""
    with frame.instance("core_default", "delivery") as home:
        rows = QUICK if params.quick else ROWS
        measured: list[frame.Line] = []
        for line, clean in (("plain", False), ("normalised", True)):
            if params.wants(line):
                _base(rows)
                file = home / f"{line}.csv"
                _write(file, rows, clean=clean)
                measured.append(
                    frame.against(
                        line,
                        "rows/s",
                        _timed(rows, lambda file=file, clean=clean: _ours(file, rows, clean=clean)),
                        _timed(rows, lambda: _by_hand(home / "limit.csv")),
                        what="COPY into an unlogged table, UPDATE and INSERT … SELECT by hand, text only",
                        params=params,
                    )
                )
        return measured


def _timed(rows: int, work: Callable[[], None]) -> Callable[[], float]:
    """Return a side that begins with the same profiles each time."""

    def side() -> float:
        _reset()
        begun = time.perf_counter()
        work()
        return rows / (time.perf_counter() - begun)

    return side


def _row(number: int, *, clean: bool, changed: bool = False) -> str:
    dice = random.Random(number)  # noqa: S311 data, not secrets
    zip_code, city = dice.choice(CITIES)
    mobile = f"6{10_000_000 + number % 80_000_000:08d}"
    if clean:
        mobile = f"0{mobile[0]} {mobile[1:3]} {mobile[3:5]} {mobile[5:7]} {mobile[7:]}"
        email, country = f"P{number}@Example.org", ("France", "fr", "FR")[number % 3]
        phone = f"01 {40_000_000 + number % 9_000_000}"
    else:
        email, country, mobile = f"p{number}@example.org", "FR", f"+33{mobile}"
        phone = f"+331{40_000_000 + number % 9_000_000}"
    name = dice.choice(NAMES)
    cells = (
        email, f"C{number}", name + "x" * changed, dice.choice(NAMES), "Ms",
        f"Acme {number % 997}",
        "fr", phone, mobile, f"{number % 200} rue de la Paix", "Bât. B", zip_code, city, country, "shop",
        f"text {number}",
    )  # fmt: skip
    return ",".join(cells)


def _write(file: Path, rows: int, *, clean: bool) -> None:
    """Write the file of a line, and the limit's: plain, the same profiles."""
    with file.open("w", encoding="utf-8") as ours:
        ours.write(f"{HEADER}\n")
        ours.writelines(f"{_row(n, clean=clean)}\n" for n in range(rows))
    with file.with_name("limit.csv").open("w", encoding="utf-8") as limit:
        limit.writelines(f"{_row(n, clean=False)}\n" for n in range(rows))


def _base(rows: int) -> None:
    """Make the profiles that are known, in a table of their own."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(frame.limit_sql("import_staging").replace("limit_staging", "bench_known"))
        with cursor.copy("COPY bench_known FROM STDIN (FORMAT csv)") as copy:
            for number in range(0, rows, KNOWN):
                copy.write(f"{_row(number, clean=False, changed=number % (2 * KNOWN) == 0)}\n")
        cursor.execute("DROP TABLE IF EXISTS bench_base")
        cursor.execute(
            f"CREATE TABLE bench_base AS SELECT row_number() OVER () AS n, {COLUMNS} FROM bench_known"
        )
        cursor.execute("DROP TABLE bench_known")


def _reset() -> None:
    from django.db import connection

    from envoi.kernel import clock
    from envoi.kernel.big_tables import reserve_ids
    from envoi.kernel.models import Folder

    folder = Folder.objects.get(name="recipients")
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE nms_recipient")
        cursor.execute("SELECT count(*) FROM bench_base")
        ids, params = reserve_ids(cursor.fetchone()[0]).in_block("n")
        cursor.execute(
            f"INSERT INTO nms_recipient (recipient_id, {COLUMNS}, folder_id, created_at, modified_at)"
            f" SELECT {ids}, {COLUMNS}, %s, %s, %s FROM bench_base",
            [*params, folder.pk, clock.now(), clock.now()],
        )
        cursor.execute("VACUUM ANALYZE nms_recipient")


def _ours(file: Path, rows: int, *, clean: bool) -> None:
    from dataclasses import replace

    from envoi.engine import files
    from envoi.kernel.rights import internal
    from envoi.packages.delivery.models import ImportState
    from envoi.packages.delivery.services import imports

    form = files.detect(files.Source.of(file))
    plan = imports.propose(form.columns)
    plan = replace(plan, region="FR", targets=tuple(replace(each, clean=clean) for each in plan.targets))
    job = imports.create(file, form, actor=internal(), plan=plan)
    imports.start(job, actor=internal(), queue=False)
    job = imports.work(job.pk)
    rejects = list(job.rejects.values_list("line", "column", "value", "reason")[:3])
    changed = (rows + 2 * KNOWN - 1) // (2 * KNOWN)
    if (job.status, job.inserted, job.updated, job.rejected) != (
        ImportState.FINISHED,
        rows - (rows + KNOWN - 1) // KNOWN,
        changed,
        0,
    ):
        raise RuntimeError(
            f"the import is {job.status.label}: {job.inserted}, {job.updated}, {rejects}, {job.error}"
        )


def _by_hand(file: Path) -> None:
    from django.db import connection, transaction

    from envoi.kernel import clock
    from envoi.kernel.models import Folder

    given = {"now": clock.now(), "folder": Folder.objects.get(name="recipients").pk, "first": 10**12}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS limit_staging")
        cursor.execute(frame.limit_sql("import_staging"))
        with file.open("rb") as source, cursor.copy(frame.limit_sql("import_copy")) as copy:
            while piece := source.read(1 << 20):
                copy.write(piece)
        cursor.execute("ANALYZE limit_staging")
        cursor.execute(frame.limit_sql("import_update"), given)
        cursor.execute(frame.limit_sql("import_insert"), given)
