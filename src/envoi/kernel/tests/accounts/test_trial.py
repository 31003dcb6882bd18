"""Each trial against a server on this host: it lets in, it refuses, it is something else, it is not there."""

import base64
import contextlib
import datetime
import ipaddress
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.db import connection

from envoi.kernel import accounts
from envoi.kernel.accounts import Outcome, network
from envoi.kernel.accounts.probes.storage import signed
from envoi.kernel.config import NetworkConfig
from envoi.kernel.models import AuditEntry, ExternalAccount
from envoi.kernel.testing import admin_actor

pytestmark = pytest.mark.usefixtures("db")
SECRET = "s3cret!x"


@pytest.fixture(autouse=True)
def loopback_is_allowed(settings: Any) -> None:
    settings.CONFIG = replace(settings.CONFIG, network=NetworkConfig(allow_private=("127.0.0.0/8",)))


def attempt(type: str, **values: Any) -> Outcome:
    accounts.create("it", actor=admin_actor(), type=type, values=values)
    outcome = accounts.test("it", actor=admin_actor())
    assert SECRET not in outcome.text
    return outcome


@contextlib.contextmanager
def peer(talk: Callable[[Any], None], *, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server for one connection, which `talk` holds on a file."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with contextlib.suppress(OSError):
                line, _ = listening.accept()
                line.settimeout(10)
                with line:
                    wrapped = tls.wrap_socket(line, server_side=True) if tls else line
                    with wrapped, wrapped.makefile("rwb", buffering=0) as file:
                        talk(file)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            thread.join(15)
            assert not thread.is_alive()


def says(greeting: bytes, answers: dict[bytes, bytes] | None = None) -> Callable[[Any], None]:
    """A talk by lines: the first word of each (an IMAP tag left out) chooses the answer."""

    def talk(file: Any) -> None:
        file.write(greeting)
        while line := file.readline():
            words = line.split() or [b""]
            tag = (
                words.pop(0) + b" " if b"%t" in b"".join((answers or {}).values()) and len(words) > 1 else b""
            )
            answer = (answers or {}).get(words[0].upper())
            if answer is None:
                return
            file.write(answer.replace(b"%t ", tag))

    return talk


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    file: Path = tmp_path_factory.mktemp("tls") / "both.pem"
    plain = serialization.NoEncryption()
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        + made.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


# --- what all have in common


def test_nothing_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    outcome = attempt("ldap", server="127.0.0.1", port=port)
    assert outcome.ok is False
    assert f"127.0.0.1:{port} refuses the connection" in outcome.text
    assert AuditEntry.objects.get(action="Test").detail == {"ok": False}


def test_a_private_address_is_refused_with_the_key_that_allows_it(settings: Any) -> None:
    settings.CONFIG = replace(settings.CONFIG, network=NetworkConfig())
    outcome = attempt("smtp", server="127.0.0.1", port=25)
    assert outcome.ok is False
    assert "[network] allow_private" in outcome.text


def test_a_server_that_is_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "STEP", 0.3)
    with peer(lambda file: file.read(1)) as port:
        outcome = attempt("sftp", server="127.0.0.1", port=port, account="a")
    assert outcome.ok is False
    assert "did not answer within" in outcome.text


def test_a_server_that_drips_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "PATIENCE", 0.5)
    stop = threading.Event()

    def drip(file: Any) -> None:
        while not stop.wait(0.05):
            file.write(b"x")

    with peer(drip) as port:
        outcome = attempt("sftp", server="127.0.0.1", port=port, account="a")
        stop.set()
    assert outcome.ok is False
    assert outcome.seconds < 3


def test_a_type_without_a_trial_says_so() -> None:
    outcome = attempt("line", alias="a", account="1")
    assert (outcome.ok, outcome.text) == (None, "No test is known for this type of account.")
    assert not AuditEntry.objects.filter(action="Test").exists()


def test_what_a_server_says_cannot_show_the_secret() -> None:
    talk = says(b"+OK\r\n", {b"USER": b"+OK\r\n", b"PASS": b"-ERR no " + SECRET.encode() + b"\x1b[2J\r\n"})
    with peer(talk) as port:
        outcome = attempt("pop3", server="127.0.0.1", port=port, account="a", password=SECRET)
    assert "no •••" in outcome.text
    assert "\x1b" not in outcome.text


# --- mail


