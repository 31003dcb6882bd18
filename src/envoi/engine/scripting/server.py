"""The fork server of this process: started when the first script comes, and again when it has died.

Its life does not hang on a thread of this process (threads of a pool come and go), but on a socket: when this
process ends, however it ends, the socket closes and nothing is left behind.
"""

import atexit
import contextlib
import os
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from envoi.kernel.errors import Broken, Retry

_FILE = Path(__file__).with_name("forkserver.py")
_START_SECONDS = 60
_lock = threading.Lock()
_running: tuple[subprocess.Popen[bytes], socket.socket] | None = None


@dataclass
class Child:
    """A child that waits for its job: the conversation, and the pipe that will tell its exit status."""

    talk: socket.socket
    status: int
    is_cut: bool = False
    _gate: threading.Lock = field(default_factory=threading.Lock)

    def close(self) -> None:
        """Let the child go: whatever it still does, it is killed."""
        with self._gate:
            self.talk.close()
        os.close(self.status)

    def cut(self) -> None:
        """End the child from another thread: it is killed, and whoever talks to it meets the end of the talk.

        Nothing happens when the child was let go before.
        """
        with self._gate:
            if self.talk.fileno() >= 0:
                self.is_cut = True
                with contextlib.suppress(OSError):  # the child may have gone by itself
                    self.talk.shutdown(socket.SHUT_RDWR)

    def exit_status(self) -> int | None:
        """Wait for the child's end: its exit status, the negative number of a signal, None when nobody
        knows.
        """
        told = os.read(self.status, 16)
        return int(told) if told else None


def child() -> Child:
    """Return a new child that is ready for its job.

    Raises Broken when none can be made, Retry when something ends them or the machine has no room for one.
    """
    for _ in range(2):
        process, control = _server()
        ours, theirs = socket.socketpair()
        read, write = os.pipe()
        try:
            socket.send_fds(control, [b"+"], [theirs.fileno(), write])
        except OSError:
            asked = False
        else:
            asked = True
        finally:
            theirs.close()
            os.close(write)
        # A server that is being killed may still take what is sent; only an answer shows that a child lives.
        if asked and _is_ready(ours):
            return Child(ours, read)
        ours.close()
        os.close(read)
        if not _forget(process, control):
            raise Retry("The machine has no room for the process of a script.", seconds=5)
    raise Retry("The process that runs scripts was ended from outside twice in a row.", seconds=1)


def _is_ready(talk: socket.socket) -> bool:
    talk.settimeout(_START_SECONDS)
    try:
        return talk.recv(1) == b"+"
    except OSError:
        return False
    finally:
        talk.settimeout(None)


def stop() -> None:
    """End the fork server and every script that still runs under it. The next script starts a new one."""
    with _lock:
        if _running is not None:
            _end(*_running)


def _server() -> tuple[subprocess.Popen[bytes], socket.socket]:
    global _running
    with _lock:
        if _running is not None and _running[0].poll() is not None:
            _end(*_running)
        if _running is None:
            _running = _start()
        return _running


def _start() -> tuple[subprocess.Popen[bytes], socket.socket]:
    found = find_spec("quickjs")
    if found is None or found.origin is None:
        raise Broken("The script engine is not installed. Install the package quickjs-ng.")
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        # -I -S: no variable of the environment and no start-up file has a say. All other descriptors are
        # closed.
        process = subprocess.Popen(
            [
                sys.executable,
                "-I",
                "-S",
                str(_FILE),
                str(Path(found.origin).parent.parent),
            ],
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            env={},
            cwd="/",
            start_new_session=True,
        )
    ours.settimeout(_START_SECONDS)
    try:
        ready = ours.recv(16)
    except TimeoutError:
        ready = b""
    if not ready:
        _end(process, ours)
        raise Broken("The process that runs scripts does not start; standard error says why.")
    ours.settimeout(None)
    return process, ours


def _forget(process: subprocess.Popen[bytes], control: socket.socket) -> bool:
    """Let a server go that has ended; False when it lives."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(1)
    if process.poll() is None:
        return False
    with _lock:
        if _running is not None and _running[1] is control:
            _end(*_running)
    return True


def _end(process: subprocess.Popen[bytes], control: socket.socket) -> None:
    global _running
    _running = None
    control.close()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _after_fork() -> None:
    """Forget the parent's server in a forked process, without ending it."""
    global _running, _lock
    _lock = threading.Lock()
    if _running is not None:
        process, control = _running
        _running = None
        control.close()
        process.returncode = 0  # not ours to wait for


os.register_at_fork(after_in_child=_after_fork)
atexit.register(stop)
