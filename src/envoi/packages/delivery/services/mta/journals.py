"""Senders in the database, one row a journal; journals of dead ones taken over (ADR 0022)."""

import logging
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from django.db import connection, transaction

from envoi.engine import processes
from envoi.packages.delivery.models import MessageStatus, SenderProcess
from envoi.packages.delivery.services import log_tables
from envoi.packages.delivery.services.mta import parts, retrying, settling
from envoi.packages.delivery.services.mta.runs import Runs
from envoi.packages.delivery.services.mta.settling import ALL
from envoi.packages.delivery.services.sending import journal as journals
from envoi.packages.delivery.services.sending.journal import Entry
from envoi.packages.delivery.services.sending.outcomes import Stage, State

logger = logging.getLogger(__name__)
_CHUNK = 10_000


@dataclass(frozen=True)
class TakenOver:
    """What a dead sender has left: how many parts it held, how many messages in doubt."""

    journal: str
    parts: int
    doubts: int


def folder(home: Path) -> Path:
    """Return where the journals of an instance lie on this host."""
    return home / "journals"


def register(journal: str, now: datetime) -> None:
    """Make a journal known, before anything is leased to it."""
    SenderProcess.objects.create(
        journal=journal,
        host=socket.gethostname(),
        pid=os.getpid(),
        boot=processes.boot(),
        started_at=now,
        seen_at=now,
    )


def end(journal: str, now: datetime) -> int:
    """Free what a journal of ours holds, when all of it is settled and nothing of it will be sent any more;
    return how many parts. Raises Fenced.
    """
    with transaction.atomic():
        settling.locked(journal, now)
        return _end(journal)


def _end(journal: str) -> int:
    SenderProcess.objects.filter(pk=journal).update(place=ALL)
    return parts.free_all(journal)


def forget(path: Path) -> None:
    """Remove the file and then the row of a journal that has ended."""
    journals.remove(path)
    SenderProcess.objects.filter(pk=path.stem).delete()


def take_over(where: Path, runs: Runs, *, now: datetime) -> list[TakenOver]:
    """Settle the journals of dead senders of this host and free their parts.

    A message that was begun and has no outcome is in doubt; all others of its parts are pending again. When
    the host itself has crashed, lines of the journal may be lost: then all that has no outcome is in doubt.
    """
    boot = processes.boot()
    found: list[TakenOver] = []
    for path in journals.abandoned(where):
        row = SenderProcess.objects.filter(pk=path.stem).first()
        if row is not None and row.place != ALL:
            settling.settle(path, settling.Tail(), runs, now=now)
            with transaction.atomic():
                settling.locked(path.stem, now)
                doubts = (
                    list(_in_doubt(path)) if row.boot == boot else _doubts_of_leases(path.stem, runs, now)
                )
                settling.apply(doubts, runs, now=now, again=timedelta(0))
                freed = _end(path.stem)
            found.append(TakenOver(path.stem, freed, len(doubts)))
            logger.warning(
                "a sender has died: %d parts are free again, %d messages in doubt", freed, len(doubts)
            )
        # Without a row nothing was ever leased to it.
        forget(path)
    return found


def _in_doubt(path: Path) -> Iterator[Entry]:
    """Yield an outcome for each message of a dead journal that was begun and has none."""
    open_: dict[tuple[int, int], Entry] = {}
    place = 0
    while True:
        entries, place = journals.read(path, place, _CHUNK)
        for entry in entries:
            if entry.kind == journals.BEGUN:
                open_[entry.run, entry.id] = entry
            else:
                open_.pop((entry.run, entry.id), None)
        if len(entries) < _CHUNK:
            break
    for entry in open_.values():
        yield _doubtful(entry.run, entry.id, entry.attempt, entry.repeat, entry.at)


def _doubtful(run: int, id: int, attempt: int, repeat: bool, at: datetime) -> Entry:
    return Entry(
        State.IN_DOUBT.value, id, run, attempt, repeat, at, Stage.DOT.value, text="the sender has died"
    )


def give_up(host: str, runs: Runs, *, now: datetime) -> list[TakenOver]:
    """Declare the senders of a host dead, whose journals nobody can read any more: all that was leased to
    them and has no outcome is in doubt. One that lives nevertheless stops when it next looks.
    """
    found: list[TakenOver] = []
    for journal in SenderProcess.objects.filter(host=host).values_list("journal", flat=True):
        with transaction.atomic():
            SenderProcess.objects.filter(pk=journal).update(place=ALL)
            doubts = _doubts_of_leases(journal, runs, now)
            settling.apply(doubts, runs, now=now, again=timedelta(0))
            freed = parts.free_all(journal)
            SenderProcess.objects.filter(pk=journal).delete()
        found.append(TakenOver(journal, freed, len(doubts)))
    return found


def _doubts_of_leases(journal: str, runs: Runs, now: datetime) -> list[Entry]:
    return [
        _doubtful(run, id, attempts + 1, repeat, now) for run, id, attempts, repeat in _leased(journal, runs)
    ]


def _leased(journal: str, runs: Runs) -> Iterator[tuple[int, int, int, bool]]:
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT delivery_part_id, run_id, first_id, last_id, retry FROM nms_delivery_part
               WHERE journal = %s""",
            [journal],
        )
        held = cursor.fetchall()
    for part_id, run_id, first, last, retry in held:
        if retry:
            for id, (_part, attempts, repeat) in retrying.of_parts([part_id]).items():
                yield run_id, id, attempts, repeat
            continue
        run = runs.of({run_id}).get(run_id)
        if run is None:
            continue
        waiting = retrying.between(run_id, first, last)
        with connection.cursor() as cursor:
            cursor.execute(
                f"""SELECT id FROM {log_tables.table("broad_log", run.storage)}
                    WHERE run_id = %s AND id BETWEEN %s AND %s AND status = %s""",  # noqa: S608 checked
                [run_id, first, last, int(MessageStatus.PENDING)],
            )
            for (id,) in cursor.fetchall():
                if id not in waiting:
                    yield run_id, id, 0, False


def silent(since: datetime) -> list[SenderProcess]:
    """Return the senders of other hosts that were not seen since."""
    return list(
        SenderProcess.objects.exclude(host=socket.gethostname()).filter(seen_at__lt=since).order_by("seen_at")
    )
