"""System mail: notices to operators, through the outbox to the relay of `SMTP_URL` (architecture §3.13).

The URL is smtp://user:password@host:587 or smtps://…:465. On smtp:// STARTTLS is used when the relay offers
it, and its certificate must then be valid; `?tls=required` insists on it, `?tls=off` does without,
`?verify=no` takes any certificate. A name and password are never sent in clear, but to this machine or with
tls=off.
"""

import hashlib
import smtplib
import socket
import ssl
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime
from ipaddress import ip_address
from urllib.parse import parse_qsl, unquote, urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import EmailValidator

from envoi.kernel import outbox
from envoi.kernel.errors import Invalid
from envoi.kernel.models import OutboxItem

KIND = "mail"
TIMEOUT = 20.0
"""Seconds that the relay may take for one answer."""
_ADDRESS = EmailValidator()


@dataclass(frozen=True)
class Relay:
    """What `SMTP_URL` says."""

    host: str
    port: int
    implicit_tls: bool
    starttls: str
    """auto, required or off."""
    verify: bool
    user: str
    password: str


def system_mail(to: str | Iterable[str], subject: str, text: str, key: str) -> OutboxItem:
    """Post a mail in the caller's transaction; the same `key` is never sent as another message.

    Raises Invalid for an address that is none, and for a line break in the subject.
    """
    addresses = [to] if isinstance(to, str) else list(to)
    if not addresses:
        raise Invalid(f"The mail {subject!r} has no recipient.")
    for address in addresses:
        _check_address(address)
    if any(ord(letter) < 32 or letter in "\x7f\x85\u2028\u2029" for letter in subject):
        raise Invalid(f"The subject of a mail is one line: {subject!r}.")
    return outbox.post(KIND, key, {"to": addresses, "subject": subject, "text": text})


def relay(url: str) -> Relay:
    """Read `SMTP_URL`. Raises Invalid, without repeating the password."""
    try:
        parts = urlsplit(url)
        port, options = parts.port, dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
    except ValueError as error:
        raise Invalid("SMTP_URL is not a URL of the form smtp://user:password@host:587.") from error
    starttls, verify = options.pop("tls", "auto"), options.pop("verify", "yes")
    if (
        parts.scheme not in ("smtp", "smtps")
        or not parts.hostname
        or parts.path not in ("", "/")
        or options
        or starttls not in ("auto", "required", "off")
        or verify not in ("yes", "no")
    ):
        raise Invalid(
            "SMTP_URL must be smtp://host:port or smtps://host:port, with user:password@ before the host if "
            "needed, and ?tls=auto|required|off and &verify=yes|no at most behind it."
        )
    secure = parts.scheme == "smtps"
    return Relay(
        host=parts.hostname,
        port=port or (465 if secure else 25),
        implicit_tls=secure,
        starttls=starttls,
        verify=verify == "yes",
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
    )


def compose(item: OutboxItem, sender: str) -> EmailMessage:
    """Make the message of an outbox item; the same bytes each time it is called."""
    _check_address(sender)
    message = EmailMessage()
    message["From"] = sender
    message["To"] = ", ".join(item.payload["to"])
    message["Subject"] = item.payload["subject"]
    message["Date"] = format_datetime(item.created_at)
    message["Message-ID"] = (
        f"<{hashlib.sha256(item.key.encode()).hexdigest()[:40]}@{sender.partition('@')[2]}>"
    )
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no answering machine replies to it
    message.set_content(item.payload["text"], cte="quoted-printable")
    return message


def sender() -> str:
    """Return the address that system mail comes from: `[smtp] sender`, else the instance at this host."""
    config = settings.CONFIG
    return config.smtp.sender or f"{config.instance.name}@{socket.gethostname() or 'localhost'}"


def _deliver(item: OutboxItem) -> str | None:
    message = compose(item, sender())
    try:
        connection = _connect(relay(settings.CONFIG.smtp.url))
    except (OSError, Invalid) as error:  # smtplib's errors are of this kind too
        raise outbox.Unreachable(f"The relay cannot be used ({type(error).__name__}: {error})") from error
    try:
        with connection:
            refused = connection.send_message(message)
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _ in error.recipients.values()]
        if all(code >= 500 for code in codes):
            raise outbox.Permanent(f"The relay refused every recipient: {_codes(codes)}") from error
        raise
    except smtplib.SMTPResponseException as error:
        if error.smtp_code >= 500:
            raise outbox.Permanent(f"The relay refused the message: {error.smtp_code}") from error
        raise
    return (
        f"Refused for some of the recipients: {_codes(code for code, _ in refused.values())}"
        if refused
        else None
    )


def _connect(to: Relay) -> smtplib.SMTP:
    context = ssl.create_default_context()
    if not to.verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if to.implicit_tls:
        connection: smtplib.SMTP = smtplib.SMTP_SSL(to.host, to.port, timeout=TIMEOUT, context=context)
    else:
        connection = smtplib.SMTP(to.host, to.port, timeout=TIMEOUT)
    try:
        secure = to.implicit_tls
        connection.ehlo_or_helo_if_needed()
        if not secure and to.starttls != "off":
            if connection.has_extn("starttls"):
                connection.starttls(context=context)
                secure = True
            elif to.starttls == "required":
                raise smtplib.SMTPNotSupportedError("The relay does not offer STARTTLS, and tls=required.")
        if to.user:
            if not secure and to.starttls != "off" and not _is_here(connection):
                raise smtplib.SMTPNotSupportedError(
                    "The relay offers no encryption: the password is not sent (tls=off would allow it)."
                )
            connection.login(to.user, to.password)
    except BaseException:
        connection.close()
        raise
    return connection


def _is_here(connection: smtplib.SMTP) -> bool:
    if connection.sock is None:
        return False
    with suppress(ValueError, OSError):
        return ip_address(connection.sock.getpeername()[0]).is_loopback
    return False


def _check_address(address: str) -> None:
    try:
        _ADDRESS(address)
    except ValidationError as error:
        raise Invalid(f"{address!r} is not an e-mail address.") from error


def _codes(codes: Iterable[int]) -> str:
    return ", ".join(sorted({str(code) for code in codes}))


outbox.register(outbox.Handler(KIND, _deliver, lambda: bool(settings.CONFIG.smtp.url)))
