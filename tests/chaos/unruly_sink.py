"""A mail server that misbehaves, and keeps account of every dot that it gave no reply to.

A dot is answered for the sender's part when the next body begins or QUIT comes: only then has it read the
reply. What stands open when a sender dies is in doubt to it, and nothing else is.
"""

import asyncio
import random
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

REPEAT = b"X-Envoi-Repeat:"


@dataclass(eq=False)
class Talk:
    """One connection: the port of the sender, whether a message is on its way, whether a dot is open."""

    port: int
    transaction: bool = False
    open_dot: bool = False
    counted: bool = False


@dataclass
class Sink:
    """`chance` draws the moods; `rate` is the most messages a second. Calm, it takes everything."""

    chance: random.Random
    rate: float
    port: int = 0
    calm: bool = False
    taken: dict[str, list[bool]] = field(default_factory=lambda: defaultdict(list))
    """Message-ID -> of each copy that was taken, whether it was marked."""
    address: dict[str, str] = field(default_factory=dict)
    marked: Counter[str] = field(default_factory=Counter)
    """Message-ID -> marked copies that came and were not refused, whether they were taken or not."""
    moods: Counter[str] = field(default_factory=Counter)
    unanswered: int = 0
    """Dots whose reply was never written or came too late for the sender, beside kills."""
    talks: set[Talk] = field(default_factory=set)
    loop: Any = None
    end: Any = None
    next_free: float = 0.0

    def mood(self) -> str:
        if self.calm or self.chance.random() > 0.06:
            return "good"
        drawn = self.chance.choice(("421", "451", "451", "hang", "before", "after", "taken"))
        self.moods[drawn] += 1
        return drawn

    async def pace(self) -> None:
        now = self.loop.time()
        self.next_free = max(now, self.next_free) + 1 / self.rate
        await asyncio.sleep(self.next_free - now)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = Talk(writer.get_extra_info("peername")[1])
        self.talks.add(talk)
        try:
            await self._talk(talk, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.talks.discard(talk)
            writer.transport.abort()

    async def _talk(self, talk: Talk, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 unruly\r\n")
        address = ""
        while line := await reader.readline():
            verb = line[:4].upper()
            reply = b"250 2.0.0 ok"
            if verb == b"EHLO":
                reply = b"250-unruly\r\n250-PIPELINING\r\n250 ENHANCEDSTATUSCODES"
            elif verb == b"MAIL":
                talk.transaction = True
            elif verb == b"RCPT":
                address = line.decode().partition("<")[2].partition(">")[0]
            elif verb == b"QUIT":
                talk.open_dot = talk.transaction = False
                writer.write(b"221 2.0.0 bye\r\n")
                return
            elif verb == b"DATA":
                writer.write(b"354 go on\r\n")
                if not await self._message(talk, address, reader, writer):
                    return
                continue
            writer.write(reply + b"\r\n")
            await writer.drain()

    async def _message(
        self, talk: Talk, address: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Take a message, or not; False: the connection ends."""
        mood = self.mood()
        lines = [await reader.readline()]
        talk.open_dot = False
        if mood == "before":
            # Body and dot leave in one write: behind what we have read the dot was written too.
            self.unanswered += not talk.counted
            return False
        while lines[-1] != b".\r\n":
            if not lines[-1]:
                return False
            lines.append(await reader.readline())
        talk.open_dot = True
        name = next(line for line in lines if line.startswith(b"Message-ID:")).strip().decode()
        marked = any(line.startswith(REPEAT) for line in lines)
        self.address[name] = address
        # A copy that is refused for now comes again with its mark, and is not one more repeat.
        self.marked[name] += marked and mood not in ("421", "451")
        await self.pace()
        if reader.at_eof():
            # The sender has not waited for us, or was killed and is counted already.
            self.unanswered += not talk.counted
            talk.open_dot = False
            return False
        if mood == "hang":
            self.unanswered += 1
            talk.open_dot = False
            while await reader.read(1000):
                pass
            return False
        if mood in ("good", "taken"):
            self.taken[name].append(marked)
        if mood in ("after", "taken"):
            self.unanswered += 1
            talk.open_dot = False
            return False
        replies = {"421": b"421 4.7.0 come back later", "451": b"451 4.3.0 not now"}
        writer.write(replies.get(mood, b"250 2.0.0 queued") + b"\r\n")
        talk.transaction = False
        await writer.drain()
        return mood != "421"


@contextmanager
def listening(sink: Sink) -> Iterator[Sink]:
    """Let the server listen in a thread of its own."""
    ready = threading.Event()

    async def serve() -> None:
        sink.loop, sink.end = asyncio.get_running_loop(), asyncio.Event()
        tasks: set[asyncio.Task[None]] = set()

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            with suppress(asyncio.CancelledError):
                await sink.talk(reader, writer)

        server = await asyncio.start_server(talk, "127.0.0.1", 0, limit=2**20)
        sink.port = server.sockets[0].getsockname()[1]
        ready.set()
        await sink.end.wait()
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(5)
    try:
        yield sink
    finally:
        sink.loop.call_soon_threadsafe(sink.end.set)
        thread.join(10)
