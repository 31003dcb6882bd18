"""A delivery with links, and the process `track` that answers for it over HTTP."""

import http.client
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from envoi.kernel import clock
from envoi.kernel.testing import admin_actor, wait_until
from envoi.packages.delivery.models import Delivery, TrackingInbox, TrackingUrl, UrlType
from envoi.packages.delivery.services import deliveries
from envoi.packages.delivery.services.redirection import tags
from envoi.packages.delivery.services.redirection.tags import Tags

READERS, PAGES = "http://t.example", "https://console.example"
PIXEL = b"GIF89a"


@dataclass
class Answer:
    """What the process said."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        return next((value for each, value in self.headers if each.lower() == name.lower()), "")

    def all(self, name: str) -> list[str]:
        return [value for each, value in self.headers if each.lower() == name.lower()]

    @property
    def cookies(self) -> dict[str, str]:
        """Name of each cookie that is set to its value."""
        return {
            value.partition("=")[0]: value.partition("=")[2].partition(";")[0]
            for value in self.all("set-cookie")
        }


@dataclass
class Mailing:
    """A delivery and its links, by their type or by the name that a test gave."""

    delivery: Delivery
    made: Tags
    links: dict[str, int] = field(default_factory=dict[str, int])

    def tag(
        self, link: str = "click", *params: str, log: int = 0x617791, path: str = tags.PATH, form: str = "h"
    ) -> str:
        """Return the path and query of a tag."""
        number = tags.OPEN if link == "open" else self.links[link]
        made = self.made.make(form, f"{log:x}", f"{self.delivery.pk:x}", f"{number:x}", params, path=path)
        return made.removeprefix(self.made.address)

    def add(self, name: str, url: str, type: UrlType = UrlType.CLICK) -> int:
        """Add a link as an analysis does."""
        made = TrackingUrl.objects.create(
            delivery=self.delivery, type=type, url=url, digest=f"{name:.32}", created_at=clock.now()
        )
        self.links[name] = made.pk
        return made.pk


def mailing(home: Path, name: str = "news") -> Mailing:
    """Make a delivery with a plain link, one with a parameter, and our own pages."""
    actor = admin_actor()
    delivery = deliveries.create(
        deliveries.find("mail", actor=actor), actor=actor, targeting={"filter": "@id > 0"}, name=name
    )
    made = Mailing(delivery, tags.tags(home, READERS))
    made.add("click", "https://shop.example/a?b=1")
    made.add("personal", "https://shop.example/a.php?name=$(p1)&of=$(p2)#top")
    made.add("leave", "", UrlType.OPT_OUT)
    made.add("mirror", "", UrlType.MIRROR)
    return made


class Track:
    """The running process, on a port of its own."""

    def __init__(self, port: int, home: Path, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.port, self.home, self.process, self.log = port, home, process, log

    def ask(
        self,
        target: str,
        *,
        method: str = "GET",
        body: bytes | None = None,
        raw: bytes | None = None,
        **headers: str,
    ) -> Answer:
        """Send a request; `raw` is all of it as bytes."""
        if raw is not None:
            return self._raw(raw)
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            client.request(
                method, target, body, {name.replace("_", "-"): each for name, each in headers.items()}
            )
            got = client.getresponse()
            return Answer(got.status, got.getheaders(), got.read())
        finally:
            client.close()

    def _raw(self, request: bytes) -> Answer:
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(request)
            got = http.client.HTTPResponse(connection)
            try:
                got.begin()
                return Answer(got.status, got.getheaders(), got.read())
            except http.client.HTTPException:
                return Answer(0, [], b"")

    def hits(self, count: int, seconds: float = 15.0) -> list[TrackingInbox]:
        """Return what is in the inbox as soon as it has `count` hits."""
        wait_until(lambda: TrackingInbox.objects.count() >= count, seconds, self.said)
        return list(TrackingInbox.objects.order_by("tracking_inbox_id"))

    def said(self) -> str:
        return self.log.read_text(errors="replace")[-3000:]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def track(home: Path, tmp_path: Path, **environment: str) -> Iterator[Track]:
    """Run `envoi track` on the instance of the environment until the test is done with it."""
    port, log = free_port(), tmp_path / "track.log"
    said: dict[str, Any] = {
        "ENVOI_TRACKING_URL": READERS,
        "ENVOI_TRACKING_PORT": str(port),
        "ENVOI_TRACKING_SEGMENT_SECONDS": "0.2",
        "ENVOI_WEB_PUBLIC_URL": PAGES,
        **environment,
    }
    with log.open("ab") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "envoi.cli", "track"], env={**os.environ, **said}, stdout=file, stderr=file
        )
    found = Track(port, home, process, log)

    def answers() -> bool:
        assert process.poll() is None, found.said()
        try:
            return found.ask("/healthz").status == 200
        except OSError:
            return False

    try:
        wait_until(answers, 20, found.said)
        yield found
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(25)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
