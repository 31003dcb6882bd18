"""`./envoi` in a clone: it sets itself up, repairs itself, and gets out of the way."""

import os
import re
import shutil
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# What `envoi --version` needs to be installed and to run; the whole list would only make the tests slow.
FEW = ("click", "editables", "hatchling", "packaging", "pathspec", "pluggy", "trove-classifiers")
TOOLS = ("sh", "cat", "cksum", "flock", "ln", "mkdir", "mv", "readlink", "rm")


def blocks(lock: str) -> dict[str, str]:
    """Return name -> the lines of it in a lock file."""
    return {block.partition("==")[0]: block for block in re.split(r"(?m)^(?=\S)", lock) if "==" in block}


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone with a blank in its path, whose lock files hold only a few packages."""
    place = tmp_path / "my clone"
    (place / "src/envoi").mkdir(parents=True)
    for name in ("envoi", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(ROOT / name, place / name)
    for room in ("cli", "kernel", "app"):
        shutil.copytree(ROOT / "src/envoi" / room, place / "src/envoi" / room)
    shutil.copy2(ROOT / "src/envoi/__init__.py", place / "src/envoi")
    few = blocks((ROOT / "requirements.lock").read_text())
    (place / "requirements.lock").write_text("".join(few[name] for name in FEW))
    more = blocks((ROOT / "requirements-test.lock").read_text())
    (place / "requirements-test.lock").write_text("".join(more[name] for name in (*FEW, "iniconfig")))
    return place


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ENVOI_", "PYTHON"))}
    return kept | {"HOME": str(tmp_path / "home")} | more


def launch(program: Path, *arguments: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, *arguments],
        cwd=cwd,
        env=environment(cwd, **more),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def begin(clone: Path, tmp_path: Path) -> subprocess.Popen[bytes]:
    """Start the launcher and return when it is in the middle of installing; it prints into `out`."""
    with (tmp_path / "out").open("wb") as out:
        process = subprocess.Popen(
            [clone / "envoi", "--version"],
            cwd=tmp_path,
            env=environment(tmp_path),
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + 60
    while not (clone / ".venv/bin/pip").exists():
        assert process.poll() is None, "it ended before it could be disturbed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process


def pretend_python(clone: Path) -> None:
    """Replace the Python of a ready clone by a program that prints its arguments, one a line."""
    python = clone / ".venv/bin/python"
    python.unlink()
    python.write_text('#!/bin/sh\nprintf "[%s]\\n" "$@"\n')
    python.chmod(0o755)


@pytest.mark.smoke
def test_first_use_then_nothing_more_to_do(clone, tmp_path):
    first = launch(clone / "envoi", "--version", cwd=tmp_path)
    assert (first.returncode, first.stdout.split()[0]) == (0, "envoi,"), first.stderr
    assert "first use" in first.stderr
    again = launch(clone / "envoi", "--version", cwd=tmp_path)
    assert (again.returncode, again.stdout, again.stderr) == (0, first.stdout, "")
    assert {each.name for each in tmp_path.iterdir()} <= {"my clone", "home"}

    # `test` brings the test tools, and afterwards the other commands have nothing to do either
    pretend = launch(clone / "envoi", "--home", "test", "test", "--help", cwd=tmp_path)
    assert "installing from requirements-test.lock" in pretend.stderr
    assert list(clone.glob(".venv/lib/python*/site-packages/iniconfig"))
    assert launch(clone / "envoi", "--version", cwd=tmp_path).stderr == ""

    # from a link in another folder, with every argument as it was given
    pretend_python(clone)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/link").symlink_to("../my clone/envoi")
    (tmp_path / "bin/other").symlink_to("link")
    given = ["sql", "a  b", "", "*", '"$HOME"', "-x\n"]
    done = launch(tmp_path / "bin/other", *given, cwd=tmp_path / "bin")
    assert done.stdout == "".join(f"[{word}]\n" for word in ["-P", "-m", "envoi.cli", *given])


def test_a_changed_lock_or_project_or_place_is_installed_anew(clone, tmp_path):
    assert launch(clone / "envoi", "--version", cwd=tmp_path).returncode == 0
    for name in ("requirements.lock", "pyproject.toml"):
        with (clone / name).open("a") as file:
            file.write("# changed\n")
        assert "installing" in launch(clone / "envoi", "--version", cwd=tmp_path).stderr
        assert launch(clone / "envoi", "--version", cwd=tmp_path).stderr == ""
    moved = clone.rename(tmp_path / "moved")
    done = launch(moved / "envoi", "--version", cwd=tmp_path)
    assert (done.returncode, "installing" in done.stderr) == (0, True), done.stderr
    # the Python that it was made with is gone
    (moved / ".venv/bin/python").unlink()
    (moved / ".venv/bin/python").symlink_to("/nonexistent/python3")
    done = launch(moved / "envoi", "--version", cwd=tmp_path)
    assert (done.returncode, "mending" in done.stderr) == (0, True), done.stderr


def test_two_at_once_and_one_is_enough(clone, tmp_path):
    first = begin(clone, tmp_path)
    second = launch(clone / "envoi", "--version", cwd=tmp_path)
    assert (first.wait(timeout=120), second.returncode) == (0, 0), second.stderr
    assert "waiting" in second.stderr
    assert "installing from" not in second.stderr
    assert (tmp_path / "out").read_text().endswith(second.stdout)


@pytest.mark.chaos
@pytest.mark.parametrize(
    ("whole", "word"), [(True, "mending"), (False, "waiting")], ids=["all of it", "its shell"]
)
def test_killed_while_installing_it_is_mended_by_the_next(clone, tmp_path, whole, word):
    killed = begin(clone, tmp_path)
    if whole:
        os.killpg(killed.pid, signal.SIGKILL)
    else:
        killed.kill()  # what it has started goes on, and holds the lock until it is done
    killed.wait()
    done = launch(clone / "envoi", "--version", cwd=tmp_path)
    assert (done.returncode, word in done.stderr) == (0, True), done.stderr
    assert launch(clone / "envoi", "--version", cwd=tmp_path).stderr == ""


def few_tools(tmp_path: Path, python: str | None) -> str:
    """Return a PATH with the launcher's tools and, if given, a program text as `python3`."""
    place = tmp_path / "tools"
    place.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found, tool
        (place / tool).symlink_to(found)
    if python:
        (place / "python3").write_text(python)
        (place / "python3").chmod(0o755)
    return str(place)


