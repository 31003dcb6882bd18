"""Segments come into the inbox: each exactly once, and what is wrong in them stands aside."""

import subprocess
import sys
from datetime import timedelta

import pytest

from envoi.kernel import clock as product_clock
from envoi.packages.delivery.models import TrackingInbox, TrackingSegment
from envoi.packages.delivery.services.hits import loading
from envoi.packages.delivery.services.hits.process import Process
from envoi.packages.delivery.services.redirection.ids import Ids
from envoi.packages.delivery.services.redirection.segments import Segments, close_abandoned

pytestmark = pytest.mark.django_db
HIT = "2026-11-24 09:00:00.5+00\t0x{log:x}\t0xa1\t0x2\t0\t\\N\t1\tp1=x\tMozilla\\\\5\t10.0.0.1\t"


def segment(folder, *hits, process=1):
    """Make a closed segment, and return its file."""
    written = Segments(folder, Ids(process))
    written.append(hits)
    written.close()
    (found,) = set(folder.glob("*.ready"))
    return found


def test_a_segment_is_loaded_once_whoever_dies(tmp_path, clock):
    path = segment(tmp_path, *(HIT.format(log=log) for log in (1, 2, 3)))
    kept = path.read_bytes()
    assert loading.load(path, now=clock_now()) == loading.Loaded(3)
    # It was killed between the commit and the removal of the file.
    path.write_bytes(kept)
    assert loading.load(path, now=clock_now()) is None
    assert not path.exists()
    assert list(TrackingInbox.objects.order_by("broad_log_id").values_list("broad_log_id", flat=True)) == [
        1, 2, 3,
    ]  # fmt: skip
    hit = TrackingInbox.objects.first()
    assert (hit.user_agent, hit.params, hit.delivery_id, hit.source_id) == ("Mozilla\\5", "p1=x", 0xA1, None)
    assert (hit.received_at.microsecond, hit.segment) == (500_000, path.stem)
    found = TrackingSegment.objects.get()
    assert (found.name, found.lines, found.rejected) == (path.stem, 3, 0)


def clock_now():
    return product_clock.now()


def test_lines_that_cannot_be_read_stand_beside_and_the_others_are_loaded(tmp_path, clock):
    good = [HIT.format(log=log) for log in range(1, 8)]
    path = segment(tmp_path, *good)
    lines = path.read_bytes().split(b"\n")[:-1]
    bad = [
        b"not a line",
        b"\\.",
        b"",
        lines[0],  # its log id is taken
        lines[1].replace(b"0xa1", b"0xzz"),
        lines[1].replace(b"0xa1", b"0xffffffffffffffffffff"),
        lines[1] + b"\tmore",
        lines[1].replace(b"Mozilla", b"\xff\xfe"),
        lines[1].replace(b"2026-11-24", b"2026-13-45"),
    ]
    torn = lines[-1][:30]
    mixed = [*lines[:2], *bad[:5], *lines[2:5], *bad[5:], *lines[5:]]
    path.write_bytes(b"\n".join([*mixed, torn]))
    found = loading.load(path, now=clock_now())
    assert found == loading.Loaded(7, len(bad) + 1)
    assert TrackingInbox.objects.count() == 7
    aside = path.with_suffix(".rejected").read_bytes()
    assert aside == b"\n".join([*bad, torn, b""])
    assert TrackingSegment.objects.values_list("lines", "rejected").get() == (7, len(bad) + 1)


def test_what_a_dead_process_has_left_is_closed_and_what_a_living_one_writes_is_not(tmp_path):
    code = (
        "import sys, pathlib\n"
        "from envoi.packages.delivery.services.redirection.ids import Ids\n"
        "from envoi.packages.delivery.services.redirection.segments import Segments\n"
        "Segments(pathlib.Path(sys.argv[1]), Ids(3)).append([sys.argv[2]])\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path), HIT.format(log=9)], check=True)
    mine = Segments(tmp_path, Ids(4))
    mine.append([HIT.format(log=10)])
    assert close_abandoned(tmp_path) == 1
    assert len(list(tmp_path.glob("*.open"))) == 1
    process = Process(tmp_path)
    assert process.once() == 1
    assert TrackingInbox.objects.get().broad_log_id == 9
    mine.close()
    assert process.once() == 1
    assert TrackingInbox.objects.count() == 2
    assert not list(tmp_path.iterdir())


def test_segments_are_forgotten_after_a_month(clock):
    now = clock_now()
    for name, age in (("old", 31), ("new", 29)):
        TrackingSegment.objects.create(name=name, loaded_at=now - timedelta(days=age))
    assert loading.forget(now) == 1
    assert TrackingSegment.objects.get().name == "new"
