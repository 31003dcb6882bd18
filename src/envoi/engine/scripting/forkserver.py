# pyright: basic
# The engine has no types of its own.
"""The lean process that makes the children in which scripts run, and what such a child does.

It is started as a plain file by `server.py`, in isolated mode and with an empty environment, and imports
nothing of the product: what it does not hold, no script can reach. It has one thread, so that it may fork;
each child runs one script and ends.

It lives on a control socket. Each message asks for a child and carries two descriptors: the child's end of a
conversation, and a pipe to which its exit status is written. The child is on a leash: it is killed as soon as
the other end of its conversation is closed, which the system does also for a caller that dies. When the
control socket closes, all children are killed and the process ends; when this process dies, the system kills
its children.

Conversation, frames of four bytes of length (big-endian) and that many bytes: first the job as JSON; then
calls (`C` and JSON, answered by a frame) and at last the result (`R` and JSON).
"""

import contextlib
import ctypes
import json
import math
import os
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

MEMORY_EXIT = 3
"""Exit status of a child that ran out of memory."""
_NOBODY = 65534
_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_STACK = 1024 * 1024
_HEADROOM = 96 * 1024 * 1024
"""What the process needs beside the script's own memory, among others for texts on their way."""
_LONGEST = 64 * 1024 * 1024
_DESCRIPTORS = 1024


def serve(control: socket.socket, run: Callable[[socket.socket], None]) -> None:
    """Make children on demand until the control socket closes."""
    woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, _wake)
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(woken, select.POLLIN)
    # A child's conversation and status pipe, by its process id; its process id by the conversation's
    # descriptor.
    children: dict[int, tuple[socket.socket, int]] = {}
    leashes: dict[int, int] = {}
    while True:
        # One at a time: a descriptor that is closed here may come back under the same number.
        descriptor, _ = poll.poll()[0]
        if descriptor == woken:
            os.read(woken, 4096)
            for pid, status in _ended():
                talk, report = children.pop(pid)
                if leashes.pop(talk.fileno(), None):
                    poll.unregister(talk)
                _report(report, status)
                talk.close()
        elif descriptor == control.fileno():
            asked, descriptors, _, _ = socket.recv_fds(control, 1, 2)
            if not asked:
                for pid in children:
                    os.kill(pid, signal.SIGKILL)
                return
            talk = socket.socket(fileno=descriptors[0])
            try:
                pid = os.fork()
            except OSError:
                # The machine is full; the caller sees the end of the conversation and comes again later.
                os.close(descriptors[1])
                talk.close()
                continue
            if pid == 0:
                _become_child(talk, run)
            children[pid] = talk, descriptors[1]
            leashes[talk.fileno()] = pid
            poll.register(talk, 0)
        elif pid := leashes.pop(descriptor, 0):
            poll.unregister(descriptor)
            os.kill(pid, signal.SIGKILL)


def _wake(_number: int, _frame: object) -> None:
    """Do nothing: that a signal came is told through the wake-up descriptor."""


def _ended() -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        found.append((pid, os.waitstatus_to_exitcode(status)))


def _report(descriptor: int, status: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # nobody may be waiting for it any more
        os.write(descriptor, str(status).encode())
    os.close(descriptor)


def _become_child(talk: socket.socket, run: Callable[[socket.socket], None]) -> None:
    """Never returns."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        kept = os.dup2(talk.fileno(), 0, inheritable=False)
        os.closerange(1, _DESCRIPTORS)
        _drop_rights()
        # Set after the change of user, which clears it; the parent may already be gone by now.
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != _SERVER:
            return
        conversation = socket.socket(fileno=kept)
        conversation.sendall(b"+")  # before this byte the caller may still ask for another child
        run(conversation)
        status = 0
    except MemoryError:
        status = MEMORY_EXIT
    finally:
        os._exit(status)


_SERVER = os.getpid()
_libc = ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def _drop_rights() -> None:
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    if os.getuid() == 0:
        try:
            os.setgroups([])
            os.setresgid(_NOBODY, _NOBODY, _NOBODY)
            os.setresuid(_NOBODY, _NOBODY, _NOBODY)
        except PermissionError:
            pass  # a root without that capability has no rights to lose here


def run_script(talk: socket.socket) -> None:
    """Run the one script of this process."""
    job = json.loads(_receive(talk))
    os.environ["TZ"] = job["zone"]
    time.tzset()
    context = quickjs.Context()
    context.set_memory_limit(job["memory"])
    context.set_max_stack_size(_STACK)

    def call(text: str) -> str:
        _send(talk, b"C", text)
        return _receive(talk).decode()

    context.add_callable("__host", call)
    _limit(job["cpu"], job["memory"])
    step = context.eval(_PRELUDE)
    try:
        step("run", job["source"], job["data"])
        while context.execute_pending_job():
            pass
        answer = step("finish", "", "")
    except quickjs.JSException:
        # What the script throws is caught inside. Only a lack of memory comes out, since no error can be made
        # then.
        os._exit(MEMORY_EXIT)
    _send(talk, b"R", answer)


def _limit(cpu_seconds: float | None, memory: int) -> None:
    """Take away what a script needs not; after this no file can be opened and no process made."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    space = pages * resource.getpagesize() + 2 * memory + _HEADROOM
    resource.setrlimit(resource.RLIMIT_AS, (space, space))
    if cpu_seconds:
        whole = math.ceil(cpu_seconds)
        resource.setrlimit(resource.RLIMIT_CPU, (whole, whole + 1))
    for each in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC, resource.RLIMIT_NOFILE):
        resource.setrlimit(each, (0, 0))


def _receive(talk: socket.socket) -> bytes:
    return _exactly(talk, int.from_bytes(_exactly(talk, 4), "big"))


def _exactly(talk: socket.socket, length: int) -> bytes:
    parts: list[bytes] = []
    while length:
        part = talk.recv(min(length, 1 << 20))
        if not part:
            os._exit(0)  # the caller is gone
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def _send(talk: socket.socket, kind: bytes, text: str) -> None:
    payload = kind + text.encode("utf-8", "surrogatepass")
    if len(payload) > _LONGEST:
        os._exit(MEMORY_EXIT)
    talk.sendall(len(payload).to_bytes(4, "big") + payload)


if __name__ == "__main__":
    # Children close all descriptors below that number, so there must be none above it.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_DESCRIPTORS, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    # Standard input is the control socket; the one argument is the folder in which the engine is found.
    sys.path.append(sys.argv[1])
    import quickjs

    _PRELUDE = Path(__file__).with_name("prelude.js").read_text(encoding="utf-8")
    _control = socket.socket(fileno=0)
    _control.send(b"ready")
    serve(_control, run_script)
