"""Seed rows: what a package ships as TOML in its `data` room, planted without overwriting an operator's work.

One table of a file is one row: `[[folder]]`, `[[group]]`, `[[operator]]`, `[[option]]`,
`[[enumeration]]`, `[[account]]`. All files of a room are read together, so their number and names are free.
Rows are planted in the order of `KINDS`, then of the files.
"""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from envoi.kernel import accounts, clock
from envoi.kernel.errors import Broken, Refused
from envoi.kernel.models import (
    Enum,
    EnumAlias,
    EnumValue,
    ExternalAccount,
    Folder,
    Group,
    GroupMember,
    NamedRight,
    Operator,
    Option,
)
from envoi.kernel.models.enumeration import EnumMode, EnumType
from envoi.kernel.models.option import DataType
from envoi.kernel.rights import Right
from envoi.kernel.shipped import Outcome, settle

Row = Mapping[str, Any]
Values = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """How rows of one entity are read from TOML, from the table, and written."""

    table: str
    entity: str
    shipped: Callable[[Row], Values]
    present: Callable[[str], Values | None]
    write: Callable[[str, Values, str], None]


def plant(package: str, room: Path) -> list[str]:
    """Plant the seed rows of a package and return one line for each that an operator's change kept as it was.

    Runs in the caller's transaction; safe to repeat. Raises Broken when a file is wrong, naming file and row.
    """
    rows: list[tuple[Path, str, Row]] = [
        (file, table, row) for file in sorted(room.glob("*.toml")) for table, row in _read(file)
    ]
    kept: list[str] = []
    for kind in KINDS:
        for file, table, row in rows:
            if table == kind.table and _plant_row(kind, package, file, row) is Outcome.KEPT:
                kept.append(f"{kind.entity} {row['name']}")
    return kept


def _plant_row(kind: Kind, package: str, file: Path, row: Row) -> Outcome:
    try:
        name = str(row["name"])
        values = kind.shipped(row)
    except (KeyError, ValueError, Refused) as error:
        raise Broken(f"{file.name}: [[{kind.table}]] {dict(row)!r} is wrong: {error!r}.") from error
    outcome = settle(kind.entity, name, package=package, values=values, present=kind.present(name))
    if outcome in (Outcome.CREATE, Outcome.UPDATE):
        kind.write(name, values, package)
    return outcome


def _read(file: Path) -> list[tuple[str, Row]]:
    known = {kind.table for kind in KINDS}
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise Broken(f"{file.name} is not valid TOML: {error}.") from error
    found: list[tuple[str, Row]] = []
    for table, rows in content.items():
        if table not in known or not isinstance(rows, list):
            raise Broken(
                f"{file.name}: [[{table}]] is no kind of seed row; known are {', '.join(sorted(known))}."
            )
        found.extend((table, row) for row in cast("list[Row]", rows))
    return found


# --- folders: label is {language = text}; `parent` is a name, absent for a root -----------------------------


def _folder_shipped(row: Row) -> Values:
    labels = dict(cast("Mapping[str, str]", row["label"]))
    return {
        "label": labels.pop("en"),
        "labels": labels,
        "model": row.get("model", ""),
        "parent": row.get("parent", ""),
        "position": int(row.get("position", 0)),
    }


def _folder_present(name: str) -> Values | None:
    folder = Folder.objects.select_related("parent").filter(name=name).first()
    return folder and {
        "label": folder.label,
        "labels": folder.labels,
        "model": folder.model,
        "parent": folder.parent.name if folder.parent else "",
        "position": folder.position,
    }


def _folder_write(name: str, values: Values, package: str) -> None:
    parent = Folder.objects.filter(name=values["parent"]).first()
    if values["parent"] and parent is None:
        raise Broken(
            f"Folder {name} of package {package} wants a parent {values['parent']!r} that is not there."
        )
    path = f"{parent.path if parent else '/'}{name}/"
    before = Folder.objects.filter(name=name).first()
    fields = {**values, "parent": parent, "path": path, "built_in": True, "package": package}
    Folder.objects.update_or_create(name=name, defaults=fields)
    if before is not None and before.path != path:
        for below in Folder.objects.filter(path__startswith=before.path).exclude(name=name):
            below.path = path + below.path.removeprefix(before.path)
            below.save(update_fields=("path",))


