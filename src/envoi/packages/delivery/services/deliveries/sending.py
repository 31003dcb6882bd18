"""How a delivery is sent, as it is kept with it: JSON on the outside, checked values on the inside.

    {"waves": {"size": "30%" | 300, "every": "2d"} | {"lines": [{"after": "6h", "size": "25%"}, …]},
     "retry": {"count": 5, "period": "1h"},
     "validity": {"duration": "5d"} | {"until": "2026-12-01T09:00:00+01:00"}, "web": the same, or 0 for ever,
     "expired": "https://shop.example/over",
     "verify": false, "bcc": false, "doubt": "repeat" | "hold",
     "missed": {"policy": "send" | "skip" | "ask", "grace": "1h"},
     "local_time": false, "zone": "Europe/Paris", "affinity": "", "personalisation": 5,
     "proof_label": "Proof #{n}"}

A duration is a number with one of the units s, m, h, d, y, or whole seconds. What is not said is as the
options say: NmsEmail_RetryCount and NmsEmail_RetryPeriod (NmsSMS_… for SMS), NmsBroadcast_MsgValidityDuration
and NmsBroadcast_MsgWebValidityDuration, in seconds (delivery.md §2.8).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, cast
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from envoi.kernel import options
from envoi.kernel.errors import Invalid
from envoi.kernel.rights import internal
from envoi.packages.delivery.models import Channel
from envoi.packages.delivery.services.sending import retries

Doubt = Literal["repeat", "hold"]
Missed = Literal["send", "skip", "ask"]
DOUBTS: tuple[Doubt, ...] = ("repeat", "hold")
MISSED: tuple[Missed, ...] = ("send", "skip", "ask")
PROOF_LABEL = "Proof #{n}"
UNITS: Mapping[str, timedelta] = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "y": timedelta(days=365),
}
_DURATION = re.compile(r"^(\d{1,9})\s*([smhdy])$", re.ASCII)
_LONGEST = timedelta(days=365 * 20)
_KEYS = {
    "waves", "retry", "validity", "web", "verify", "bcc", "doubt", "missed", "local_time", "zone", "affinity",
    "personalisation", "proof_label", "expired",
}  # fmt: skip


@dataclass(frozen=True)
class Size:
    """How many messages: a share of all in per cent, or a number."""

    percent: Decimal | None = None
    number: int | None = None


@dataclass(frozen=True)
class Line:
    """One wave: how long after the one before it starts, and its size."""

    after: timedelta
    size: Size


@dataclass(frozen=True)
class Waves:
    """`every`: waves of one size (the first of `lines`), one a period; else the calendar of `lines`."""

    lines: tuple[Line, ...]
    every: timedelta | None = None


@dataclass(frozen=True)
class Sending:
    """All of it. An end of validity that is given as a date stands in `until` and `web_until`."""

    waves: Waves | None
    retry_count: int
    retry_period: timedelta
    validity: timedelta
    until: datetime | None
    web_validity: timedelta | None
    """None: pages and links work for ever."""
    web_until: datetime | None
    expired: str
    """Where links lead when their time is over; empty: where the instance says."""
    verify: bool
    """Connect and name the recipient, but send no message (*Test SMTP delivery*)."""
    bcc: bool
    """Keep copies of what is sent, and pass them on to the archive address where there is one."""
    doubt: Doubt
    """What becomes of a message of which it is not known whether it left."""
    missed: Missed
    """What becomes of a delivery that has not started by its contact date and `grace`."""
    grace: timedelta
    local_time: bool
    """At the wall clock of the contact date in the zone of each recipient."""
    zone: str
    """Whose wall clock the contact date is meant in; empty: the instance's."""
    affinity: str
    personalisation: float
    """Seconds that making one message may take; 0: as long as it takes."""
    proof_label: str

    def plan(self) -> retries.Plan:
        """Return the retries as the sender counts them."""
        return retries.Plan(count=self.retry_count, period=self.retry_period, validity=self.validity)

    def end(self, start: datetime) -> datetime:
        """Return until when messages are tried that start at `start`."""
        return self.until or start + self.validity

    def web_end(self, start: datetime) -> datetime | None:
        """Return until when pages and links of messages work that start at `start`; None for ever."""
        return self.web_until or (None if self.web_validity is None else start + self.web_validity)


