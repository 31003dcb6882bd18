"""Run one script, condition or text in a child process, and answer what it asks for."""

import json
import math
import re
import signal
import zoneinfo
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Required, TypedDict, Unpack, cast

from envoi.engine.scripting import server, template
from envoi.engine.scripting.forkserver import MEMORY_EXIT
from envoi.engine.scripting.host import Closed, Host, Level
from envoi.engine.scripting.values import Scalar, Value, decode, encode, keepable
from envoi.kernel import clock
from envoi.kernel.errors import Broken, Invalid, Refused, Retry

_LONGEST = 64 * 1024 * 1024
"""Bytes of one message from a script; none has a reason to send more."""
# The script begins that many lines down, so that a line of a stack tells the script from what surrounds it.
_FIRST_LINE = 1000
_KINDS = "A variable is a text, a number, true or false, or a date."
_GARBLED = "The script changed the functions it is given, so what it says cannot be read."
_FRAME = re.compile(r"^ *at (?:.*\()?<input>:(\d+):(\d+)\)?$", re.MULTILINE)


class Kind(Enum):
    """What a source is, which decides how it is read and what it may change."""

    ACTIVITY = auto()
    """The script of an activity."""
    FUNCTION = auto()
    """The body of a function, such as the scripts of an advanced JavaScript activity; `return` gives the
    result."""
    INIT = auto()
    """An initialization script: `activity` is a copy that it may change."""


@dataclass(frozen=True)
class Limits:
    """What one script may use. `wall_seconds` 0 is no limit; without `cpu_seconds` the wall limit holds for
    both.
    """

    wall_seconds: float = 3600
    cpu_seconds: float | None = None
    memory_bytes: int = 128 * 1024 * 1024


EXPRESSION_LIMITS = Limits(wall_seconds=30, cpu_seconds=2)
"""For conditions, expressions and texts (architecture §3.9)."""


@dataclass(frozen=True)
class Variables:
    """What a script finds: the variables of three scopes, and read-only facts."""

    vars: Mapping[str, Scalar] = field(default_factory=dict[str, Scalar])
    instance_vars: Mapping[str, Scalar] = field(default_factory=dict[str, Scalar])
    task_vars: Mapping[str, Scalar] = field(default_factory=dict[str, Scalar])
    instance: Mapping[str, Value] = field(default_factory=dict[str, Value])
    """Attributes of the workflow: id, internalName, label…"""
    task: Mapping[str, Value] = field(default_factory=dict[str, Value])
    events: Sequence[Mapping[str, Value]] = ()
    """The incoming events; `event` is there when it is exactly one."""
    transitions: Sequence[Mapping[str, Value]] = ()
    """The outgoing transitions, each with `name` and `type` ("done", "error", …)."""
    incoming: Sequence[Mapping[str, Value]] = ()
    """The incoming transitions, each with `name` and what came over it (`tableName`…)."""
    activity: object = None
    """The model of the activity, as plain JSON."""


@dataclass(frozen=True)
class ScriptResult:
    """What a script left behind. `activity` is the changed copy, for an initialization script only."""

    vars: dict[str, Scalar]
    instance_vars: dict[str, Scalar]
    task_vars: dict[str, Scalar]
    activity: object
    returned: Value
    """The result, if it is data; None otherwise."""
    truth: bool
    """Whether the result counts as true."""


class ScriptFailed(Invalid):
    """A script has an error. `line` and `column` count from 1 in its own source; None when unknown."""

    def __init__(self, message: str, *, line: int | None = None, column: int | None = None) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


class ScriptStopped(Refused):
    """A script went beyond a limit, `"time"` or `"memory"`."""

    def __init__(self, message: str, *, limit: str) -> None:
        super().__init__(message)
        self.limit = limit


class ScriptCancelled(Exception):  # noqa: N818  somebody's wish, not a fault
    """A script was ended because what it works for is not wanted any more."""


OnCancel = Callable[[Callable[[], None]], None]
"""Takes what ends a script; whoever calls that, from any thread, has it killed at once."""


def run_script(
    source: str,
    *,
    host: Host,
    variables: Variables,
    limits: Limits | None = None,
    kind: Kind = Kind.ACTIVITY,
    zone: str = "UTC",
    on_cancel: OnCancel | None = None,
) -> ScriptResult:
    """Run a script to its end and return what it left behind.

    `zone` is the time zone in which dates are shown (`getHours`, `formatDate`). Raises ScriptFailed for an
    error in the script or a logError, ScriptStopped when it went beyond `limits`, ScriptCancelled when it was
    ended through `on_cancel`, Broken when the engine died of it, and whatever else than a Refused the host
    raised.
    """
    limits = limits or Limits()
    with closing(server.child()) as child:
        if on_cancel is not None:
            on_cancel(child.cut)
        talk = _Conversation(child, host, limits)
        answer = talk.hold(_job(source, host, variables, limits, kind, zone))
    return _result(answer, kind, limits)


