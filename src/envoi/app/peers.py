"""The programs of other makers that tests talk to: which are there, and how Debian installs the others."""

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from envoi.kernel.errors import Broken, Refused

PATH = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"
# Debian asks this program before it starts a service; 101 means: it must not.
POLICY = Path("/usr/sbin/policy-rc.d")
FORBID = "#!/bin/sh\nexit 101\n"


@dataclass(frozen=True)
class Peer:
    """A program by which its presence is known, and the Debian packages that bring it."""

    program: str
    packages: tuple[str, ...]


PEERS = {
    "chromium": Peer("chromium", ("chromium",)),
    "postfix": Peer("postfix", ("postfix",)),
    "dovecot": Peer("dovecot", ("dovecot-imapd", "dovecot-pop3d")),
    "openssh": Peer("sshd", ("openssh-server", "openssh-client")),
    "nginx": Peer("nginx", ("nginx",)),
    "node": Peer("node", ("nodejs",)),
}


def find(name: str) -> str | None:
    """Return the path of a peer's program, None where it is not installed.

    Raises KeyError for a name that is not in `PEERS`.
    """
    return shutil.which(PEERS[name].program, path=PATH)


def missing() -> list[str]:
    """Return the names of the peers that this machine lacks."""
    return [name for name in PEERS if find(name) is None]


def install(say: Callable[[str], None]) -> None:
    """Install the missing peers with apt, and start none of their services.

    Needs root on Debian; raises Refused elsewhere, Broken when apt fails. apt prints to standard error.
    """
    names = missing()
    if not names:
        return
    packages = [package for name in names for package in PEERS[name].packages]
    wish = f"apt install {' '.join(packages)}"
    if shutil.which("apt-get") is None:
        raise Refused(
            f"--install-peers knows only Debian's apt. Install what is missing here: {', '.join(names)}."
        )
    if os.geteuid() != 0:
        raise Refused(f"--install-peers must be root to install {', '.join(names)}. As root: {wish}")
    say(f"Installing {', '.join(packages)}")
    forbidden = not POLICY.exists()
    if forbidden:
        POLICY.write_text(FORBID, encoding="ascii")
        POLICY.chmod(0o755)
    try:
        for arguments in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", *packages]):
            done = subprocess.run(
                ["apt-get", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=2,
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
                check=False,
            )
            if done.returncode:
                raise Broken(f"apt-get {arguments[0]} failed; its reason stands above. By hand: {wish}")
    finally:
        if forbidden:
            POLICY.unlink(missing_ok=True)
    if names := missing():
        raise Broken(f"{', '.join(names)}: installed, but without the program that tests need.")
