"""How fast a destination is sent to: rules by MX, paths, back-off, warm-up (delivery.md §2.14, §3.3).

All of it is one object of one process, without locks and without time of its own: the caller says what the
monotonic time is. `share` is this process's part of every limit when several send.

A path is a local address to a destination. A destination is what the mask of a rule covers ("*.example.net"
is one); hosts that only the general rule `*` covers are one each.
"""

import math
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from envoi.packages.delivery.services.sending.replies import Reply
from envoi.packages.delivery.services.sending.smtp import Timeouts, Tls

SLICES_PER_HOUR: Final = 12
SLICE: Final = 300.0
"""Seconds. An hour's quota is given out in twelfths, so that none is spent in its first minute."""

BACK_OFF: Final = (5.0, 10.0, 20.0, 40.0, 120.0)
_CROWDED: Final = 300.0
_FEWEST: Final = 300
_WORST_RATIO: Final = 0.9
_BLOCKED: Final = 3 * 3600.0
_MANY = 10_000
_EVERYTHING = "*"
_SLOW_DOWN = re.compile(r"4\.7\.\d+")
_GREYLISTED = re.compile(r"gr[ea]y[ -]?list", re.I)


@dataclass(frozen=True, slots=True)
class Rule:
    """An MX rule. `mask` of the host's name with * and ?; the first that fits wins.

    `shared`: the limits count for all our addresses together, else for each. `per_hour` None: no limit.
    `public_ids`: ranges of the addresses of ours that it is about; empty: all.
    """

    mask: str
    connections: int = 30
    messages_per_connection: int = 1000
    per_hour: int | None = None
    shared: bool = False
    timeouts: Timeouts = field(default_factory=Timeouts)
    tls: Tls = Tls.OPPORTUNISTIC
    public_ids: tuple[tuple[int, int], ...] = ()

    def fits(self, host: str, public_id: int | None = None) -> bool:
        """Return whether the rule is about a host, and about that address of ours if one is named."""
        if _expression(self.mask).fullmatch(host.rstrip(".")) is None:
            return False
        if public_id is None or not self.public_ids:
            return True
        return any(first <= public_id <= last for first, last in self.public_ids)


GENERAL = Rule(_EVERYTHING)


@dataclass(frozen=True, slots=True)
class WarmUp:
    """How many messages an address may send a day while it is new: on its first day `steps[0]`, and so on;
    after the last step as many as it likes.
    """

    began: date
    steps: tuple[int, ...] = (200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 40_000, 70_000, 100_000)

    def most(self, today: date) -> int | None:
        """Return the quota of a day; None: no limit. Before the first day nothing goes out."""
        day = (today - self.began).days
        if day < 0:
            return 0
        return self.steps[day] if day < len(self.steps) else None


@dataclass(frozen=True, slots=True)
class Source:
    """An address that we send from. `public_id` is its number in limits; the domains are masks."""

    address: str
    public_id: int
    helo: str
    weight: int = 1
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    warm_up: WarmUp | None = None

    def serves(self, domain: str) -> bool:
        """Return whether mail to a domain may go out from it."""
        if any(_expression(mask).fullmatch(domain) for mask in self.exclude):
            return False
        return not self.include or any(_expression(mask).fullmatch(domain) for mask in self.include)


@dataclass(slots=True)
class _Window:
    """Messages and errors of the last hour in slices, and what goes on now."""

    connections: int = 0
    taken: dict[int, int] = field(default_factory=dict)
    results: dict[int, tuple[int, int]] = field(default_factory=dict)
    refusals: int = 0
    blocked_until: float = 0.0
    room: int = 0
    room_until: float = 0.0
    reason: str = ""


