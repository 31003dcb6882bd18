"""What the file for a provider is like, as it is kept with a delivery: JSON outside, checked values inside.

    {"columns": [{"expr": "@lastName", "label": "Name"}, …], "order": [{"expr": "[location/@zipCode]"}],
     "file": "letters_<%= delivery.internalName %>.csv", "delimiter": ";", "encoding": "utf-8",
     "header": true, "gzip": false, "seeds": "sorted" | "start" | "end" | "random", "provider": "printer"}

Without columns those of the channel are taken. `provider` is an external account of the type routing, whose
mode is external.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from django.utils.translation import gettext as _

from envoi.kernel.errors import Invalid
from envoi.packages.delivery.models import Channel
from envoi.packages.delivery.services import channels

SEEDS = ("sorted", "start", "end", "random")
_KEYS = {"columns", "order", "file", "delimiter", "encoding", "header", "gzip", "seeds", "provider"}
_DELIMITERS = (",", ";", "\t", "|")
_NAME = "<%= delivery.internalName %>.csv"


@dataclass(frozen=True)
class Column:
    """One column of the file. `own`: it comes from the channel, and its path begins at the person."""

    expr: str
    label: str
    own: bool = False


@dataclass(frozen=True)
class Order:
    """One thing that the rows are sorted by."""

    expr: str
    descending: bool


@dataclass(frozen=True)
class Extraction:
    """All of it."""

    columns: tuple[Column, ...]
    order: tuple[Order, ...]
    file: str
    delimiter: str
    encoding: str
    header: bool
    gzip: bool
    seeds: str
    """Where seed addresses stand among the others."""
    provider: str


def read(said: Any, *, channel: Channel = Channel.DIRECT_MAIL) -> Extraction:
    """Return what is said, with the defaults of the channel. Raises Invalid, naming what is wrong."""
    if not isinstance(said, Mapping):
        raise Invalid(_("%(place)s must be an object.") % {"place": "extraction"})
    said = cast("Mapping[str, Any]", said)
    if strange := sorted(set(said) - _KEYS):
        raise Invalid(
            _("The file of a delivery has no %(name)r; known are %(known)s.")
            % {"name": strange[0], "known": ", ".join(sorted(_KEYS))}
        )
    columns = tuple(_column(each) for each in _listed(said, "columns"))
    delimiter, encoding = str(said.get("delimiter") or ","), str(said.get("encoding") or "utf-8")
    if delimiter not in _DELIMITERS:
        raise Invalid(_("Cells are separated by a comma, a semicolon, a tab or a bar."))
    try:
        "".encode(encoding)
    except LookupError as error:
        raise Invalid(_("There is no encoding %(name)r.") % {"name": encoding}) from error
    seeds = str(said.get("seeds") or "sorted")
    if seeds not in SEEDS:
        raise Invalid(
            _("%(place)s must be one of %(known)s.") % {"place": "seeds", "known": ", ".join(SEEDS)}
        )
    file = str(said.get("file") or _NAME)
    if len(file) > 500:
        raise Invalid(_("The name of the file is too long."))
    return Extraction(
        columns=columns
        or tuple(Column(expr, label, own=True) for expr, label in channels.of(channel).columns),
        order=tuple(_order(each) for each in _listed(said, "order")),
        file=file,
        delimiter=delimiter,
        encoding=encoding,
        header=_switch(said, "header", True),
        gzip=_switch(said, "gzip", False),
        seeds=seeds,
        provider=str(said.get("provider") or ""),
    )


def plain(expr: str) -> str:
    """Return what a column is called that has no label: the last name of its path."""
    return expr.strip("[]").rpartition("/")[2].lstrip("@")


def _column(said: Any) -> Column:
    given = _object(said)
    expr = str(given.get("expr") or "").strip()
    if not expr:
        raise Invalid(_("Each column of the file needs an expression."))
    return Column(expr, str(given.get("label") or plain(expr)))


def _order(said: Any) -> Order:
    given = _object(said)
    expr = str(given.get("expr") or "").strip()
    if not expr:
        raise Invalid(_("What the file is sorted by needs an expression."))
    return Order(expr, bool(given.get("descending")))


def _object(said: Any) -> Mapping[str, Any]:
    """Return one entry of a list; a text is an expression."""
    if isinstance(said, str):
        return {"expr": said}
    return cast("Mapping[str, Any]", said) if isinstance(said, Mapping) else {}


def _listed(said: Mapping[str, Any], name: str) -> list[Any]:
    value: Any = said.get(name) or []
    if not isinstance(value, list):
        raise Invalid(_("%(place)s must be a list.") % {"place": name})
    return cast("list[Any]", value)


def _switch(said: Mapping[str, Any], name: str, default: bool) -> bool:
    value = said.get(name, default)
    if not isinstance(value, bool):
        raise Invalid(_("%(place)s is true or false.") % {"place": name})
    return value
