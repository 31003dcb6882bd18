"""Postfix and Dovecot as they are, configured in a folder of their own, on this host."""

import grp
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from envoi.app import peers

PASSWORD = "s3cret!x"
BOUNCES = "bounces.example.org"
THERE = "there.example"
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


@dataclass(frozen=True)
class Servers:
    """What runs: the ports, and the folder under which each mailbox is a Maildir."""

    smtp: int
    imap: int
    pop3: int
    mail: Path

    def mails(self, box: str) -> list[Path]:
        folders = (self.mail / box / each for each in ("new", "cur"))
        return [path for folder in folders if folder.is_dir() for path in folder.iterdir()]


def wait(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until a condition holds; AssertionError when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come in time"
        time.sleep(0.02)


@contextmanager
def running(users: tuple[str, ...], transports: dict[str, str]) -> Iterator[Servers]:
    """Run both. `users` of `THERE` have mailboxes, and all of `BOUNCES` is one, `bounces`; others of `THERE`
    are accepted first and then bounced. `transports`: address -> transport of Postfix.
    """
    folder = Path(tempfile.mkdtemp(prefix="envoi-mail-"))
    folder.chmod(0o755)
    ports = _free_ports(3)
    servers = Servers(*ports, folder / "mail")
    started: list[list[str]] = []
    try:
        started.append(["dovecot", "-c", str(folder / "dovecot.conf"), "stop"])
        _dovecot(folder, servers)
        started.append(["postfix", "-c", str(folder / "postfix"), "stop"])
        _postfix(folder, servers, users, transports)
        for port in ports:
            wait(partial(_answers, port))
        yield servers
    finally:
        for command in reversed(started):
            subprocess.run(_found(command), capture_output=True, check=False, timeout=30)
        with suppress(AssertionError):
            wait(lambda: not any(_answers(port) for port in ports), 10)
        shutil.rmtree(folder, ignore_errors=True)


def _found(command: list[str]) -> list[str]:
    return [shutil.which(command[0], path=_PATH) or command[0], *command[1:]]


def _run(*command: str) -> None:
    with tempfile.TemporaryFile("w+") as said:  # a pipe would stay open as long as what is started
        done = subprocess.run(
            _found(list(command)), stdout=said, stderr=said, stdin=subprocess.DEVNULL, check=False, timeout=30
        )
        said.seek(0)
        assert done.returncode == 0, f"{command}: {said.read()}"


def _free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _each in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _dovecot(folder: Path, servers: Servers) -> None:
    assert peers.find("dovecot")
    owner = pwd.getpwnam("postfix")
    servers.mail.mkdir()
    os.chown(servers.mail, owner.pw_uid, owner.pw_gid)
    run = folder / "dovecot"
    run.mkdir()
    (folder / "dovecot.conf").write_text(f"""
base_dir = {run}
state_dir = {run}
log_path = {folder}/dovecot.log
protocols = imap pop3
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
mail_location = maildir:{servers.mail}/%u
first_valid_uid = {owner.pw_uid}
pop3_uidl_format = %08Xu%08Xv
passdb {{
  driver = static
  args = password={PASSWORD}
}}
userdb {{
  driver = static
  args = uid={owner.pw_uid} gid={owner.pw_gid} home={servers.mail}/%u allow_all_users=yes
}}
service imap-login {{
  inet_listener imap {{
    port = {servers.imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {servers.pop3}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
""")
    _run("dovecot", "-c", str(folder / "dovecot.conf"))


def _postfix(folder: Path, servers: Servers, users: tuple[str, ...], transports: dict[str, str]) -> None:
    owner = pwd.getpwnam("postfix")
    grp.getgrnam("postdrop")
    config, queue, data = folder / "postfix", folder / "queue", folder / "data"
    for each in (config, queue, data):
        each.mkdir()
    os.chown(data, owner.pw_uid, owner.pw_gid)
    boxes = [f"{user}@{THERE} {user}/" for user in users] + [f"@{BOUNCES} bounces/"]
    (config / "boxes").write_text("\n".join(boxes) + "\n")
    (config / "transports").write_text("".join(f"{who} {way}\n" for who, way in transports.items()))
    (config / "main.cf").write_text(f"""
compatibility_level = 3.6
queue_directory = {queue}
data_directory = {data}
myhostname = mx.{THERE}
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
virtual_mailbox_domains = {THERE}, {BOUNCES}
virtual_mailbox_base = {servers.mail}
virtual_mailbox_maps = texthash:{config}/boxes
virtual_uid_maps = static:{owner.pw_uid}
virtual_gid_maps = static:{owner.pw_gid}
virtual_minimum_uid = 1
transport_maps = texthash:{config}/transports
smtpd_reject_unlisted_recipient = no
smtpd_relay_restrictions = permit_mynetworks, reject
default_transport = error:nothing leaves this test
maillog_file_prefixes = {folder}
maillog_file = {folder}/postfix.log
alias_maps =
alias_database =
local_recipient_maps =
""")
    services = [
        f"{servers.smtp} inet n - n - - smtpd",
        "cleanup unix n - n - 0 cleanup",
        "qmgr unix n - n 300 1 qmgr",
        "rewrite unix - - n - - trivial-rewrite",
        "bounce unix - - n - 0 bounce",
        "defer unix - - n - 0 bounce",
        "trace unix - - n - 0 bounce",
        "verify unix - - n - 1 verify",
        "flush unix n - n 1000? 0 flush",
        "proxymap unix - - n - - proxymap",
        "error unix - - n - - error",
        "retry unix - - n - - error",
        "virtual unix - n n - - virtual",
        "anvil unix - - n - 1 anvil",
        "postlog unix-dgram n - n - 1 postlogd",
    ]
    (config / "master.cf").write_text("\n".join(services) + "\n")
    _run("postfix", "-c", str(config), "start")