class _Around(TypedDict, total=False):
    """What surrounds an expression, a condition or a text: `run_script` says what each means."""

    variables: Required[Variables]
    host: Host
    limits: Limits
    zone: str
    on_cancel: OnCancel | None


def evaluate(expression: str, **around: Unpack[_Around]) -> Value:
    """Return the value of an expression; what it changes is forgotten. Raises as `run_script`."""
    return _glance(expression, "in an expression", around).returned


def holds(condition: str, **around: Unpack[_Around]) -> bool:
    """Return whether a condition counts as true in JavaScript; what it changes is forgotten."""
    return _glance(condition, "in a condition", around).truth


def render(text: str, **around: Unpack[_Around]) -> str:
    """Return a text with its `<%= … %>` and `<% … %>` carried out. A text without any costs no process."""
    if not template.has_code(text):
        return text
    return str(_glance(template.script_of(text), "in a text", around).returned)


def _glance(source: str, place: str, around: _Around) -> ScriptResult:
    """Run what is only looked at: under the limits of an expression, and without a host unless one is
    given.
    """
    defaults: _Around = {"variables": around["variables"], "host": Closed(place), "limits": EXPRESSION_LIMITS}
    return run_script(source, **(defaults | around))


class _Conversation:
    """The talk with one child, from its job to its result."""

    def __init__(self, child: server.Child, host: Host, limits: Limits) -> None:
        self._child = child
        self._talk = child.talk
        self._host = host
        self._limits = limits
        self._deadline = clock.monotonic() + limits.wall_seconds if limits.wall_seconds else None

    def hold(self, job: Mapping[str, object]) -> dict[str, object]:
        try:
            self._send(json.dumps(job).encode())
            while True:
                payload = self._receive()
                if payload[:1] == b"R":
                    return _object(payload[1:])
                self._send(json.dumps(self._answer(payload[1:])).encode())
        except TimeoutError:
            raise ScriptStopped(
                f"The script ran longer than {self._limits.wall_seconds:g} s and was stopped. "
                "Raise the activity's limit, or do less at a time.",
                limit="time",
            ) from None
        except (ConnectionError, EOFError):
            raise self._ended() from None

    def _answer(self, asked: bytes) -> dict[str, object]:
        try:
            name, arguments = cast("tuple[object, object]", json.loads(asked))
            given = decode(arguments)
            if not isinstance(name, str) or not isinstance(given, list):
                raise TypeError(name)
        except (ValueError, TypeError, RecursionError):
            raise ScriptFailed(_GARBLED) from None
        try:
            return {"value": encode(self._call(name, given), f"The answer of {name}")}
        except Refused as refused:
            if isinstance(refused, ScriptFailed):
                raise
            return {"error": str(refused)}

    def _call(self, name: str, given: Sequence[Value]) -> Value:
        host = self._host
        match name, *given:
            case "log", ("info" | "warning" | "error") as level, str(message):
                host.log(Level(level), message)
                if level == Level.ERROR:
                    raise ScriptFailed(message)
                return None
            case "getOption", str(option):
                return host.get_option(option)
            case "setOption", str(option), value if not isinstance(value, list | dict):
                return host.set_option(option, cast("Scalar", value))
            case "loadFile", str(path):
                return host.load_file(path)
            case ["task.setCompleted"]:
                return host.set_completed()
            case "task.postEvent", str(transition), dict(variables):
                return host.post_event(transition, _scalars(cast("dict[str, object]", variables), "vars"))
            case "task.setNextProcessingDate", datetime() as moment:
                return host.set_next_processing_date(moment)
            case "zoneOffset", datetime() as moment, str(zone):
                return _offset(moment, zone)
            case _:
                if name in host.functions:
                    return host.call(name, given)
        raise Invalid(f"{name} was called with arguments that it does not take.")

    def _send(self, payload: bytes) -> None:
        self._wait()
        self._talk.sendall(len(payload).to_bytes(4, "big") + payload)

    def _receive(self) -> bytes:
        length = int.from_bytes(self._exactly(4), "big")
        if length > _LONGEST:
            raise ScriptStopped("The script sent more than 64 MB at once and was stopped.", limit="memory")
        return self._exactly(length)

    def _exactly(self, length: int) -> bytes:
        parts: list[bytes] = []
        while length:
            self._wait()
            part = self._talk.recv(min(length, 1 << 20))
            if not part:
                raise EOFError
            parts.append(part)
            length -= len(part)
        return b"".join(parts)

    def _wait(self) -> None:
        """Let the next step of the socket wait until the deadline at most."""
        if self._deadline is None:
            return
        left = self._deadline - clock.monotonic()
        if left <= 0:
            raise TimeoutError
        self._talk.settimeout(left)

    def _ended(self) -> Exception:
        if self._child.is_cut:
            return ScriptCancelled("The script was ended.")
        status = self._child.exit_status()
        if status == -signal.SIGXCPU:
            used = self._limits.cpu_seconds or self._limits.wall_seconds
            return ScriptStopped(
                f"The script computed for more than {used:g} s and was stopped. "
                "Look for a loop without an end or a regular expression that never comes to one.",
                limit="time",
            )
        if status == MEMORY_EXIT:
            return _out_of_memory(self._limits)
        if status in (None, -signal.SIGKILL):
            return Retry("The process that ran the script was ended from outside.", seconds=1)
        return Broken(
            f"The script engine died of this script (status {status}). Change the script; "
            "its last line in the journal tells how far it came."
        )


