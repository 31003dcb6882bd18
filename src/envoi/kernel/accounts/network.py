"""Connections that a trial makes: to the address that was checked, encrypted when asked, and not for ever."""

import os
import socket
import ssl
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress

from django.utils.translation import gettext as _

from envoi.kernel import addresses
from envoi.kernel.accounts.opened import Failed, allowed

STEP = 5.0
"""Seconds for one answer."""
PATIENCE = 15.0
"""Seconds for a whole trial, however slowly a server drips."""


class Line:
    """A connection to a host; `socket` is what to talk on."""

    def __init__(self, host: str, connection: socket.socket) -> None:
        self.host = host
        self.socket = connection

    def encrypt(self, *, verify: bool) -> None:
        """Begin TLS; without `verify` any certificate will do."""
        self.socket = context(verify=verify).wrap_socket(self.socket, server_hostname=self.host)


@contextmanager
def reach(host: str, port: int) -> Generator[Line]:
    """Connect to a host, and be cut off after `PATIENCE` seconds.

    Raises Invalid or Retry for a name that may not be reached or resolved; whatever else goes wrong inside,
    Failed with a sentence.
    """
    found = addresses.check_host(host, port, allowed=allowed())
    place = f"{host}:{port}"
    with explained(place):
        line = Line(host, _first(found, port))
        try:
            with cut_off(line.socket.fileno()):
                yield line
        finally:
            line.socket.close()


@contextmanager
def cut_off(descriptor: int) -> Generator[None]:
    """End a connection after `PATIENCE` seconds, unless what stands inside is done before."""
    # TLS and database drivers keep the socket to themselves; a copy reaches the connection all the same.
    copy = socket.socket(fileno=os.dup(descriptor))
    timer = threading.Timer(PATIENCE, _cut, [copy])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        copy.close()


def _first(found: tuple[addresses.Address, ...], port: int) -> socket.socket:
    """Connect to the first address that answers."""
    failure: OSError | None = None
    for address in found[:4]:
        try:
            return socket.create_connection((str(address), port), timeout=STEP)
        except OSError as error:
            failure = error
    raise failure or ConnectionError(_("the name has no address"))


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def context(*, verify: bool) -> ssl.SSLContext:
    """Return what TLS is begun with; without `verify` any certificate will do."""
    made = ssl.create_default_context()
    if not verify:
        made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    return made


@contextmanager
def explained(place: str) -> Generator[None]:
    """Turn what the network raises inside into Failed, a sentence with place and remedy."""
    try:
        yield
    except TimeoutError as error:
        raise Failed(
            _(
                "%(place)s did not answer within %(seconds)d seconds. "
                "Check server and port, and the firewall between."
            )
            % {"place": place, "seconds": STEP}
        ) from error
    except ConnectionRefusedError as error:
        raise Failed(
            _("%(place)s refuses the connection: nothing listens there. Check server and port.")
            % {"place": place}
        ) from error
    except ssl.SSLCertVerificationError as error:
        raise Failed(
            _(
                "The certificate of %(place)s cannot be trusted (%(reason)s). Check the name of the server, "
                "or do without the check if you know whose certificate it is."
            )
            % {"place": place, "reason": error.verify_message}
        ) from error
    except ssl.SSLError as error:
        raise Failed(
            _("%(place)s does not begin TLS (%(reason)s). Check port and encryption.")
            % {"place": place, "reason": error.reason or error}
        ) from error
    except (OSError, EOFError, ValueError) as error:
        raise Failed(
            _("The connection to %(place)s broke (%(reason)s). Check port and encryption.")
            % {"place": place, "reason": printable(error) or type(error).__name__}
        ) from error


def printable(said: object) -> str:
    """Return what a server said as one line of at most 200 characters."""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:200]


def refused(place: str, account: str, said: object) -> Failed:
    """Return the failure of a sign-in."""
    return Failed(
        _("%(place)s does not let %(account)s in (%(said)s). Check account and password.")
        % {"place": place, "account": account or _("nobody"), "said": printable(said)}
    )
