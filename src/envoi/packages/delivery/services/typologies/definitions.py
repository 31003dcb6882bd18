"""What a rule asks, read from its JSON (delivery.md §2.6, §2.7).

    filtering  {"schema": "nms:recipient", "where": "@age < 18"}
    pressure   {"schema": "nms:recipient", "threshold": 3, "weight": 5, "days": 14, "grouping": "month",
                "provisional": false, "recipients": …, "deliveries": …}
    control    {"script": "return delivery.subject != ''"}, or {"check": "proofSize"} of a rule of the product

A condition is an expression, or the `where` of a query. Threshold and weight are numbers, or expressions over
the schema of the rule.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from django.utils.translation import gettext as _

from envoi.kernel import query, registry
from envoi.kernel.errors import Invalid
from envoi.kernel.expression import parse
from envoi.kernel.query import Condition, Field, QueryDef
from envoi.kernel.rights import internal
from envoi.packages.delivery.models import RuleType
from envoi.packages.delivery.services.deliveries.targeting import conditions

PERSONS = "nms:recipient"
GROUPINGS = ("none", "day", "week", "month", "quarter", "year")
WEIGHT = 5
"""Of messages for which nothing else is said."""
DAYS = 15
MOST_DAYS = 3660


@dataclass(frozen=True)
class Filtering:
    """Rows of `schema` for which `where` holds are excluded."""

    schema: str
    where: tuple[Condition, ...]


@dataclass(frozen=True)
class Pressure:
    """At most `threshold` messages in the period.

    It is about those for whom `recipients` holds; deliveries count for which `deliveries` holds.
    """

    schema: str
    threshold: int | str
    weight: int | str
    days: int
    grouping: str
    provisional: bool
    recipients: tuple[Condition, ...]
    deliveries: tuple[Condition, ...]


@dataclass(frozen=True)
class Control:
    """A script, or the name of a check of the product."""

    script: str = ""
    check: str = ""


def filtering(said: Mapping[str, Any]) -> Filtering:
    """Return a filtering rule. Raises Invalid, NotFound for an unknown schema."""
    _known(said, {"schema", "where"})
    schema = _schema(said)
    where = _where(said, "where", schema)
    if not where:
        raise Invalid(_("A filtering rule needs a condition: it says who is excluded."))
    return Filtering(schema, where)


def pressure(said: Mapping[str, Any]) -> Pressure:
    """Return a pressure rule. Raises Invalid, NotFound for an unknown schema."""
    _known(
        said,
        {
            "schema", "threshold", "weight", "days", "grouping", "provisional", "recipients", "deliveries",
        },
    )  # fmt: skip
    schema = _schema(said)
    if "threshold" not in said:
        raise Invalid(_("A pressure rule needs a threshold: how many messages there may be."))
    grouping = said.get("grouping") or "none"
    if grouping not in GROUPINGS:
        raise Invalid(
            _("%(value)r is not one of %(known)s.") % {"value": grouping, "known": ", ".join(GROUPINGS)}
        )
    days = said.get("days", DAYS)
    if isinstance(days, bool) or not isinstance(days, int) or not 0 <= days <= MOST_DAYS:
        raise Invalid(
            _("%(place)s must be a whole number from 0 to %(most)s.") % {"place": "days", "most": MOST_DAYS}
        )
    provisional = said.get("provisional", False)
    if not isinstance(provisional, bool):
        raise Invalid(_("%(place)s is true or false.") % {"place": "provisional"})
    return Pressure(
        schema,
        _number(said["threshold"], "threshold", schema),
        _number(said.get("weight", WEIGHT), "weight", schema),
        days,
        grouping,
        provisional,
        _where(said, "recipients", schema),
        _where(said, "deliveries", "nms:delivery"),
    )


def control(said: Mapping[str, Any], checks: Sequence[str] = ()) -> Control:
    """Return a control rule; `checks` are those that the product knows. Raises Invalid."""
    _known(said, {"script", "check"})
    script, check = str(said.get("script") or ""), str(said.get("check") or "")
    if bool(script.strip()) == bool(check):
        raise Invalid(_("A control rule needs a script that gives true or false."))
    if check and check not in checks:
        raise Invalid(_("The product has no check %(name)r.") % {"name": check})
    return Control(script, check)


def check(kind: RuleType, said: Any, checks: Sequence[str] = ()) -> None:
    """Raise Invalid or NotFound when a definition is none of a rule of this type."""
    if not isinstance(said, Mapping):
        raise Invalid(_("The definition of a rule must be an object."))
    given = cast("Mapping[str, Any]", said)
    match kind:
        case RuleType.FILTERING:
            filtering(given)
        case RuleType.PRESSURE:
            pressure(given)
        case RuleType.CONTROL:
            control(given, checks)
        case RuleType.CAPACITY | RuleType.OFFER:
            raise Invalid(_("Rules of this type are not possible yet."))


def applies(said: Any) -> tuple[Condition, ...]:
    """Return the conditions on deliveries under which a rule is applied. Raises Invalid."""
    return _where({"applies": said}, "applies", "nms:delivery")


def _schema(said: Mapping[str, Any]) -> str:
    return registry.fresh()[str(said.get("schema") or PERSONS)].name


def _known(said: Mapping[str, Any], names: set[str]) -> None:
    if strange := sorted(set(said) - names):
        raise Invalid(
            _("This rule has no %(name)r; known are %(known)s.")
            % {"name": strange[0], "known": ", ".join(sorted(names))}
        )


def _where(said: Mapping[str, Any], place: str, schema: str) -> tuple[Condition, ...]:
    if said.get(place) in (None, "", {}):
        return ()
    found = conditions(said[place], place)
    query.compile(QueryDef(schema, select=(Field("@id"),), where=found), actor=internal())
    return found


def _number(said: Any, place: str, schema: str) -> int | str:
    if isinstance(said, int) and not isinstance(said, bool):
        if not 0 <= said <= 1_000_000:
            raise Invalid(
                _("%(place)s must be a whole number from 0 to %(most)s.")
                % {"place": place, "most": 1_000_000}
            )
        return said
    if not isinstance(said, str) or not said.strip():
        raise Invalid(_("%(place)s must be a number or an expression.") % {"place": place})
    if said.strip().isascii() and said.strip().isdecimal():
        return _number(int(said), place, schema)
    parse(said)
    query.compile(QueryDef(schema, select=(Field(f"ToInteger({said})"),)), actor=internal())
    return said
