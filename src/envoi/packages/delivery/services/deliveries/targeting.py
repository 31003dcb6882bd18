"""Whom a delivery is for, as it is kept with it: JSON on the outside, checked values on the inside.

    {"filter": …, "lists": ["news"], "table": "wkf12_3", "columns": {"email": "mail"},
     "exclude": {"doubles": true, "denylisted": true, "quarantined": true, "limit": 0},
     "seeds": {"ids": [4], "folders": ["seedAddresses"], "filter": …},
     "addresses": ["ann@example.org"],
     "control": {"percent": 5 | "number": 100, "method": "random" | "sorted", "sort": [{"expr": "@created"}]},
     "left": [12, 15]}

`filter` is an expression or the `where` of a query definition; `lists` and `table`, a population of a
workflow, add to it. On the mapping of external files the population is the target, `filter` narrows it,
and `columns` says which of its columns holds an address. `addresses`, of a proof, stand in for those of the
target (delivery.md §2.11). `left` narrows the target to those who did not get the first of these deliveries,
nor any of the others. What is not said is not used, except the switches of `exclude`, which are on; a proof
has them off (delivery.md §2.6).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, cast

from django.utils.translation import gettext as _

from envoi.kernel import query
from envoi.kernel.errors import Invalid
from envoi.kernel.query import Condition, Field

METHODS = ("random", "sorted")
KINDS = {"email", "mobile", "phone", "postal", "fax"}
"""What a mapping calls the addresses of channels."""


@dataclass(frozen=True)
class Exclude:
    """Who is left out beside those without an address and those on the suppression list."""

    doubles: bool
    denylisted: bool
    quarantined: bool
    limit: int
    """Most messages; 0 for no limit. Who gets them is drawn."""


@dataclass(frozen=True)
class Seeds:
    """Seed addresses that are added: by number, by folder, by a condition."""

    ids: tuple[int, ...]
    folders: tuple[str, ...]
    where: tuple[Condition, ...]


@dataclass(frozen=True)
class Control:
    """Who gets no message so that the others can be compared with them."""

    percent: Decimal | None
    number: int | None
    sort: tuple[Field, ...]
    """Empty: drawn. Else the first in this order."""


@dataclass(frozen=True)
class Targeting:
    """All of it. `where` None: there is no filter."""

    where: tuple[Condition, ...] | None
    lists: tuple[str, ...]
    table: str
    exclude: Exclude
    seeds: Seeds
    control: Control | None
    columns: tuple[tuple[str, str], ...] = ()
    """Of an external file: what a mapping calls an address, and the column that holds it."""
    addresses: tuple[str, ...] = ()
    """Of a proof: addresses that its messages go to in place of the profiles' own, one each in turn."""
    left: tuple[int, ...] = ()
    """Deliveries: for those only who are left of the first and were reached by none."""


def read(said: Mapping[str, Any], *, proof: bool = False) -> Targeting:
    """Return what is said. Raises Invalid, naming the place of what is wrong."""
    names = {"filter", "lists", "table", "columns", "exclude", "seeds", "control", "addresses", "left"}
    _known(said, "", names)
    exclude = _object(said.get("exclude"), "exclude", {"doubles", "denylisted", "quarantined", "limit"})
    seeds = _object(said.get("seeds"), "seeds", {"ids", "folders", "filter"})
    control = _object(said.get("control"), "control", {"percent", "number", "method", "sort"})
    columns = _object(said.get("columns"), "columns", KINDS)
    return Targeting(
        where=conditions(said["filter"], "filter") if said.get("filter") not in (None, "", {}) else None,
        lists=_texts(said.get("lists"), "lists"),
        table=str(said.get("table") or ""),
        exclude=Exclude(
            doubles=_switch(exclude, "doubles", not proof),
            denylisted=_switch(exclude, "denylisted", not proof),
            quarantined=_switch(exclude, "quarantined", not proof),
            limit=_whole(exclude.get("limit") or 0, "exclude/limit"),
        ),
        seeds=Seeds(
            ids=tuple(_whole(each, "seeds/ids") for each in _listed(seeds.get("ids"), "seeds/ids")),
            folders=_texts(seeds.get("folders"), "seeds/folders"),
            where=conditions(seeds["filter"], "seeds/filter") if seeds.get("filter") else (),
        ),
        control=_control(control) if control else None,
        columns=tuple((name, str(each)) for name, each in columns.items() if each),
        addresses=_texts(said.get("addresses"), "addresses") if proof else (),
        left=tuple(_whole(each, "left") for each in _listed(said.get("left"), "left")),
    )