# --- groups and operators -----------------------------------------------------------------------------------


def _rights(row: Row) -> list[str]:
    return sorted(Right(name).value for name in row.get("rights", ()))


def _group_shipped(row: Row) -> Values:
    return {"label": row["label"], "rights": _rights(row)}


def _group_present(name: str) -> Values | None:
    group = Group.objects.filter(name=name).first()
    if group is None:
        return None
    rights = NamedRight.objects.filter(group=group).order_by("name").values_list("name", flat=True)
    return {"label": group.label, "rights": list(rights)}


def _group_write(name: str, values: Values, package: str) -> None:
    group, _ = Group.objects.update_or_create(
        name=name, defaults={"label": values["label"], "built_in": True}
    )
    NamedRight.objects.filter(group=group).exclude(name__in=values["rights"]).delete()
    for right in values["rights"]:
        NamedRight.objects.get_or_create(name=right, group=group, operator=None)


def _operator_shipped(row: Row) -> Values:
    return {
        "label": row["label"],
        "technical": bool(row.get("technical", False)),
        "rights": _rights(row),
        "groups": sorted(row.get("groups", ())),
    }


def _operator_present(name: str) -> Values | None:
    operator = Operator.objects.filter(name=name).first()
    if operator is None:
        return None
    rights = NamedRight.objects.filter(operator=operator).order_by("name").values_list("name", flat=True)
    groups = (
        Group.objects.filter(groupmember__operator=operator).order_by("name").values_list("name", flat=True)
    )
    return {
        "label": operator.label,
        "technical": operator.technical,
        "rights": list(rights),
        "groups": list(groups),
    }


def _operator_write(name: str, values: Values, package: str) -> None:
    now = clock.now()
    operator = Operator.objects.filter(name=name).first()
    if operator is None:
        operator = Operator(name=name, created_at=now, modified_at=now)
        operator.set_unusable_password()
    operator.label, operator.technical = values["label"], values["technical"]
    operator.built_in, operator.modified_at = True, now
    operator.save()
    NamedRight.objects.filter(operator=operator).exclude(name__in=values["rights"]).delete()
    for right in values["rights"]:
        NamedRight.objects.get_or_create(name=right, operator=operator, group=None)
    GroupMember.objects.filter(operator=operator).exclude(group__name__in=values["groups"]).delete()
    for group in Group.objects.filter(name__in=values["groups"]):
        GroupMember.objects.get_or_create(group=group, operator=operator)


# --- options: the value follows the type; absent means empty ------------------------------------------------


_EMPTY_BY_TEXT = (DataType.STRING, DataType.MEMO, DataType.DATE, DataType.DATETIME)


def _option_shipped(row: Row) -> Values:
    option = Option(name=row["name"], data_type=DataType[str(row["type"]).upper()])
    option.put(row.get("value", "" if option.data_type in _EMPTY_BY_TEXT else 0))
    option.description = row.get("description", "")
    return _option_values(option)


def _option_present(name: str) -> Values | None:
    option = Option.objects.filter(name=name).first()
    return option and _option_values(option)


def _option_values(option: Option) -> Values:
    value = option.value
    plain = value if value is None or isinstance(value, (bool, int, float, str)) else value.isoformat()
    return {"type": DataType(option.data_type).label, "value": plain, "description": option.description}


def _option_write(name: str, values: Values, package: str) -> None:
    option = Option.objects.filter(name=name).first() or Option(name=name)
    option.data_type = DataType[values["type"].upper()]
    option.put("" if values["value"] is None else values["value"])
    option.description = values["description"]
    option.package, option.modified_at, option.modified_by = package, clock.now(), None
    option.save()


# --- enumerations: a value is a text, or a table with value, label and aliases; they stand in this order ----


def _enumeration_shipped(row: Row) -> Values:
    labels = dict(cast("Mapping[str, str]", row["label"]))
    return {
        "label": labels.pop("en"),
        "labels": labels,
        "type": EnumType(row["type"]).value,
        "mode": EnumMode(row.get("mode", "simple")).value,
        "values": [
            {"value": value["value"], "label": value.get("label", value["value"])}
            for value in map(_enumeration_value, row.get("values", ()))
        ],
        "aliases": {
            alias: value["value"]
            for value in map(_enumeration_value, row.get("values", ()))
            for alias in value.get("aliases", ())
        },
    }


