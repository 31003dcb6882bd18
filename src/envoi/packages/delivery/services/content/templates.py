"""Templates of messages: checked, and rendered within a limit of time (delivery.md §2.9).

The language is that of minijinja, with `<%-- … --%>` for comments, so that the `{#` of a style sheet is none.
A field that is empty or missing gives nothing. In HTML values are escaped, elsewhere not.
"""

import re
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from django.utils.translation import gettext as _
from minijinja import Environment, TemplateError

from envoi.kernel.errors import Invalid, Refused
from envoi.packages.delivery.services.content import formats, loops

PARTS = ("subject", "html", "text", "from_name", "from_address", "reply_to", "to_name")
"""What of a message is a template."""
UNASKED = 5.0
"""Seconds that a message may take which is made although nobody has asked for it."""
_LOOKS = 10
"""How often the thread's time is looked at in as much time as one message may take."""
RESERVED = ("recipient", "targetData", "delivery", "visitor", "operator", "message", "variables", "coupon")
FUNCTIONS = frozenset({"range", "dict", "namespace", "cycler", "joiner"})
_ACTIVE = re.compile(r"\{\{|\{%|<%--")
_REUSED = re.compile(rf"\{{%-?\s*(?:set|for|with|macro)\s+({'|'.join(RESERVED)})\b")
_SLICED = re.compile(rf"\b((?:{'|'.join(RESERVED)})(?:\.\w+)+)\s*\[[^\]\n]*:")
_OPTIONS: Mapping[str, Any] = {
    "undefined_behavior": "chainable",
    "comment_start_string": "<%--",
    "comment_end_string": "--%>",
    "keep_trailing_newline": True,
    "debug": False,
}


class CannotRender(Refused):
    """A message cannot be made: its data do not fit what the template does with them."""


class TooLong(Refused):
    """Making a message takes longer than the delivery allows (case D13): the delivery fails."""


class Templates:
    """The templates of a delivery, compiled. `limit`: seconds that one message may take; 0 for no limit."""

    def __init__(
        self,
        sources: Mapping[str, str],
        *,
        language: str,
        zone: str,
        limit: float,
        constants: Mapping[str, Any],
        functions: Mapping[str, Callable[..., str]],
    ) -> None:
        """Raises Invalid for a template that cannot be read."""
        self._limit = limit
        self._environment = _environment(language, zone, limit)
        for name, value in constants.items():
            self._environment.add_global(name, value)
        for name, function in functions.items():
            self._environment.add_global(name, function)
        self._looked, self._spent = time.perf_counter(), time.thread_time()
        self._fixed: dict[str, str] = {}
        self._active: list[str] = []
        for name in PARTS:
            source = sources.get(name, "")
            if _ACTIVE.search(source):
                _compiled(self._environment, name, source)
                self._active.append(name)
            else:
                self._fixed[name] = source

    def add(self, pieces: Mapping[str, str]) -> None:
        """Compile pieces of the templates; those whose name begins with "html" are HTML. Raises Invalid."""
        for name, source in pieces.items():
            _compiled(self._environment, name, source)

    def render(self, values: Mapping[str, Any]) -> dict[str, str]:
        """Return the parts of one message.

        The limit is one of the thread's own time, so that a busy host fails nothing. Raises CannotRender,
        TooLong.
        """
        made = dict(self._fixed)
        begun = self._begin()
        for name in self._active:
            made[name] = self._rendered(name, values)
        self._end(begun)
        return made

    def piece(self, name: str, values: Mapping[str, Any]) -> str:
        """Return one of the pieces that were added. Raises as `render`."""
        begun = self._begin()
        made = self._rendered(name, values)
        self._end(begun)
        return made

    def _rendered(self, name: str, values: Mapping[str, Any]) -> str:
        try:
            return self._environment.render_template(name, **values)
        except TemplateError as error:
            if error.kind == "OutOfFuel":
                raise self._too_long() from error
            raise CannotRender(_said(error, name)) from error

    def _begin(self) -> float:
        begun = time.perf_counter()
        if begun - self._looked > self._limit / _LOOKS:
            self._looked, self._spent = begun, time.thread_time()
        return begun

    def _end(self, begun: float) -> None:
        # The time of a thread is dear to ask for: once a while, and where the clock says that it was long.
        if (
            self._limit
            and time.perf_counter() - begun > self._limit
            and time.thread_time() - self._spent > self._limit * (1 + 1 / _LOOKS)
        ):
            raise self._too_long()

    def _too_long(self) -> TooLong:
        return TooLong(
            _("Personalizing a message takes longer than %(seconds)s s: simplify it, or allow more time.")
            % {"seconds": f"{self._limit:g}"}
        )


def bounded(limit: float, most: float) -> float:
    """Return the smaller of two limits; 0 stands for none."""
    return min(limit or most, most or limit)


def fields(sources: Mapping[str, str]) -> set[str]:
    """Return what the templates read: paths such as `recipient.location.city`; functions of ours are not
    among them.

    Raises Invalid for a template that cannot be read, or that gives a reserved object another meaning.
    """
    found: set[str] = set()
    environment = _environment("en", "UTC", 0)
    for name, source in sources.items():
        if not _ACTIVE.search(source):
            continue
        if reused := _REUSED.search(source):
            raise Invalid(
                _("%(part)s: %(name)s is a reserved object; choose another name.")
                % {"part": spoken(name), "name": reused[1]}
            )
        _compiled(environment, name, source)
        found |= environment.undeclared_variables_in_template(name, nested=True)
        # What stands before a slice is not among them.
        found |= set(_SLICED.findall(source)) | set(loops.of({name: source}))
    return {each for each in found if each.partition(".")[0] not in FUNCTIONS and not each.startswith("_")}


def spoken(part: str) -> str:
    """Return what a part is called; that of a variant (`fr/html`) with its language."""
    if "/" in part:
        language, _slash, name = part.partition("/")
        return f"{spoken(name)} ({language})"
    return {
        "subject": _("Subject"),
        "html": _("HTML content"),
        "text": _("Text content"),
        "from_name": _("Sender name"),
        "from_address": _("Sender address"),
        "reply_to": _("Reply address"),
        "to_name": _("Name of the recipient"),
        "by": _("Language of the reader"),
    }.get(part, part)


def _compiled(environment: Environment, name: str, source: str) -> None:
    try:
        environment.add_template(name, source)
    except TemplateError as error:
        raise Invalid(_said(error, name)) from error


def _said(error: TemplateError, part: str) -> str:
    line: Any = getattr(error, "line", None)
    what = str(error.message).replace(f" (in {part}:{line})", "")
    return _("%(part)s, line %(line)s: %(error)s") % {"part": spoken(part), "line": line or 1, "error": what}


def _environment(language: str, zone: str, limit: float) -> Environment:
    made = Environment(
        auto_escape_callback=lambda name: name.startswith("html"),
        fuel=int(limit * _steps_a_second()) if limit else None,
        **_OPTIONS,
    )
    for name, function in formats.filters(language, zone).items():
        made.add_filter(name, function)
    return made


@cache
def _steps_a_second() -> int:
    """Measure how many steps a template takes in a second on this host."""
    steps = 200_000
    environment = Environment(fuel=steps)
    source = "{% for i in range(9999) %}{% for j in range(9999) %}{{ i }}{% endfor %}{% endfor %}"
    begun = time.thread_time()
    try:
        environment.render_str(source)
    except TemplateError as error:
        if error.kind != "OutOfFuel":
            raise
    return int(steps / max(time.thread_time() - begun, 1e-4))
