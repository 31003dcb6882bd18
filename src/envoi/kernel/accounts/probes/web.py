"""Trials over HTTP: one request to the address that was checked; no redirection is followed."""

import base64
import http.client
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.utils.translation import gettext as _

from envoi.kernel import addresses
from envoi.kernel.accounts.network import STEP, printable, reach
from envoi.kernel.accounts.opened import Credentials, Failed, allowed

LONGEST = 65536


@dataclass(frozen=True)
class Answer:
    """What a server said; of the body no more than `LONGEST` bytes."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes


def get(account: Credentials) -> str:
    """Fetch the address with the account's name or token."""
    headers: dict[str, str] = {}
    if token := account.secret("token"):
        headers["Authorization"] = f"Bearer {token}"
    elif account.text("account"):
        pair = f"{account.text('account')}:{account.secret('password')}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
    url = account.text("server")
    answer = request("GET", url, headers=headers, verify=account.on("verify"))
    place = place_of(url)
    if answer.status >= 400:
        raise unwanted(place, answer)
    if answer.status >= 300:
        return _("%(place)s answers and sends on to %(where)s.") % {
            "place": place,
            "where": printable(answer.headers.get("location", "?")),
        }
    return _("%(place)s answers with status %(status)d.") % {"place": place, "status": answer.status}


def request(
    method: str, url: str, *, headers: Mapping[str, str], verify: bool = True, body: bytes = b""
) -> Answer:
    """Send one request. Raises Failed with a sentence, Invalid or Retry for an address not to be reached."""
    # Checks the form of the address too: name and password in it would end up in messages.
    addresses.check_url(url, allowed=allowed())
    parts = urlsplit(url)
    host, secure = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    with reach(host, port) as line:
        if secure:
            line.encrypt(verify=verify)
        connection = http.client.HTTPConnection(host, port, timeout=STEP)
        connection.default_port = 443 if secure else 80
        connection.sock = line.socket
        try:
            connection.request(method, target, body=body or None, headers={"User-Agent": "Envoi", **headers})
            answer = connection.getresponse()
            return Answer(
                answer.status,
                answer.reason,
                {name.lower(): value for name, value in answer.getheaders()},
                answer.read(LONGEST),
            )
        except http.client.HTTPException as error:
            raise Failed(
                _("%(place)s does not speak HTTP (%(said)s). Check the address.")
                % {"place": place_of(url), "said": printable(error) or type(error).__name__}
            ) from error
        finally:
            connection.close()


def place_of(url: str) -> str:
    """Return the part of an address that a message names."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def unwanted(place: str, answer: Answer) -> Failed:
    """Return the failure that a status stands for."""
    given = {"place": place, "status": answer.status, "reason": printable(answer.reason)}
    if answer.status in (401, 403):
        return Failed(
            _("%(place)s refuses access (%(status)d %(reason)s). Check account, password and rights there.")
            % given
        )
    if answer.status in (404, 410):
        return Failed(
            _("%(place)s knows no such address (%(status)d %(reason)s). Check the path after the host.")
            % given
        )
    if answer.status >= 500:
        return Failed(
            _("%(place)s has a fault of its own (%(status)d %(reason)s). Try later, or tell who runs it.")
            % given
        )
    return Failed(
        _("%(place)s does not accept the request (%(status)d %(reason)s). Check the address.") % given
    )
