"""Schemas as everything else reads them: resolved, immutable, closed."""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from envoi.kernel.errors import NotFound
from envoi.kernel.registry.types import Type


@dataclass(frozen=True)
class EnumValue:
    """One value of an enumeration: what is stored, its name in expressions, its English label."""

    value: int | str
    name: str
    label: str


@dataclass(frozen=True)
class Enumeration:
    """The values that an attribute may have, known to clients as `ns:schema:name`."""

    name: str
    base: Type
    values: tuple[EnumValue, ...]

    def named(self, name: str) -> EnumValue | None:
        """Return the value called `name`, or None."""
        return next((each for each in self.values if each.name == name), None)

    def valued(self, value: object) -> EnumValue | None:
        """Return the value that is stored as `value`, or None."""
        return next((each for each in self.values if each.value == value), None)


@dataclass(frozen=True)
class Attribute:
    """One attribute. `name` is without "@", with slashes for one inside of elements (`location/city`); either
    `column` or `expr` is set.
    """

    name: str
    type: Type
    label: str
    column: str = ""
    expr: str = ""
    length: int | None = None
    enumeration: Enumeration | None = None
    list_name: str = ""
    default: Any = None
    required: bool = False
    right: str = ""
    runtime: bool = False
    read_only: bool = False
    """The product keeps it: shown and queried, never written by hand or by an import."""

    @property
    def xpath(self) -> str:
        """The attribute as an expression reads it: `@email`, `[@folder-id]`."""
        element, _, last = self.name.rpartition("/")
        if element:
            return f"[{element}/@{last}]"
        return f"@{last}" if last.replace("_", "").isalnum() else f"[@{last}]"


@dataclass(frozen=True)
class Link:
    """A link to another schema. `join` pairs columns: (own, target's). A collection has 0 to n rows."""

    name: str
    target: str
    join: tuple[tuple[str, str], ...]
    label: str
    collection: bool = False
    reverse: str = ""
    """Name of the same link seen from the target; empty when the target does not see it."""
    unique: bool = False
    """At most one row of this schema for each of the target."""
    runtime: bool = False
    """It was added at run time."""


@dataclass(frozen=True)
class Schema:
    """One entity. `folder` is the path of links to the folder of a row: () when it is the folder itself,
    None when rows lie in no folder.
    """

    name: str
    table: str
    package: str
    label: str
    singular: str
    key: tuple[str, ...]
    """Columns of the primary key."""
    attributes: Mapping[str, Attribute]
    links: Mapping[str, Link]
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """Other keys: name to attribute or link names."""
    folder: tuple[str, ...] | None = None
    reading: str = ""
    writing: str = ""
    text: str = ""
    place: str = ""
    """Where it is declared, for messages."""
    beyond: str = ""
    """The link behind which names are looked up that the schema itself does not know; empty for none."""
    extensible: bool = False
    """Fields can be added to it at run time."""
    runtime: bool = False
    """The whole table was added at run time."""

    @property
    def namespace(self) -> str:
        """The part before the colon."""
        return self.name.partition(":")[0]

    @property
    def local_name(self) -> str:
        """The part behind the colon: the root element of its documents."""
        return self.name.partition(":")[2]

    @property
    def enumerations(self) -> dict[str, Enumeration]:
        """Its enumerations by name."""
        found = (each.enumeration for each in self.attributes.values())
        return {each.name: each for each in found if each is not None}

    @property
    def bounded(self) -> bool:
        """Whether reading its rows takes a right, or that of a folder."""
        return self.folder is not None or bool(self.reading)

    def attribute_of(self, column: str) -> Attribute | None:
        """Return the attribute that is stored in a column, or None."""
        return next((each for each in self.attributes.values() if each.column == column), None)

    def with_attributes(self, added: Iterable[Attribute]) -> "Schema":
        """Return the same schema with more attributes."""
        return replace(self, attributes={**self.attributes, **{each.name: each for each in added}})


@dataclass(frozen=True)
class Registry:
    """All schemas of the installed packages, by name."""

    schemas: Mapping[str, Schema]

    def __iter__(self) -> Iterator[Schema]:
        """Yield the schemas by name."""
        return (self.schemas[name] for name in sorted(self.schemas))

    def __contains__(self, name: object) -> bool:
        return name in self.schemas

    def __getitem__(self, name: str) -> Schema:
        """Return a schema. Raises NotFound, with the nearest known name."""
        found = self.schemas.get(name)
        if found is None:
            close = difflib.get_close_matches(name, list(self.schemas), n=1)
            hint = (
                f"Did you mean {close[0]}?" if close else "The package that brings it may not be installed."
            )
            raise NotFound(f"There is no schema {name!r}. {hint}")
        return found
