"""Outcomes into the database: delivery logs, quarantine, retries, figures (ADR 0022).

A batch of lines of a journal is one transaction together with the place up to which the journal was settled,
so each line counts once. Only a message that is still pending changes; whoever else has decided about it in
the meantime is right.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from django.db import connection, transaction

from envoi.kernel.errors import Broken
from envoi.kernel.query.scope import quoted
from envoi.packages.delivery.models import FailureReason, FailureType, Flag, MessageStatus
from envoi.packages.delivery.services import qualification, quarantine
from envoi.packages.delivery.services.mta import parts, retrying, stats, successes
from envoi.packages.delivery.services.mta.retrying import Retry
from envoi.packages.delivery.services.mta.runs import Run, Runs
from envoi.packages.delivery.services.mta.successes import Sent
from envoi.packages.delivery.services.qualification import Said, Verdict
from envoi.packages.delivery.services.quarantine import Failure
from envoi.packages.delivery.services.sending import journal as journals
from envoi.packages.delivery.services.sending.journal import Entry
from envoi.packages.delivery.services.sending.outcomes import State
from envoi.packages.delivery.services.sending.retries import next_attempt

BATCH = 10_000
"""Lines of a transaction: half of them tell that a dot was about to be written."""
ALL = -1
"""Place of a journal of which everything is settled; only its file and row are left."""
DOUBTFUL = 4
"""A message that was left in doubt so often is held, whatever the delivery says."""
_DOUBT_AGAIN = timedelta(seconds=10)
_NOTHING = Verdict(0, int(FailureType.UNDEFINED), int(FailureReason.NONE))


class Fenced(Broken):
    """This journal was declared dead, or another process settles it."""


class Change(NamedTuple):
    """What becomes of a message; `retry` when it is to be tried again, or is held."""

    run: Run
    entry: Entry
    status: int
    verdict: Verdict
    flags: int
    retry: Retry | None


class Done(NamedTuple):
    """What changed in a batch."""

    sent: int = 0
    failed: int = 0
    retried: int = 0


@dataclass(frozen=True)
class Tail:
    """What is settled with the last of a journal's lines: parts that have no message left, messages that did
    not leave, figures by destination. `number` counts the tails of a journal from 1, so that none is settled
    twice when it is not known whether a transaction was committed; 0: there is none.
    """

    number: int = 0
    finished: Sequence[int] = ()
    freed: Sequence[int] = ()
    unsent: Sequence[Retry] = ()
    counts: stats.Counts | None = None


def settle(path: Path, tail: Tail, runs: Runs, *, now: datetime) -> None:
    """Bring all that a journal of ours says into the database, then `tail`.

    Must be called outside of a transaction. Raises Fenced when the journal is not ours any more.
    """
    while True:
        with transaction.atomic():
            place, settled = locked(path.stem, now)
            found, end, count = journals.outcomes(path, place, BATCH)
            _apply(
                [each for each in found.values() if isinstance(each, Entry)],
                successes.by_run(found),
                runs,
                now,
                _DOUBT_AGAIN,
            )
            last = count < BATCH
            anew = last and settled < tail.number
            if count or anew:
                _reach(path.stem, end, tail.number if last else settled)
            if anew:
                _finish(path.stem, tail)
            if last:
                return


def _finish(journal: str, tail: Tail) -> None:
    if tail.unsent:
        retrying.wait(tail.unsent)
    if tail.finished:
        parts.finish(journal, tail.finished)
    if tail.freed:
        parts.free(journal, tail.freed)
    if tail.counts:
        stats.add(tail.counts)


def locked(journal: str, now: datetime) -> tuple[int, int]:
    """Return the place of a journal and how many tails of it are settled; it is the caller's until its
    transaction ends. Raises Fenced.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE nms_sender SET seen_at = %s WHERE journal = %s RETURNING place, settled", [now, journal]
        )
        row = cursor.fetchone()
    if row is None or row[0] == ALL:
        raise Fenced(f"The sender {journal} was given up: its parts belong to others now.")
    return int(row[0]), int(row[1])


def _reach(journal: str, place: int, settled: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE nms_sender SET place = %s, settled = greatest(settled, %s) WHERE journal = %s",
            [place, settled, journal],
        )


