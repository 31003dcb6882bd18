import email
import email.policy
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from django.conf import settings

from envoi.kernel import mail, outbox
from envoi.kernel.config import SmtpConfig
from envoi.kernel.errors import Invalid
from envoi.kernel.models import OutboxItem
from envoi.kernel.models.outbox import OutboxState
from envoi.kernel.testing import make_certificate

pytestmark = [
    # aiosmtpd's own notice that a test server without TLS takes passwords
    pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS"),
    pytest.mark.filterwarnings("ignore::UserWarning:aiosmtpd"),
]


Relay = Callable[..., str]


class Sink:
    """What a relay was told."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.recipients: list[list[str]] = []
        self.users: list[str] = []
        self.secure: list[bool] = []
        self.answer = "250 taken"
        self.refuse: dict[str, str] = {}

    async def handle_RCPT(self, server, session, envelope, address, options) -> str:  # noqa: N802
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server, session, envelope) -> str:  # noqa: N802
        self.messages.append(envelope.content)
        self.recipients.append(envelope.rcpt_tos)
        self.secure.append(server.transport.get_extra_info("ssl_object") is not None)
        return self.answer

    def authenticate(self, server, session, envelope, mechanism, auth_data) -> AuthResult:
        self.users.append(auth_data.login.decode())
        return AuthResult(success=auth_data.password == b"p@ss/word", handled=False)

    def parsed(self) -> Any:
        (content,) = self.messages
        return email.message_from_bytes(content, policy=email.policy.default)


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
def relay(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Start a relay on loopback and point SMTP_URL to it; returns the URL."""
    running: list[Controller] = []

    def start(
        scheme: str = "smtp",
        account: str = "",
        query: str = "",
        sender: str = "envoi@example.com",
        **options: Any,
    ) -> str:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        controller = Controller(sink, hostname="127.0.0.1", port=port, **options)
        controller.start()
        running.append(controller)
        url = f"{scheme}://{account}127.0.0.1:{port}{query}"
        config = replace(settings.CONFIG, smtp=SmtpConfig(url=url, sender="envoi@example.com"))
        monkeypatch.setattr(settings, "CONFIG", config)
        return url

    yield start
    for controller in running:
        controller.stop()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1 with its key, in one file."""
    return make_certificate(tmp_path_factory.mktemp("tls") / "relay.pem")


def with_sign_in(sink: Sink) -> dict[str, Any]:
    return {"auth_required": True, "auth_require_tls": False, "authenticator": sink.authenticate}


def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_a_mail_arrives_as_it_was_written(committed_db: object, sink: Sink, relay: Relay, clock) -> None:
    relay()
    text = "Grüße\n.\nEine Zeile, die mit einem Punkt beginnt:\n.x\n" + "lang " * 300
    mail.system_mail(
        ["ann@example.com", "bob@example.com"], "Arbeitsablauf «Nacht» hält", text, "workflow 7 failed"
    )
    assert outbox.deliver() == outbox.Delivered(done=1)
    message = sink.parsed()
    assert sink.recipients == [["ann@example.com", "bob@example.com"]]
    assert message["Subject"] == "Arbeitsablauf «Nacht» hält"
    assert message["From"] == "envoi@example.com"
    assert message["Date"].datetime == datetime(2026, 11, 24, 9, tzinfo=UTC)
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content().replace("\r\n", "\n").rstrip("\n") == text.rstrip("\n")


def test_a_repeat_is_the_same_message_and_another_key_is_not(committed_db: object, clock) -> None:
    one = mail.system_mail("ann@example.com", "Hello", "Text", "one")
    two = mail.system_mail("ann@example.com", "Hello", "Text", "two")
    first = mail.compose(one, "envoi@example.com")
    clock.step(hours=3)
    again = mail.compose(OutboxItem.objects.get(key="one"), "envoi@example.com")
    assert again.as_bytes() == first.as_bytes()
    assert first["Message-ID"] != mail.compose(two, "envoi@example.com")["Message-ID"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("to", "subject"),
    [
        ("ann@example.com", "Hello\nBcc: eve@example.com"),
        ("ann@example.com", "Hello\r\nX: y"),
        ("ann@example.com", "Hello\u2028X: y"),
        ("ann@example.com\nBcc: eve@example.com", "Hello"),
        ("ann@example.com, eve@example.com", "Hello"),
        ("<ann@example.com>", "Hello"),
        ("", "Hello"),
        ([], "Hello"),
    ],
)
def test_nothing_can_be_smuggled_into_the_head(to: Any, subject: str) -> None:
    with pytest.raises(Invalid):
        mail.system_mail(to, subject, "Text", "key")
    assert not OutboxItem.objects.exists()


def test_without_a_relay_mail_waits(committed_db: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "CONFIG", replace(settings.CONFIG, smtp=SmtpConfig()))
    mail.system_mail("ann@example.com", "Hello", "Text", "one")
    assert outbox.deliver() == outbox.Delivered()
    (standing,) = outbox.standing()
    assert (standing.kind, standing.waiting, standing.ready) == ("mail", 1, False)


def test_a_relay_that_is_down_is_tried_again(committed_db: object, sink: Sink, relay: Relay, clock) -> None:
    relay()
    sink.answer = "451 later"
    mail.system_mail("ann@example.com", "Hello", "Text", "one")
    assert outbox.deliver() == outbox.Delivered(retried=1)
    sink.answer = "250 taken"
    clock.step(minutes=1)
    assert outbox.deliver() == outbox.Delivered(done=1)
    first, second = sink.messages
    assert first == second


def test_a_refusal_for_good_fails_at_once(committed_db: object, sink: Sink, relay: Relay) -> None:
    relay()
    sink.answer = "554 no"
    mail.system_mail("ann@example.com", "Hello", "Text", "one")
    sink.refuse = {"gone@example.com": "550 unknown", "busy@example.com": "450 later"}
    mail.system_mail("gone@example.com", "Hello", "Text", "two")
    mail.system_mail("busy@example.com", "Hello", "Text", "three")
    assert outbox.deliver() == outbox.Delivered(failed=2, retried=1)
    assert OutboxItem.objects.get(key="three").state == OutboxState.WAITING
    assert "gone@example.com" not in OutboxItem.objects.get(key="two").error


def test_one_refused_recipient_does_not_repeat_the_mail_to_the_others(
    committed_db: object, sink: Sink, relay: Relay
) -> None:
    relay()
    sink.refuse = {"gone@example.com": "550 unknown"}
    mail.system_mail(["ann@example.com", "gone@example.com"], "Hello", "Text", "one")
    assert outbox.deliver() == outbox.Delivered(done=1)
    assert sink.recipients == [["ann@example.com"]]
    assert OutboxItem.objects.get().error == "Refused for some of the recipients: 550"


def test_starttls_is_used_when_offered_and_the_certificate_counts(
    committed_db: object, sink: Sink, relay: Relay, certificate: Path, clock, monkeypatch
) -> None:
    relay(tls_context=tls(certificate))
    mail.system_mail("ann@example.com", "Hello", "Text", "one")
    assert outbox.deliver() == outbox.Delivered(retried=1)
    assert "CERTIFICATE_VERIFY_FAILED" in OutboxItem.objects.get().error
    assert sink.messages == []
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    clock.step(minutes=1)
    assert outbox.deliver() == outbox.Delivered(done=1)
    assert sink.secure == [True]


def test_any_certificate_will_do_when_configured_so(
    committed_db: object, sink: Sink, relay: Relay, certificate: Path
) -> None:
    relay(query="?tls=required&verify=no", tls_context=tls(certificate))
    mail.system_mail("ann@example.com", "Hello", "Text", "one")
    assert outbox.deliver() == outbox.Delivered(done=1)
    assert sink.secure == [True]


def test_smtps_speaks_tls_from_the_start(
    committed_db: object, sink: Sink, relay: Relay, certificate: Path, monkeypatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    relay("smtps", ssl_context=tls(certificate))
    mail.system_mail("ann@example.com", "Hello", "Text", "one")
    assert outbox.deliver() == outbox.Delivered(done=1)
    assert sink.secure == [True]


def test_required_encryption_that_is_not_offered_sends_nothing(
    committed_db: object, sink: Sink, relay: Relay
) -> None:
    relay(query="?tls=required")
    mail.system_mail("ann@example.com", "Hello", "Text", "one")
    assert outbox.deliver() == outbox.Delivered(retried=1)
    assert sink.messages == []


def test_name_and_password_are_given(committed_db: object, sink: Sink, relay: Relay, clock) -> None:
    relay(
        account="ann%40example.com:p%40ss%2Fword@",
        auth_required=True,
        auth_require_tls=False,
        authenticator=sink.authenticate,
    )
    mail.system_mail("ann@example.com", "Hello", "Text", "one")
    assert outbox.deliver() == outbox.Delivered(done=1)
    assert sink.users == ["ann@example.com"]


def test_a_wrong_password_is_not_the_end_of_the_mail(committed_db: object, sink: Sink, relay: Relay) -> None:
    relay(account="ann:wrong@", **with_sign_in(sink))
    mail.system_mail("ann@example.com", "Hello", "Text", "one")
    assert outbox.deliver() == outbox.Delivered(retried=1)
    assert "wrong" not in OutboxItem.objects.get().error


def test_a_password_is_not_sent_in_clear_over_a_network(
    committed_db: object, sink: Sink, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail, "_is_here", lambda connection: False)
    relay(
        account="ann:p%40ss%2Fword@",
        auth_required=True,
        auth_require_tls=False,
        authenticator=sink.authenticate,
    )
    mail.system_mail("ann@example.com", "Hello", "Text", "one")
    assert outbox.deliver() == outbox.Delivered(retried=1)
    assert sink.users == []


def test_a_relay_that_cannot_be_reached_stops_the_round_and_fails_nothing(
    committed_db: object, sink: Sink, relay: Relay, monkeypatch: pytest.MonkeyPatch, clock
) -> None:
    relay()
    tries = []

    def refuses(to: mail.Relay) -> None:
        tries.append(to.host)
        raise ConnectionRefusedError

    for key in ("one", "two", "three"):
        mail.system_mail("ann@example.com", "Hello", "Text", key)
    with monkeypatch.context() as patch:
        patch.setattr(mail, "_connect", refuses)
        assert outbox.deliver() == outbox.Delivered(retried=1)
        assert len(tries) == 1
        for _ in range(4 * outbox.ATTEMPTS):
            clock.step(hours=6)
            assert outbox.deliver() == outbox.Delivered(retried=1)
    clock.step(hours=6)
    assert outbox.deliver() == outbox.Delivered(done=3)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com",
        "smtp://",
        "smtp://host:port",
        "smtp://ann:hunter2@host/path",
        "smtp://ann:hunter2@host?tls=perhaps",
        "smtp://ann:hunter2@host?verify=maybe",
        "smtp://ann:hunter2@host?x=y",
    ],
)
def test_a_wrong_url_is_refused_without_the_password(url: str) -> None:
    with pytest.raises(Invalid, match="SMTP_URL") as refusal:
        mail.relay(url)
    assert "hunter2" not in str(refusal.value)


def test_ports_have_their_defaults() -> None:
    assert (mail.relay("smtp://host").port, mail.relay("smtps://host").port) == (25, 465)
    assert mail.relay("smtp://host:587?tls=off").starttls == "off"
