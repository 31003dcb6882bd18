"""Transfers, web downloads and mailboxes against servers on this host."""

import asyncio
import gc
import hashlib
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import asyncssh
import pytest

from envoi.engine.definition import Activity, Transition
from envoi.engine.models import Event, State, Workflow
from envoi.engine.testing import lines, make_workflow, start
from envoi.engine.transfers.s3 import signed
from envoi.kernel import accounts
from envoi.kernel.config import NetworkConfig
from envoi.kernel.testing import admin_actor

pytestmark = pytest.mark.usefixtures("db")
SECRET = "s3cret!x"


@pytest.fixture(autouse=True)
def loopback_is_allowed(settings: Any) -> None:
    settings.CONFIG = replace(settings.CONFIG, network=NetworkConfig(allow_private=("127.0.0.0/8",)))


def account(type: str, **values: Any) -> None:
    accounts.create("it", actor=admin_actor(), type=type, values=values)


def run(type: str, *, ways: tuple[str, ...] = ("transition", "missing"), **parameters: Any) -> Workflow:
    activity = Activity(
        type, "it", parameters=parameters, transitions=tuple(Transition(way, "end") for way in ways)
    )
    return start(make_workflow((activity, Activity("end", "end"))))


def carried(workflow: Workflow, way: str = "transition") -> list[dict[str, Any]]:
    return [
        e.variables
        for e in Event.objects.filter(workflow=workflow, source="it", transition=way).order_by("pk")
    ]


def contents(workflow: Workflow) -> list[str]:
    return [Path(each["filename"]).read_text(encoding="utf-8") for each in carried(workflow)]


