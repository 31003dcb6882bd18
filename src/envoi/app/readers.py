"""Readers of the demonstration: what they do, they do by HTTP, with the links that stand in their mails.

Who does what follows from the address and the subject alone, so that two demonstrations tell much the same.
Some are people, some of those read through a proxy that loads every picture, and some are gateways that look
at each link before anybody can read the mail.
"""

import hashlib
import http.client
import re
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from html import unescape
from pathlib import Path
from urllib.parse import urlsplit

from envoi.app import supervisor
from envoi.kernel.errors import Broken
from envoi.packages.delivery.services.redirection import segments
from envoi.packages.delivery.services.sink import mails

FOLDER = "tracking"
AT_ONCE = 4
SECONDS = 30.0
_LINK = re.compile(r'<a\b[^>]*\bhref="([^"]+)"', re.I)
_PICTURE = re.compile(r'<img\b[^>]*\bsrc="([^"]+)"', re.I)
_ADDRESS = re.compile(r"<(https?://[^>]+)>")
_PEOPLE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.5 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 "
    "Mobile Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 "
    "Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 "
    "Safari/605.1.15",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:144.0) Gecko/20100101 Firefox/144.0",
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Thunderbird/140.4.0",
)
_PRIVACY = "Mozilla/5.0"
"""What the proxy of Apple's mail programs calls itself."""
_TEMPTING = "10"
"""Stands in a subject that promises something: more of those who get it look inside, and click."""
_GATEWAY = "Mozilla/5.0 (compatible; Barracuda Sentinel; EE)"


class Reader(Enum):
    """What somebody does with a mail; in per mille of those who have got it."""

    BY_GATEWAY = 40
    BY_PROXY = 120
    OPENS = 330
    CLICKS = 75
    CLICKS_TWICE = 25
    BUYS = 12
    LEAVES = 6
    LEAVES_BY_PROGRAM = 4
    IS_TEMPTED = 160
    """Only by a promise; else the mail is not read."""

    @staticmethod
    def of(address: str, subject: str) -> "Reader | None":
        """Return what the reader at an address does; None for one who does not read it."""
        place = _number(address) % 1000
        for each in Reader:
            place -= each.value
            if place < 0:
                return None if each is Reader.IS_TEMPTED and _TEMPTING not in subject else each
        return None


@dataclass(frozen=True)
class Letter:
    """A mail, as far as a reader follows it: what stands in it by kind, as path and query."""

    address: str
    reader: Reader
    picture: str
    links: tuple[str, ...]
    unsubscribe: str
    one_click: str


def read(home: Path, tracking: str, known: frozenset[str] = frozenset()) -> frozenset[str]:
    """Let the readers of the mails in the sink do what they do, at the tracking server `tracking`.

    Returns the numbers of the mails that have come so far, once all of it is in the database; `known` are
    those that were read before. Raises Broken when the server does not answer.
    """
    box = mails.Mails(home)
    come = {mail.number: mail for mail in box}
    fresh = (mail for number, mail in come.items() if number not in known)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda letter: _act(letter, tracking), _letters(box, fresh)))
    if not supervisor.wait_until(lambda: _arrived(home), seconds=SECONDS, step=0.2):
        raise Broken(f"What the readers did has not come into the database. See {home}/log.")
    return frozenset(come)


def _letters(box: mails.Mails, fresh: Iterable[mails.Mail]) -> Iterator[Letter]:
    for mail in fresh:
        reader = Reader.of(mail.to, mail.subject)
        if reader is None:
            continue
        opened = mails.read(box.content(mail.number))
        headers = {name.lower(): value for name, value in opened.headers}
        one_click = next(iter(_ADDRESS.findall(headers.get("list-unsubscribe", ""))), "")
        pictures = [each for each in _PICTURE.findall(opened.html) if "/r/?" in each]
        links = [_target(each) for each in _LINK.findall(opened.html) if "/r/?" in each]
        if pictures and links and one_click:
            *content, leave = links
            yield Letter(mail.to, reader, _target(pictures[-1]), tuple(content), leave, _target(one_click))


def _arrived(home: Path) -> bool:
    folder = home / FOLDER
    return not [*folder.glob(f"*{segments.OPEN}"), *segments.ready(folder)]


def _target(address: str) -> str:
    found = urlsplit(unescape(address))
    return f"{found.path}?{found.query}"


def _act(letter: Letter, tracking: str) -> None:
    reader, number = letter.reader, _number(letter.address)
    with _Browser(tracking, _agent(reader, number), number) as browser:
        match reader:
            case Reader.BY_GATEWAY:
                for link in letter.links:
                    browser.get(link)
                return
            case Reader.LEAVES_BY_PROGRAM:
                browser.post(letter.one_click)
                return
            case _:
                browser.get(letter.picture)
        # What stands further up is clicked more often.
        count = len(letter.links)
        chosen = letter.links[min(number % count, number // 1000 % count)]
        if reader in (Reader.CLICKS, Reader.CLICKS_TWICE, Reader.BUYS, Reader.IS_TEMPTED):
            browser.get(chosen)
        if reader is Reader.CLICKS_TWICE:
            browser.get(letter.links[0])
        if reader is Reader.BUYS:
            browser.get(f"/r/{number}?tagid=autumn")
            browser.get(f"/r/{number + 1}?tagid=order|t&amount={45 + number % 200}&article={1 + number % 3}")
        if reader is Reader.LEAVES:
            browser.get(letter.unsubscribe)


def _agent(reader: Reader, number: int) -> str:
    match reader:
        case Reader.BY_GATEWAY:
            return _GATEWAY
        case Reader.BY_PROXY:
            return _PRIVACY
        case _:
            return _PEOPLE[number // 1000 % len(_PEOPLE)]


def _number(address: str) -> int:
    return int.from_bytes(hashlib.sha256(address.encode()).digest()[:6])


class _Browser:
    """One browser: it keeps its cookies, and asks from an address of its own."""

    def __init__(self, tracking: str, agent: str, number: int) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(tracking).netloc, timeout=10)
        self._headers = {
            "User-Agent": agent,
            "X-Forwarded-For": f"203.0.113.{number % 254 + 1}",
        }
        self._cookies = {"uuid230": str(uuid.UUID(int=number << 64))}

    def __enter__(self) -> "_Browser":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def get(self, target: str) -> None:
        """Ask for something of the tracking server; where it leads is not followed."""
        self._ask("GET", target)

    def post(self, target: str) -> None:
        """Unsubscribe as a mail program does (RFC 8058)."""
        self._ask("POST", target, b"List-Unsubscribe=One-Click")

    def _ask(self, method: str, target: str, body: bytes | None = None) -> None:
        headers = {**self._headers, "Cookie": "; ".join(f"{a}={b}" for a, b in self._cookies.items())}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            self._connection.request(method, target, body, headers)
            answer = self._connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise Broken(f"The tracking server of the demonstration does not answer: {error}") from error
        if answer.status >= 400:
            raise Broken(f"The tracking server answers {answer.status} to {target}.")
        for line in answer.headers.get_all("Set-Cookie") or ():
            name, _equals, value = line.partition(";")[0].partition("=")
            self._cookies[name] = value