def apply(entries: Iterable[Entry], runs: Runs, *, now: datetime, again: timedelta = _DOUBT_AGAIN) -> Done:
    """Settle outcomes, in the caller's transaction. Lines of messages that were begun say nothing here.

    `again`: when a message in doubt is repeated, after its last attempt.
    """
    last: dict[tuple[int, int], Entry] = {}
    for entry in entries:
        if entry.kind != journals.BEGUN and entry.kind != State.UNSENT:
            last[entry.run, entry.id] = entry
    return _apply(list(last.values()), {}, runs, now, again)


def _apply(
    told: Sequence[Entry], sent: Mapping[int, Sent], runs: Runs, now: datetime, again: timedelta
) -> Done:
    """Settle one outcome a message: those of `sent`, and `told`, in which anything may be."""
    if not told and not sent:
        return Done()
    known = runs.of({entry.run for entry in told} | sent.keys())
    changes = _changes([entry for entry in told if entry.run in known], known, again) if told else []
    changed = _write(changes, now)
    bearing = _Bearing()
    for run_id in sorted(sent.keys() & known.keys()):
        run = known[run_id]
        count, addresses = successes.write(run, sent[run_id], now=now)
        bearing.success[run.delivery_id] += count
        bearing.reached += [(address, run.channel) for address in addresses]
    bearing.add(changed)
    bearing.write(now)
    final = [(each.run.id, each.entry.id) for each in changes if each.retry is None]
    gone = {(each.run.id, each.entry.id) for each in changes} - {
        (each.run.id, each.entry.id) for each, _, _ in changed
    }
    retrying.drop([*final, *gone])
    retrying.put([each.retry for each, _, _ in changed if each.retry is not None])
    return Done(
        sum(each.status == int(MessageStatus.SENT) for each, _, _ in changed),
        sum(each.status == int(MessageStatus.FAILED) for each, _, _ in changed),
        sum(each.retry is not None for each, _, _ in changed),
    )


def _changes(entries: Sequence[Entry], runs: dict[int, Run], again: timedelta) -> list[Change]:
    bad = [entry for entry in entries if entry.kind in (State.FAILED, State.DEFERRED)]
    verdicts = dict(
        zip(
            ((entry.run, entry.id) for entry in bad),
            qualification.qualify(
                [Said(entry.text, entry.code, entry.enhanced, entry.stage) for entry in bad]
            ),
            strict=True,
        )
    )
    before = retrying.before([(entry.run, entry.id) for entry in entries if entry.kind != State.SENT])
    return [
        _change(
            entry,
            runs[entry.run],
            verdicts.get((entry.run, entry.id), _NOTHING),
            *before.get((entry.run, entry.id), (None, 0)),
            again,
        )
        for entry in entries
    ]


def _change(
    entry: Entry, run: Run, verdict: Verdict, first: datetime | None, doubts: int, later: timedelta
) -> Change:
    """Return what an outcome means for its message."""
    if entry.kind == State.SENT:
        return Change(run, entry, int(MessageStatus.SENT), _NOTHING, 0, None)
    if entry.kind == State.IN_DOUBT:
        return _doubt(entry, run, doubts + 1, later)
    again = Retry(
        entry.run, entry.id, run.delivery_id, entry.attempt, first or entry.at, entry.at, entry.at,
        repeat=entry.repeat, doubts=doubts,
    )  # fmt: skip
    if not _lasting(entry, verdict):
        when = next_attempt(
            run.sending.plan(), first=first or entry.at, last=entry.at, attempts=entry.attempt
        )
        end = run.delivery.validity
        if when is not None and (end is None or when < end):
            return Change(run, entry, int(MessageStatus.PENDING), verdict, 0, replace(again, next_at=when))
    return Change(run, entry, int(MessageStatus.FAILED), verdict, 0, None)


def _lasting(entry: Entry, verdict: Verdict) -> bool:
    """Return whether trying again is useless: hard, or refused for good for a reason that is not known to
    pass (delivery.md §3.1).
    """
    if verdict.failure_type == int(FailureType.HARD):
        return True
    if entry.kind == State.DEFERRED:
        return False
    return not entry.code or verdict.failure_type == int(FailureType.UNDEFINED)


