"""The journal: what is in it when its process is killed, and that each line moves exactly once."""

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.db import connection

from envoi.kernel.errors import Broken
from envoi.packages.delivery.services.sending import journal
from envoi.packages.delivery.services.sending.journal import BEGUN, Entry, Journal
from envoi.packages.delivery.services.sending.outcomes import Message, Stage, State, outcome
from envoi.packages.delivery.services.sending.replies import Reply

SENDER = """
import sys
from pathlib import Path
from envoi.packages.delivery.services.sending.journal import Journal
from envoi.packages.delivery.services.sending.outcomes import Message, Stage, State, outcome
from envoi.packages.delivery.services.sending.replies import Reply
journal = Journal(Path(sys.argv[1]))
number = 0
while True:
    message = Message(number, 7, "", "a@b.example", b"")
    journal.begun(message)
    if number % 50:
        journal.ended(outcome(message, State.SENT, Stage.DOT, Reply(250, "ok", "2.0.0")))
    number += 1
    if number == 200:
        print("running", flush=True)
"""


def message(number: int, **what: int) -> Message:
    return Message(number, what.pop("run", 1), "", "a@b.example", b"x\r\n", **what)  # type: ignore[arg-type]


def filled(folder: Path, lines: int = 5) -> Journal:
    written = Journal(folder)
    for number in range(lines):
        written.begun(message(number))
        written.ended(outcome(message(number), State.SENT, Stage.DOT, Reply(250, "ok", "2.0.0")))
    return written


def test_what_is_written_is_read(tmp_path: Path) -> None:
    written = Journal(tmp_path)
    reply = Reply(550, "no\nsuch\tuser\x00 é\u2028" + "x" * 5000, "5.1.1")
    written.begun(Message(-5, 2**62, "", "a@b.example", b"", attempt=3, repeat=True))
    written.ended(outcome(message(2**62), State.FAILED, Stage.RCPT, reply))
    entries, end = journal.read(written.path)
    assert end == written.path.stat().st_size
    assert [(e.kind, e.id, e.run, e.attempt, e.repeat) for e in entries] == [
        (BEGUN, -5, 2**62, 3, True),
        ("f", 2**62, 1, 1, False),
    ]
    assert (entries[1].stage, entries[1].code, entries[1].enhanced) == ("rcpt", 550, "5.1.1")
    assert entries[1].text.startswith("no such user  é x")
    assert len(entries[1].text) == 1000
    assert abs((entries[1].at - datetime.now(UTC)).total_seconds()) < 60
    written.close()


def test_outcomes_are_the_last_of_each_message(tmp_path: Path) -> None:
    written = Journal(tmp_path)
    good, bad = Reply(250, "ok", "2.0.0"), Reply(450, "later", "4.2.1")
    for number in range(6):
        written.begun(message(number, run=number % 2))
    written.ended(outcome(message(0), State.DEFERRED, Stage.RCPT, bad))
    written.ended(outcome(message(1), State.SENT, Stage.DOT, good))
    written.ended(outcome(message(2), State.SENT, Stage.DOT, good))
    written.ended(outcome(message(2), State.IN_DOUBT, Stage.DOT, Reply(0, "lost")))
    written.ended(outcome(message(3), State.UNSENT, Stage.MAIL, Reply(0, "lost")))
    written.ended(outcome(message(0), State.SENT, Stage.DOT, good))
    entries, end = journal.read(written.path)
    found, place, count = journal.outcomes(written.path, 0, 100)
    assert (place, count) == (end, len(entries))
    last = {each.id: each for each in entries}
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert {
        id: epoch + timedelta(microseconds=at) for (_run, id), at in found.items() if isinstance(at, int)
    } == {id: last[id].at for id in (0, 1)}
    assert found[1, 2] == last[2]
    assert (1, 3) not in found
    # In steps it is the same, up to a line that is torn.
    first, half, seven = journal.outcomes(written.path, 0, 7)
    rest, place, more = journal.outcomes(written.path, half, 100)
    assert (place, seven + more, {**first, **rest}) == (end, count, found)
    whole = written.path.read_bytes()
    written.path.write_bytes(whole[:-1])
    assert journal.outcomes(written.path, half, 100)[2] == more - 1
    for wrong in (whole.replace(b"\ts\t", b"\tb\t", 1), whole.replace(b"\tb\t1\t3", b"\tb\t1\t4", 1)):
        written.path.write_bytes(wrong)
        with pytest.raises(Broken, match="damaged"):
            journal.outcomes(written.path, 0, 100)
    written.close()


