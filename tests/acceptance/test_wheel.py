"""The wheel holds what runs, and nothing that only tests need."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# What is not Python and must come along: pages, their parts, translations, seed rows, statements.
SUFFIXES = (".html", ".svg", ".css", ".js", ".mo", ".toml", ".sql", ".txt", ".woff2", ".ico")


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    """The names of the files in a wheel of this tree, made without network."""
    place = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-P", "-m", "build", "-q", "--wheel", "--no-isolation", "--outdir", place, ROOT],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    (file,) = place.glob("*.whl")
    with zipfile.ZipFile(file) as wheel:
        return set(wheel.namelist())


def tracked(*folders):
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", *folders],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    return [name for name in listed.split("\0") if name]


def test_everything_that_runs_is_in_the_wheel(names):
    wanted = {
        name.removeprefix("src/")
        for name in tracked("src")
        if "/tests/" not in name and name.endswith((".py", *SUFFIXES)) and (ROOT / name).is_file()
    }
    wanted -= {"envoi/app/testing.py"}
    assert len(wanted) > 100
    assert wanted - names == set()


def test_no_test_is_in_the_wheel(names):
    assert [name for name in names if "/tests/" in name or "conftest" in name or "test_" in name] == []
    assert "envoi/app/testing.py" not in names


def test_it_says_what_it_is(names):
    info = "envoi-0.1.0.dist-info/"
    assert {info + "METADATA", info + "entry_points.txt", info + "licenses/LICENSE"} <= names
    assert all(name.startswith(("envoi/", info)) for name in names)
