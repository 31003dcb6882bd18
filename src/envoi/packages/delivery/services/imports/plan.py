"""What an import does with the columns of a file, checked against the schema (engine.md §6.1, §6.5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from django.utils.translation import gettext as _

from envoi.engine.conversion import CASES, DATES, Error, Null
from envoi.kernel import registry
from envoi.kernel.errors import Invalid, NotFound
from envoi.kernel.registry.schema import Attribute, Enumeration, Schema
from envoi.kernel.registry.types import Type


class Operation(StrEnum):
    """What is done with a row, by whether its key is known."""

    INSERT = "insert"
    UPDATE = "update"
    BOTH = "insertOrUpdate"
    DELETE = "delete"


class Doubles(StrEnum):
    """What becomes of lines of one file that have the same key."""

    LAST = "last"
    REJECT = "reject"


class Treatment(StrEnum):
    """Values that are brought into one form."""

    NONE = ""
    EMAIL = "email"
    PHONE = "phone"
    COUNTRY = "country"


TREATMENTS = {
    "email": Treatment.EMAIL,
    "phone": Treatment.PHONE,
    "mobilePhone": Treatment.PHONE,
    "fax": Treatment.PHONE,
    "location/countryCode": Treatment.COUNTRY,
}
"""Attribute of persons to its treatment."""


@dataclass(frozen=True)
class Target:
    """Where one column of the file goes. `attribute` is an attribute's name (`email`, `location/city`) or one
    of a linked row by which it is found (`folder/@name`).
    """

    source: int
    attribute: str
    null: Null = Null.DEFAULT
    error: Error = Error.REJECT
    default: str = ""
    case: str = ""
    trim: bool = True
    clean: bool = True
    """Bring e-mail addresses, phone numbers and countries into their form."""
    date: str = "ymd"
    decimal: str = "."
    values: Mapping[str, str] = field(default_factory=dict[str, str])
    """What the file says -> what is meant."""


@dataclass(frozen=True)
class Plan:
    """A whole import. `keys` are attributes among the targets; `region` reads phone numbers without a country
    prefix, `zone` times without one. With `empties` an empty cell empties what was there.
    """

    targets: tuple[Target, ...] = ()
    operation: Operation = Operation.BOTH
    keys: tuple[str, ...] = ("email",)
    doubles: Doubles = Doubles.LAST
    empties: bool = True
    region: str = ""
    zone: str = "UTC"
    group: str = ""
    """Internal name of a list that the profiles are put into."""
    service: str = ""
    """Internal name of a service that they are subscribed to."""
    keep_undo: bool = True

    def to_json(self) -> dict[str, Any]:
        """Return it as a document of plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Plan:
        """Undo `to_json`. Raises Invalid, naming what is wrong."""
        try:
            given = dict(document)
            given["targets"] = tuple(_target(each) for each in given.get("targets", ()))
            given["keys"] = tuple(given.get("keys", ("email",)))
            given["operation"] = Operation(given.get("operation", Operation.BOTH))
            given["doubles"] = Doubles(given.get("doubles", Doubles.LAST))
            return cls(**given)
        except (TypeError, ValueError) as error:
            raise Invalid(
                _("The settings of the import are wrong: %(reason)s.") % {"reason": error}
            ) from error


@dataclass(frozen=True)
class Sink:
    """A target with what the schema says of it."""

    target: Target
    label: str
    column: str
    type: Type
    length: int | None
    enumeration: Enumeration | None = None
    treatment: Treatment = Treatment.NONE
    linked: tuple[str, str, str] | None = None
    """(table, its column that the file names, its key) of a link."""
    to_folder: bool = False

    @property
    def raw(self) -> str:
        """Name of the staging column."""
        return f"c{self.target.source}"


def _target(document: Mapping[str, Any]) -> Target:
    given = dict(document)
    given["null"], given["error"] = (
        Null(given.get("null", Null.DEFAULT)),
        Error(given.get("error", Error.REJECT)),
    )
    return Target(**given)


