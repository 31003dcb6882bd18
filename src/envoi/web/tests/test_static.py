"""Static files: collected when they change, served by names that carry their hash."""

import os
from pathlib import Path

import pytest
from django.templatetags.static import static as url_of
from django.test import Client

from envoi.web import static

FILE = "console/tokens.css"


@pytest.fixture
def root(settings, tmp_path: Path) -> Path:
    settings.STATIC_ROOT = tmp_path / "static"
    return settings.STATIC_ROOT


def test_what_was_not_collected_has_its_plain_name(root):
    assert url_of(FILE) == f"/static/{FILE}"


def test_what_was_collected_is_named_by_its_hash_and_kept_for_years(root):
    assert static.collect() is True
    url = url_of(FILE)
    assert url.startswith("/static/console/tokens.")
    assert url != f"/static/{FILE}"
    answer = Client().get(url)
    assert answer.status_code == 200
    assert "immutable" in answer["Cache-Control"]
    assert int(answer["Cache-Control"].split("max-age=")[1].split(",")[0]) >= 365 * 24 * 3600
    assert b"".join(answer.streaming_content)
    plain = Client().get(f"/static/{FILE}")
    assert "immutable" not in plain["Cache-Control"]
    assert b"".join(plain.streaming_content)


def test_it_is_done_again_only_when_a_file_has_changed_or_it_was_interrupted(root, monkeypatch):
    assert static.collect() is True
    assert static.collect() is False
    (root / static.STAMP).unlink()
    (root / "rubbish.css").write_text("left by one that was killed")
    assert static.collect() is True
    assert not (root / "rubbish.css").exists()

    other = root.parent / "other.css"
    other.write_text("a {}")

    class Finder:
        def list(self, ignored):
            yield "other.css", self

        def path(self, name):
            return str(other)

    finders = [*static.get_finders(), Finder()]
    monkeypatch.setattr(static, "get_finders", lambda: finders)
    before = static._fingerprint()
    assert static._fingerprint() == before
    os.utime(other, (1, 1))
    assert static._fingerprint() != before
