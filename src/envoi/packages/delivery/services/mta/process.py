"""The sender as a process: one event loop that sends, one thread that speaks with the database.

The loop never waits for the database. A shift is the life of one journal: parts are leased to it, its lines
are settled every second, and when it has grown long it is brought to its end and the next begins.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

from django.db import (
    DatabaseError,
    InterfaceError,
    OperationalError,
    close_old_connections,
    connections,
    transaction,
)

from envoi.kernel import clock
from envoi.kernel.config import Config
from envoi.kernel.errors import Refused
from envoi.packages.delivery.services import content, routing
from envoi.packages.delivery.services.content import TooLong
from envoi.packages.delivery.services.mta import (
    archive,
    composing,
    journals,
    parts,
    progress,
    reading,
    settling,
    stats,
)
from envoi.packages.delivery.services.mta.archive import Archive
from envoi.packages.delivery.services.mta.composing import Job
from envoi.packages.delivery.services.mta.parts import Part
from envoi.packages.delivery.services.mta.retrying import Retry
from envoi.packages.delivery.services.mta.runs import Run, Runs
from envoi.packages.delivery.services.routing import Routing
from envoi.packages.delivery.services.sending.journal import Journal
from envoi.packages.delivery.services.sending.outcomes import Message, Outcome, State
from envoi.packages.delivery.services.sending.sender import Item, Sender, Unwanted, Way
from envoi.packages.delivery.services.sending.throttle import Throttle

logger = logging.getLogger(__name__)
T = TypeVar("T")
AWAY = (OperationalError, InterfaceError)
"""The database does not answer; anything else is about what it was asked."""


@dataclass(frozen=True)
class Pace:
    """How often what is done, in seconds; how much at once. Tests make some of it smaller."""

    window: int = 2000
    claim: int = 500
    """Messages that are leased at once."""
    settle: float = 1.0
    beat: float = 5.0
    """Between two signs of life while nothing happens."""
    poll: float = 1.0
    look: float = 5.0
    """Between two looks for dead senders."""
    reload: float = 60.0
    again: float = 60.0
    """After which what a destination did not take is offered to it once more."""
    journal_bytes: int = 64 * 1024 * 1024
    drain: float = 10.0
    """How long the end of a shift waits for destinations that take nothing."""


@dataclass(slots=True)
class _Held:
    """A part in hand: how many of its messages have no outcome, and whether some were given back."""

    part: Part
    left: int
    back: bool = False


@dataclass(slots=True)
class _Ended:
    """What has come to its end since the last settlement."""

    finished: list[int] = field(default_factory=list)
    freed: list[int] = field(default_factory=list)
    unsent: list[Retry] = field(default_factory=list)
    counts: stats.Counts = field(default_factory=stats.Counts)

    @property
    def anything(self) -> bool:
        """Whether there is something to settle."""
        return bool(self.finished or self.freed or self.unsent or self.counts)


class Process:
    """One sender. `run` returns when it was told to stop."""

    routing: Routing

    def __init__(self, config: Config, pace: Pace | None = None) -> None:
        self.pace = pace or Pace()
        self.folder = journals.folder(config.home)
        self.archive = Archive(config.home)
        self.runs = Runs()
        self.throttle = Throttle(share=1.0 / max(1, config.sending.processes))
        self._blocks = routing.blocks.Exchange(self.throttle)
        self._config = config
        self._jobs: dict[int, Job] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="database")
        self._stop = asyncio.Event()
        self._shift: _Shift | None = None

    def stop(self) -> None:
        """End soon: what is on the wire gets its reply, everything else stays pending."""
        self._stop.set()
        if self._shift is not None:
            self._shift.end()

    async def run(self) -> None:
        """Send until told to stop. Raises Broken when no journal can be written, or ours was given up."""
        try:
            while not self._stop.is_set():
                if await self._ready() and not self._stop.is_set():
                    self._shift = _Shift(self)
                    await self._shift.run()
                    self._shift = None
        finally:
            await self.db(connections.close_all)
            self._thread.shutdown()

    async def _ready(self) -> bool:
        """Take over what dead senders have left and read how mail leaves; False: try again."""
        try:
            await self.db(self.load)
            await self.db(self.take_over)
        except AWAY as error:
            await self.away(error)
            return False
        return True

    async def sure(self, work: Callable[[], Any]) -> None:
        """Do something with the database, as often as it takes."""
        while True:
            try:
                await self.db(work)
                return
            except AWAY as error:
                await self.away(error)

    async def pass_copies_on(self) -> None:
        """Send the copies of the archive to the address that is to have them."""
        self.archive.purge(clock.now().date())
        routing, waiting = self.routing, self.archive.waiting()
        sources = routing.sources()
        if waiting and routing.bcc and sources:
            sender = f"bcc@{routing.identity.domain}"
            await archive.pass_on(waiting, routing.bcc, sender, routing.routes, sources[0])

    async def db(self, work: Callable[[], T]) -> T:
        """Do something with the database in its thread."""

        def fresh() -> T:
            close_old_connections()
            return work()

        return await asyncio.get_running_loop().run_in_executor(self._thread, fresh)

    async def away(self, error: Exception) -> None:
        """Wait a little, since the database does not answer."""
        logger.warning("the database does not answer: %s", str(error).partition("\n")[0])
        await self.db(connections.close_all)
        await asyncio.sleep(self.pace.settle)

    # --- in the thread of the database

    def load(self) -> None:
        """Read anew what holds outside, and what deliveries say."""
        self.routing = routing.load(self._config)
        self.throttle.follow(self.routing.rules)
        routing.addresses.count(self.throttle, clock.now().date())
        self._blocks.work(moment=clock.now(), now=clock.monotonic())
        self.runs.forget()
        self._jobs.clear()

    def take_over(self) -> None:
        """Settle what dead senders of this host have left."""
        journals.take_over(self.folder, self.runs, now=clock.now())

    def jobs(self, ids: Set[int]) -> dict[int, Job]:
        """Return what messages of some runs share. What cannot be sent fails its delivery."""
        missing = self.runs.of(ids - self._jobs.keys())
        for id, run in missing.items():
            job = self._job(run)
            if job is not None:
                self._jobs[id] = job
        return {id: self._jobs[id] for id in ids if id in self._jobs}

    def _job(self, run: Run) -> Job | None:
        try:
            found = content.load(run.run)
        except Refused as error:
            progress.fail(run.delivery_id, str(error), clock.now())
            return None
        return Job(run, found, tuple(self.routing.sources(run.sending.affinity)), self.routing)


class _Shift:
    """The life of one journal."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._pace = process.pace
        self._journal = Journal(process.folder)
        self._ended = _Ended()
        self._tails = 0
        self._tail: settling.Tail | None = None
        self._settled_size, self._settled_at = -1, 0.0
        self._slice = stats.slice_of(clock.now())
        self._held: dict[int, _Held] = {}
        self._where: dict[tuple[int, int], int] = {}
        self._ending = asyncio.Event()
        self._over = asyncio.Event()
        self._failing: dict[int, str] = {}
        self._refused: set[int] = set()
        self._unwanted: set[int] = set()
        self._copies: dict[tuple[int, int], bytes] = {}
        known = process.routing
        self._sender = Sender(
            known.routes,
            process.throttle,
            self._journal,
            known.sources(),
            policies=known.policies,
            window=self._pace.window,
            observe=self._observe,
        )

    def end(self) -> None:
        """Take no more parts and give back what is in hand."""
        self._ending.set()
        self._sender.stop()

    async def run(self) -> None:
        """Send until the journal is long or somebody says `end`; then settle everything.

        Raises Broken when the journal cannot be written or was given up.
        """
        process, name = self._process, self._journal.path.stem
        try:
            await process.sure(lambda: journals.register(name, clock.now()))
            keeper = asyncio.create_task(self._keep())
            try:
                await self._sender.feed(self._batches(), self._compose, self._report)
            finally:
                self._ending.set()
                self._over.set()
                await keeper
                await self._settle_all()
                await process.sure(lambda: journals.end(name, clock.now()))
        finally:
            self._journal.close()
        await process.sure(lambda: journals.forget(self._journal.path))

    # --- what comes in

    async def _batches(self) -> AsyncIterator[Sequence[Item]]:
        """Yield the items of parts as they are leased; an empty batch now and then when there are none."""
        while not self._ending.is_set():
            try:
                found = await self._process.db(self._lease)
            except AWAY as error:
                # Of what was leased nothing is known: with the end of the shift all of it is freed.
                self._ending.set()
                await self._process.away(error)
                return
            items: list[Item] = []
            for part, these in found or ():
                self._held[part.id] = _Held(part, len(these))
                self._where.update(((each.run, each.id), part.id) for each in these)
                items += these
                if not these:
                    del self._held[part.id]
                    self._ended.finished.append(part.id)
            yield items
            if found is None:
                await _wait(self._ending, self._pace.poll)

    def _lease(self) -> list[tuple[Part, list[Item]]] | None:
        """Lease parts and read them (in the thread of the database); None when there are none."""
        name = self._journal.path.stem
        with transaction.atomic():
            claimed = parts.claim(
                name,
                most=self._pace.claim,
                now=clock.now(),
                refused=sorted(self._refused),
                affinities=self._process.routing.affinities,
            )
        if not claimed:
            return None
        by_run: dict[int, list[Part]] = {}
        for part in claimed:
            by_run.setdefault(part.run_id, []).append(part)
        jobs = self._process.jobs(by_run.keys())
        found: list[tuple[Part, list[Item]]] = []
        back: list[int] = []
        for run, these in by_run.items():
            job = jobs.get(run)
            # Without an address of ours its affinity is unknown here: it was changed a moment ago.
            read = self._read(job, these) if job is not None and job.sources else None
            if read is None:
                self._refused.add(these[0].delivery_id)
                back += [part.id for part in these]
            else:
                found += read
        if back:
            with transaction.atomic():
                parts.free(name, back)
        return found

    def _read(self, job: Job, these: list[Part]) -> list[tuple[Part, list[Item]]] | None:
        """Return the messages of parts that are still to be sent; None: the delivery cannot be sent."""
        try:
            return reading.items(job, these)
        except AWAY:
            raise
        except (Refused, DatabaseError) as error:
            progress.fail(job.run.delivery_id, str(error).partition("\n")[0], clock.now())
            return None

    # --- in the loop

    def _compose(self, item: Item) -> Message:
        job: Job = item.content[0]
        delivery = job.run.delivery_id
        if delivery in self._failing or delivery in self._unwanted:
            raise Unwanted
        try:
            message = composing.compose(item)
            if job.run.sending.bcc:
                self._copies[item.run, item.id] = message.data
            return message
        except TooLong as error:
            self._failing[delivery] = str(error)
            raise Unwanted from error
        except Refused:
            raise
        except Exception as error:
            # A fault of ours: no message of this delivery can be trusted, and others must not wait for it.
            logger.exception("a message of delivery %d cannot be made", delivery)
            self._failing[delivery] = f"{type(error).__name__}: {error}"
            raise Unwanted from error

    def _report(self, outcome: Outcome) -> None:
        part_id = self._where.pop((outcome.run, outcome.id))
        held = self._held[part_id]
        held.left -= 1
        copy = self._copies.pop((outcome.run, outcome.id), None) if self._copies else None
        if copy is not None and outcome.state is State.SENT:
            self._process.archive.keep(held.part.delivery_id, outcome.id, copy, clock.now())
        if outcome.state is State.UNSENT:
            self._unsent(outcome, held)
        if not held.left:
            del self._held[part_id]
            (self._ended.freed if held.back else self._ended.finished).append(part_id)

    def _unsent(self, outcome: Outcome, held: _Held) -> None:
        """Let a message wait that a destination did not take. When we stop or pause, its part is freed."""
        delivery = held.part.delivery_id
        if self._ending.is_set() or delivery in self._unwanted or delivery in self._failing:
            held.back = True
            return
        when = clock.now() + timedelta(seconds=self._pace.again)
        self._ended.unsent.append(
            Retry(
                outcome.run, outcome.id, delivery, outcome.attempt - 1, None, None, when,
                repeat=outcome.repeat,
            )
        )  # fmt: skip

    def _observe(self, outcome: Outcome, way: Way) -> None:
        if outcome.state is State.UNSENT or outcome.state is State.IN_DOUBT:
            return
        delivery = self._held[self._where[outcome.run, outcome.id]].part.delivery_id
        now = self._journal.at
        if not self._slice <= now < self._slice + stats.LENGTH:
            self._slice = stats.slice_of(now)
        key = stats.Key(delivery, self._slice, way.host, way.public_id, way.domain)
        self._ended.counts.count(key, outcome.state, way.size)

    # --- what is done beside

    async def _keep(self) -> None:
        """Settle, move deliveries along, look for dead senders, read anew what holds outside."""
        looked = loaded = clock.monotonic()
        patience: asyncio.TimerHandle | None = None
        try:
            while not self._over.is_set():
                await _wait(self._over, self._pace.settle)
                await self._settle()
                if self._ending.is_set():
                    if patience is None:
                        # What destinations do not take by then stays pending.
                        loop = asyncio.get_running_loop()
                        patience = loop.call_later(self._pace.drain, self._sender.stop)
                    continue
                try:
                    await self._heed()
                    if clock.monotonic() - looked > self._pace.look:
                        await self._process.db(self._process.take_over)
                        await self._process.pass_copies_on()
                        looked = clock.monotonic()
                    if clock.monotonic() - loaded > self._pace.reload:
                        await self._process.db(self._process.load)
                        self._refused.clear()
                        known = self._process.routing
                        self._sender.use(known.routes, known.policies)
                        loaded = clock.monotonic()
                except AWAY as error:
                    await self._process.away(error)
                if self._journal.size > self._pace.journal_bytes:
                    self._ending.set()
        except BaseException:
            self.end()
            raise
        finally:
            if patience is not None:
                patience.cancel()

    async def _heed(self) -> None:
        """Move deliveries along, and let go of those that are paused, stopped, or cannot be sent."""
        failing = list(self._failing.items())
        held = sorted({each.part.delivery_id for each in self._held.values()})

        def look() -> set[int]:
            for delivery, why in failing:
                progress.fail(delivery, why, clock.now())
            progress.advance(clock.now())
            return progress.unwanted(held, clock.now()) if held else set()

        self._unwanted = await self._process.db(look)
        if gone := self._unwanted | self._failing.keys():
            self._sender.withdraw(lambda item: item.content[0].run.delivery_id in gone)

    async def _settle_all(self) -> None:
        """Settle until the database has everything."""
        while not await self._settle() or self._ended.anything:
            if self._tail is not None:
                await asyncio.sleep(self._pace.settle)

    async def _settle(self) -> bool:
        """Bring what has happened into the database; False when that is away."""
        size, now = self._journal.size, clock.monotonic()
        nothing = self._tail is None and not self._ended.anything and size == self._settled_size
        if nothing and now - self._settled_at < self._pace.beat:
            return True
        if self._tail is None:
            ended, self._ended = self._ended, _Ended()
            self._tails += 1
            self._tail = settling.Tail(self._tails, ended.finished, ended.freed, ended.unsent, ended.counts)
        path, runs, tail = self._journal.path, self._process.runs, self._tail
        try:
            await self._process.db(lambda: settling.settle(path, tail, runs, now=clock.now()))
        except AWAY as error:
            # It may be committed all the same: this tail is offered again, under its number.
            await self._process.away(error)
            return False
        self._tail = None
        self._settled_size, self._settled_at = size, now
        return True


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
