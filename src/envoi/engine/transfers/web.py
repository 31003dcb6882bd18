"""HTTP and HTTPS: requests whose bodies go from and to files, each redirection checked like the first
address.
"""

from __future__ import annotations

import base64
import http.client
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, urljoin, urlsplit

from envoi.engine.activities.base import Failed
from envoi.engine.transfers.remote import MOST_BYTES, PATIENCE, arriving, connect
from envoi.kernel import addresses
from envoi.kernel.accounts import Credentials
from envoi.kernel.accounts.network import context, explained, printable
from envoi.kernel.accounts.opened import Failed as Unreached
from envoi.kernel.accounts.opened import allowed
from envoi.kernel.errors import Invalid, Retry

HOPS = 5
CHUNK = 1 << 20


@dataclass(frozen=True)
class Answer:
    """What a server answers; `body` is read piece by piece."""

    url: str
    status: int
    reason: str
    headers: Mapping[str, str]
    body: http.client.HTTPResponse

    def text(self, most: int = 1 << 20) -> str:
        """Return the beginning of the body as a text."""
        return self.body.read(most).decode("utf-8", "replace")

    def save(self, to: Path, head: bytes = b"") -> None:
        """Write the body to a file, behind `head`, whole or not at all. Raises Failed for one without end."""
        size = 0
        with arriving(to) as part, part.open("wb") as file:
            file.write(head)
            while piece := self.body.read(CHUNK):
                size += len(piece)
                if size > MOST_BYTES:
                    raise Failed(f"{place(self.url)} sends more than {MOST_BYTES >> 30} GB.")
                file.write(piece)
            wanted = self.headers.get("content-length", "")
            if wanted.isdecimal() and int(wanted) != size:
                raise Failed(f"{place(self.url)} broke off after {size} of {wanted} bytes.")


@contextmanager
def opened(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    body: bytes | BinaryIO = b"",
    length: int | None = None,
    verify: bool = True,
    follow: bool = False,
) -> Generator[Answer]:
    """Send a request and give its answer. With `follow` redirections of GET are followed, five at most; what
    signs the account in is not sent to another host. Raises Failed.
    """
    given = dict(headers)
    for _hop in range(HOPS + 1):
        with _one(method, url, given, body, length, verify=verify) as answer:
            target = answer.headers.get("location", "")
            if not (follow and method == "GET" and answer.status in (301, 302, 303, 307, 308) and target):
                yield answer
                return
            following = urljoin(url, target)
        if urlsplit(following).netloc != urlsplit(url).netloc or following.startswith("http:"):
            given = {name: value for name, value in given.items() if name.lower() != "authorization"}
        url = following
    raise Failed(f"{place(url)} sends on more than {HOPS} times.")


@contextmanager
def _one(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes | BinaryIO,
    length: int | None,
    *,
    verify: bool,
) -> Generator[Answer]:
    try:
        addresses.check_url(url, allowed=allowed())
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        host, port = parts.hostname or "", parts.port or (443 if secure else 80)
        connection = http.client.HTTPConnection(host, port, timeout=PATIENCE)
        connection.default_port = 443 if secure else 80
        with explained(place(url)):
            line = connect(host, port)
            connection.sock = (
                context(verify=verify).wrap_socket(line, server_hostname=host) if secure else line
            )
            try:
                target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
                sent = {"User-Agent": "Envoi", **headers}
                if length is not None:
                    sent["Content-Length"] = str(length)
                connection.request(method, target, body=body or None, headers=sent)
                # A response of a server that closes holds the connection's last copy.
                with connection.getresponse() as answer:
                    said = {name.lower(): value for name, value in answer.getheaders()}
                    yield Answer(url, answer.status, answer.reason, said, answer)
            finally:
                connection.close()
    except (Invalid, Retry, Unreached) as error:
        raise Failed(str(error)) from error
    except http.client.HTTPException as error:
        raise Failed(f"{place(url)} does not speak HTTP ({printable(error)}).") from error


def place(url: str) -> str:
    """Return the part of an address that a message names."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}"


def refused(answer: Answer) -> Failed:
    """Return the failure that a status stands for."""
    return Failed(f"{place(answer.url)} answers {answer.status} {printable(answer.reason)}.")


def signed_in(account: Credentials) -> dict[str, str]:
    """Return the header by which an account signs in; nothing without one."""
    if token := account.secret("token"):
        return {"Authorization": f"Bearer {token}"}
    if name := account.text("account"):
        pair = base64.b64encode(f"{name}:{account.secret('password')}".encode()).decode()
        return {"Authorization": f"Basic {pair}"}
    return {}


class Web:
    """Files behind an HTTP account: fetched by GET, stored by PUT, looked for by HEAD. There is no
    listing.
    """

    def __init__(self, account: Credentials) -> None:
        self.account = account

    def _url(self, name: str) -> str:
        return f"{self.account.text('server').rstrip('/')}/{quote(name.lstrip('/'))}"

    def names(self, folder: str) -> list[str]:
        """Refuse: HTTP knows no folders."""
        raise Failed("By HTTP files are fetched by their names; there is no list of them.")

    def exists(self, name: str) -> bool:
        """Ask by HEAD."""
        verify, headers = self.account.on("verify"), signed_in(self.account)
        with opened("HEAD", self._url(name), headers=headers, verify=verify) as answer:
            if answer.status not in (200, 404, 410):
                raise refused(answer)
            return answer.status == 200

    def fetch(self, name: str, to: Path) -> None:
        """Fetch by GET."""
        verify, headers = self.account.on("verify"), signed_in(self.account)
        with opened("GET", self._url(name), headers=headers, verify=verify, follow=True) as answer:
            if answer.status != 200:
                raise refused(answer)
            answer.save(to)

    def store(self, path: Path, name: str) -> None:
        """Store by PUT."""
        verify, headers = self.account.on("verify"), signed_in(self.account)
        size = path.stat().st_size
        with (
            path.open("rb") as body,
            opened("PUT", self._url(name), headers=headers, body=body, length=size, verify=verify) as answer,
        ):
            if answer.status not in (200, 201, 204):
                raise refused(answer)

    def delete(self, name: str) -> None:
        """Delete by DELETE."""
        verify, headers = self.account.on("verify"), signed_in(self.account)
        with opened("DELETE", self._url(name), headers=headers, verify=verify) as answer:
            if answer.status not in (200, 202, 204, 404, 410):
                raise refused(answer)
