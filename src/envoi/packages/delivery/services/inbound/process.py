"""The process that takes mails in: round after round through its sources, until it is told to stop.

What a mail does and the note that it was handled are one transaction (`applying`); only then it is deleted at
its source. Whoever dies in between finds it again, and sees that it was handled.
"""

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from django.db import DatabaseError, InterfaceError, OperationalError, connection

from envoi.engine.activities.base import Failed
from envoi.engine.transfers.mailbox import Mailbox
from envoi.kernel import clock
from envoi.kernel.config import Config
from envoi.kernel.errors import PlatformError
from envoi.packages.delivery.services import routing
from envoi.packages.delivery.services.inbound import applying, kept
from envoi.packages.delivery.services.inbound.applying import Received, Settings
from envoi.packages.delivery.services.inbound.letter import HEAD, digest
from envoi.packages.delivery.services.inbound.receiver import Receiver
from envoi.packages.delivery.services.inbound.sources import Account, Maildir
from envoi.packages.delivery.services.sending.identity import Identity

BATCH: Final = 20
"""Mails of one transaction."""
SESSION: Final = 200
"""Mails of one session with a mailbox."""
SESSION_S: Final = 100.0
LOOK_S: Final = 10.0
"""How often folders of this host are looked at."""
PATIENCE_S: Final = 3600.0
"""How long a mail waits for the sender to settle the message that it is about."""
AGAIN_S: Final = 30.0
"""How often it is looked at meanwhile."""
PURGE_S: Final = 3600.0
AHEAD: Final = 2_000
"""Mails of a mailbox among which those are looked for that do not wait."""
SPOOL: Final = "inbound"
"""Folder of HOME to which the receiver writes."""

logger = logging.getLogger(__name__)


@dataclass
class Taken:
    """What a session has done. `more`: there are others that can be taken at once."""

    mails: int = 0
    waiting: int = 0
    more: bool = False


@dataclass
class Wait:
    """Since when a mail waits for its message, and when it was looked at last."""

    since: float
    looked: float


@dataclass
class Process:
    """Takes mails in. `run` until `stop`; `once` is one round, for tests and timers of others."""

    config: Config
    stopping: threading.Event = field(default_factory=threading.Event)
    wake: threading.Event = field(default_factory=threading.Event)
    _waiting: dict[tuple[str, str], Wait] = field(default_factory=dict[tuple[str, str], Wait])
    _polled: float = float("-inf")
    _purged: float = float("-inf")

    def stop(self) -> None:
        """End after the batch that is at work; safe in a signal handler."""
        self.stopping.set()
        self.wake.set()

    def run(self) -> None:
        """Take mails until told to stop; what fails is written to the log and tried again."""
        inbound = self.config.inbound
        receiver = None
        if inbound.listen:
            receiver = Receiver(
                inbound.listen,
                self.spool,
                domain=routing.identity(self.config).domain,
                certificate=inbound.certificate,
                arrived=self.wake.set,
            )
            receiver.start()
        try:
            while not self.stopping.is_set():
                self.wake.clear()
                more = self.once(poll=clock.monotonic() - self._polled >= inbound.poll_seconds)
                if not more:
                    self.wake.wait(LOOK_S)
        finally:
            if receiver is not None:
                receiver.stop()
            connection.close()

    @property
    def spool(self) -> Path:
        """Where the receiver puts what it has taken."""
        return self.config.home / SPOOL

    def once(self, *, poll: bool = True) -> bool:
        """Go once through the sources, the mailbox only with `poll`; tell whether there is more to take."""
        more = False
        try:
            identity = routing.identity(self.config)
            folders = [Maildir(self.spool, "smtp")]
            if self.config.inbound.maildir:
                folders.append(Maildir(Path(self.config.inbound.maildir)))
            for folder in folders:
                more = self._session(folder, identity).more or more
            if poll:
                self._polled = clock.monotonic()
                account = Account(self.config.inbound.account)
                if account.there() and self._session(account, identity).more:
                    self._polled, more = float("-inf"), True
            if clock.monotonic() - self._purged >= PURGE_S:
                self._purged = clock.monotonic()
                kept.purge(now=clock.now())
        except (DatabaseError, InterfaceError) as error:
            logger.warning("no mail is taken in: %s", str(error).partition("\n")[0])
            connection.close()
            more = False
        except (PlatformError, OSError):
            logger.exception("a round of mails failed; it goes on")
            more = False
        return more and not self.stopping.is_set()

    def _session(self, source: Account | Maildir, identity: Identity) -> Taken:
        taken, began = Taken(), clock.monotonic()
        try:
            with source.opened() as box:
                ids = box.ids(AHEAD)
                mine = [each for each in ids if self._ready(source.name, each)]
                self._forget(source.name, set(ids))
                for start in range(0, min(len(mine), SESSION), BATCH):
                    if self.stopping.is_set() or clock.monotonic() - began > SESSION_S:
                        break
                    self._batch(source.name, box, mine[start : start + BATCH], identity, taken)
                taken.more = len(mine) > taken.mails + taken.waiting and taken.mails > 0
        except Failed as error:
            logger.warning("the mailbox %s cannot be read: %s", source.name, error)
        if taken.mails:
            logger.info("%s: %s mails taken in, %s wait", source.name, taken.mails, taken.waiting)
        return taken

    def _batch(self, name: str, box: Mailbox, ids: list[str], identity: Identity, taken: Taken) -> None:
        mails: list[Received] = []
        present: list[str] = []
        for each in ids:
            raw = box.beginning(each, HEAD)
            if raw is not None:
                wait = self._waiting.get((name, each))
                patient = wait is not None and clock.monotonic() - wait.since >= PATIENCE_S
                mails.append(Received(raw, name, waited=patient))
                present.append(each)
        done = handled(mails, identity, self._settings())
        for each, through in zip(present, done, strict=True):
            if through:
                self._waiting.pop((name, each), None)
                box.delete(each)
                taken.mails += 1
            else:
                now = clock.monotonic()
                wait = self._waiting.setdefault((name, each), Wait(now, now))
                wait.looked = now
                taken.waiting += 1

    def _ready(self, name: str, id: str) -> bool:
        """Tell whether a mail is new, or was not looked at for a while."""
        wait = self._waiting.get((name, id))
        return wait is None or clock.monotonic() - wait.looked >= AGAIN_S

    def _forget(self, name: str, present: set[str]) -> None:
        for key in [key for key in self._waiting if key[0] == name and key[1] not in present]:
            del self._waiting[key]

    def _settings(self) -> Settings:
        inbound = self.config.inbound
        return Settings(inbound.errors_to, inbound.forward_to, inbound.trust_addresses)


def handled(mails: Sequence[Received], identity: Identity, settings: Settings) -> list[bool]:
    """Handle a batch; a mail that cannot be handled is set aside, and the others go on.

    Raises what the database says when it cannot be reached: then nothing has happened.
    """
    if not mails:
        return []
    try:
        return applying.handle(mails, identity, settings, now=clock.now())
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:
        if len(mails) > 1:
            return [done for each in mails for done in handled([each], identity, settings)]
        logger.exception("a mail of %s cannot be handled; it is kept", mails[0].source)
        applying.unreadable(
            mails[0], digest(mails[0].raw), f"{type(error).__name__}: {error}", now=clock.now()
        )
        return [True]
