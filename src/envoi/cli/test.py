"""`envoi test`: the suite of the clone."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

import click

import envoi
from envoi.cli.main import say
from envoi.kernel.errors import Refused

ROOT = Path(envoi.__file__).resolve().parents[2]
# These speak of the number of processes themselves, or want the one that the terminal belongs to.
ALONE = ("-n", "--numprocesses", "--pdb", "--trace", "--collect-only", "--co", "-p")


@click.command(context_settings={"ignore_unknown_options": True})
@click.option(
    "--install-peers",
    is_flag=True,
    help="First install the programs that tests talk to (root, Debian); then a skipped test is a failure.",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[PYTEST ARGUMENTS]")
def test(install_peers: bool, arguments: tuple[str, ...]) -> None:
    """Run the tests, in two processes; paths are given from the root of the clone.

    They make their own databases and leave nothing behind. A test whose program is missing (chromium,
    postfix, dovecot, openssh, nginx, node) is skipped. `-m soak` runs the long forms. What ran, and which
    acceptance cases it proves, is written to .test-report.json. Other options are those of pytest.
    """
    if not (ROOT / "tests").is_dir() or not (ROOT / "pyproject.toml").is_file():
        raise Refused(
            "The tests are not in the installed package. Clone the project and run ./envoi test there."
        )
    if find_spec("pytest") is None:
        raise Refused(f"The test tools are not installed in {sys.prefix}. Run {ROOT}/envoi test.")
    if install_peers:
        from envoi.app import peers

        peers.install(say)
        os.environ["ENVOI_TEST_NO_SKIPS"] = "1"
    several = () if any(word.startswith(ALONE) for word in arguments) else ("-n", "2")
    os.chdir(ROOT)
    sys.stdout.flush()
    os.execv(  # noqa: S606
        sys.executable, [sys.executable, "-P", "-m", "pytest", "-rs", *several, *arguments]
    )
