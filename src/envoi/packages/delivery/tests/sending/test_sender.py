"""The sender as a whole: each item has one outcome, whatever its server does."""

import asyncio
import signal
import ssl
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from envoi.kernel.errors import Broken, Refused
from envoi.packages.delivery.services.sending import journal as journals
from envoi.packages.delivery.services.sending.journal import BEGUN, Journal
from envoi.packages.delivery.services.sending.mta_sts import Policies
from envoi.packages.delivery.services.sending.mx import MxRoutes, Relay, RelayRoutes
from envoi.packages.delivery.services.sending.outcomes import Message, Outcome, State
from envoi.packages.delivery.services.sending.sender import Item, Sender
from envoi.packages.delivery.services.sending.smtp import Timeouts
from envoi.packages.delivery.services.sending.throttle import BACK_OFF, Rule, Source, Throttle

ANY = Source("", 0, "me.example")
DROP, HANG = b"DROP", b"HANG"
Serve = Callable[..., Any]


def compose(item: Item) -> Message:
    if item.content == "bad":
        raise Refused("the template says no")
    data = b"Subject: %d\r\n\r\n%s\r\n" % (item.id, b"x" * 200)
    return Message(item.id, item.run, "b@me.example", item.recipient, data, item.attempt, item.repeat)


def items(count: int, domain: str = "there.example", start: int = 0) -> list[Item]:
    return [Item(number, 1, f"u{number}@{domain}") for number in range(start, start + count)]


def rules(**what: Any) -> list[Rule]:
    return [Rule("*", timeouts=Timeouts(connect=2, command=0.5, data=0.5), **what)]


class Run:
    """One run of a sender to one relay, and what came of it."""

    def __init__(self, folder: Path, back_off: tuple[float, ...] = BACK_OFF, **options: Any) -> None:
        self.back_off = back_off
        self.journal = Journal(folder)
        self.options = options
        self.outcomes: list[Outcome] = []

    async def send(self, port: int, these: list[Item], rule: list[Rule] | None = None) -> Sender:
        routes = RelayRoutes(Relay("127.0.0.1", port))
        throttle = Throttle(rules() if rule is None else rule, back_off=self.back_off)
        sender = Sender(routes, throttle, self.journal, [ANY], **self.options)
        await sender.run(iter(these), compose, self.outcomes.append)
        return sender

    @property
    def states(self) -> Counter[str]:
        return Counter(outcome.state.name for outcome in self.outcomes)

    def check(self, these: list[Item]) -> None:
        """Each item once; the journal knows of all that were begun how they ended."""
        assert sorted(outcome.id for outcome in self.outcomes) == [item.id for item in these]
        entries, _end = journals.read(self.journal.path)
        assert journals.in_doubt(entries) == []
        reported = {
            outcome.id: outcome.state for outcome in self.outcomes if outcome.state is not State.UNSENT
        }
        last = {entry.id: entry.kind for entry in entries if entry.kind != BEGUN}
        assert {id: state.value for id, state in reported.items()} == {
            id: kind for id, kind in last.items() if id in reported
        }


@pytest.fixture
def run(tmp_path: Path) -> Any:
    made: list[Run] = []

    def make(**options: Any) -> Run:
        made.append(Run(tmp_path / str(len(made)), **options))
        return made[-1]

    yield make
    for each in made:
        each.journal.close()


def numbers(messages: list[bytes]) -> list[int]:
    """Return the numbers of messages; an empty one is the dot after a DATA that nobody was to get."""
    return [int(message.split(b"\r\n")[0].split()[-1]) for message in messages if message]


def test_all_is_sent_once_over_few_connections(mail_server: Serve, run: Any) -> None:
    these, mine = items(500), run(window=100)

    async def main() -> None:
        async with mail_server() as server:
            await mine.send(server.port, these, rules(connections=4))
            assert sorted(numbers(server.messages)) == list(range(500))
            assert server.most_open <= 4
            assert server.connections < 20

    asyncio.run(main())
    assert mine.states == {"SENT": 500}
    mine.check(these)


def test_a_server_that_takes_few_connections_gets_all(mail_server: Serve, run: Any) -> None:
    these, mine = items(400), run(window=200)

    async def main() -> None:
        async with mail_server(most=2) as server:
            await mine.send(server.port, these)
            assert sorted(numbers(server.messages)) == list(range(400))
            assert server.most_open > 2

    asyncio.run(main())
    assert mine.states == {"SENT": 400}
    mine.check(these)