def read(said: Mapping[str, Any], *, channel: Channel = Channel.EMAIL) -> Sending:
    """Return what is said, with the defaults of the channel. Raises Invalid, naming what is wrong."""
    _known(said, "", _KEYS)
    retry = _object(said.get("retry"), "retry", {"count", "period"})
    missed = _object(said.get("missed"), "missed", {"policy", "grace"})
    family = "NmsSMS" if channel is Channel.SMS else "NmsEmail"
    fallback = retries.SMS if channel is Channel.SMS else retries.EMAIL
    validity, until = _span(said.get("validity"), "validity")
    for_ever = isinstance(said.get("web"), dict) and str(said["web"].get("duration")) in ("0", "0s")
    web, web_until = (None, None) if for_ever else _span(said.get("web"), "web")
    return Sending(
        waves=_waves(said["waves"]) if said.get("waves") else None,
        retry_count=(
            whole(retry["count"], "retry/count")
            if retry.get("count") not in (None, "")
            else int(_option(f"{family}_RetryCount", fallback.count))
        ),
        retry_period=(
            duration(retry["period"], "retry/period")
            if retry.get("period")
            else _seconds(f"{family}_RetryPeriod", fallback.period)
        ),
        validity=validity or _seconds("NmsBroadcast_MsgValidityDuration", timedelta(days=5)),
        until=until,
        web_validity=None
        if for_ever
        else web or _seconds("NmsBroadcast_MsgWebValidityDuration", timedelta(days=60)),
        web_until=web_until,
        expired=_address(said.get("expired"), "expired"),
        verify=_switch(said, "verify"),
        bcc=_switch(said, "bcc"),
        doubt=cast("Doubt", _choice(said.get("doubt") or "repeat", "doubt", DOUBTS)),
        missed=cast("Missed", _choice(missed.get("policy") or "send", "missed/policy", MISSED)),
        grace=duration(missed["grace"], "missed/grace") if missed.get("grace") else timedelta(hours=1),
        local_time=_switch(said, "local_time"),
        zone=_zone(said.get("zone") or ""),
        affinity=_text(said.get("affinity"), "affinity", 64),
        personalisation=_limit(said.get("personalisation", 5)),
        proof_label=_text(said.get("proof_label"), "proof_label", 100) or PROOF_LABEL,
    )


def duration(said: Any, place: str) -> timedelta:
    """Return a duration above zero: "2d", or seconds. Raises Invalid."""
    found = timedelta(0)
    if isinstance(said, str) and (match := _DURATION.match(said.strip())):
        number, unit = int(match[1]), UNITS[match[2]]
        found = number * unit if number <= _LONGEST / unit else _LONGEST + unit
    elif (
        isinstance(said, (int, float)) and not isinstance(said, bool) and 0 < said <= _LONGEST.total_seconds()
    ):
        found = timedelta(seconds=said)
    if not timedelta(0) < found <= _LONGEST:
        raise Invalid(
            _("%(place)s must be a duration above zero, such as 30m, 6h or 2d (units s, m, h, d, y).")
            % {"place": place}
        )
    return found


def spoken(span: timedelta) -> str:
    """Return a duration in the form that `duration` reads, in the greatest unit that fits."""
    seconds = int(span.total_seconds())
    for unit in "ydhm":
        size = int(UNITS[unit].total_seconds())
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def whole(said: Any, place: str) -> int:
    """Return a whole number from 0 to 10,000. Raises Invalid."""
    if isinstance(said, bool) or not isinstance(said, int) or not 0 <= said <= 10_000:
        raise Invalid(_("%(place)s must be a whole number from 0 to 10,000.") % {"place": place})
    return said


def moment(said: Any, place: str) -> datetime:
    """Return a date with its zone. Raises Invalid."""
    try:
        found = datetime.fromisoformat(said) if isinstance(said, str) else None
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise Invalid(_("%(place)s must be a date with a time and its zone.") % {"place": place})
    return found


def _waves(said: Any) -> Waves:
    given = _object(said, "waves", {"size", "every", "lines"})
    if "lines" in given:
        if "size" in given or "every" in given:
            raise Invalid(_("Waves have one size and a period, or lines: say one of them."))
        lines = given["lines"]
        if not isinstance(lines, list) or not lines:
            raise Invalid(_("%(place)s must be a list with at least one line.") % {"place": "waves/lines"})
        found = tuple(_line(each, number) for number, each in enumerate(cast("list[Any]", lines)))
        if sum(each.size.percent or Decimal(0) for each in found) > 100:
            raise Invalid(_("The waves are more than 100 % together (waves/lines)."))
        return Waves(found)
    every = duration(given.get("every"), "waves/every")
    return Waves((Line(timedelta(0), _size(given.get("size"), "waves/size")),), every)


