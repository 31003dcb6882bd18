"""Text of an expression to tokens."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

from envoi.kernel.expression.nodes import LARGEST, LONGEST, ExpressionError, Value

STEP = r"[A-Za-z_][A-Za-z0-9_.:-]*"
_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<number>\d+(?:\.\d+)?|\.\d+)
    |(?P<attribute>@[A-Za-z_][A-Za-z0-9_]*)
    |(?P<bracket>\[[^\]\[]*\])
    |(?P<open_path>[A-Za-z_][A-Za-z0-9_]*(?:/[A-Za-z_][A-Za-z0-9_]*)*/@[A-Za-z_][A-Za-z0-9_]*)
    |(?P<variable>\$\([^()]*\))
    |(?P<word>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<date>\#[^\#]*\#)
    |(?P<sign><=|>=|!=|<>|==|[-+*/%=<>(),])""",
    re.VERBOSE | re.ASCII,
)
_PATH = re.compile(rf"^(?:{STEP}(?:/{STEP})*(?:/@{STEP})?|@{STEP})$", re.ASCII)
_VARIABLE = re.compile(rf"^{STEP}(?:/{STEP})*/@[A-Za-z_]\w*$", re.ASCII)
_DATE = re.compile(
    r"^(\d{4})[-/](\d{1,2})[-/](\d{1,2})"
    r"(?:[T ](\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,6})\d*)?)?)?\s*(Z|[+-]\d{2}:?\d{2})?$",
    re.ASCII,
)
DIGITS = 60
SIGNS = {"<>": "!=", "==": "="}


@dataclass(frozen=True)
class Token:
    """`kind` is text, number, date, path, variable, word, sign or end; `value` is what it stands for."""

    kind: str
    value: Value | tuple[tuple[str, ...], str]
    at: int
    text: str

    def __str__(self) -> str:
        return "the end" if self.kind == "end" else repr(self.text)


def tokens(text: str) -> list[Token]:
    """Return the tokens of an expression, closed by one of kind "end". Raises ExpressionError."""
    if len(text) > LONGEST:
        raise ExpressionError(f"it has {len(text)} characters; {LONGEST} are allowed.", position=LONGEST)
    found: list[Token] = []
    at = 0
    while at < len(text):
        if text[at] in "'\"":
            token, at = _string(text, at)
        else:
            match = _TOKEN.match(text, at)
            if match is None:
                raise ExpressionError(_stray(text, at), position=at, text=text)
            begin, at = at, match.end()
            if match.lastgroup == "space":
                continue
            token = _token(str(match.lastgroup), match[0], begin, text)
        found.append(token)
        if len(found) > LARGEST:
            raise ExpressionError(f"it has more than {LARGEST} parts.", position=at, text=text)
    found.append(Token("end", None, len(text), ""))
    return found


def _stray(text: str, at: int) -> str:
    if text[at] == "[":
        return "this bracket is not closed."
    if text[at] == "#":
        return "this date is not closed by another #."
    if text[at] == "@":
        return "expected the name of an attribute behind @."
    return f"{text[at]!r} means nothing here."


def _string(text: str, begin: int) -> tuple[Token, int]:
    quote, at, parts = text[begin], begin + 1, list[str]()
    while at < len(text):
        letter = text[at]
        if letter == quote:
            return Token("text", "".join(parts), begin, text[begin : at + 1]), at + 1
        if letter == "\\" and at + 1 < len(text) and text[at + 1] in "'\"\\":
            at += 1
            letter = text[at]
        if letter == "\0" or 0xD800 <= ord(letter) <= 0xDFFF:
            raise ExpressionError("this character cannot be stored.", position=at, text=text)
        parts.append(letter)
        at += 1
    raise ExpressionError("this text is not closed by a quote.", position=begin, text=text)


def _token(kind: str, text: str, at: int, whole: str) -> Token:
    if kind == "number":
        if len(text) > DIGITS:
            raise ExpressionError(f"a number has at most {DIGITS} digits.", position=at, text=whole)
        return Token("number", Decimal(text) if "." in text else int(text), at, text)
    if kind == "date":
        return Token("date", _date(text[1:-1].strip(), at, whole), at, text)
    if kind in ("attribute", "bracket", "open_path"):
        inner = text[1:-1].strip() if kind == "bracket" else text
        return Token("path", path_of(inner, at, whole), at, text)
    if kind == "variable":
        name = text[2:-1].strip()
        if not _VARIABLE.match(name):
            raise ExpressionError("a variable looks like $(vars/@name).", position=at, text=whole)
        return Token("variable", name, at, text)
    return Token(kind, SIGNS.get(text, text), at, text)


def path_of(inner: str, at: int, whole: str) -> tuple[tuple[str, ...], str]:
    """Return links and attribute of `folder/@name`. Raises ExpressionError."""
    inner = inner.removeprefix("/")
    if len(inner) > 500 or not _PATH.match(inner):
        raise ExpressionError(
            "a path is names of links and an attribute, such as [folder/@name].", position=at, text=whole
        )
    *steps, last = inner.split("/")
    return (tuple(steps), last[1:]) if last.startswith("@") else ((*steps, last), "")


def _date(inner: str, at: int, whole: str) -> datetime | date:
    match = _DATE.match(inner)
    try:
        if match is None:
            raise ValueError
        year, month, day, hour, minute, second, fraction, zone = match.groups()
        if hour is None:
            return date(int(year), int(month), int(day))
        micro = int((fraction or "0").ljust(6, "0"))
        moment = datetime(  # noqa: DTZ001 a time without zone is one of the reader's zone
            int(year), int(month), int(day), int(hour), int(minute), int(second or 0), micro
        )
        if zone is None:
            return moment
        sign = "+00:00" if zone == "Z" else zone if ":" in zone else f"{zone[:3]}:{zone[3:]}"
        return datetime.fromisoformat(f"{moment.isoformat()}{sign}").astimezone(UTC)
    except (ValueError, OverflowError):
        raise ExpressionError(
            "a date looks like #2026-11-24#, a time like #2026-11-24T09:00:00Z#.", position=at, text=whole
        ) from None