def test_a_server_of_all_moods(mail_server: Serve, run: Any) -> None:
    replies = {
        "RCPT": [b"250 ok"] * 10 + [b"550 5.1.1 no", b"451 4.7.1 later", DROP] + [b"250 ok"] * 10 + [HANG],
        "DOT": [b"250 ok"] * 3 + [DROP] + [b"250 ok"] * 12 + [HANG, b"451 4.3.0 no", b"554 5.7.1 spam"],
        "DATA": [b"354 go"] * 20 + [b"421 4.3.2 bye"],
    }
    these = [*items(60), Item(60, 1, "u@there.example", "bad"), Item(61, 1, "no address")]
    mine = run(idle=0.2, back_off=(0.05,))

    async def main() -> None:
        async with mail_server(replies=replies) as server:
            await mine.send(server.port, these, rules(connections=2))
            sent = {outcome.id for outcome in mine.outcomes if outcome.state is State.SENT}
            doubt = {outcome.id for outcome in mine.outcomes if outcome.state is State.IN_DOUBT}
            got = Counter(numbers(server.messages))
            assert max(got.values()) == 1, "nothing goes twice"
            assert sent <= set(got)
            assert doubt <= set(got)

    asyncio.run(main())
    mine.check(these)
    assert mine.states["IN_DOUBT"] == 2
    assert mine.states["FAILED"] == 4
    assert mine.states["UNSENT"] == 0
    assert mine.states["DEFERRED"] in (2, 3)


def test_messages_per_connection_and_per_hour(mail_server: Serve, run: Any) -> None:
    these, mine = items(100), run()

    async def main() -> None:
        async with mail_server() as server:
            # Five-minute slice of 40: the rest is given back.
            await mine.send(server.port, these, rules(connections=1, messages_per_connection=5, per_hour=480))
            assert len(server.messages) in (40, 80)
            assert server.connections == len(server.messages) // 5

    asyncio.run(main())
    assert mine.states["SENT"] + mine.states["UNSENT"] == 100
    mine.check(these)


@pytest.mark.parametrize("greeting", [DROP, b"421 4.7.0 not now"])
def test_a_server_that_is_away_costs_no_attempt_until_it_has_been_away_for_long(
    mail_server: Serve, run: Any, greeting: bytes
) -> None:
    these, mine = items(30), run(window=10, patience=2.0)

    async def main() -> None:
        async with mail_server(replies={"GREETING": [greeting] * 1000}) as server:
            await mine.send(server.port, these[:25])

    asyncio.run(main())
    assert mine.states == {"UNSENT": 25}
    late = run(max_age=0.3)
    asyncio.run(late.send(1, these))  # nobody listens on port 1
    assert late.states == {"DEFERRED": 30}
    assert {outcome.reply.enhanced for outcome in late.outcomes} == {"4.4.1"}


def test_the_second_host_gets_what_the_first_does_not_take(
    mail_server: Serve, name_server: Serve, run: Any
) -> None:
    zone = {
        ("there.example", "MX"): ["10 first.there.example.", "20 second.there.example."],
        ("first.there.example", "A"): ["127.0.0.2"],
        ("second.there.example", "A"): ["127.0.0.3", "127.0.0.4"],
        ("null.example", "MX"): ["0 ."],
        ("secret.example", "A"): ["10.0.0.1"],
    }
    these = [
        *items(40),
        Item(40, 1, "a@null.example"),
        Item(41, 1, "a@nowhere.example"),
        Item(42, 1, "a@secret.example"),
    ]
    mine = run()

    async def main() -> None:
        async with (
            name_server(zone) as (resolver, _),
            mail_server(address="127.0.0.4") as server,
        ):
            routes = MxRoutes(resolver=resolver, allowed=[ip_network("127.0.0.0/8")], port=server.port)
            sender = Sender(routes, Throttle(rules()), mine.journal, [ANY])
            await sender.run(iter(these), compose, mine.outcomes.append)
            assert len(server.messages) == 40

    asyncio.run(main())
    mine.check(these)
    by_id = {outcome.id: outcome for outcome in mine.outcomes}
    assert mine.states == {"SENT": 40, "FAILED": 1, "DEFERRED": 2}
    assert [by_id[id].reply.enhanced for id in (40, 41, 42)] == ["5.1.10", "5.1.2", "5.4.4"]


