"""Rejects as a side file: line, column, beginning of the value, reason."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from django.utils.translation import gettext as _

from envoi.engine.files import CsvWriter
from envoi.packages.delivery.models import Import, ImportReject

PAGE = 5000


def lines(job: Import) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield (line, column, value, reason, whether only a value was left out), by line, a page at a time."""
    line, last = 0, 0
    while True:
        found = list(
            ImportReject.objects.raw(
                """SELECT * FROM xtk_import_reject WHERE job_id = %s AND (line, reject_id) > (%s, %s)
                   ORDER BY line, reject_id LIMIT %s""",
                [job.pk, line, last, PAGE],
            )
        )
        for each in found:
            kind = _("warning") if each.warning else _("rejected")
            yield str(each.line), each.column, each.value, each.reason, kind
        if len(found) < PAGE:
            return
        line, last = found[-1].line, found[-1].pk


def header() -> tuple[str, ...]:
    """Return the names of the columns of the side file."""
    return _("Line"), _("Column"), _("Value"), _("Reason"), _("Kind")


def write_rejects(job: Import, path: Path) -> int:
    """Write the side file; none when there is nothing to say. Returns how many lines it has."""
    if not ImportReject.objects.filter(job=job).exists():
        path.unlink(missing_ok=True)
        return 0
    with CsvWriter(path, encoding="utf-8-sig") as writer:
        writer.row(header())
        writer.all(lines(job))
    return writer.rows - 1