def _job(
    source: str, host: Host, variables: Variables, limits: Limits, kind: Kind, zone: str
) -> dict[str, object]:
    before, after = ("(function(){", "\n})()") if kind is Kind.FUNCTION else ("", "")
    data = {
        "now": clock.now().timestamp() * 1000,
        "vars": _encoded(variables.vars, "vars"),
        "instanceVars": _encoded(variables.instance_vars, "instance.vars"),
        "taskVars": _encoded(variables.task_vars, "task.vars"),
        "instance": _encoded(variables.instance, "instance"),
        "task": _encoded(variables.task, "task"),
        "events": [_encoded(each, "event") for each in variables.events],
        "transitions": [_encoded(each, "transition") for each in variables.transitions],
        "incoming": [_encoded(each, "transition") for each in variables.incoming],
        "activity": variables.activity,
        "open": kind is Kind.INIT,
        "functions": sorted(host.functions),
    }
    return {
        "source": before + "\n" * _FIRST_LINE + source + after,
        "data": json.dumps(data),
        "zone": _zone_file(zone),
        "memory": limits.memory_bytes,
        "cpu": limits.cpu_seconds or limits.wall_seconds,
    }


def _encoded(values: Mapping[str, Value], place: str) -> dict[str, object]:
    return {key: encode(value, f"{place}.{key}") for key, value in values.items()}


def _object(payload: bytes) -> dict[str, object]:
    try:
        found = json.loads(payload)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ScriptFailed(_GARBLED)
    return cast("dict[str, object]", found)


def _out_of_memory(limits: Limits) -> ScriptStopped:
    return ScriptStopped(
        f"The script needed more than {limits.memory_bytes >> 20} MB and was stopped. "
        "Work on fewer data at a time.",
        limit="memory",
    )


def _result(answer: dict[str, object], kind: Kind, limits: Limits) -> ScriptResult:
    match answer:
        case {"failed": None} | {"failed": {"name": "InternalError", "message": "out of memory"}}:
            raise _out_of_memory(limits)
        case {"failed": {"name": str() as name, "message": str() as message, "stack": str() as stack}}:
            raise _failure(name, message, stack)
        case {"vars": dict(), "instanceVars": dict(), "taskVars": dict(), "truth": bool() as truth}:
            try:
                return ScriptResult(
                    vars=_scalars(answer["vars"], "vars", encoded=True),
                    instance_vars=_scalars(answer["instanceVars"], "instance.vars", encoded=True),
                    task_vars=_scalars(answer["taskVars"], "task.vars", encoded=True),
                    activity=answer.get("activity") if kind is Kind.INIT else None,
                    returned=decode(answer.get("returned")),
                    truth=truth,
                )
            except (ValueError, RecursionError):
                pass
        case _:
            pass
    raise ScriptFailed(_GARBLED)


def _scalars(values: object, name: str, *, encoded: bool = False) -> dict[str, Scalar]:
    found: dict[str, Scalar] = {}
    for key, each in cast("dict[str, object]", values).items():
        value = decode(each) if encoded else cast("Value", each)
        if isinstance(value, Sequence | Mapping) and not isinstance(value, str):
            raise ScriptFailed(f"{name}.{key} is an object. {_KINDS}")
        if isinstance(value, float) and not math.isfinite(value):
            raise ScriptFailed(f"{name}.{key} is {value}. {_KINDS}")
        found[keepable(key)] = value
    return found


def _failure(name: str, message: str, stack: str) -> ScriptFailed:
    text = keepable(f"{name}: {message}" if name and name != "Error" else message)
    for frame in _FRAME.finditer(stack):
        line, column = int(frame[1]) - _FIRST_LINE, int(frame[2])
        if line > 0:
            return ScriptFailed(f"{text} (line {line})", line=line, column=column)
    return ScriptFailed(text)


def _offset(moment: datetime, zone: str) -> float:
    try:
        shift = moment.astimezone(zoneinfo.ZoneInfo(zone)).utcoffset()
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        raise Invalid(f"There is no time zone {zone!r}. Use a name such as Europe/Paris.") from None
    return shift.total_seconds() if shift else 0.0


@lru_cache(maxsize=64)
def _zone_file(zone: str) -> str:
    """Return the zone for the C library: the system's file, or that of the package tzdata where there is
    none.
    """
    try:
        zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        raise Invalid(f"There is no time zone {zone!r}. Use a name such as Europe/Paris.") from None
    package = find_spec("tzdata")
    folders = [
        *zoneinfo.TZPATH,
        *(f"{place}/zoneinfo" for place in (package and package.submodule_search_locations) or ()),
    ]
    paths = (Path(folder, zone) for folder in folders)
    return next((f":{path}" for path in paths if path.is_file()), zone)
