"""The fixtures keep what they promise."""

import os

import pytest

from envoi.kernel import clock as kernel_clock
from envoi.kernel.models import Option


@pytest.mark.parametrize("turn", [1, 2])
def test_db_rolls_back_after_each_test(db, turn):
    assert not Option.objects.filter(name="TestingTurn").exists()
    Option.objects.create(
        name="TestingTurn", data_type=6, string_value=str(turn), modified_at=kernel_clock.now()
    )


@pytest.mark.parametrize("turn", [1, 2])
def test_committed_db_is_fresh_and_seen_by_others(committed_db, turn):
    import psycopg

    assert not Option.objects.filter(name="TestingTurn").exists()
    Option.objects.create(
        name="TestingTurn", data_type=6, string_value=str(turn), modified_at=kernel_clock.now()
    )
    with psycopg.connect(committed_db.url) as other:
        assert other.execute("SELECT string_value FROM xtk_option WHERE name = 'TestingTurn'").fetchone() == (
            str(turn),
        )


def test_database_is_shut_without_a_fixture():
    with pytest.raises(RuntimeError, match="Database access not allowed"):
        Option.objects.exists()


def test_clock_stands_until_it_is_moved(clock):
    before = kernel_clock.now()
    assert (before.isoformat(), kernel_clock.now()) == ("2026-11-24T09:00:00+00:00", before)
    clock.step(hours=1)
    assert (kernel_clock.now() - before).total_seconds() == 3600


def test_run_envoi_tells_code_and_output(run_envoi):
    done = run_envoi("--version", code=0)
    assert done.out.startswith("envoi")
    assert run_envoi("no-such-command").code == 2


def test_home_is_empty_and_can_be_passed_by_another_user(home):
    assert not any(home.iterdir())
    assert home.stat().st_mode & 0o001
    assert os.fspath(home).startswith(os.environ["ENVOI_TEST_SESSION"])
