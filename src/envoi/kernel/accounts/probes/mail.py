"""Trials of mail servers: SMTP (RFC 5321), POP3 (RFC 1939), IMAP (RFC 3501), each as far as the sign-in."""

import imaplib
import poplib
import smtplib
import socket
from contextlib import ExitStack

from django.utils.translation import gettext as _

from envoi.kernel.accounts.network import STEP, Line, context, printable, reach, refused
from envoi.kernel.accounts.opened import Credentials, Failed


def smtp(account: Credentials) -> str:
    """Greet a relay, encrypt as the account says, sign in."""
    host, port, place = _where(account)
    with reach(host, port) as line, ExitStack() as closing:
        try:
            session = _Smtp(_begin(account, line), host, port)
            closing.callback(session.close)
            session.ehlo_or_helo_if_needed()
            if account.text("security") == "starttls":
                if not session.has_extn("starttls"):
                    raise _no_starttls(place)
                session.starttls(context=context(verify=account.on("verify")))
                session.ehlo_or_helo_if_needed()
            if account.text("account"):
                session.login(account.text("account"), account.secret("password"))
            session.quit()
        except smtplib.SMTPAuthenticationError as error:
            raise refused(place, account.text("account"), error.smtp_error) from error
        except smtplib.SMTPNotSupportedError as error:
            raise Failed(
                _("%(place)s offers no sign-in. Leave account and password empty, or check the encryption.")
                % {"place": place}
            ) from error
        except smtplib.SMTPResponseException as error:
            raise _answered(place, f"{error.smtp_code} {printable(error.smtp_error)}") from error
    return _success(account, place)


def pop3(account: Credentials) -> str:
    """Greet a mailbox, encrypt as the account says, sign in and count the messages."""
    host, port, place = _where(account)
    with reach(host, port) as line, ExitStack() as closing:
        try:
            session = _Pop(_begin(account, line), host, port)
            closing.callback(session.close)
            if account.text("security") == "starttls":
                if "STLS" not in session.capa():
                    raise _no_starttls(place)
                session.stls(context=context(verify=account.on("verify")))
            if account.text("method") == "oauth":
                session.quit()
                return _half(place)
            try:
                session.user(account.text("account"))
                session.pass_(account.secret("password"))
            except poplib.error_proto as error:
                raise refused(place, account.text("account"), error) from error
            count, _size = session.stat()
            session.quit()
        except poplib.error_proto as error:
            raise _answered(place, error) from error
    return f"{_success(account, place)} {_('Messages waiting: %(n)d.') % {'n': count}}"


def imap(account: Credentials) -> str:
    """Greet a mailbox, encrypt as the account says, sign in."""
    host, port, place = _where(account)
    with reach(host, port) as line, ExitStack() as closing:
        try:
            session = _Imap(_begin(account, line), host, port)
            # Not its own `shutdown`, which fails on what is closed already.
            closing.callback(lambda: session.sock.close())
            closing.callback(lambda: session.file.close())
            if account.text("security") == "starttls":
                if "STARTTLS" not in session.capabilities:
                    raise _no_starttls(place)
                session.starttls(ssl_context=context(verify=account.on("verify")))
            if account.text("method") == "oauth":
                session.logout()
                return _half(place)
            try:
                session.login(account.text("account"), account.secret("password"))
            except imaplib.IMAP4.abort:
                raise
            except imaplib.IMAP4.error as error:
                raise refused(place, account.text("account"), error) from error
            session.logout()
        except imaplib.IMAP4.error as error:
            raise _answered(place, error) from error
    return _success(account, place)


# The library would look the name up again; each of these takes the connection that is there.


class _Smtp(smtplib.SMTP):
    def __init__(self, connection: socket.socket, host: str, port: int) -> None:
        self._given = connection
        # SMTP greets with the name of the client, which the library would have to resolve.
        super().__init__(host, port, local_hostname=socket.gethostname() or "localhost", timeout=STEP)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return self._given


class _Pop(poplib.POP3):
    def __init__(self, connection: socket.socket, host: str, port: int) -> None:
        self._given = connection
        try:
            super().__init__(host, port, STEP)
        except BaseException:  # a greeting that is none
            self.close()
            raise

    def _create_socket(self, timeout: float) -> socket.socket:
        return self._given


class _Imap(imaplib.IMAP4):
    def __init__(self, connection: socket.socket, host: str, port: int) -> None:
        self._given = connection
        super().__init__(host, port, STEP)

    def _create_socket(self, timeout: float | None) -> socket.socket:
        return self._given


def _where(account: Credentials) -> tuple[str, int, str]:
    host, port = account.text("server"), account.number("port")
    return host, port, f"{host}:{port}"


def _begin(account: Credentials, line: Line) -> socket.socket:
    if account.text("security") == "tls":
        line.encrypt(verify=account.on("verify"))
    return line.socket


def _success(account: Credentials, place: str) -> str:
    if not account.text("account"):
        return _("%(place)s answers.") % {"place": place}
    text = _("%(place)s lets %(account)s in.") % {"place": place, "account": account.text("account")}
    return f"{text} {_('The password is sent unencrypted.')}" if account.text("security") == "none" else text


def _half(place: str) -> str:
    return _("%(place)s answers. The sign-in by OAuth is not tried.") % {"place": place}


def _no_starttls(place: str) -> Failed:
    return Failed(
        _("%(place)s does not offer STARTTLS. Choose TLS from the start with its port, or no encryption.")
        % {"place": place}
    )


def _answered(place: str, said: object) -> Failed:
    return Failed(
        _("%(place)s answers, but not as it should (%(said)s). Check port and encryption.")
        % {"place": place, "said": printable(said)}
    )
