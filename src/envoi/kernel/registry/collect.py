"""Makes the registry from the models of the installed packages, and refuses what does not fit together."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from threading import Lock
from typing import Any, cast

from django.apps import apps
from django.db import models

from envoi.kernel.errors import Broken
from envoi.kernel.registry import added, further
from envoi.kernel.registry.declare import Declaration
from envoi.kernel.registry.schema import Attribute, Enumeration, EnumValue, Link, Registry, Schema
from envoi.kernel.registry.types import Type

FOLDER = "xtk:folder"
_NAME = re.compile(r"^[a-z][a-z0-9]*:[a-zA-Z][A-Za-z0-9]*$")
_TYPES: tuple[tuple[type[Any], Type], ...] = (
    (models.BigIntegerField, Type.INT64),
    (models.SmallIntegerField, Type.SHORT),
    (models.IntegerField, Type.LONG),
    (models.FloatField, Type.DOUBLE),
    (models.BooleanField, Type.BOOLEAN),
    (models.DateTimeField, Type.DATETIME),
    (models.DateField, Type.DATE),
    (models.TextField, Type.MEMO),
    (models.CharField, Type.STRING),
    (models.UUIDField, Type.UUID),
    (models.JSONField, Type.JSON),
)
_declared: Registry | None = None
_seen: tuple[str, Registry] | None = None
"""What was added at run time as this process last saw it: its stamp, and the registry with it."""
_put: Registry | None = None
_reading = Lock()


def current() -> Registry:
    """Return the registry of this process as it last saw it, without asking the database.

    Raises Broken, naming the place, when declarations contradict.
    """
    global _declared
    if _put is not None:
        return _put
    if _seen is not None:
        return _seen[1]
    if _declared is None:
        _declared = build(apps.get_models())
    return _declared


def fresh() -> Registry:
    """Return the registry with all that has been added at run time until now: one indexed read.

    Whoever begins something (a request, a query) calls it; within that, `current` gives the same.
    """
    global _seen
    if _put is not None:
        return _put
    stamp = added.stamp()
    seen = _seen
    if seen is None or seen[0] != stamp:
        with _reading:
            whole = added.read()
            declared = _declared or build(apps.get_models())
            seen = _seen = (whole.stamp, further.join(added.join(declared, whole)))
    return seen[1]


def reset(to: Registry | None = None) -> None:
    """Put another registry in place, which then stays; without one, it is made and read anew."""
    global _declared, _seen, _put
    _declared, _seen, _put = None, None, to


def find(name: str) -> Schema:
    """Return a schema of `current()` by its name. Raises NotFound."""
    return current()[name]


def build(found: Iterable[type[models.Model]]) -> Registry:
    """Return the registry of these models; those without a `SCHEMA` are not in it.

    Raises Broken with the place of a declaration that names what is not there, or repeats a name.
    """
    declared = {
        model: cast("Declaration", vars(model)["SCHEMA"]) for model in found if "SCHEMA" in vars(model)
    }
    schemas: dict[str, Schema] = {}
    for model, declaration in declared.items():
        if not _NAME.match(declaration.name) or declaration.name in schemas:
            raise Broken(f"{_place(model)}: {declaration.name!r} is no schema name, or is declared twice.")
        schemas[declaration.name] = _schema(model, declaration)
    links: dict[str, dict[str, Link]] = {name: {} for name in schemas}
    for model, declaration in declared.items():
        for schema, link in _links(model, declaration, declared, schemas):
            taken = links[schema]
            if link.name in taken or f"@{link.name}" in taken:
                raise Broken(f"{_place(model)}: {schema} has two links called {link.name!r}.")
            taken[link.name] = link
    registry = Registry({name: replace(schema, links=links[name]) for name, schema in schemas.items()})
    for schema in registry:
        _check(schema, registry)
    return registry


def _schema(model: type[models.Model], declaration: Declaration) -> Schema:
    fields = {each.name: each for each in _fields(model)}
    for said in (
        declaration.names,
        declaration.types,
        declaration.labels,
        declaration.private,
        declaration.read_only,
        declaration.guarded,
        declaration.collections,
        declaration.enumerations,
    ):
        for name in said:
            if name not in fields:
                raise Broken(f"{_place(model)}: SCHEMA speaks of {name!r}, which the model does not have.")
    attributes: dict[str, Attribute] = {}
    for each in fields.values():
        if each.name in declaration.private:
            continue
        attribute = _attribute(model, each, declaration)
        if attribute.name in attributes:
            raise Broken(f"{_place(model)}: two attributes are called @{attribute.name}.")
        attributes[attribute.name] = attribute
    for name, computed in declaration.computed.items():
        if name in attributes:
            raise Broken(f"{_place(model)}: the computed @{name} is a field as well.")
        label = computed.label or _words(name)
        attributes[name] = Attribute(name, computed.type, label, expr=computed.expr)
    folder = declaration.folder
    steps = None if not folder else () if folder == "." else tuple(folder.split("/"))
    return Schema(
        name=declaration.name,
        table=model._meta.db_table,
        package=model._meta.app_label,
        label=declaration.label,
        singular=declaration.singular,
        key=(_key(model),),
        attributes=attributes,
        links={},
        keys=dict(_keys(model, fields, declaration)),
        folder=steps,
        reading=declaration.reading,
        writing=declaration.writing or declaration.reading,
        text=declaration.text
        or next((f"@{name}" for name in ("label", "name") if name in attributes), "@id"),
        place=_place(model),
        extensible=not declaration.name.startswith("xtk:")
        if declaration.extensible is None
        else declaration.extensible,
    )


def _attribute(model: type[models.Model], each: Any, declaration: Declaration) -> Attribute:
    name = declaration.names.get(each.name) or camel(each.name)
    if each.primary_key:
        name = declaration.names.get(each.name, "id")
    label = declaration.labels.get(each.name) or ("Primary key" if each.primary_key else _words(each.name))
    kept = each.target_field if each.is_relation else each
    if each.is_relation:
        name = f"{name}-id"
    kind = declaration.types.get(each.name) or _type(model, kept)
    given: Any = each.default
    default = None if given is models.NOT_PROVIDED or callable(given) else getattr(given, "value", given)
    return Attribute(
        name=name,
        type=kind,
        label=label,
        column=str(each.column),
        length=getattr(kept, "max_length", None) if kind is Type.STRING else None,
        enumeration=_enumeration(name, kind, each),
        list_name=declaration.enumerations.get(each.name, ""),
        default=default,
        required=not (each.null or each.primary_key or each.generated)
        and each.default is models.NOT_PROVIDED,
        right=declaration.guarded.get(each.name, ""),
        read_only=each.name in declaration.read_only or each.generated,
    )


def _type(model: type[models.Model], each: Any) -> Type:
    for kind, found in _TYPES:
        if isinstance(each, kind):
            return found
    raise Broken(
        f"{_place(model)}: the registry knows no type for the field {each.name!r}; say it in `types`."
    )


def _enumeration(name: str, kind: Type, each: Any) -> Enumeration | None:
    if not each.choices:
        return None
    values = tuple(
        EnumValue(value, camel(str(text).replace(" ", "_")), f"{str(text)[:1].upper()}{str(text)[1:]}")
        for value, text in each.flatchoices
    )
    return Enumeration(name, kind, values)


def _keys(
    model: type[models.Model], fields: dict[str, Any], declaration: Declaration
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the keys other than the primary one: fields and groups of fields that are unique."""

    def called(name: str) -> str:
        return declaration.names.get(name) or camel(name)

    for name, each in fields.items():
        if each.unique and not each.primary_key and name not in declaration.private:
            yield called(name), (called(name),)
    for constraint in model._meta.constraints:
        if isinstance(constraint, models.UniqueConstraint) and constraint.fields:
            names = tuple(called(name) for name in constraint.fields)
            yield "-".join(names), names


