"""What a model says of itself as an entity; all that Django knows already is not repeated here."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from envoi.kernel.registry.types import Type


@dataclass(frozen=True)
class Computed:
    """An attribute that is an expression over others: `Computed(Type.STRING, "Upper(@name)")`."""

    type: Type
    expr: str
    label: str = ""


@dataclass(frozen=True)
class Incoming:
    """A link that an entity above gives to one below it, whose table holds the bigint column.

    `Incoming("nms:delivery", link="operation", column="operation_id", collection="delivery")`, declared by
    the owner of the target: `[operation/@label]` then works from nms:delivery, as long as that package is
    installed.
    """

    schema: str
    link: str
    column: str
    collection: str = ""
    label: str = ""


@dataclass(frozen=True)
class Declaration:
    """The declaration of an entity. Attribute names are the fields' in camel case; the key is `@id`.

    `folder` is the path of links from a row to the folder it lies in: `"folder"`, or `"workflow/folder"` for
    what belongs to a workflow; `"."` when the entity is the folder. Rows of folders that an actor may not
    read do not exist for that actor. `reading` and `writing` are named rights. `private` fields are in no
    schema at all.
    """

    name: str
    label: str
    singular: str
    folder: str = ""
    reading: str = ""
    writing: str = ""
    text: str = ""
    """Expression that names a row to a person; empty: `@label`, else `@name`, else `@id`."""
    names: Mapping[str, str] = field(default_factory=dict[str, str])
    """Field to attribute or link name, where it is not the field's own in camel case."""
    types: Mapping[str, Type] = field(default_factory=dict[str, Type])
    """Field to type, where the model says too little: a timespan is a plain number to Django."""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    """Field to English label, where it is not the field's name in words."""
    private: frozenset[str] = frozenset()
    read_only: frozenset[str] = frozenset()
    """Fields that the product keeps itself (counters, what the database generates)."""
    guarded: Mapping[str, str] = field(default_factory=dict[str, str])
    """Field to the named right that reading it takes."""
    collections: Mapping[str, str] = field(default_factory=dict[str, str])
    """Foreign key to the name under which its target sees these rows."""
    enumerations: Mapping[str, str] = field(default_factory=dict[str, str])
    """Field to an itemized list that its values come from (`urlCategory`)."""
    computed: Mapping[str, Computed] = field(default_factory=dict[str, Computed])
    incoming: tuple[Incoming, ...] = ()
    extensible: bool | None = None
    """Whether an instance may add fields of its own; unsaid, all may but the platform's `xtk:`."""
