"""Copies of what was sent, as files, passed on to one address (*Email BCC*, delivery.md §2.8).

`HOME/archive/YYYY-MM-DD/HHh/<delivery>-<broad log>.eml`, by the time of sending in UTC, as it went to the
wire; `…-sent.eml` when the address has it. After seven days a file goes. A copy is written after its message
was taken, and by that alone: who dies in between leaves a message without a copy, never a copy without one.
"""

import shutil
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

from envoi.packages.delivery.services.sending.mx import NoRouteError
from envoi.packages.delivery.services.sending.outcomes import Message, Outcome, State
from envoi.packages.delivery.services.sending.sender import Routes
from envoi.packages.delivery.services.sending.smtp import Peer, SessionError, Tls, connect
from envoi.packages.delivery.services.sending.throttle import Source

KEPT = timedelta(days=7)
AT_ONCE = 500
_SENT = "-sent"


class Archive:
    """The archive of an instance on this host."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "archive"

    def keep(self, delivery_id: int, log_id: int, data: bytes, now: datetime) -> None:
        """Write the copy of a message that was sent."""
        folder = self._folder / f"{now:%Y-%m-%d}" / f"{now:%H}h"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = folder / f"{delivery_id}-{log_id}.eml"
        hidden = path.with_name(f".{path.name}")
        hidden.write_bytes(data)
        hidden.rename(path)

    def waiting(self) -> list[Path]:
        """Return copies that have not been passed on, the oldest first."""
        if not self._folder.exists():
            return []
        found = (path for path in sorted(self._folder.glob("*/*/[!.]*.eml")) if not path.stem.endswith(_SENT))
        return [path for path, _ in zip(found, range(AT_ONCE), strict=False)]

    def purge(self, today: date) -> None:
        """Remove the days that are too old."""
        for folder in self._folder.glob("????-??-??"):
            try:
                day = date.fromisoformat(folder.name)
            except ValueError:
                continue
            if today - day > KEPT:
                shutil.rmtree(folder, ignore_errors=True)


async def pass_on(paths: list[Path], to: str, sender: str, routes: Routes, source: Source) -> int:
    """Send copies to an address, one session for all; return how many it has. What fails waits."""
    domain = to.rpartition("@")[2].lower()
    try:
        route = await routes.of(domain)
    except NoRouteError:
        return 0
    host = route.hosts[0]
    relay = route.relay
    peer = Peer(
        host.addresses[0],
        route.port,
        host.name,
        source.helo,
        tls=relay.tls if relay else Tls.OPPORTUNISTIC,
        implicit=bool(relay and relay.implicit),
        login=relay.login if relay else None,
    )
    given: dict[int, Path] = {}
    done = 0

    def messages() -> Iterator[Message]:
        for number, path in enumerate(paths):
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                continue  # another sender of this host has passed it on
            given[number] = path
            yield Message(number, 0, sender, to, data)

    def ended(outcome: Outcome) -> None:
        nonlocal done
        if outcome.state is State.SENT:
            path = given[outcome.id]
            path.rename(path.with_name(f"{path.stem}{_SENT}.eml"))
            done += 1

    left = messages()
    try:
        session = await connect(peer)
        try:
            await session.deliver(lambda: next(left, None), lambda message: None, ended)
        finally:
            await session.quit()
    except SessionError:
        pass
    return done