def _check(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    return AuthResult(success=(data.login, data.password) == (b"sofia", SECRET.encode()), handled=False)


@contextlib.contextmanager
def relay(**settings: Any) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(object(), hostname="127.0.0.1", port=port, authenticator=_check, **settings)
    controller.start()
    try:
        yield port
    finally:
        controller.stop()


def test_smtp_lets_in_and_refuses() -> None:
    with relay(auth_require_tls=False) as port:
        given = {"server": "127.0.0.1", "port": port, "security": "none"}
        outcome = attempt("smtp", **given, account="sofia", password=SECRET)
        assert outcome.ok, outcome.text
        assert "lets sofia in. The password is sent unencrypted." in outcome.text
        accounts.update("it", actor=admin_actor(), values={"password": "wrong"})
        outcome = accounts.test("it", actor=admin_actor())
        assert outcome.ok is False
        assert "Check account and password" in outcome.text
        accounts.update("it", actor=admin_actor(), values={"account": "", "password": None})
        assert "answers." in accounts.test("it", actor=admin_actor()).text
        accounts.update("it", actor=admin_actor(), values={"security": "starttls"})
        assert "does not offer STARTTLS" in accounts.test("it", actor=admin_actor()).text


def test_smtp_with_starttls_checks_the_certificate(certificate: ssl.SSLContext) -> None:
    with relay(tls_context=certificate) as port:
        outcome = attempt("smtp", server="127.0.0.1", port=port, account="sofia", password=SECRET)
        assert "certificate of 127.0.0.1" in outcome.text
        accounts.update("it", actor=admin_actor(), values={"verify": False})
        outcome = accounts.test("it", actor=admin_actor())
        assert outcome.ok, outcome.text
        assert "unencrypted" not in outcome.text


POP = {b"USER": b"+OK\r\n", b"PASS": b"+OK\r\n", b"STAT": b"+OK 3 999\r\n", b"QUIT": b"+OK\r\n"}


def test_pop3_counts_the_messages() -> None:
    with peer(says(b"+OK ready\r\n", POP)) as port:
        outcome = attempt("pop3", server="127.0.0.1", port=port, account="a", password=SECRET)
    assert outcome.ok, outcome.text
    assert "Messages waiting: 3." in outcome.text


def test_pop3_by_tls_and_by_oauth(certificate: ssl.SSLContext) -> None:
    given = {
        "security": "tls",
        "verify": "0",
        "method": "oauth",
        "tenant": "t",
        "client_id": "c",
        "account": "a",
    }
    with peer(says(b"+OK ready\r\n", POP), tls=certificate) as port:
        outcome = attempt("pop3", server="127.0.0.1", port=port, **given)
    assert outcome.ok, outcome.text
    assert "OAuth is not tried" in outcome.text


IMAP = {
    b"CAPABILITY": b"* CAPABILITY IMAP4rev1\r\n%t OK done\r\n",
    b"LOGIN": b"%t OK in\r\n",
    b"LOGOUT": b"* BYE\r\n%t OK\r\n",
}


def imap(answers: dict[bytes, bytes]) -> Callable[[Any], None]:
    def talk(file: Any) -> None:
        file.write(b"* OK ready\r\n")
        while line := file.readline():
            tag, word = line.split()[:2]
            file.write(answers[word.upper()].replace(b"%t", tag))

    return talk


def test_imap_lets_in_and_refuses() -> None:
    given = {"server": "127.0.0.1", "security": "none", "account": "a", "password": SECRET}
    with peer(imap(IMAP)) as port:
        outcome = attempt("imap", port=port, **given)
    assert outcome.ok, outcome.text
    with peer(imap({**IMAP, b"LOGIN": b"%t NO bad credentials\r\n"})) as port:
        accounts.update("it", actor=admin_actor(), values={"port": port})
        assert "does not let a in" in accounts.test("it", actor=admin_actor()).text


@pytest.mark.parametrize("kind", ["smtp", "pop3", "imap", "ftp", "sftp", "smpp"])
@pytest.mark.parametrize("greeting", [b"HTTP/1.0 400 Bad Request\r\n\r\n", b"", b"\0" * 2000])
def test_a_server_of_another_kind_is_told_from_the_right_one(
    kind: str, greeting: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "PATIENCE", 0.5)
    with peer(says(greeting)) as port:
        outcome = attempt(
            kind,
            server="127.0.0.1",
            port=port,
            account="a",
            **{"security": "none"} if kind not in ("ftp", "sftp") else {},
        )
    assert outcome.ok is False
    assert "Check" in outcome.text


# --- files


FTP = {
    b"USER": b"331 password\r\n",
    b"PASS": b"230 in\r\n",
    b"CWD": b"250 there\r\n",
    b"QUIT": b"221 bye\r\n",
}


def test_ftp_goes_as_far_as_the_folder() -> None:
    given = {"server": "127.0.0.1", "account": "a", "password": SECRET, "folder": "in"}
    with peer(says(b"220 hello\r\n", FTP)) as port:
        outcome = attempt("ftp", port=port, **given)
    assert outcome.ok, outcome.text
    for answers, said in (
        ({**FTP, b"PASS": b"530 no\r\n"}, "does not let a in"),
        ({**FTP, b"CWD": b"550 none\r\n"}, "does not open in"),
    ):
        with peer(says(b"220 hello\r\n", answers)) as port:
            accounts.update("it", actor=admin_actor(), values={"port": port})
            assert said in accounts.test("it", actor=admin_actor()).text


def test_sftp_is_tried_as_far_as_the_greeting_and_says_so() -> None:
    with peer(says(b"welcome\r\nSSH-2.0-OpenSSH_9.9\r\n")) as port:
        outcome = attempt("sftp", server="127.0.0.1", port=port, account="a")
    assert outcome.ok, outcome.text
    assert "(SSH-2.0-OpenSSH_9.9). Sign-in and folder are not tried." in outcome.text


# --- the web


@contextlib.contextmanager
def site(answer: Callable[[BaseHTTPRequestHandler], tuple[int, dict[str, str], bytes]]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

        def _do(self) -> None:
            status, headers, body = answer(self)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_POST = do_HEAD = _do  # noqa: N815 names of the library

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_http_is_asked_with_name_or_token_and_follows_nothing() -> None:
    asked: list[str] = []

    def answer(request: BaseHTTPRequestHandler) -> tuple[int, dict[str, str], bytes]:
        asked.append(request.headers.get("Authorization", ""))
        return {"/in": (200, {}, b"x"), "/on": (302, {"Location": "http://169.254.169.254/"}, b"")}.get(
            request.path, (int(request.path[1:]) if request.path[1:].isdigit() else 404, {}, b"")
        )

    with site(answer) as address:
        outcome = attempt("http", server=f"{address}/in", account="a", password=SECRET)
        assert outcome.ok, outcome.text
        assert asked == ["Basic " + base64.b64encode(f"a:{SECRET}".encode()).decode()]
        for path, said in (
            ("on", "sends on to http://169.254.169.254/"),
            ("401", "refuses access"),
            ("none", "no such address"),
            ("503", "fault of its own"),
            ("418", "does not accept"),
        ):
            accounts.update("it", actor=admin_actor(), values={"server": f"{address}/{path}"})
            assert said in accounts.test("it", actor=admin_actor()).text
        accounts.update("it", actor=admin_actor(), values={"token": "tok"})
        accounts.test("it", actor=admin_actor())
        assert asked[-1] == "Bearer tok"


def test_another_instance_is_logged_on_to() -> None:
    bodies: list[bytes] = []
    reply = [
        b"<LogonResponse><pstrSessionToken xsi:type='xsd:string'>___1</pstrSessionToken></LogonResponse>"
    ]

    def answer(request: BaseHTTPRequestHandler) -> tuple[int, dict[str, str], bytes]:
        assert request.path == "/nl/jsp/soaprouter.jsp"
        assert request.headers["SOAPAction"] == "xtk:session#Logon"
        bodies.append(request.rfile.read(int(request.headers["Content-Length"])))
        return (403 if b"XSV-350012" in reply[0] else 200, {}, reply[0])

    with site(answer) as address:
        outcome = attempt("execution_instance", server=f"{address}/", account="m<c", password=SECRET)
        assert outcome.ok, outcome.text
        assert b">m&lt;c</login>" in bodies[0]
        for body, said in (
            (b"XSV-350012 Invalid login or password.", "Check account and password"),
            (b"<faultstring>XSV-350122 no zone</faultstring>", "XSV-350122 no zone"),
            (b"<html>", "not as an instance does"),
        ):
            reply[0] = body
            assert said in accounts.test("it", actor=admin_actor()).text


def test_routing_is_tested_in_its_mid_sourcing_mode_only() -> None:
    assert attempt("routing", mode="bulk").ok is None


def test_s3_asks_for_the_bucket() -> None:
    answers: list[tuple[int, dict[str, str]]] = [(200, {})]
    asked: list[Any] = []

    def answer(request: BaseHTTPRequestHandler) -> tuple[int, dict[str, str], bytes]:
        asked.append((request.command, request.path, dict(request.headers)))
        return (*answers[0], b"")

    with site(answer) as address:
        outcome = attempt(
            "s3", server=address, region="eu-west-3", bucket="up load", account="AK", password=SECRET
        )
        assert outcome.ok, outcome.text
        command, path, headers = asked[0]
        assert (command, path) == ("HEAD", "/up%20load")
        assert headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=AK/")
        assert headers["host"] == address.removeprefix("http://")
        for reply, said in (
            ((404, {}), "no bucket up load"),
            ((403, {}), "does not let AK in"),
            ((301, {"x-amz-bucket-region": "eu-north-1"}), "lies in the region eu-north-1"),
        ):
            answers[0] = reply
            assert said in accounts.test("it", actor=admin_actor()).text


def test_a_signature_is_that_of_the_published_example() -> None:
    headers = signed(
        "GET",
        "https://examplebucket.s3.amazonaws.com/test.txt",
        "us-east-1",
        "AKIAIOSFODNN7EXAMPLE",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        datetime.datetime(2013, 5, 24, tzinfo=datetime.UTC),
        more={"range": "bytes=0-9"},
    )
    assert headers["Authorization"].rpartition("Signature=")[2] == (
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    )


# --- databases and SMS


@contextlib.contextmanager
def database() -> Iterator[dict[str, Any]]:
    """The server of this run, which may listen on a socket only, under an address of this host."""
    asked = connection.get_connection_params()
    given = {"account": asked["user"], "password": asked["password"], "database": asked["dbname"]}
    folder = str(asked["host"])
    if not folder.startswith("/"):
        yield {**given, "server": folder, "port": asked["port"]}
        return

    def pass_on(file: Any) -> None:
        with socket.socket(socket.AF_UNIX) as behind:
            behind.connect(f"{folder}/.s.PGSQL.{asked['port']}")

            def back() -> None:
                with contextlib.suppress(OSError):
                    while piece := behind.recv(65536):
                        file.write(piece)

            thread = threading.Thread(target=back)
            thread.start()
            with contextlib.suppress(OSError):
                while piece := file.read(65536):
                    behind.sendall(piece)
            with contextlib.suppress(OSError):
                behind.shutdown(socket.SHUT_RDWR)
            thread.join()

    with peer(pass_on) as port:
        yield {**given, "server": "127.0.0.1", "port": port, "sslmode": "disable"}


def test_a_database_lets_in() -> None:
    with database() as given:
        outcome = attempt("database", schema="public", **given)
    assert outcome.ok, outcome.text
    assert "PostgreSQL " in outcome.text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": "elsewhere"}, "has no schema elsewhere"),
        ({"password": "wrong-one"}, "account and password"),
    ],
)
def test_a_database_that_refuses(change: dict[str, str], said: str) -> None:
    with database() as given:
        outcome = attempt("database", **{**given, **change})
    assert outcome.ok is False
    assert said in outcome.text