def sinks(plan: Plan, schema_name: str, columns: int) -> list[Sink]:
    """Return the targets of a plan with their columns. Raises Invalid for whatever cannot be carried out."""
    schema = registry.current()[schema_name]
    found: list[Sink] = []
    for target in plan.targets:
        if not 0 <= target.source < columns:
            raise Invalid(_("The file has no column %(number)d.") % {"number": target.source + 1})
        if target.case not in CASES or target.date not in DATES or target.decimal not in (".", ","):
            raise Invalid(_("The settings of the column %(name)s are wrong.") % {"name": target.attribute})
        found.append(_sink(schema, target))
    taken = [each.column for each in found]
    for each in found:
        if taken.count(each.column) > 1:
            raise Invalid(_("Two columns of the file go to %(label)s. Choose one.") % {"label": each.label})
    if not found:
        raise Invalid(_("No column of the file goes anywhere. Choose at least the key."))
    known = {each.target.attribute for each in found}
    if plan.operation is not Operation.INSERT and not plan.keys:
        raise Invalid(_("Choose the field by which a profile is recognised."))
    for key in plan.keys:
        if key not in known:
            name = label_of(schema, key)
            raise Invalid(_("The key %(name)s comes from no column of the file.") % {"name": name})
    return found


def label_of(schema: Schema, attribute: str) -> str:
    """Return the label of an attribute in the reader's language, its name when there is none."""
    found = schema.attributes.get(attribute)
    if found is not None:
        return registry.translate(found.label)
    link, _slash, name = attribute.partition("/@")
    if link in schema.links:
        return f"{registry.translate(schema.links[link].label)} ({name})"
    return attribute


def _sink(schema: Schema, target: Target) -> Sink:
    link_name, at, other = target.attribute.partition("/@")
    if at and link_name in schema.links:
        link = schema.links[link_name]
        if link.collection or len(link.join) != 1:
            raise Invalid(_("%(name)s leads to more than one row.") % {"name": target.attribute})
        foreign = registry.current()[link.target]
        named = foreign.attributes.get(other)
        own = schema.attribute_of(link.join[0][0])
        if named is None or not named.column:
            raise NotFound(_("There is no field %(name)s.") % {"name": target.attribute})
        return Sink(
            target,
            label_of(schema, target.attribute),
            link.join[0][0],
            own.type if own else Type.INT64,
            None,
            linked=(foreign.table, named.column, link.join[0][1]),
            to_folder=link.target == "xtk:folder",
        )
    found = schema.attributes.get(target.attribute)
    if found is None:
        raise NotFound(_("There is no field %(name)s.") % {"name": target.attribute})
    if not writable(schema, found):
        raise Invalid(_("The field %(name)s cannot be written.") % {"name": registry.translate(found.label)})
    treatment = TREATMENTS.get(found.name, Treatment.NONE) if target.clean else Treatment.NONE
    return Sink(
        target,
        registry.translate(found.label),
        found.column,
        found.type,
        found.length,
        found.enumeration,
        treatment,
    )


def writable(schema: Schema, attribute: Attribute) -> bool:
    """Return whether a file may give this attribute."""
    if not attribute.column or attribute.column in schema.key or attribute.type is Type.JSON:
        return False
    if attribute.name in ("created", "lastModified", "domain") or getattr(attribute, "read_only", False):
        return False
    links = {own for link in schema.links.values() for own, _theirs in link.join if not link.collection}
    return attribute.column not in links or attribute.column == "country_code"


def targets_of(schema_name: str) -> list[tuple[str, str]]:
    """Return (name, label) of everything that a column of a file can go to, by label."""
    schema = registry.current()[schema_name]
    found = [
        (each.name, registry.translate(each.label))
        for each in schema.attributes.values()
        if writable(schema, each)
    ]
    for link in schema.links.values():
        if not link.collection and len(link.join) == 1 and link.target == "xtk:folder":
            found.append((f"{link.name}/@name", label_of(schema, f"{link.name}/@name")))
    return sorted(found, key=lambda pair: pair[1].casefold())