class Objects(ThreadingHTTPServer):
    """An object store and web server in memory. Signatures are checked by the same function of another
    call.
    """

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}
        self.seen: list[tuple[str, str, str]] = []
        super().__init__(("127.0.0.1", 0), _Answers)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Answers(BaseHTTPRequestHandler):
    server: Objects

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _do(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.seen.append((self.command, self.path, self.headers.get("Authorization", "")))
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        if self.headers.get("Authorization", "").startswith("AWS4"):
            at = datetime.strptime(self.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
            wanted = signed(
                self.command, f"{self.server.address}{self.path}", region="us-east-1", key="key",
                secret=SECRET, at=at, payload=hashlib.sha256(body).hexdigest(),
            )  # fmt: skip
            if wanted["Authorization"] != self.headers["Authorization"]:
                return self._answer(403)
        if path == "/away":
            return self._answer(302, Location="/files/a.csv")
        if path == "/inward":
            return self._answer(302, Location="http://10.0.0.1/secret")
        if self.command == "POST":
            return self._answer(200, body)
        if self.command == "PUT":
            self.server.held[path] = body
            return self._answer(200)
        if self.command == "DELETE":
            self.server.held.pop(path, None)
            return self._answer(204)
        if "list-type" in parse_qs(parts.query):
            prefix = f"{path}{parse_qs(parts.query)['prefix'][0]}"
            keys = "".join(
                f"<Contents><Key>{name.removeprefix(path)}</Key></Contents>"
                for name in sorted(self.server.held)
                if name.startswith(prefix)
            )
            return self._answer(200, f"<ListBucketResult>{keys}</ListBucketResult>".encode())
        if path not in self.server.held:
            return self._answer(404)
        return self._answer(200, self.server.held[path])

    do_GET = do_PUT = do_DELETE = do_HEAD = do_POST = _do  # noqa: N815


@pytest.fixture
def store() -> Iterator[Objects]:
    server = Objects()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_signature_is_that_of_the_published_example() -> None:
    """The example "GET Object" of the reference, with its own clock and key."""
    headers = signed(
        "GET",
        "https://examplebucket.s3.amazonaws.com/test.txt",
        region="us-east-1",
        key="AKIAIOSFODNN7EXAMPLE",
        secret="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        at=datetime(2013, 5, 24, tzinfo=UTC),
        more={"range": "bytes=0-9"},
    )
    assert headers["Authorization"].endswith(
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    )
    listing = signed(
        "GET",
        "https://examplebucket.s3.amazonaws.com/?max-keys=2&prefix=J",
        region="us-east-1",
        key="AKIAIOSFODNN7EXAMPLE",
        secret="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        at=datetime(2013, 5, 24, tzinfo=UTC),
    )
    assert listing["Authorization"].endswith(
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
    )


def test_objects_come_go_and_are_listed(store: Objects) -> None:
    account("s3", server=store.address, bucket="b", account="key", password=SECRET, path="in")
    store.held = {"/b/in/a.csv": b"1", "/b/in/b c.csv": b"2", "/b/in/x.txt": b"3", "/b/other.csv": b"4"}
    workflow = run("filetransfer", account="it", path="*.csv", deleteSource=True)
    assert contents(workflow) == ["1", "2"], lines(workflow)
    assert (workflow.state, workflow.failed) == (State.FINISHED, False)
    assert sorted(store.held) == ["/b/in/x.txt", "/b/other.csv"]
    assert SECRET not in "\n".join(lines(workflow))
    listed = run("filetransfer", account="it", action="list", path="*", listAll=True)
    assert carried(listed)[0]["filenames"] == "x.txt"
    assert len(carried(run("filetransfer", account="it", path="*.zip", processMissing=True), "missing")) == 1
    assert run("filetransfer", account="it", path="*.zip").failed


def test_what_one_activity_has_brought_another_sends(store: Objects) -> None:
    account("s3", server=store.address, bucket="b", account="key", password=SECRET)
    store.held = {"/b/a.csv": b"hello"}
    down = Activity(
        "filetransfer",
        "down",
        parameters={"account": "it", "path": "a.csv"},
        transitions=(Transition("transition", "up"),),
    )
    up = Activity(
        "filetransfer",
        "up",
        parameters={"account": "it", "action": "upload", "path": "out"},
        transitions=(Transition("transition", "end"),),
    )
    workflow = start(make_workflow((down, up, Activity("end", "end"))))
    assert not workflow.failed, lines(workflow)
    assert [body for name, body in store.held.items() if name.startswith("/b/out/")] == [b"hello"]


def test_a_wrong_key_is_told(store: Objects) -> None:
    account("s3", server=store.address, bucket="b", account="key", password="wrong")
    workflow = run("filetransfer", account="it", path="a.csv")
    assert workflow.failed
    assert "403" in "\n".join(lines(workflow))


def test_the_web_is_downloaded_and_private_addresses_are_not(store: Objects) -> None:
    store.held = {"/files/a.csv": b"from the web"}
    workflow = run("webdownload", url=f"{store.address}/away")
    assert contents(workflow) == ["from the web"], lines(workflow)
    posted = run(
        "webdownload", url=f"{store.address}/form", method="POST", fields={"q": "é"}, withHeaders=True
    )
    assert contents(posted)[0].endswith("\n\nq=%C3%A9") or contents(posted)[0].endswith("q=%C3%A9")
    assert contents(posted)[0].startswith("HTTP/1.1 200")
    assert run("webdownload", url=f"{store.address}/nothing").failed
    assert len(carried(run("webdownload", url=f"{store.address}/nothing", ignoreStatus=True))) == 1
    inward = run("webdownload", url=f"{store.address}/inward")
    assert inward.failed
    assert "private network" in "\n".join(lines(inward))
    assert run("webdownload", url="file:///etc/passwd").failed


@pytest.fixture
def sftp(tmp_path: Path) -> Iterator[tuple[int, str, Path]]:
    """An SFTP server in a thread: its port, its fingerprint, its folder."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    served = tmp_path / "served"
    (served / "in").mkdir(parents=True)
    loop = asyncio.new_event_loop()

    class Door(asyncssh.SSHServer):
        def begin_auth(self, username: str) -> bool:
            return True

        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            return (username, password) == ("sofia", SECRET)

    async def serve() -> Any:
        return await asyncssh.create_server(
            Door,
            "127.0.0.1",
            0,
            server_host_keys=[key],
            sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=str(served).encode()),
        )

    listening = loop.run_until_complete(serve())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield listening.sockets[0].getsockname()[1], key.get_fingerprint(), served

    async def leave() -> None:
        listening.close()
        await listening.wait_closed()
        await asyncio.sleep(0.2)  # connections that were given up close their sockets

    asyncio.run_coroutine_threadsafe(leave(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


def test_sftp_trusts_one_key_and_moves_files(sftp: tuple[int, str, Path], tmp_path: Path) -> None:
    port, fingerprint, served = sftp
    (served / "in" / "a.csv").write_text("one", encoding="utf-8")
    account(
        "sftp",
        server="127.0.0.1",
        port=port,
        account="sofia",
        password=SECRET,
        host_key=fingerprint,
        folder="/in",
    )
    workflow = run("filetransfer", account="it", path="*.csv", deleteSource=True)
    assert contents(workflow) == ["one"], lines(workflow)
    assert list((served / "in").iterdir()) == []
    accounts.update("it", actor=admin_actor(), values={"host_key": "SHA256:another"})
    (served / "in" / "a.csv").write_text("two", encoding="utf-8")
    workflow = run("filetransfer", account="it", path="*.csv")
    assert workflow.failed
    assert fingerprint in "\n".join(lines(workflow))


class Pop(socketserver.ThreadingTCPServer):
    """A mailbox by POP3, in memory."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, messages: dict[str, bytes]) -> None:
        self.messages = messages
        super().__init__(("127.0.0.1", 0), _PopTalk)


class _PopTalk(socketserver.StreamRequestHandler):
    server: Pop

    def handle(self) -> None:
        say = lambda text: self.wfile.write(f"{text}\r\n".encode())  # noqa: E731
        say("+OK ready")
        ids, gone = list(self.server.messages), set()
        while line := self.rfile.readline().decode().strip():
            word, _space, rest = line.partition(" ")
            if word == "PASS" and rest != SECRET:
                say("-ERR no")
            elif word in ("UIDL", "LIST"):
                say("+OK")
                for number, id in enumerate(ids, 1):
                    say(f"{number} {id if word == 'UIDL' else len(self.server.messages[id])}")
                say(".")
            elif word == "RETR":
                say("+OK")
                self.wfile.write(self.server.messages[ids[int(rest) - 1]])
                say("\r\n.")
            elif word == "DELE":
                gone.add(ids[int(rest) - 1])
                say("+OK")
            elif word == "QUIT":
                for id in gone:
                    self.server.messages.pop(id, None)
                say("+OK")
                return
            else:
                say("+OK")


def test_a_script_says_what_becomes_of_each_message() -> None:
    messages = {
        f"m{code}": f"From: a@example.org\r\nSubject: =?utf-8?q?code_{code}_=C3=A9?=\r\n\r\nHello"
        f" {code}\r\n".encode()
        for code in (1, 2, 3, 4)
    }
    server = Pop(dict(messages))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        account(
            "pop3",
            server="127.0.0.1",
            port=server.server_address[1],
            security="none",
            account="sofia",
            password=SECRET,
        )
        script = "vars.subject = mailMessage.subject; return parseInt(mailMessage.subject.split(' ')[1]);"
        workflow = run("inmail", account="it", script=script)
        assert not workflow.failed, lines(workflow)
        assert [each["subject"] for each in carried(workflow)] == ["code 1 é", "code 2 é"]
        assert ["Hello" in text for text in contents(workflow)] == [True, True]
        assert sorted(server.messages) == ["m2", "m4"]
        workflow = run("inmail", account="it", script="return 1;", stopAfterFirst=True)
        assert len(carried(workflow)) == 1
        assert sorted(server.messages) == ["m4"]
        wrong = run("inmail", account="it", script="return 9;")
        assert wrong.failed
        assert sorted(server.messages) == ["m4"]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        gc.collect()  # a connection that a failure left open is told of here, not in some later test