def test_a_database_that_never_answers_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "PATIENCE", 0.5)

    def talk(file: Any) -> None:
        (length,) = struct.unpack(">I", file.read(4))
        file.read(length - 4)
        file.write(b"R" + struct.pack(">II", 8, 0) + b"Z" + struct.pack(">I", 5) + b"I")
        while file.read(100):
            pass

    with peer(talk) as port:
        outcome = attempt(
            "database", server="127.0.0.1", port=port, database="x", account="a", sslmode="disable"
        )
    assert outcome.ok is False
    assert outcome.seconds < 5


def test_a_secret_of_another_key_is_said() -> None:
    accounts.create(
        "it", actor=admin_actor(), type="smtp", values={"server": "127.0.0.1", "password": SECRET}
    )
    row = ExternalAccount.objects.get()
    row.secrets = {"password": base64.b64encode(b"\x01" + b"0" * 40).decode()}
    row.save()
    outcome = accounts.test("it", actor=admin_actor())
    assert outcome.ok is False
    assert "enter the secret again" in outcome.text


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (0, "lets sys in"),
        (0x0E, "ESME_RINVPASWD"),
        (0x05, "bound already"),
        (0x58, "status 0x00000058"),
    ],
)
def test_smpp_binds(status: int, said: str) -> None:
    seen: list[bytes] = []

    def talk(file: Any) -> None:
        length, command, _status, sequence = struct.unpack(">IIII", file.read(16))
        seen.append(file.read(length - 16))
        body = b"center\0" if not status else b""
        file.write(struct.pack(">IIII", 16 + len(body), command | 0x80000000, status, sequence) + body)
        seen.append(file.read(16))

    with peer(talk) as port:
        outcome = attempt(
            "smpp",
            server="127.0.0.1",
            port=port,
            account="sys",
            password=SECRET,
            ton=1,
            npi=1,
            system_type="V",
        )
    assert outcome.ok is (status == 0)
    assert said in outcome.text
    assert seen[0] == b"sys\0" + SECRET.encode() + b"\0V\0" + bytes((0x34, 1, 1)) + b"\0"
    if status == 0:
        assert struct.unpack(">IIII", seen[1])[:3] == (16, 6, 0)


def test_a_directory_takes_the_connection() -> None:
    with peer(lambda file: None) as port:
        outcome = attempt("ldap", server="127.0.0.1", port=port)
    assert outcome.ok, outcome.text
    assert "sign-in is not tried" in outcome.text