def test_a_torn_last_line_is_as_if_it_had_not_been(tmp_path: Path) -> None:
    written = filled(tmp_path)
    whole = written.path.read_bytes()
    written.close()
    last = whole[:-1].rindex(b"\n") + 1
    for length in (last, last + 1, len(whole) - 1):
        written.path.write_bytes(whole[:length])
        entries, end = journal.read(written.path)
        assert len(entries) == 9
        assert end == last
    written.path.write_bytes(whole.replace(b"\t3\t", b"\t4\t"))
    with pytest.raises(Broken, match="damaged"):
        journal.read(written.path)


def test_only_what_was_begun_and_not_ended_is_in_doubt() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    lines = [(BEGUN, 1), (BEGUN, 2), ("s", 1), ("d", 3), (BEGUN, 4), ("?", 4), (BEGUN, 2)]
    doubted = journal.in_doubt([Entry(kind, id, 1, 1, False, at) for kind, id in lines])
    assert [entry.id for entry in doubted] == [2]


def test_a_killed_sender_leaves_all_that_it_knew(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SENDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        assert process.stdout.readline() == "running\n"
        assert list(journal.abandoned(tmp_path)) == [], "its process lives"
        time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert process.stdout
        process.stdout.close()
    (path,) = tmp_path.glob("*.journal")
    for found in journal.abandoned(tmp_path):
        assert found == path
        assert list(journal.abandoned(tmp_path)) == [], "somebody takes it over already"
        entries, _end = journal.read(found)
    begun = [entry.id for entry in entries if entry.kind == BEGUN]
    sent = [entry.id for entry in entries if entry.kind == "s"]
    assert begun == list(range(len(begun)))
    expected = [number for number in begun if number % 50 == 0 or number not in set(sent)]
    assert [entry.id for entry in journal.in_doubt(entries)] == expected
    assert len(expected) <= len(begun) // 50 + 2
    journal.remove(path)
    assert list(journal.abandoned(tmp_path)) == []


def test_a_full_disk_stops_the_sender_and_leaves_whole_lines(tmp_path: Path) -> None:
    script = SENDER.replace(
        "journal = ",
        "import resource, signal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\njournal = ",
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert "Nothing is sent until there is room" in done.stderr
    (path,) = tmp_path.glob("*.journal")
    entries, end = journal.read(path)
    assert end == path.stat().st_size
    assert len(entries) > 50


def count(table: str = "outcomes") -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table}")
        return cursor.fetchone()[0]


@pytest.mark.usefixtures("db")
def test_each_line_moves_exactly_once(tmp_path: Path) -> None:
    from django.db import transaction

    written = filled(tmp_path, 25)
    with connection.cursor() as cursor:
        journal.create_tables(cursor, "outcomes", temporary=True)
        assert journal.move(cursor, "outcomes", written.path, most=20) == 20
        try:
            with transaction.atomic():
                assert journal.move(cursor, "outcomes", written.path, most=20) == 20
                raise OSError("the server went away")
        except OSError:
            pass
        assert count() == 20
        assert journal.move(cursor, "outcomes", written.path, most=20) == 20
        assert journal.move(cursor, "outcomes", written.path, most=20) == 10
        assert journal.move(cursor, "outcomes", written.path) == 0
        with written.path.open("ab") as file:
            file.write(b"1\ttorn")
        assert journal.move(cursor, "outcomes", written.path) == 0
        cursor.execute(
            "SELECT kind, count(*), count(DISTINCT id), min(code), min(reply) FROM outcomes"
            " GROUP BY 1 ORDER BY 1"
        )
        assert cursor.fetchall() == [("b", 25, 25, 0, ""), ("s", 25, 25, 250, "ok")]
    written.close()


def test_a_journal_is_never_seen_unlocked_while_it_lives(tmp_path: Path) -> None:
    first, second = Journal(tmp_path), Journal(tmp_path)
    second.close()
    assert list(journal.abandoned(tmp_path)) == [second.path]
    assert oct(os.stat(first.path).st_mode & 0o777) == "0o600"
    first.close()