def _line(said: Any, number: int) -> Line:
    place = f"waves/lines/{number + 1}"
    given = _object(said, place, {"after", "size"})
    after = given.get("after")
    return Line(
        timedelta(0) if after in (None, "", 0) else duration(after, f"{place}/after"),
        _size(given.get("size"), f"{place}/size"),
    )


def _size(said: Any, place: str) -> Size:
    if isinstance(said, int) and not isinstance(said, bool) and said > 0:
        return Size(number=said)
    text = said.strip() if isinstance(said, str) else ""
    if text.isascii() and text.isdigit() and 0 < len(text) < 10 and int(text):
        return Size(number=int(text))
    if text.endswith("%"):
        try:
            percent = Decimal(text[:-1].strip().replace(",", "."))
        except InvalidOperation:
            percent = Decimal(0)
        if percent.is_finite() and 0 < percent <= 100:
            return Size(percent=percent)
    raise Invalid(
        _("%(place)s must be a number of messages above 0, or a share such as 30%%.") % {"place": place}
    )


def _span(said: Any, place: str) -> tuple[timedelta | None, datetime | None]:
    given = _object(said, place, {"duration", "until"})
    if given.get("duration") and given.get("until"):
        raise Invalid(_("%(place)s is a duration or a date: say one of them.") % {"place": place})
    return (
        duration(given["duration"], f"{place}/duration") if given.get("duration") else None,
        moment(given["until"], f"{place}/until") if given.get("until") else None,
    )


def _zone(said: Any) -> str:
    try:
        if said:
            ZoneInfo(said)
    except (KeyError, ValueError, TypeError, OSError) as error:
        raise Invalid(_("%(place)s must be a time zone such as Europe/Paris.") % {"place": "zone"}) from error
    return str(said)


def _limit(said: Any) -> float:
    if isinstance(said, bool) or not isinstance(said, (int, float)) or not 0 <= said <= 3600:
        raise Invalid(
            _("%(place)s must be a number of seconds from 0 to 3,600.") % {"place": "personalisation"}
        )
    return float(said)


def _switch(said: Mapping[str, Any], name: str) -> bool:
    value = said.get(name, False)
    if not isinstance(value, bool):
        raise Invalid(_("%(place)s is true or false.") % {"place": name})
    return value


def _choice(said: Any, place: str, known: tuple[str, ...]) -> str:
    if said not in known:
        raise Invalid(_("%(place)s must be one of %(known)s.") % {"place": place, "known": ", ".join(known)})
    return str(said)


def _address(said: Any, place: str) -> str:
    found = _text(said, place, 1000)
    if found and not found.lower().startswith(("http://", "https://")):
        raise Invalid(_("%(place)s must be a web address, such as https://shop.example/.") % {"place": place})
    return found


def _text(said: Any, place: str, longest: int) -> str:
    if said is None:
        return ""
    if not isinstance(said, str) or len(said) > longest or any(ord(letter) < 32 for letter in said):
        raise Invalid(
            _("%(place)s must be one line of at most %(longest)d characters.")
            % {"place": place, "longest": longest}
        )
    return said.strip()


def _known(said: Any, place: str, names: set[str]) -> None:
    if not isinstance(said, Mapping):
        raise Invalid(_("%(place)s must be an object.") % {"place": place or "sending"})
    if strange := sorted(set(cast("Mapping[str, Any]", said)) - names):
        raise Invalid(
            _("The sending of a delivery has no %(name)r; known are %(known)s.")
            % {"name": "/".join(filter(None, (place, strange[0]))), "known": ", ".join(sorted(names))}
        )


def _object(said: Any, place: str, names: set[str]) -> Mapping[str, Any]:
    if said in (None, ""):
        return {}
    _known(said, place, names)
    return said


def _option(name: str, default: int) -> int:
    found = options.get(name, actor=internal(), default=default)
    return found if isinstance(found, int) and not isinstance(found, bool) and found >= 0 else default


def _seconds(name: str, default: timedelta) -> timedelta:
    return timedelta(seconds=_option(name, int(default.total_seconds())) or default.total_seconds())