class Throttle:
    """Says who may connect and send now, and remembers what came of it."""

    def __init__(
        self,
        rules: Sequence[Rule] = (),
        *,
        share: float = 1.0,
        back_off: Sequence[float] = BACK_OFF,
        chance: random.Random | None = None,
    ) -> None:
        self._back_off = back_off
        self._rules = (*rules, GENERAL)
        self._share = share
        self._chance = chance or random.Random()  # noqa: S311 no secret hangs on which address is taken
        self._windows: dict[tuple[str, int], _Window] = {}
        self._days: dict[tuple[int, date], int] = {}
        self._prune_at = _MANY
        self._known: dict[tuple[str, int | None], Rule] = {}
        self._paths: dict[tuple[str, int], tuple[Rule, _Window]] = {}

    def rule(self, host: str, source: Source | None = None) -> Rule:
        """Return the first rule that fits a host, for one of our addresses or for whichever."""
        key = (host, source.public_id if source else None)
        known = self._known.get(key)
        if known is None:
            if len(self._known) > _MANY:
                self._known.clear()
            known = self._known[key] = next(rule for rule in self._rules if rule.fits(*key))
        return known

    def choose(
        self, sources: Sequence[Source], host: str, domain: str, *, now: float, today: date
    ) -> Source | None:
        """Return one of the addresses that may send to a host now, by their weights; None: none may.

        Addresses that are blocked, have no connection left or do not serve the domain do not count: with
        weights 5, 5, 1 and the first unusable, the others get 83 % and 17 %.
        """
        usable = [
            source
            for source in sources
            if source.serves(domain)
            and source.weight > 0
            and self.wait(host, source, now=now, today=today) == 0
            and self.may_connect(host, source, now=now)
        ]
        if not usable:
            return None
        return self._chance.choices(usable, [source.weight for source in usable])[0]

    def may_connect(self, host: str, source: Source, *, now: float) -> bool:
        """Return whether there is room for one more connection."""
        rule = self.rule(host, source)
        window = self._window(rule, host, source)
        most = max(1, int(rule.connections * self._share))
        if window.room_until > now:
            most = min(most, window.room)
        return window.connections < most

    def connected(self, host: str, source: Source) -> None:
        """Count a connection, from its beginning; `disconnected` takes it back."""
        self._window(self.rule(host, source), host, source).connections += 1

    def disconnected(self, host: str, source: Source) -> None:
        """Take a connection back."""
        self._window(self.rule(host, source), host, source).connections -= 1

    def wait(self, host: str, source: Source, *, now: float, today: date) -> float:
        """Return in how many seconds a message may be sent at the earliest: 0 for now."""
        rule, window = self._path(host, source)
        if window.blocked_until > now:
            return window.blocked_until - now
        if source.warm_up and (most := source.warm_up.most(today)) is not None:
            sent = self._days.get((source.public_id, today), 0)
            if sent >= int(most * self._share):
                return SLICE
        if rule.per_hour is not None:
            slice_ = int(now // SLICE)
            if window.taken.get(slice_, 0) >= self._per_slice(rule):
                return (slice_ + 1) * SLICE - now
        return 0.0

    def take(self, host: str, source: Source, *, now: float, today: date) -> bool:
        """Count a message against the limits; False when there is nothing left of them now."""
        if self.wait(host, source, now=now, today=today) > 0:
            return False
        if len(self._windows) > self._prune_at:
            self._prune(now)
        _rule, window = self._path(host, source)
        slice_ = int(now // SLICE)
        if slice_ in window.taken:
            window.taken[slice_] += 1
        else:
            window.taken = {slice_: 1}
        if source.warm_up:
            key = (source.public_id, today)
            if key not in self._days:
                self._days = {known: sent for known, sent in self._days.items() if known[1] == today}
            self._days[key] = self._days.get(key, 0) + 1
        return True

    def ended(self, host: str, source: Source, *, good: bool, reply: Reply, now: float) -> None:
        """Note what came of a message or of a connection.

        421 and 4.7.x ("slow down") block the path for 5, 10, 20, 40 s, then 2 minutes each time, until
        something succeeds; greylisting, which is about one address, does not. Of at least 300 messages in
        an hour 90 % refused block it for three hours.
        """
        _rule, window = self._path(host, source)
        slice_ = int(now // SLICE)
        done, bad = window.results.get(slice_, (0, 0))
        window.results[slice_] = (done + 1, bad + (not good))
        if good:
            window.refusals = 0
            return
        slow_down = _SLOW_DOWN.fullmatch(reply.enhanced) and not _GREYLISTED.search(reply.text)
        if reply.ends_session or slow_down:
            window.reason = str(reply)
            self.back_off(host, source, now=now)
        recent = {
            number: counts for number, counts in window.results.items() if number > slice_ - SLICES_PER_HOUR
        }
        window.results = recent
        total = sum(counts[0] for counts in recent.values())
        errors = sum(counts[1] for counts in recent.values())
        if total >= _FEWEST and errors >= _WORST_RATIO * total:
            window.blocked_until = now + _BLOCKED
            window.reason = f"{errors} of {total} refused, the last with: {reply}"
            window.results = {}

    def back_off(self, host: str, source: Source, *, now: float) -> None:
        """Block a path for a while that grows: it does not answer, or asks for less."""
        window = self._window(self.rule(host, source), host, source)
        if window.blocked_until > now:
            # Connections that were open when the first one was refused say the same thing once more.
            return
        window.blocked_until = now + self._back_off[min(window.refusals, len(self._back_off) - 1)]
        window.refusals += 1

    def turned_away(self, host: str, source: Source, *, now: float) -> None:
        """Note that a server refused a connection that was counted. With others open it has too many, and
        gets no more than these for five minutes; as the only one it is a refusal of the path.
        """
        window = self._window(self.rule(host, source), host, source)
        if window.connections <= 1:
            self.back_off(host, source, now=now)
            return
        window.room, window.room_until = window.connections - 1, now + _CROWDED

    def blocked_for(self, host: str, source: Source, *, now: float) -> float:
        """Return for how many seconds a path is blocked; 0 when it is not."""
        return max(0.0, self._window(self.rule(host, source), host, source).blocked_until - now)

    def follow(self, rules: Sequence[Rule]) -> None:
        """Let other rules hold from now on; what is known of destinations stays."""
        if (*rules, GENERAL) != self._rules:
            self._rules = (*rules, GENERAL)
            self._known.clear()
            self._paths.clear()

    def went(self, sent: Mapping[int, int], *, today: date) -> None:
        """Take into account what has left our addresses today, by all senders together (public id ->
        messages): a new process does not begin the quota of a day anew, and one that sends more than its part
        takes from that of the others.
        """
        for number, count in sent.items():
            key = (number, today)
            self._days[key] = max(self._days.get(key, 0), math.ceil(count * self._share))

    def blocked(self, *, now: float) -> dict[tuple[str, int], float]:
        """Return the paths that are blocked, and for how many seconds: (destination, number of our address).

        A number below zero stands for all addresses that share the limits.
        """
        return {
            path: window.blocked_until - now
            for path, window in list(self._windows.items())
            if window.blocked_until > now
        }

    def reason(self, path: tuple[str, int]) -> str:
        """Return what was said last that blocked a path."""
        window = self._windows.get(path)
        return window.reason if window else ""

    def block(self, path: tuple[str, int], seconds: float, *, now: float) -> None:
        """Block a path, as `blocked` names it; 0 seconds opens it."""
        window = self._windows.setdefault(path, _Window())
        window.blocked_until = now + seconds if seconds > 0 else 0.0
        if seconds <= 0:
            window.refusals, window.results = 0, {}

    def _prune(self, now: float) -> None:
        """Forget what an idle hour has made void: there are as many hosts as there are domains."""
        oldest = int(now // SLICE) - SLICES_PER_HOUR
        self._windows = {
            key: window
            for key, window in self._windows.items()
            if window.connections
            or window.blocked_until > now
            or max((*window.taken, *window.results), default=oldest) > oldest
        }
        self._paths.clear()
        self._prune_at = max(_MANY, 2 * len(self._windows))

    def _per_slice(self, rule: Rule) -> int:
        assert rule.per_hour is not None  # noqa: S101 for the type checker
        return max(1, int(rule.per_hour * self._share) // SLICES_PER_HOUR)

    def _path(self, host: str, source: Source) -> tuple[Rule, _Window]:
        """Return the rule and the window of a path; both are asked for several times a message."""
        key = (host, source.public_id)
        found = self._paths.get(key)
        if found is None:
            if len(self._paths) > _MANY:
                self._paths.clear()
            rule = self.rule(host, source)
            found = self._paths[key] = (rule, self._window(rule, host, source))
        return found

    def _window(self, rule: Rule, host: str, source: Source) -> _Window:
        destination = host.lower().rstrip(".") if rule.mask == _EVERYTHING else rule.mask
        # Below zero no address has its number: limits that several share.
        together = -1 - rule.public_ids[0][0] if rule.public_ids else -1
        key = (destination, together if rule.shared else source.public_id)
        window = self._windows.get(key)
        if window is None:
            window = self._windows[key] = _Window()
        return window


_EXPRESSIONS: dict[str, re.Pattern[str]] = {}


def _expression(mask: str) -> re.Pattern[str]:
    found = _EXPRESSIONS.get(mask)
    if found is None:
        text = "".join({"*": ".*", "?": "."}.get(letter) or re.escape(letter) for letter in mask)
        found = _EXPRESSIONS[mask] = re.compile(text, re.I)
    return found