@pytest.mark.parametrize(
    ("python", "remedy"),
    [
        (None, "apt install python3 python3-venv"),
        ("#!/bin/sh\nexit 1\n", "apt install python3 python3-venv"),
        (
            '#!/bin/sh\ncase $2 in *ensurepip*) exit 1;; esac\nprintf "%s\\n" "$0"\n',
            "apt install python3-venv",
        ),
    ],
    ids=["no python", "python too old", "python without venv"],
)
def test_what_is_missing_is_named_with_its_remedy(clone, tmp_path, python, remedy):
    done = launch(clone / "envoi", "--version", cwd=tmp_path, PATH=few_tools(tmp_path, python))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.rstrip().endswith(remedy)


UV = """#!/bin/sh
printf '%s|' "$@" >>"{log}"; echo >>"{log}"
for last do :; done
[ "$1" = venv ] || exit 0
mkdir -p "$last/bin"; printf '#!/bin/sh\\nexit 0\\n' >"$last/bin/python"; chmod +x "$last/bin/python"
"""


def test_uv_is_used_where_there_is_one(clone, tmp_path):
    path = few_tools(tmp_path, "#!/bin/sh\necho /usr/bin/python-of-ours\n")
    uv = Path(path, "uv")
    uv.write_text(UV.format(log=tmp_path / "asked"))
    uv.chmod(0o755)
    Path(path, "chmod").symlink_to(shutil.which("chmod"))
    done = launch(clone / "envoi", "--version", cwd=tmp_path, PATH=path)
    assert done.returncode == 0, done.stderr
    venv = clone / ".venv"
    assert (tmp_path / "asked").read_text().splitlines() == [
        f"venv|-q|--allow-existing|--python|/usr/bin/python-of-ours|{venv}|",
        f"pip|install|-q|--python|{venv}/bin/python|--no-deps|--require-hashes|-r|{clone}/requirements.lock|",
        f"pip|install|-q|--python|{venv}/bin/python|--no-deps|--no-build-isolation|-e|{clone}|",
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can work as another user")
def test_another_user_is_told_who_has_to_set_it_up(clone):
    # pytest's folders are closed to others
    for folder in (clone, *clone.parents[:3]):
        folder.chmod(folder.stat().st_mode | stat.S_IXOTH | stat.S_IROTH)
    done = subprocess.run(
        [clone / "envoi", "--version"],
        cwd="/",
        env=environment(clone.parent),
        user="nobody",
        group="nogroup",
        extra_groups=[],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "Run it once as its owner" in done.stderr
