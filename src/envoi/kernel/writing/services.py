"""The kernel's own entities are written through their services."""

from collections.abc import Mapping
from typing import Any

from django.db import connection
from django.utils.translation import gettext as _

from envoi.kernel import enumerations, folders, operators, registry
from envoi.kernel.errors import NotFound
from envoi.kernel.models import Enum, Folder, Operator
from envoi.kernel.query.scope import quoted
from envoi.kernel.rights import Actor
from envoi.kernel.writing.access import PLATFORM, Writer, writers


def _folder(key: int) -> Folder:
    found = Folder.objects.filter(pk=key).first()
    if found is None:
        raise NotFound(_("There is no folder with the number %(key)s.") % {"key": key})
    return found


def _new_folder(values: Mapping[str, Any], actor: Actor) -> int:
    parent = values.get("parent-id")
    made = folders.create(
        values.get("name") or "",
        actor=actor,
        label=values.get("label") or "",
        parent=_folder(parent) if parent else None,
        model=values.get("model") or "",
    )
    return made.folder_id


def _change_folder(key: int, values: Mapping[str, Any], actor: Actor) -> None:
    if "label" in values:
        folders.rename(_folder(key), values["label"], actor=actor)
    if "parent-id" in values:
        parent = values["parent-id"]
        folders.move(_folder(key), _folder(parent) if parent else None, actor=actor)


def _new_enum(values: Mapping[str, Any], actor: Actor) -> int:
    given = {name: values[name] for name in ("label", "type", "mode") if values.get(name)}
    return enumerations.create(values.get("name") or "", actor=actor, **given).enum_id


def _enum_name(key: int) -> str:
    found = Enum.objects.filter(pk=key).values_list("name", flat=True).first()
    if found is None:
        raise NotFound(_("There is no enumeration with the number %(key)s.") % {"key": key})
    return found


def _change_enum(key: int, values: Mapping[str, Any], actor: Actor) -> None:
    enumerations.update(_enum_name(key), actor=actor, **values)


def _operator_name(key: int) -> str:
    found = Operator.objects.filter(pk=key).values_list("name", flat=True).first()
    if found is None:
        raise NotFound(_("There is no operator with the number %(key)s.") % {"key": key})
    return found


def _change_operator(key: int, values: Mapping[str, Any], actor: Actor) -> None:
    name = _operator_name(key)
    given = {each: values[each] for each in ("label", "email", "language", "timezone") if each in values}
    if given:
        operators.update(name, actor=actor, **given)
    if "disabled" in values:
        operators.set_disabled(name, bool(values["disabled"]), actor=actor)


@folders.folder_contents.answer
def rows_in(folder: Folder) -> list[str]:
    """Return what lies in a folder of what packages hold; the platform's rooms answer for themselves."""
    found: list[str] = []
    for schema in registry.current():
        if schema.package in PLATFORM or schema.folder is None or len(schema.folder) != 1:
            continue
        column = schema.links[schema.folder[0]].join[0][0]
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT count(*) FROM (SELECT 1 FROM {quoted(schema.table)} "  # noqa: S608 quoted
                f"WHERE {quoted(column)} = %s LIMIT 1000) q",
                [folder.folder_id],
            )
            row = cursor.fetchone()
        if row and row[0]:
            more = "1000+" if row[0] == 1000 else str(row[0])
            found.append(f"{more} {registry.translate(schema.label)}")
    return found


@writers.answer
def kernel_writers() -> Mapping[str, Writer]:
    """Return the writers of folders, enumerations and operators; all else of the kernel is read-only here."""
    return {
        folders.ENTITY: Writer(
            fields=frozenset({"label", "parent-id"}),
            first=frozenset({"name", "model"}),
            insert=_new_folder,
            update=_change_folder,
            remove=lambda key, actor: folders.delete(_folder(key), actor=actor),
        ),
        enumerations.ENTITY: Writer(
            fields=frozenset({"label", "type", "mode"}),
            first=frozenset({"name"}),
            insert=_new_enum,
            update=_change_enum,
            remove=lambda key, actor: enumerations.delete(_enum_name(key), actor=actor),
        ),
        "xtk:operator": Writer(
            fields=frozenset({"label", "email", "language", "timezone", "disabled"}), update=_change_operator
        ),
    }
