"""Trials of SMS centers: one bind by SMPP 3.4 and its end."""

import socket
import struct

from django.utils.translation import gettext as _

from envoi.kernel.accounts.network import reach, refused
from envoi.kernel.accounts.opened import Credentials, Failed

_HEAD = struct.Struct(">IIII")
_BIND, _BIND_ANSWER, _UNBIND = 0x00000002, 0x80000002, 0x00000006
_LONGEST = 4096
_NO_ENTRY = {0x0D: "ESME_RBINDFAIL", 0x0E: "ESME_RINVPASWD", 0x0F: "ESME_RINVSYSID"}
_BOUND_ALREADY = 0x05


def smpp(account: Credentials) -> str:
    """Bind as a transmitter, which every center allows that takes messages, and unbind."""
    host, port = account.text("server"), account.number("port")
    place, who = f"{host}:{port}", account.text("account")
    with reach(host, port) as line:
        if account.text("security") == "tls":
            line.encrypt(verify=account.on("verify"))
        line.socket.sendall(bind(account))
        command, status = _answer(line.socket, place)
        if command != _BIND_ANSWER:
            raise Failed(
                _("%(place)s answers, but not as an SMS center. Check port and encryption.")
                % {"place": place}
            )
        if status in _NO_ENTRY:
            raise refused(place, who, _NO_ENTRY[status])
        if status == _BOUND_ALREADY:
            raise Failed(
                _("%(place)s has %(account)s bound already. Stop the other connection, or ask for more.")
                % {"place": place, "account": who}
            )
        if status:
            raise Failed(
                _("%(place)s refuses the bind (status %(status)s). Ask the provider what it means.")
                % {"place": place, "status": f"0x{status:08X}"}
            )
        line.socket.sendall(_HEAD.pack(_HEAD.size, _UNBIND, 0, 2))
    return _("%(place)s lets %(account)s in.") % {"place": place, "account": who}


def bind(account: Credentials) -> bytes:
    """Return the bind_transmitter of an account (SMPP 3.4, §4.1.1)."""
    texts = (account.text("account"), account.secret("password"), account.text("system_type"))
    body = b"".join(text.encode("latin-1", "replace") + b"\0" for text in texts)
    body += bytes((0x34, account.number("ton"), account.number("npi"))) + b"\0"
    return _HEAD.pack(_HEAD.size + len(body), _BIND, 0, 1) + body


def _answer(line: socket.socket, place: str) -> tuple[int, int]:
    """Return command and status of one answer; its body does not matter."""
    length, command, status, _sequence = _HEAD.unpack(_exactly(line, _HEAD.size))
    if not _HEAD.size <= length <= _LONGEST:
        raise Failed(
            _("%(place)s answers, but not as an SMS center. Check port and encryption.") % {"place": place}
        )
    _exactly(line, length - _HEAD.size)
    return command, status


def _exactly(line: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        piece = line.recv(count - len(found))
        if not piece:
            raise EOFError("the server closed it")
        found += piece
    return found
