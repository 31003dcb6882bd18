"""The table of processes."""

import signal
from dataclasses import replace

import pytest

from envoi.app.programs import programs
from envoi.kernel.config import Config, InboundConfig, SendingConfig, TrackingConfig, WorkerConfig
from envoi.kernel.errors import NotFound


def test_web_stops_first_and_workers_are_as_many_as_configured(tmp_path):
    config = Config(home=tmp_path, worker=WorkerConfig(processes=3, recycle_hours=12))
    web, worker, sender, inmail = programs(tmp_path, config)
    assert (sender.names(), inmail.names()) == (["sender"], ["inmail"])
    assert (web.name, web.names(), web.reload_signal) == ("web", ["web"], signal.SIGHUP)
    assert worker.names() == ["worker-1", "worker-2", "worker-3"]
    assert (worker.recycle_seconds, worker.reload_signal) == (43_200, None)
    # A worker that is replaced may finish what takes hours; one that is stopped may not.
    assert worker.overlap_seconds > 3600 > worker.stop_seconds
    assert web.command[-3:] == ("--home", str(tmp_path), "web")


def test_readers_are_answered_where_they_have_an_address_and_the_loader_stops_after_them(tmp_path):
    config = Config(home=tmp_path, tracking=TrackingConfig(url="https://t.example", processes=2))
    _, track, loader, *_ = programs(tmp_path, config)
    assert (track.names(), loader.names()) == (["track-1", "track-2"], ["loader"])
    assert loader.command[-2:] == ("track", "--load")
    assert track.overlap_seconds, "a fresh one answers before the old one ends"


def test_a_choice_of_them_can_be_named_and_none_is_none(tmp_path):
    config = Config(home=tmp_path)
    assert [each.name for each in programs(tmp_path, config, ["worker"])] == ["worker"]
    without = replace(
        config,
        worker=WorkerConfig(processes=0),
        sending=SendingConfig(processes=0),
        inbound=InboundConfig(processes=0),
    )
    assert [each.name for each in programs(tmp_path, without)] == ["web"]
    with pytest.raises(
        NotFound, match=r"There is no process 'wrker'; known are web, track, loader, worker, sender, inmail\."
    ):
        programs(tmp_path, config, ["wrker"])
