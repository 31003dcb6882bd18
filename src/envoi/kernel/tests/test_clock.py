from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from envoi.kernel import clock


def test_frozen_time_moves_by_hand_only() -> None:
    with clock.frozen(datetime.fromisoformat("2026-11-24T10:00:00+01:00")) as frozen:
        assert clock.now() == datetime(2026, 11, 24, 9, tzinfo=UTC)
        assert clock.now().tzinfo is UTC
        frozen.step(hours=1, minutes=5)
        assert clock.now() == datetime(2026, 11, 24, 10, 5, tzinfo=UTC)
        with clock.frozen(datetime(2000, 1, 1, tzinfo=UTC)):
            assert clock.now().year == 2000
        assert clock.now().year == 2026
        with pytest.raises(ValueError, match="zone"):
            frozen.move_to(datetime(2026, 1, 1))  # noqa: DTZ001
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_file_steps_the_clock_of_many_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "now"
    monkeypatch.setenv("ENVOI_CLOCK_FILE", str(file))
    for text in ("2026-03-29T02:30:00+02:00\n", "2027-01-01T00:00:00Z"):
        file.write_text(text)
        assert clock.now() == datetime.fromisoformat(text.strip()).astimezone(UTC)
