"""What a type of account asks for, and how what is given is checked."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from urllib.parse import urlsplit

from django.utils.functional import Promise

from envoi.kernel.accounts.opened import Credentials
from envoi.kernel.errors import Invalid

Value = str | int | bool | None
Label = str | Promise
COLUMNS = ("server", "port", "account")
"""Fields with a column of their own; the others stand in `parameters`, or among the secrets."""
_WORDS = {
    "1": True,
    "true": True,
    "yes": True,
    "on": True,
    "0": False,
    "false": False,
    "no": False,
    "": False,
}
_WORDS["off"] = False


class Kind(StrEnum):
    """What a field holds."""

    TEXT = "text"
    LINES = "lines"
    NUMBER = "number"
    SWITCH = "switch"
    CHOICE = "choice"
    URL = "url"
    DATE = "date"
    ACCOUNT = "account"
    """The name of another account."""


@dataclass(frozen=True)
class Field:
    """One field of a type."""

    name: str
    label: Label
    kind: Kind = Kind.TEXT
    required: bool = False
    default: Value = None
    secret: bool = False
    choices: Mapping[str, Label] = field(default_factory=dict[str, Label])
    hint: Label = ""
    least: int = 0
    most: int = 2**31 - 1
    longest: int = 1024
    only: tuple[str, str] | None = None
    """`(field, choice)`: the field counts only when that choice was made; then `required` holds."""

    @property
    def empty(self) -> Value:
        """What the field holds when nothing was given."""
        if self.default is not None:
            return self.default
        return {Kind.SWITCH: False, Kind.NUMBER: None}.get(self.kind, "")

    def clean(self, given: object) -> Value:
        """Return the value in its type, from that type or a text. Raises Invalid, naming the field."""
        text = given.strip() if isinstance(given, str) and not self.secret else given
        if self.kind is Kind.SWITCH:
            word = str(text).lower()
            if word not in _WORDS:
                raise Invalid(f"{self.label}: use yes or no, not {given!r}.")
            return _WORDS[word]
        if text is None or text == "":
            return self.empty
        if self.kind is Kind.NUMBER:
            return self._number(text)
        if not isinstance(text, str):
            raise Invalid(f"{self.label} is a text.")
        allowed = text.replace("\r", "").replace("\n", "") if self.kind is Kind.LINES else text
        if len(text) > self.longest or not allowed.isprintable():
            # The value itself may be a secret, so it is not repeated.
            raise Invalid(f"{self.label}: {self.longest} printable characters are allowed at most.")
        if self.kind is Kind.CHOICE and text not in self.choices:
            raise Invalid(f"{self.label}: {text!r} is none of {', '.join(self.choices)}.")
        if self.kind is Kind.URL:
            self._url(text)
        if self.kind is Kind.DATE:
            try:
                date.fromisoformat(text)
            except ValueError as error:
                raise Invalid(f"{self.label}: {text!r} is no date. Write it as 2026-11-24.") from error
        return text

    def _number(self, given: object) -> int:
        try:
            if isinstance(given, bool) or not isinstance(given, (int, str)):
                raise ValueError
            number = int(given)
        except ValueError as error:
            raise Invalid(f"{self.label}: use a whole number, not {given!r}.") from error
        if not self.least <= number <= self.most:
            raise Invalid(f"{self.label}: {number} must lie between {self.least} and {self.most}.")
        return number

    def _url(self, text: str) -> None:
        try:
            parts = urlsplit(text)
            _ = parts.port
        except ValueError as error:
            raise Invalid(f"{self.label}: {text!r} is no address of the form https://host/path.") from error
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
            raise Invalid(
                f"{self.label}: {text!r} must be of the form https://host/path, without name and password."
            )


Probe = Callable[[Credentials], str]
"""Connects with an account and returns a sentence on what it found; raises `opened.Failed`."""


@dataclass(frozen=True)
class AccountType:
    """A type of account. `code` is what stands in the database."""

    code: int
    name: str
    label: Label
    fields: tuple[Field, ...]
    probe: Probe | None = None
    about: Label = ""

    def field(self, name: str) -> Field:
        """Return a field. Raises Invalid, listing the known ones."""
        for each in self.fields:
            if each.name == name:
                return each
        known = ", ".join(each.name for each in self.fields)
        raise Invalid(f"An account of type {self.label} has no field {name!r}. It has {known}.")