def _enumeration_value(given: str | Row) -> Row:
    return {"value": given} if isinstance(given, str) else given


def _enumeration_present(name: str) -> Values | None:
    """What operators note while they work (texts without a value, hits) does not count as a change."""
    enum = Enum.objects.filter(name=name).first()
    if enum is None:
        return None
    values = EnumValue.objects.filter(enum=enum).order_by("position", "value")
    mapped = EnumAlias.objects.filter(enum=enum, value__isnull=False)
    return {
        "label": enum.label,
        "labels": enum.labels,
        "type": enum.type,
        "mode": enum.mode,
        "values": list(values.values("value", "label")),
        "aliases": dict(mapped.values_list("alias", "value__value")),
    }


def _enumeration_write(name: str, values: Values, package: str) -> None:
    now = clock.now()
    fields = {key: values[key] for key in ("label", "labels", "type", "mode")}
    enum, _ = Enum.objects.update_or_create(
        name=name, defaults={**fields, "built_in": True, "package": package, "modified_at": now}
    )
    EnumValue.objects.filter(enum=enum).exclude(
        value__in=[each["value"] for each in values["values"]]
    ).delete()
    rows: dict[str, EnumValue] = {}
    for position, each in enumerate(values["values"], start=1):
        rows[each["value"]], _ = EnumValue.objects.update_or_create(
            enum=enum, value=each["value"], defaults={"label": each["label"], "position": position}
        )
    EnumAlias.objects.filter(enum=enum, value__isnull=False).exclude(alias__in=values["aliases"]).delete()
    EnumAlias.objects.bulk_create(
        [
            EnumAlias(enum=enum, alias=alias, value=rows[value], modified_at=now)
            for alias, value in values["aliases"].items()
        ],
        update_conflicts=True,
        unique_fields=("enum", "alias"),
        update_fields=("value", "modified_at"),
    )


# --- external accounts: `values` as the type asks for, without secrets; disabled until somebody fills them in


def _account_shipped(row: Row) -> Values:
    kind, given = accounts.by_name(row["type"]), cast("Mapping[str, Any]", row.get("values", {}))
    for name in given:
        if kind.field(name).secret:
            raise ValueError(f"{name} is a secret and is not shipped")
    fields = [field for field in kind.fields if not field.secret]
    return {
        "label": row["label"],
        "type": kind.name,
        "active": bool(row.get("active", False)),
        "values": {field.name: field.clean(given.get(field.name, field.empty)) for field in fields},
    }


def _account_present(name: str) -> Values | None:
    account = ExternalAccount.objects.filter(name=name).first()
    return account and {
        "label": account.label,
        "type": accounts.type_of(account.type).name,
        "active": account.active,
        "values": accounts.values_of(account),
    }


def _account_write(name: str, values: Values, package: str) -> None:
    now = clock.now()
    account = ExternalAccount.objects.filter(name=name).first()
    if account is None:
        folder = Folder.objects.filter(model="nms:extAccount").order_by("path").first()
        if folder is None:
            raise Broken(f"Account {name} of package {package} finds no folder of external accounts.")
        account = ExternalAccount(name=name, folder=folder, created_at=now)
    account.label, account.active, account.modified_at = values["label"], values["active"], now
    account.type = accounts.by_name(values["type"]).code
    accounts.place(account, values["values"])
    account.save()


KINDS = (
    Kind("folder", "xtk:folder", _folder_shipped, _folder_present, _folder_write),
    Kind("group", "xtk:opGroup", _group_shipped, _group_present, _group_write),
    Kind("operator", "xtk:operator", _operator_shipped, _operator_present, _operator_write),
    Kind("option", "xtk:option", _option_shipped, _option_present, _option_write),
    Kind(
        "enumeration",
        "xtk:enum",
        _enumeration_shipped,
        _enumeration_present,
        _enumeration_write,
    ),
    Kind("account", "nms:extAccount", _account_shipped, _account_present, _account_write),
)