def _doubt(entry: Entry, run: Run, doubts: int, later: timedelta) -> Change:
    """Return what becomes of a message that may have arrived: sent again and marked, or held."""
    held = run.sending.doubt == "hold" or doubts >= DOUBTFUL
    again = Retry(
        entry.run, entry.id, run.delivery_id, entry.attempt, entry.at, entry.at, entry.at + later,
        held=held, repeat=not held or entry.repeat, doubts=doubts,
    )  # fmt: skip
    flags = int(Flag.HELD if held else Flag.REPEAT)
    return Change(run, entry, int(MessageStatus.PENDING), _NOTHING, flags, again)


Changed = tuple[Change, str, bool]
"""A change that was made, the address of its message, whether it is a seed."""


def _write(changes: Sequence[Change], now: datetime) -> list[Changed]:
    by_table: dict[str, list[Change]] = {}
    for change in changes:
        by_table.setdefault(successes.partition(change.run), []).append(change)
    changed: list[Changed] = []
    for table, these in by_table.items():
        with connection.cursor() as cursor:
            cursor.execute(
                f"""UPDATE {quoted(table)} b SET status = u.status, failure_reason = u.reason,
                      msg_id = u.msg, flags = b.flags | u.flags, event_date = u.at, modified_at = %s
                    FROM unnest(%s::bigint[], %s::bigint[], %s::smallint[], %s::smallint[], %s::bigint[],
                      %s::smallint[], %s::timestamptz[]) AS u (run_id, id, status, reason, msg, flags, at)
                    WHERE b.run_id = u.run_id AND b.id = u.id AND b.status = %s
                    RETURNING b.run_id, b.id, b.address, b.flags""",  # noqa: S608 quoted
                [
                    now,
                    [each.run.id for each in these],
                    [each.entry.id for each in these],
                    [each.status for each in these],
                    [each.verdict.failure_reason for each in these],
                    [each.verdict.msg_id for each in these],
                    [each.flags for each in these],
                    [each.entry.at for each in these],
                    int(MessageStatus.PENDING),
                ],
            )
            rows = {(run, id): (address, flags) for run, id, address, flags in cursor.fetchall()}
        for change in these:
            if (found := rows.get((change.run.id, change.entry.id))) is not None:
                changed.append((change, found[0], bool(found[1] & Flag.SEED)))
    return changed


class _Bearing:
    """What addresses and deliveries have to bear of what happened."""

    def __init__(self) -> None:
        self.reached: list[tuple[str, int]] = []
        self.success: Counter[int] = Counter()
        self._errors: Counter[int] = Counter()
        self._failures: list[Failure] = []

    def add(self, changed: Sequence[Changed]) -> None:
        """Add changes."""
        for (run, entry, status, verdict, _flags, _retry), address, seed in changed:
            if status == int(MessageStatus.SENT):
                self.reached.append((address, run.channel))
                self.success[run.delivery_id] += not seed
            elif entry.kind != State.IN_DOUBT:
                text = " ".join(filter(None, (str(entry.code or ""), entry.enhanced, entry.text)))
                self._failures.append(
                    Failure(
                        address, run.channel, run.delivery_id, verdict.failure_type, verdict.failure_reason,
                        text, entry.at,
                    )
                )  # fmt: skip
                self._errors[run.delivery_id] += not seed and status == int(MessageStatus.FAILED)

    def write(self, now: datetime) -> None:
        """Let them bear it."""
        success, errors = self.success, self._errors
        new = quarantine.note(self._failures, now=now) if self._failures else {}
        if self.reached:
            quarantine.succeeded(self.reached, now=now)
        with connection.cursor() as cursor:
            # In one order, so that two who settle never wait for each other in a circle.
            for delivery in sorted(success.keys() | errors.keys() | new.keys()):
                cursor.execute(
                    """UPDATE nms_delivery SET success = success + %s, error = error + %s,
                         processed = processed + %s, new_quarantine = new_quarantine + %s
                       WHERE delivery_id = %s""",
                    [
                        success[delivery], errors[delivery], success[delivery] + errors[delivery],
                        new.get(delivery, 0), delivery,
                    ],
                )  # fmt: skip