def test_a_policy_that_is_enforced_lets_nothing_go_in_clear(
    mail_server: Serve, name_server: Serve, web_server: Serve, certificate: Callable[[str], Path], run: Any
) -> None:
    zone = {
        ("there.example", "MX"): ["10 listed.example.", "5 other.example."],
        ("listed.example", "A"): ["127.0.0.7"],
        ("other.example", "A"): ["127.0.0.8"],
        ("_mta-sts.there.example", "TXT"): ['"v=STSv1; id=1"'],
        ("elsewhere.example", "MX"): ["10 other.example."],
        ("_mta-sts.elsewhere.example", "TXT"): ['"v=STSv1; id=1"'],
    }
    policy = b"version: STSv1\nmode: enforce\nmx: listed.example\nmax_age: 86400\n"
    # Both policies come from one server, whose certificate is for one of the names: `elsewhere` has none.
    own = certificate("mta-sts.there.example")
    these = [*items(3), *items(1, "elsewhere.example", 3)]
    mine = run()

    async def main(web_port: int) -> None:
        async with (
            name_server(zone) as (resolver, _),
            mail_server(address="127.0.0.7") as listed,
            mail_server(address="127.0.0.8", port=listed.port) as other,
        ):
            policies = Policies(
                resolver,
                context=ssl.create_default_context(cafile=str(own)),
                port=web_port,
                find=lambda _host: ["127.0.0.1"],
            )
            routes = MxRoutes(resolver=resolver, allowed=[ip_network("127.0.0.0/8")], port=listed.port)
            throttle = Throttle(rules())
            sender = Sender(
                routes, throttle, mine.journal, [ANY], policies=policies, max_age=0.5, patience=1.0
            )
            await sender.run(iter(these), compose, mine.outcomes.append)
            assert listed.connections > 0
            assert not listed.messages
            assert numbers(other.messages) == [3], "a domain without a policy is sent to as ever"

    with web_server(own, [(200, policy)]) as web_port:
        asyncio.run(main(web_port))
    mine.check(these)
    refused = [outcome for outcome in mine.outcomes if outcome.id < 3]
    assert {outcome.state for outcome in refused} <= {State.DEFERRED, State.UNSENT}
    assert all("STARTTLS" in outcome.reply.text for outcome in refused)


def test_a_blocked_destination_does_not_hold_up_the_others(
    mail_server: Serve, name_server: Serve, run: Any
) -> None:
    zone = {("good.example", "A"): ["127.0.0.5"], ("bad.example", "A"): ["127.0.0.6"]}
    these = [*items(200, "bad.example"), *items(200, "good.example", 200)]
    mine = run(window=50)

    async def main() -> None:
        async with name_server(zone) as (resolver, _), mail_server(address="127.0.0.5") as server:
            routes = MxRoutes(resolver=resolver, allowed=[ip_network("127.0.0.0/8")], port=server.port)
            sender = Sender(routes, Throttle(rules()), mine.journal, [ANY], window=50)
            async with asyncio.timeout(20):
                await sender.run(iter(these), compose, mine.outcomes.append)

    asyncio.run(main())
    good = [outcome for outcome in mine.outcomes if outcome.id >= 200]
    assert {outcome.state for outcome in good} == {State.SENT}
    assert {outcome.state for outcome in mine.outcomes if outcome.id < 200} == {State.UNSENT}
    mine.check(these)


def test_an_idle_session_ends_where_another_domain_of_its_rule_waits(
    mail_server: Serve, name_server: Serve, run: Any
) -> None:
    zone = {(f"{name}.example", "A"): ["127.0.0.5"] for name in ("one", "two")}
    mine = run()

    async def main() -> None:
        async with name_server(zone) as (resolver, _), mail_server(address="127.0.0.5") as server:
            routes = MxRoutes(resolver=resolver, allowed=[ip_network("127.0.0.0/8")], port=server.port)
            throttle = Throttle([Rule("*.example", connections=1)])
            sender = Sender(routes, throttle, mine.journal, [ANY], idle=600)

            async def batches() -> AsyncIterator[list[Item]]:
                for number, domain in enumerate(("one.example", "two.example")):
                    yield items(1, domain, number)
                    while len(mine.outcomes) <= number:
                        await asyncio.sleep(0.01)
                        yield []

            async with asyncio.timeout(20):
                await sender.feed(batches(), compose, mine.outcomes.append)

    asyncio.run(main())
    assert mine.states == {"SENT": 2}