def conditions(said: Any, place: str) -> tuple[Condition, ...]:
    """Return conditions of an expression, or of the `where` of a query definition."""
    if isinstance(said, str):
        return (Condition(said),)
    if not isinstance(said, Mapping):
        raise Invalid(_("%(place)s must be an expression, or the conditions of a query.") % {"place": place})
    return query.from_json({"schema": place, "where": dict(cast("Mapping[str, Any]", said))}).where


def _control(said: Mapping[str, Any]) -> Control:
    if ("percent" in said) == ("number" in said):
        raise Invalid(_("A control group is a percentage or a number: say one of them."))
    percent: Decimal | None = None
    if "percent" in said:
        try:
            percent = Decimal(str(said["percent"]))
        except InvalidOperation:
            percent = Decimal(-1)
        if not percent.is_finite() or not 0 <= percent <= 100:
            raise Invalid(_("%(place)s must be a number from 0 to 100.") % {"place": "control/percent"})
    method = str(said.get("method") or "random")
    if method not in METHODS:
        raise Invalid(_("A control group is random or sorted, not %(method)r.") % {"method": method})
    sort = tuple(_sorted_by(each) for each in _listed(said.get("sort"), "control/sort"))
    if method == "sorted" and not sort:
        raise Invalid(_("A sorted control group needs something to sort by (control/sort)."))
    number = _whole(said["number"], "control/number") if "number" in said else None
    return Control(percent, number, sort if method == "sorted" else ())


def _sorted_by(said: Any) -> Field:
    if isinstance(said, str):
        return Field(said)
    given = _object(said, "control/sort", {"expr", "descending"})
    return Field(str(given.get("expr") or ""), descending=bool(given.get("descending")))


def _known(said: Any, place: str, names: set[str]) -> None:
    if not isinstance(said, Mapping):
        raise Invalid(_("%(place)s must be an object.") % {"place": place or "targeting"})
    if strange := sorted(set(cast("Mapping[str, Any]", said)) - names):
        raise Invalid(
            _("The target of a delivery has no %(name)r; known are %(known)s.")
            % {"name": "/".join(filter(None, (place, strange[0]))), "known": ", ".join(sorted(names))}
        )


def _object(said: Any, place: str, names: set[str]) -> Mapping[str, Any]:
    if said in (None, ""):
        return {}
    _known(said, place, names)
    return said


def _listed(said: Any, place: str) -> list[Any]:
    if said in (None, ""):
        return []
    if not isinstance(said, list):
        raise Invalid(_("%(place)s must be a list.") % {"place": place})
    return cast("list[Any]", said)


def _texts(said: Any, place: str) -> tuple[str, ...]:
    return tuple(str(each) for each in _listed(said, place))


def _switch(said: Mapping[str, Any], name: str, default: bool) -> bool:
    value = said.get(name, default)
    if not isinstance(value, bool):
        raise Invalid(_("%(place)s is true or false.") % {"place": f"exclude/{name}"})
    return value


def _whole(said: Any, place: str) -> int:
    if isinstance(said, bool) or not isinstance(said, int) or said < 0:
        raise Invalid(_("%(place)s must be a whole number.") % {"place": place})
    return said
