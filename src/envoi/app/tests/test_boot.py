"""The start of a process."""

import json
import subprocess
import sys

import pytest

from envoi.app import boot
from envoi.kernel.errors import Conflict, NotFound


@pytest.fixture
def fresh(monkeypatch):
    """This process as if it had not booted; ENVOI_HOME is put back afterwards."""
    import os

    monkeypatch.setattr(boot, "_current", None)
    monkeypatch.setenv("ENVOI_HOME", os.environ.get("ENVOI_HOME", ""))
    monkeypatch.delenv("DATABASE_URL", raising=False)


def test_a_folder_without_an_instance_is_refused_with_the_remedy_and_left_empty(fresh, tmp_path):
    with pytest.raises(NotFound) as error:
        boot.boot(tmp_path)
    assert str(error.value) == (
        f"There is no instance in {tmp_path}; create one with `envoi init`, or name its folder by --home."
    )
    assert list(tmp_path.iterdir()) == []


def test_an_instance_whose_creation_was_interrupted_is_refused_with_the_remedy(fresh, tmp_path, monkeypatch):
    class Lease:
        closed = False

        def close(self) -> None:
            self.closed = True

    lease = Lease()
    (tmp_path / "envoi.toml").touch()
    monkeypatch.setattr(boot, "acquire", lambda settings: lease)
    monkeypatch.setattr(boot, "installed_packages", lambda lease: ())
    with pytest.raises(Conflict, match="is not complete; run `envoi init` to finish it"):
        boot.boot(tmp_path)
    assert lease.closed
    assert boot.boot(tmp_path, packages=("core_default",)).packages == ("core_default",)


def test_a_process_without_database_starts_none(fresh, tmp_path):
    (tmp_path / "envoi.toml").write_text("[web]\nport = 9999\n")
    instance = boot.boot(tmp_path, database=False)
    assert (instance.lease, instance.packages, instance.config.web.port) == (None, (), 9999)
    assert [path.name for path in tmp_path.iterdir()] == ["envoi.toml"]
    assert boot.boot(database=False) is instance


@pytest.mark.parametrize("arguments", [["--version"], ["up", "--help"], ["status", "--help"]])
def test_help_and_version_import_neither_django_nor_a_database_driver(arguments):
    code = (
        "import sys, json\n"
        "from envoi.cli.main import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end: code = end.code\n"
        "heavy = [m for m in ('django', 'psycopg', 'structlog', 'granian', 'rich') if m in sys.modules]\n"
        "print(json.dumps([code, heavy]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, timeout=60
    )
    assert json.loads(done.stdout.splitlines()[-1]) == [0, []]