def test_a_journal_that_cannot_be_written_stops_everything(mail_server: Serve, run: Any) -> None:
    these, mine = items(300), run()

    async def main() -> None:
        async with mail_server() as server:
            routes = RelayRoutes(Relay("127.0.0.1", server.port))
            sender = Sender(routes, Throttle(rules()), mine.journal, [ANY])

            def report(outcome: Outcome) -> None:
                mine.outcomes.append(outcome)
                if len(mine.outcomes) == 20:
                    mine.journal.close()

            with pytest.raises(Broken, match="cannot be written"):
                await sender.run(iter(these), compose, report)
            assert len(server.messages) < 300
        mine.journal = Journal(mine.journal.path.parent)

    asyncio.run(main())


def test_a_sender_that_is_stopped_gives_back_what_it_has_not_sent(mail_server: Serve, run: Any) -> None:
    these, mine = items(400), run(window=200)

    async def main() -> None:
        async with mail_server() as server:
            routes = RelayRoutes(Relay("127.0.0.1", server.port))
            sender = Sender(routes, Throttle(rules(connections=2)), mine.journal, [ANY], window=200)

            def report(outcome: Outcome) -> None:
                mine.outcomes.append(outcome)
                if len(mine.outcomes) == 50:
                    sender.stop()

            await sender.run(iter(these), compose, report)
            assert sender.in_hand == 0
            assert len(server.messages) == mine.states["SENT"]

    asyncio.run(main())
    assert mine.states["SENT"] >= 50
    assert mine.states["UNSENT"] > 50
    assert set(mine.states) == {"SENT", "UNSENT"}


SENDER = """
import asyncio, sys
from pathlib import Path
from envoi.packages.delivery.services.sending.journal import Journal
from envoi.packages.delivery.services.sending.mta_sts import Policies
from envoi.packages.delivery.services.sending.mx import Relay, RelayRoutes
from envoi.packages.delivery.services.sending.outcomes import Message
from envoi.packages.delivery.services.sending.sender import Item, Sender
from envoi.packages.delivery.services.sending.throttle import Source, Throttle

port, folder, start = int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])

def compose(item):
    data = b"Subject: %d\\r\\n\\r\\n" % item.id + b"x" * 3000 + b"\\r\\n"
    return Message(item.id, item.run, "b@me.example", item.recipient, data)

sender = Sender(RelayRoutes(Relay("127.0.0.1", port)), Throttle(), Journal(folder), [Source("", 0, "me")])
items = (Item(number, 1, f"u{number}@there.example") for number in range(start, start + 1_000_000))
asyncio.run(sender.run(items, compose, lambda outcome: None))
"""


@pytest.mark.chaos
def test_a_killed_sender_leaves_in_doubt_only_what_was_on_the_wire(
    mail_server: Serve, tmp_path: Path
) -> None:
    async def main() -> None:
        async with mail_server() as server:
            for kill in range(3):
                before = len(server.messages)
                command = [
                    sys.executable,
                    "-c",
                    SENDER,
                    str(server.port),
                    str(tmp_path),
                    str(kill * 1_000_000),
                ]
                process = subprocess.Popen(command)
                try:
                    async with asyncio.timeout(60):
                        while len(server.messages) < before + 300:
                            await asyncio.sleep(0.01)
                finally:
                    process.send_signal(signal.SIGKILL)
                    process.wait()
                await asyncio.sleep(0.3)
                for path in journals.abandoned(tmp_path):
                    entries, _end = journals.read(path)
                    sent = {entry.id for entry in entries if entry.kind == "s"}
                    doubt = {entry.id for entry in journals.in_doubt(entries)}
                    got = Counter(numbers(server.messages[before:]))
                    assert max(got.values()) == 1
                    assert sent <= set(got) <= sent | doubt, "nothing is lost, nothing unknown"
                    assert len(doubt) <= 30, "one for each connection"
                    journals.remove(path)
                    break
                else:
                    pytest.fail("the journal is not there")

    asyncio.run(main())