def _links(
    model: type[models.Model],
    declaration: Declaration,
    declared: dict[type[models.Model], Declaration],
    schemas: dict[str, Schema],
) -> Iterator[tuple[str, Link]]:
    """Yield (schema, link) of all that one declaration makes, the ways back included."""
    for each in _fields(model):
        if not each.is_relation or each.name in declaration.private:
            continue
        target = declared.get(each.remote_field.model)
        if target is None:
            raise Broken(
                f"{_place(model)}: {each.name} leads to {each.remote_field.model.__name__}, "
                "which has no SCHEMA."
            )
        name = declaration.names.get(each.name) or camel(each.name)
        back = declaration.collections.get(each.name, "")
        join = ((str(each.column), str(each.target_field.column)),)
        label = declaration.labels.get(each.name) or _words(each.name)
        yield declaration.name, Link(name, target.name, join, label, reverse=back, unique=each.unique)
        if back:
            turned = tuple((there, here) for here, there in join)
            many = not each.unique
            yield (
                target.name,
                Link(back, declaration.name, turned, declaration.label, many, reverse=name, unique=not many),
            )
    for way in declaration.incoming:
        below = schemas.get(way.schema)
        if below is None:
            # The package of the lower entity is not installed; a name that is wrong everywhere is found by
            # the test that installs every package.
            continue
        if below.attribute_of(way.column) is None:
            raise Broken(
                f"{_place(model)}: {way.schema} has no column {way.column!r} for the link {way.link}."
            )
        key = _key(model)
        label = way.label or declaration.singular
        yield (
            way.schema,
            Link(way.link, declaration.name, ((way.column, key),), label, reverse=way.collection),
        )
        if way.collection:
            yield (
                declaration.name,
                Link(way.collection, way.schema, ((key, way.column),), below.label, True, reverse=way.link),
            )


def _check(schema: Schema, registry: Registry) -> None:
    """Refuse a folder path or a right that leads nowhere."""
    from envoi.kernel.rights import Right

    rights = {right.value for right in Right}
    guards = [each.right for each in schema.attributes.values()]
    for right in (schema.reading, schema.writing, *guards):
        if right and right not in rights:
            raise Broken(f"{schema.place}: there is no named right {right!r}.")
    at = schema
    for step in schema.folder or ():
        link = at.links.get(step)
        if link is None or link.collection:
            raise Broken(f"{schema.place}: the folder path has no link {step!r} in {at.name}.")
        at = registry[link.target]
    if schema.folder is not None and at.name != FOLDER:
        raise Broken(f"{schema.place}: the folder path ends at {at.name}, not at {FOLDER}.")


def _fields(model: type[models.Model]) -> Iterator[Any]:
    return (each for each in cast("list[Any]", model._meta.concrete_fields))


def _key(model: type[models.Model]) -> str:
    pk = cast("Any", model._meta.pk)
    return str(pk.column)


def _place(model: type[models.Model]) -> str:
    return f"{model.__module__}.{model.__name__}"


def camel(name: str) -> str:
    """Return `internal_name` as `internalName`."""
    first, *others = name.split("_")
    return first + "".join(each.capitalize() for each in others)


def _words(name: str) -> str:
    """Return `internal_name` or `internalName` as "Internal name"."""
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).replace("_", " ").strip().lower()
    text = text.removesuffix(" at") if text.endswith(" at") else text
    return text[:1].upper() + text[1:]
