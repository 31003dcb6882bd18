"""The sender: an iterator of messages, spread over connections to where they go, and their outcomes.

Memory is bounded: at most `window` items are in hand; a message's bytes exist from the moment when a session
takes it until its reply. What a destination does not take now is given back as unsent, so that one that is
slow or blocked does not hold up the others.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import islice
from typing import Any, NamedTuple, Protocol

from envoi.kernel import clock
from envoi.kernel.errors import Refused
from envoi.packages.delivery.services.sending.journal import Journal
from envoi.packages.delivery.services.sending.mta_sts import Policies
from envoi.packages.delivery.services.sending.mx import Host, NoRouteError, Route
from envoi.packages.delivery.services.sending.outcomes import Message, Outcome, Stage, State
from envoi.packages.delivery.services.sending.replies import Reply
from envoi.packages.delivery.services.sending.smtp import (
    Peer,
    Session,
    SessionError,
    Tls,
    connect,
    is_mailbox,
)
from envoi.packages.delivery.services.sending.throttle import Source, Throttle

_LITTLE_PATIENCE = 1.0  # seconds that a destination may stall when the window is full
_LOOK = 0.5  # seconds between looks at all destinations
_LAST_REPLIES = 30.0
_KEYS_KEPT = 1024
_AT_ONCE = 32  # items between two turns of the loop
_TRIES = 3
_PER_CONNECTION = 10  # messages that wait before one more connection is opened


class Item(NamedTuple):
    """A message before it is composed; the recipient's domain in ASCII. `content` is for `compose`.

    `sources` are the addresses of ours that it may go out from; None: those of the sender.
    """

    id: int
    run: int
    recipient: str
    content: Any = None
    attempt: int = 1
    repeat: bool = False
    sources: tuple[Source, ...] | None = None


class Way(NamedTuple):
    """Which way a message went: host and number of our address ("" and 0: to none), bytes, its domain."""

    host: str
    public_id: int
    size: int
    domain: str


class Unwanted(Exception):  # noqa: N818 no error
    """Raised by `compose`: this message is not to be sent just now; it is given back as unsent."""


class Routes(Protocol):
    """Where mail goes: MxRoutes or RelayRoutes."""

    def known(self, domain: str, /) -> Route | None: ...
    async def of(self, domain: str, /) -> Route: ...


@dataclass(slots=True)
class _Waiting:
    item: Item
    since: float
    domain: str
    tries: int = 0
    size: int = 0


@dataclass(slots=True)
class _Destination:
    """Servers that take the same mail, what waits for them, and the tasks that bring it."""

    key: Hashable
    route: Route
    domain: str
    verified: bool
    sources: Sequence[Source]
    queue: deque[_Waiting] = field(default_factory=deque)
    workers: int = 0
    idle: deque[asyncio.Future[None]] = field(default_factory=deque)
    stalled_until: float = 0.0
    last_error: Reply | None = None


class Sender:
    """Sends what an iterator gives. One run at a time."""

    def __init__(
        self,
        routes: Routes,
        throttle: Throttle,
        journal: Journal,
        sources: Sequence[Source],
        *,
        policies: Policies | None = None,
        window: int = 2000,
        max_age: float = 600.0,
        patience: float = 60.0,
        idle: float = 5.0,
        observe: Callable[[Outcome, Way], None] | None = None,
    ) -> None:
        """Seconds: `max_age` after which what still waits is given back; `patience` that a destination may
        have to wait before all of its is; `idle` that a session stays open with nothing to send. `observe` is
        told, before `report`, which way a message went.
        """
        self._observe = observe
        self._routes = routes
        self._throttle = throttle
        self._journal = journal
        self._sources = sources
        self._policies = policies
        self._window = window
        self._max_age = max_age
        self._patience = patience
        self._idle = idle
        self._destinations: dict[Hashable, _Destination] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._in_hand = 0
        # A little room is not worth to wake up for.
        self._low = window - max(1, min(_AT_ONCE, window // 8))
        self._keys: dict[tuple[str, bool, int, int], tuple[Route, Sequence[Source], Hashable]] = {}
        self._begun: set[tuple[int, int]] = set()
        self._looked = 0.0
        self._changed = asyncio.Event()
        self._failure: BaseException | None = None
        self._stopping = False
        self._reading = False

    @property
    def in_hand(self) -> int:
        """How many items were taken and have no outcome yet."""
        return self._in_hand

    def use(self, routes: Routes, policies: Policies | None) -> None:
        """Let what is known of the outside be another from now on."""
        self._routes, self._policies = routes, policies

    async def run(
        self,
        items: Iterator[Item],
        compose: Callable[[Item], Message],
        report: Callable[[Outcome], None],
    ) -> None:
        """Send all items; returns when each has been reported once. See `feed`."""
        await self.feed(_batches(items), compose, report)

    async def feed(
        self,
        batches: AsyncIterator[Sequence[Item]],
        compose: Callable[[Item], Message],
        report: Callable[[Outcome], None],
    ) -> None:
        """Send all items of all batches; returns when each has been reported once. An empty batch says that
        there is nothing just now.

        `compose` runs in the event loop and must not wait long; it raises Refused for a message that cannot
        be made; it fails. `report` comes after the journal has the outcome. Raises what they raise, and
        Broken of the journal, after all sessions are closed; what then has no outcome is in the journal as
        begun, or was not sent. After `stop` the items of a batch that were not looked at yet are not
        reported.
        """
        self._compose, self._report = compose, report
        self._reading = True
        try:
            async for batch in batches:
                for item in batch:
                    if self._stopping:
                        break
                    self._in_hand += 1
                    self._accept(item)
                    while self._in_hand >= self._window and self._failure is None:
                        self._give_back(_LITTLE_PATIENCE)
                        await self._change(1.0)
                    if self._failure is not None:
                        break
                self._give_back(self._patience)
                if self._failure is not None or self._stopping:
                    break
            self._reading = False
            self._wake_all()
            while self._in_hand and self._failure is None:
                self._give_back(self._patience)
                await self._change(1.0)
        except BaseException as error:  # noqa: BLE001 raised again when all sessions are closed
            self._failure = self._failure or error
        finally:
            self._reading = False
            await self._close()
        if self._failure is not None:
            raise self._failure

    def withdraw(self, unwanted: Callable[[Item], bool]) -> None:
        """Give back as unsent what waits and is not wanted any more; what is on the wire gets its reply."""
        for destination in list(self._destinations.values()):
            kept: deque[_Waiting] = deque()
            gone: list[Item] = []
            for waiting in destination.queue:
                if unwanted(waiting.item):
                    gone.append(waiting.item)
                else:
                    kept.append(waiting)
            destination.queue = kept
            for item in gone:
                self._ended(item, State.UNSENT, Stage.ROUTE, Reply(0, "not wanted any more"))

    def stop(self) -> None:
        """End soon: messages on the wire get their reply, all others are given back as unsent."""
        self._stopping = True
        self._wake_all()
        self._changed.set()

    # --- where to

    def _accept(self, item: Item) -> None:
        if not is_mailbox(item.recipient):
            reply = Reply(0, "the address is not one", "5.1.3")
            self._ended(item, State.FAILED, Stage.ROUTE, reply)
            return
        domain = item.recipient.rpartition("@")[2].lower()
        route = self._routes.known(domain)
        if route is not None and (self._policies is None or route.relay):
            self._enqueue(_Waiting(item, clock.monotonic(), domain), route, verified=False)
        else:
            self._start(self._find(item, domain))

    async def _find(self, item: Item, domain: str) -> None:
        try:
            route = await self._routes.of(domain)
        except NoRouteError as error:
            self._ended(item, State.FAILED if error.lasting else State.DEFERRED, Stage.ROUTE, error.reply)
            return
        verified = False
        if self._policies is not None and not route.relay:
            policy = await self._policies.of(domain)
            if policy is not None and policy.enforced:
                verified = True
                hosts = tuple(host for host in route.hosts if policy.covers(host.name))
                if not hosts:
                    text = f"no server of {domain} is in its MTA-STS policy"
                    self._ended(item, State.DEFERRED, Stage.ROUTE, Reply(0, text, "4.7.10"))
                    return
                route = Route(hosts, route.port)
        self._enqueue(_Waiting(item, clock.monotonic(), domain), route, verified=verified)

    def _enqueue(self, waiting: _Waiting, route: Route, *, verified: bool) -> None:
        domain = waiting.domain
        sources = self._sources if waiting.item.sources is None else waiting.item.sources
        key = self._key(route, sources, domain, verified=verified)
        if key is None:
            text = f"none of our addresses may send to {domain}"
            self._ended(waiting.item, State.UNSENT, Stage.ROUTE, Reply(0, text))
            return
        destination = self._destinations.get(key)
        if destination is None:
            destination = self._destinations[key] = _Destination(key, route, domain, verified, sources)
        destination.route = route
        destination.queue.append(waiting)
        self._man(destination)

    def _key(self, route: Route, sources: Sequence[Source], domain: str, *, verified: bool) -> Hashable:
        """Return what tells destinations apart; None when no address of ours may send to this one."""
        asked = (domain, verified, id(route), id(sources))
        found = self._keys.get(asked)
        if found is None:
            if len(self._keys) >= _KEYS_KEPT:
                self._keys.clear()
            # Route and sources stay with their answer, so that their numbers stand for nothing else.
            found = self._keys[asked] = (route, sources, _key(route.hosts, verified, sources, domain))
        return found[2]

    def _man(self, destination: _Destination) -> None:
        """See that enough tasks are at work for what waits."""
        while destination.idle:
            waiter = destination.idle.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        if destination.workers > len(destination.queue) // _PER_CONNECTION:
            return
        most = max(self._throttle.rule(host.name).connections for host in destination.route.hosts)
        if destination.workers < most:
            destination.workers += 1
            self._start(self._work(destination))

    # --- one connection after the other

    async def _work(self, destination: _Destination) -> None:
        try:
            while destination.queue and not self._stopping and self._failure is None:
                path = self._path(destination)
                if path is None:
                    if destination.workers > 1:
                        return
                    await asyncio.sleep(min(0.5, max(0.02, destination.stalled_until - clock.monotonic())))
                    self._give_back(self._patience if self._in_hand < self._window else _LITTLE_PATIENCE)
                    continue
                await self._session(destination, *path)
        finally:
            destination.workers -= 1
            if not destination.workers and not destination.queue:
                self._destinations.pop(destination.key, None)

    def _path(self, destination: _Destination) -> tuple[Host, Source] | None:
        """Return the first server that may be connected to now, and from where; notes for how long none."""
        now, today = clock.monotonic(), clock.now().date()
        soonest, crowded = 3600.0, False
        for host in destination.route.hosts:
            source = self._throttle.choose(
                destination.sources, host.name, destination.domain, now=now, today=today
            )
            if source is not None:
                destination.stalled_until = 0.0
                return host, source
            for each in destination.sources:
                if each.serves(destination.domain):
                    wait = self._throttle.wait(host.name, each, now=now, today=today)
                    # Nothing to wait for but a free connection.
                    soonest = min(soonest, wait or 0.5)
                    crowded = crowded or not wait
        destination.stalled_until = now + soonest
        if crowded:
            self._make_room(destination)
        return None

    def _make_room(self, destination: _Destination) -> None:
        """Have a session end that has nothing to send, where one of its rule waits for a connection."""
        rules = {id(self._throttle.rule(host.name)) for host in destination.route.hosts}
        for other in self._destinations.values():
            if other.queue or not any(
                id(self._throttle.rule(host.name)) in rules for host in other.route.hosts
            ):
                continue
            while other.idle:
                waiter = other.idle.popleft()
                if not waiter.done():
                    waiter.set_result(None)
                    return

    async def _session(self, destination: _Destination, host: Host, source: Source) -> None:
        self._throttle.connected(host.name, source)
        session: Session | None = None
        try:
            session = await self._connect(destination, host, source)
            if session is None:
                return
            await self._deliver(destination, host, source, session)
        finally:
            self._throttle.disconnected(host.name, source)
            if session is not None:
                await session.quit()

    async def _connect(self, destination: _Destination, host: Host, source: Source) -> Session | None:
        """Return a session with the first address of a host that answers; None: none does, which is noted."""
        rule, route = self._throttle.rule(host.name, source), destination.route
        relay = route.relay
        reply = Reply(0, f"{host.name} has no address of the kind of {source.address}", "4.4.1")
        for address in host.addresses:
            if source.address and (":" in address) != (":" in source.address):
                continue
            peer = Peer(
                address,
                route.port,
                host.name,
                source.helo,
                source=source.address or None,
                tls=Tls.VERIFIED if destination.verified else relay.tls if relay else rule.tls,
                implicit=bool(relay and relay.implicit),
                login=relay.login if relay else None,
                timeouts=rule.timeouts,
            )
            try:
                return await connect(peer)
            except SessionError as error:
                reply = error.reply
                if reply.code:
                    # It is there and refuses us: its other addresses will say the same.
                    break
        destination.last_error = reply
        if reply.code:
            self._throttle.turned_away(host.name, source, now=clock.monotonic())
        else:
            self._throttle.back_off(host.name, source, now=clock.monotonic())
        return None

    async def _deliver(self, destination: _Destination, host: Host, source: Source, session: Session) -> None:
        most = self._throttle.rule(host.name, source).messages_per_connection
        given = 0
        taken: dict[tuple[int, int], _Waiting] = {}

        def take() -> Message | None:
            nonlocal given
            while destination.queue and given < most and not self._stopping:
                if not self._throttle.take(host.name, source, now=clock.monotonic(), today=_today(source)):
                    return None
                waiting = destination.queue.popleft()
                item = waiting.item
                try:
                    message = self._compose(item)
                except Refused as error:
                    self._ended(item, State.FAILED, Stage.ROUTE, Reply(0, str(error), "5.6.0"))
                    continue
                except Unwanted:
                    self._ended(item, State.UNSENT, Stage.ROUTE, Reply(0, "not wanted any more"))
                    continue
                waiting.size = len(message.data)
                taken[item.run, item.id] = waiting
                given += 1
                return message
            return None

        def dot(message: Message) -> None:
            self._journal.begun(message)
            self._begun.add((message.run, message.id))

        def end(outcome: Outcome) -> None:
            waiting = taken.pop((outcome.run, outcome.id))
            if outcome.state is State.UNSENT:
                self._again(destination, waiting, outcome)
                return
            self._end(outcome, Way(host.name, source.public_id, waiting.size, waiting.domain))
            self._throttle.ended(
                host.name,
                source,
                good=outcome.state is State.SENT,
                reply=outcome.reply,
                now=clock.monotonic(),
            )

        try:
            while True:
                await session.deliver(take, dot, end)
                if given >= most or destination.queue or not await self._more(destination):
                    return
        except SessionError as error:
            destination.last_error = error.reply
            if error.reply.code or not session.messages:
                self._throttle.back_off(host.name, source, now=clock.monotonic())

    async def _more(self, destination: _Destination) -> bool:
        """Wait for something to send over a session that is open; False when nothing comes."""
        if not self._reading or self._stopping:
            return False
        waiter = asyncio.get_running_loop().create_future()
        destination.idle.append(waiter)
        timer = asyncio.get_running_loop().call_later(self._idle, _settle, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
        return bool(destination.queue)

    # --- outcomes

    def _again(self, destination: _Destination, waiting: _Waiting, outcome: Outcome) -> None:
        """Let a message that a session did not bring to its dot wait for the next one."""
        key = (outcome.run, outcome.id)
        if key in self._begun:
            # It never left, but the journal says that its dot was about to be written.
            self._begun.discard(key)
            self._journal.ended(outcome)
        # One that came behind another in the same session has done nothing to end it.
        waiting.tries += outcome.stage is not Stage.MAIL or bool(outcome.reply.code)
        if waiting.tries >= _TRIES:
            self._ended(waiting.item, State.DEFERRED, outcome.stage, _named(outcome.reply, "4.4.2"))
        else:
            destination.queue.appendleft(waiting)

    def _ended(self, item: Item, state: State, stage: Stage, reply: Reply) -> None:
        outcome = Outcome(item.id, item.run, item.attempt, item.repeat, state, stage, reply)
        self._end(outcome, Way("", 0, 0, _domain(item)))

    def _end(self, outcome: Outcome, way: Way) -> None:
        if outcome.state is not State.UNSENT:
            self._journal.ended(outcome)
        self._begun.discard((outcome.run, outcome.id))
        self._in_hand -= 1
        if self._in_hand <= self._low:
            self._changed.set()
        if self._observe is not None:
            self._observe(outcome, way)
        self._report(outcome)

    def _give_back(self, patience: float) -> None:
        """Give back what waits for destinations that stall for longer than `patience`, or waits too long."""
        now = clock.monotonic()
        if now - self._looked < _LOOK:
            return
        self._looked = now
        for destination in list(self._destinations.values()):
            stalled = destination.stalled_until - now > patience
            while destination.queue:
                old = now - destination.queue[0].since > self._max_age
                if not (old or stalled):
                    break
                item = destination.queue.popleft().item
                if destination.last_error is not None and old:
                    reply = _named(destination.last_error, "4.4.1")
                    self._ended(item, State.DEFERRED, Stage.CONNECT, reply)
                else:
                    seconds = max(0.0, destination.stalled_until - now)
                    reply = destination.last_error or Reply(0, f"takes no more for {seconds:.0f} s")
                    self._ended(item, State.UNSENT, Stage.CONNECT, reply)

    # --- tasks

    def _start(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = self._failure or error
        self._changed.set()

    async def _change(self, seconds: float) -> None:
        if self._stopping:
            for destination in self._destinations.values():
                while destination.queue:
                    item = destination.queue.popleft().item
                    self._ended(item, State.UNSENT, Stage.ROUTE, Reply(0, "the sender stops"))
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            pass
        self._changed.clear()

    def _wake_all(self) -> None:
        for destination in self._destinations.values():
            while destination.idle:
                _settle(destination.idle.popleft())

    async def _close(self) -> None:
        self._wake_all()
        tasks = list(self._tasks)
        if self._failure is not None and tasks:
            # What is on the wire gets its reply, so that no more than needs be stays in doubt.
            self._stopping = True
            _done, late = await asyncio.wait(tasks, timeout=_LAST_REPLIES)
            for task in late:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _today(source: Source) -> date:
    """Return the day, which only the quota of an address that is new asks for."""
    return clock.now().date() if source.warm_up else date.min


def _domain(item: Item) -> str:
    return item.recipient.rpartition("@")[2].lower()


async def _batches(items: Iterable[Item]) -> AsyncIterator[Sequence[Item]]:
    source = iter(items)
    while batch := tuple(islice(source, _AT_ONCE)):
        yield batch
        await asyncio.sleep(0)


def _key(hosts: Iterable[Host], verified: bool, sources: Iterable[Source], domain: str) -> Hashable:
    # Addresses of ours that serve only some domains make destinations of their own.
    serving = tuple(source.public_id for source in sources if source.serves(domain))
    return (tuple(sorted(host.name for host in hosts)), verified, serving) if serving else None


def _settle(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _named(reply: Reply, enhanced: str) -> Reply:
    return reply if reply.enhanced or reply.code else Reply(0, reply.text, enhanced)
