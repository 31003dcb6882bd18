"""Enumerations: lists of values, aliases that stand for them, and what becomes of a text that is neither
(delivery.md §1.4).

Everyone reads a list. In an open one an operator's new value joins once it is confirmed; all else is changed
by administrators. A change of values or aliases that touches stored data rewrites, in the same transaction,
every column that is bound to the list.
"""

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.db import connection, transaction
from django.db.models import Count, F, Q, QuerySet
from django.utils.translation import get_language

from envoi.kernel import audit, clock, registry
from envoi.kernel.errors import Conflict, Invalid, NotFound
from envoi.kernel.hooks import Hook
from envoi.kernel.models import Enum, EnumAlias, EnumValue
from envoi.kernel.models.enumeration import EnumMode, EnumType
from envoi.kernel.rights import Actor, Right

ENTITY = "xtk:enum"
LONGEST = 255
VISIBLE_EMOTICONS = 81
_NAME = re.compile(r"^[A-Za-z][\w.-]{0,63}$", re.ASCII)
_CODE = re.compile(r"^U\+([0-9A-F]{4,6})$")


@dataclass(frozen=True)
class Binding:
    """A column that holds texts of an enumeration."""

    enumeration: str
    schema: str
    """Schema name of the entity, `nms:recipient`."""
    table: str
    column: str
    modified: str = ""
    """Column with the time of a row's last change; without one every row counts as changed."""


enumeration_fields: Hook[[], Sequence[Binding]] = Hook("enumeration_fields")
"""Which columns hold texts of an enumeration besides those whose schema says so (`Declaration.enumerations`).

They are cleansed, counted and rewritten with it.
"""


class Fate(StrEnum):
    """What became of a typed text."""

    VALUE = "value"
    JOINED = "joined"
    """It was new and is a value now."""
    ALIAS = "alias"
    """It stands for a value, which the next cleansing puts in its place."""
    UNMAPPED = "unmapped"
    """It was noted as an alias; an operator says later for which value it stands."""


@dataclass(frozen=True)
class Settled:
    """The fate of a typed text, and the value that is meant (empty while nobody knows)."""

    fate: Fate
    value: str


class Hits(StrEnum):
    """How a cleansing counts how often each alias is met."""

    NO = "no"
    ADD = "add"
    """Those in the rows looked at are added."""
    FULL = "full"
    """All rows are counted anew."""


@dataclass(frozen=True)
class Cleansed:
    """What a cleansing did."""

    replaced: int
    """Rows whose text gave way to a value."""
    noted: int
    """Texts that became aliases without a value."""


# --- reading ------------------------------------------------------------------------------------------------


def list_all(*, actor: Actor) -> QuerySet[Enum]:
    """Return every list, by name, with `value_count`, `alias_count` and `open_aliases` (of no value yet)."""
    return Enum.objects.annotate(
        value_count=Count("values", distinct=True),
        alias_count=Count("aliases", distinct=True),
        open_aliases=Count("aliases", distinct=True, filter=Q(aliases__value=None)),
    ).order_by("name")


def find(name: str, *, actor: Actor) -> Enum:
    """Return a list. Raises NotFound, naming the nearest one."""
    found = Enum.objects.filter(name=name).first()
    if found is None:
        raise _unknown(name)
    return found


def label_of(enum: Enum, language: str | None = None) -> str:
    """Return the label in a language (default: the active one), English when there is none."""
    language = language or get_language() or "en"
    return enum.labels.get(language) or enum.labels.get(language.partition("-")[0]) or enum.label


def values(name: str, *, actor: Actor, stored: bool = False) -> list[EnumValue]:
    """Return the values in their order; of emoticons the visible ones, with `stored` those in the store."""
    enum = find(name, actor=actor)
    found = EnumValue.objects.filter(enum=enum)
    if enum.kind is EnumType.EMOTICON:
        found = found.filter(position__isnull=stored)
    elif stored:
        return []
    return list(found.order_by(F("position").asc(nulls_last=True), "value"))


def aliases(name: str, *, actor: Actor) -> QuerySet[EnumAlias]:
    """Return the aliases: those that stand for no value yet first, the most frequent before others."""
    enum = find(name, actor=actor)
    found = EnumAlias.objects.filter(enum=enum).select_related("value")
    return found.order_by(F("value__value").asc(nulls_first=True), "-hits", "alias")


def fields(name: str) -> list[Binding]:
    """Return the columns that hold texts of a list: those that schemas declare, and those that answer."""
    declared = (
        Binding(
            name,
            schema.name,
            schema.table,
            each.column,
            changed.column if (changed := schema.attributes.get("lastModified")) else "",
        )
        for schema in registry.fresh()
        for each in schema.attributes.values()
        if each.list_name == name and each.column
    )
    answers = (binding for answer in enumeration_fields.ask() for binding in answer)
    found = [*declared, *(binding for binding in answers if binding.enumeration == name)]
    return list({(binding.table, binding.column): binding for binding in found}.values())


# --- lists --------------------------------------------------------------------------------------------------


def create(
    name: str,
    *,
    actor: Actor,
    label: str = "",
    type: EnumType | str = EnumType.OPEN,
    mode: EnumMode | str = EnumMode.SIMPLE,
) -> Enum:
    """Create a list. Raises NotAllowed without ADMINISTRATION, Conflict for a name that is taken, Invalid."""
    actor.require(Right.ADMINISTRATION, to="create an enumeration")
    if not _NAME.match(name):
        raise Invalid(
            f"{name!r} cannot name an enumeration: begin with a letter; letters, digits, '.', '-' and '_' "
            "may follow, 64 characters in all."
        )
    enum = Enum(name=name, label=_label(label or name, 128), modified_at=clock.now())
    enum.type, enum.mode = _type(type), _mode(mode)
    _check_mode(enum)
    with transaction.atomic():
        if Enum.objects.filter(name=name).exists():
            raise Conflict(f"There is already an enumeration {name}. Choose another name.")
        enum.save()
        audit.record(actor, ENTITY, name, audit.CREATED, enum.enum_id)
    return enum


def update(
    name: str,
    *,
    actor: Actor,
    label: str | None = None,
    type: EnumType | str | None = None,
    mode: EnumMode | str | None = None,
) -> Enum:
    """Change label, type or mode; None leaves it. The type of a list that the product ships stays.

    Raises NotAllowed without ADMINISTRATION, NotFound, Conflict, Invalid.
    """
    with transaction.atomic():
        enum = _changeable(name, actor, "change an enumeration")
        before = {"label": enum.label, "type": enum.type, "mode": enum.mode}
        if label is not None:
            enum.label = _label(label, 128)
        if type is not None:
            enum.type = _type(type)
            if enum.built_in and enum.type != before["type"]:
                raise Conflict(
                    f"{name} belongs to the product and keeps its type. Create a list of your own."
                )
            if EnumType.EMOTICON in (enum.type, before["type"]) and enum.type != before["type"]:
                raise Conflict(
                    "A list of emoticons stays one, and no other list becomes one. Create it anew."
                )
        if mode is not None:
            enum.mode = _mode(mode)
        _check_mode(enum)
        after = {"label": enum.label, "type": enum.type, "mode": enum.mode}
        changed = sorted(key for key in after if before[key] != after[key])
        if changed:
            if "label" in changed:
                enum.labels = {}
            _touch(enum)
            audit.record(actor, ENTITY, name, audit.MODIFIED, enum.enum_id, {"changed": changed})
    return enum


def delete(name: str, *, actor: Actor) -> None:
    """Delete a list with its values and aliases; stored data keeps its texts.

    Raises NotAllowed, NotFound, and Conflict for a list of the product or one that columns are bound to.
    """
    with transaction.atomic():
        enum = _changeable(name, actor, "delete an enumeration")
        if enum.built_in:
            raise Conflict(f"{name} belongs to the product and cannot be deleted.")
        if bound := fields(name):
            places = ", ".join(f"{binding.schema} {binding.column}" for binding in bound)
            raise Conflict(f"{name} is used by {places}. Unbind these fields first.")
        audit.record(actor, ENTITY, name, audit.DELETED, enum.enum_id)
        enum.delete()


# --- values -------------------------------------------------------------------------------------------------


def settle(name: str, typed: str, *, actor: Actor, confirmed: bool = False) -> Settled:
    """Say what becomes of a text that somebody typed into a field of this list, and note it.

    A value is taken as it is. A known alias is taken too: the next cleansing replaces it. Any other text
    joins an open list when `confirmed`; else a list with alias cleansing notes it as an alias without a
    value. Raises Conflict when only a confirmation is missing, Invalid, naming the near values, where one can
    but choose.
    """
    text = _text(typed)
    with transaction.atomic():
        enum = _locked(name)
        if EnumValue.objects.filter(enum=enum, value=text).exists():
            return Settled(Fate.VALUE, text)
        alias = EnumAlias.objects.filter(enum=enum, alias=text).select_related("value").first()
        if enum.kind is not EnumType.OPEN:
            raise Invalid(
                f"{label_of(enum)} has no value {text!r}: choose one of the list. {_near(enum, text)}"
            )
        if alias is not None and alias.value is not None:
            return Settled(Fate.ALIAS, alias.value.value)
        if confirmed:
            EnumAlias.objects.filter(enum=enum, alias=text).delete()
            _add(enum, text, text, None)
            audit.record(actor, ENTITY, name, audit.MODIFIED, enum.enum_id, {"value added": text})
            return Settled(Fate.JOINED, text)
        if enum.cure is not EnumMode.ALIAS:
            raise Conflict(
                f"{label_of(enum)} has no value {text!r} yet. Confirm that it joins the list. "
                f"{_near(enum, text)}"
            )
        if alias is None:
            EnumAlias.objects.create(enum=enum, alias=text, modified_at=clock.now())
        return Settled(Fate.UNMAPPED, "")


def add_value(
    name: str, value: str, *, actor: Actor, label: str = "", position: int | None = None
) -> EnumValue:
    """Add a value to a list; an emoticon by its code ("U+1F600"), shown at `position` or put into the store.

    Raises NotAllowed without ADMINISTRATION, NotFound, Conflict when the text is a value or an alias already,
    Invalid.
    """
    with transaction.atomic():
        enum = _changeable(name, actor, "change an enumeration")
        text = _code(value) if enum.kind is EnumType.EMOTICON else _text(value)
        if EnumValue.objects.filter(enum=enum, value=text).exists():
            raise Conflict(f"{name} has the value {text!r} already.")
        if EnumAlias.objects.filter(enum=enum, alias=text).exists():
            raise Conflict(f"{text!r} is an alias in {name}. Convert it into a value instead.")
        found = _add(enum, text, label, position)
        audit.record(actor, ENTITY, name, audit.MODIFIED, enum.enum_id, {"value added": text})
        return found


def change_value(
    name: str, value: str, *, actor: Actor, to: str | None = None, label: str | None = None
) -> EnumValue:
    """Rename a value, its label, or both; with the value the data that holds it is rewritten.

    Raises NotAllowed without ADMINISTRATION, NotFound, Conflict when the new text is taken, Invalid.
    """
    with transaction.atomic():
        enum = _changeable(name, actor, "change an enumeration")
        found = _value(enum, value)
        old, detail = found.value, dict[str, Any]()
        if label is not None and label.strip() != found.label:
            found.label, detail["label of"] = _label(label, LONGEST), old
        if to is not None:
            new = _code(to) if enum.kind is EnumType.EMOTICON else _text(to)
            if new != old:
                if (
                    EnumValue.objects.filter(enum=enum, value=new).exists()
                    or EnumAlias.objects.filter(enum=enum, alias=new).exists()
                ):
                    raise Conflict(f"{new!r} is a value or an alias in {name} already.")
                if found.label == old:
                    found.label = new
                found.value = new
                detail |= {"from": old, "to": new, "rows": _rewrite(enum, old, new)}
        if detail:
            found.save()
            _touch(enum)
            audit.record(actor, ENTITY, name, audit.MODIFIED, enum.enum_id, detail)
        return found


def move_value(name: str, value: str, position: int | None, *, actor: Actor) -> EnumValue:
    """Give a value its place in the order; None puts an emoticon into the store.

    An emoticon that had the place goes to the store. Raises NotAllowed, NotFound, Invalid.
    """
    with transaction.atomic():
        enum = _changeable(name, actor, "change an enumeration")
        found = _value(enum, value)
        _place(enum, found, position)
        found.save(update_fields=("position",))
        _touch(enum)
        audit.record(
            actor, ENTITY, name, audit.MODIFIED, enum.enum_id, {"moved": found.value, "to": position}
        )
        return found


def remove_value(name: str, value: str, *, actor: Actor) -> None:
    """Take a value off its list; stored data keeps the text, and its aliases stand for nothing any more."""
    with transaction.atomic():
        enum = _changeable(name, actor, "change an enumeration")
        found = _value(enum, value)
        found.delete()
        _touch(enum)
        audit.record(actor, ENTITY, name, audit.MODIFIED, enum.enum_id, {"value removed": value})


# --- aliases ------------------------------------------------------------------------------------------------


def set_alias(name: str, alias: str, value: str | None, *, actor: Actor) -> EnumAlias:
    """Let a text stand for a value (None: for none yet), whether it is an alias already or not.

    Data is rewritten by the next cleansing. Raises NotAllowed without ADMINISTRATION, NotFound, Conflict when
    the text is a value or the list knows no aliases, Invalid.
    """
    with transaction.atomic():
        enum = _changeable(name, actor, "change an enumeration")
        text = _text(alias)
        if enum.cure is EnumMode.SIMPLE:
            raise Conflict(
                f"{name} has no aliases in its simple mode. Choose alias cleansing or binning first."
            )
        if EnumValue.objects.filter(enum=enum, value=text).exists():
            raise Conflict(f"{text!r} is a value of {name}. Convert it into an alias instead.")
        target = None if value is None else _value(enum, value)
        found, created = EnumAlias.objects.update_or_create(
            enum=enum, alias=text, defaults={"value": target, "modified_at": clock.now()}
        )
        _touch(enum)
        detail = {"alias added" if created else "alias": text, "stands for": target.value if target else ""}
        audit.record(actor, ENTITY, name, audit.MODIFIED, enum.enum_id, detail)
        return found


def remove_alias(name: str, alias: str, *, actor: Actor) -> None:
    """Take an alias off its list. Raises NotAllowed without ADMINISTRATION, NotFound."""
    with transaction.atomic():
        enum = _changeable(name, actor, "change an enumeration")
        _alias(enum, alias).delete()
        _touch(enum)
        audit.record(actor, ENTITY, name, audit.MODIFIED, enum.enum_id, {"alias removed": alias})


def value_to_alias(name: str, value: str, target: str, *, actor: Actor) -> int:
    """Turn a value into an alias of another, with its own aliases, and rewrite the data; return the rows.

    Raises NotAllowed without ADMINISTRATION, NotFound, Conflict for a list without aliases or the same value.
    """
    with transaction.atomic():
        enum = _changeable(name, actor, "change an enumeration")
        if enum.cure is EnumMode.SIMPLE:
            raise Conflict(
                f"{name} has no aliases in its simple mode. Choose alias cleansing or binning first."
            )
        gone, stays = _value(enum, value), _value(enum, target)
        if gone.pk == stays.pk:
            raise Conflict(f"{value!r} cannot stand for itself. Choose another value.")
        now = clock.now()
        EnumAlias.objects.filter(value=gone).update(value=stays, modified_at=now)
        gone.delete()
        rows = _rewrite(enum, value, stays.value)
        EnumAlias.objects.create(enum=enum, alias=value, value=stays, hits=rows, modified_at=now)
        _touch(enum)
        detail = {"converted into an alias": value, "stands for": stays.value, "rows": rows}
        audit.record(actor, ENTITY, name, audit.MODIFIED, enum.enum_id, detail)
        return rows


def alias_to_value(name: str, alias: str, *, actor: Actor, label: str = "") -> EnumValue:
    """Turn an alias into a value. What a cleansing has replaced already stays replaced."""
    with transaction.atomic():
        enum = _changeable(name, actor, "change an enumeration")
        _alias(enum, alias).delete()
        found = _add(enum, alias, label or alias, None)
        audit.record(actor, ENTITY, name, audit.MODIFIED, enum.enum_id, {"converted into a value": alias})
        return found


def cleanse(name: str, *, actor: Actor, since: datetime | None = None, hits: Hits = Hits.NO) -> Cleansed:
    """Put values in the place of aliases in every bound column, and note texts that are neither.

    Looks at rows changed since `since` (None: all), and does nothing for a list without alias cleansing. A
    replaced text cannot be had back. Runs in the caller's transaction, safe to repeat. Raises NotAllowed
    without ADMINISTRATION, NotFound.
    """
    with transaction.atomic():
        enum = _changeable(name, actor, "cleanse an enumeration")
        if enum.cure is not EnumMode.ALIAS:
            return Cleansed(0, 0)
        now, bound = clock.now(), fields(name)
        noted = sum(_run(binding, _NOTE, enum, now, since) for binding in bound)
        if hits is Hits.FULL:
            EnumAlias.objects.filter(enum=enum).update(hits=0)
        if hits is not Hits.NO:
            for binding in bound:
                _run(binding, _COUNT, enum, now, since if hits is Hits.ADD else None)
        replaced = sum(_run(binding, _REPLACE, enum, now, since) for binding in bound)
        enum.cleansed_at, enum.log = now, f"{replaced} rows replaced, {noted} texts noted"
        enum.save(update_fields=("cleansed_at", "log"))
        if replaced or noted:
            detail = {"rows": replaced, "noted": noted}
            audit.record(actor, ENTITY, name, "Cleansed", enum.enum_id, detail)
        return Cleansed(replaced, noted)


# A text longer than an alias may be is left alone: no operator could map it.
_NOTE = """\
INSERT INTO xtk_enum_alias (enum_id, alias, hits, modified_at)
SELECT DISTINCT %(enum)s::bigint, t.{column}, 0, %(now)s::timestamptz FROM {table} t
WHERE t.{column} <> '' AND length(t.{column}) <= 255 AND {recent}
  AND NOT EXISTS (SELECT FROM xtk_enum_value v WHERE v.enum_id = %(enum)s AND v.value = t.{column})
ON CONFLICT (enum_id, alias) DO NOTHING"""
_COUNT = """\
UPDATE xtk_enum_alias a SET hits = a.hits + met.n FROM (
    SELECT t.{column} AS alias, count(*) AS n FROM {table} t
    WHERE {recent} AND t.{column} IN (SELECT alias FROM xtk_enum_alias WHERE enum_id = %(enum)s)
    GROUP BY t.{column}
) met WHERE a.enum_id = %(enum)s AND a.alias = met.alias"""
_REPLACE = """\
UPDATE {table} t SET {column} = v.value{touch} FROM xtk_enum_alias a JOIN xtk_enum_value v
    ON v.enum_value_id = a.value_id
WHERE a.enum_id = %(enum)s AND t.{column} = a.alias AND {recent}"""


def _run(binding: Binding, sql: str, enum: Enum, now: datetime, since: datetime | None) -> int:
    """Run one of the statements above on a bound column and return the rows it touched."""
    quote: Callable[[str], str] = connection.ops.quote_name
    modified = quote(binding.modified) if binding.modified else ""
    statement = sql.format(
        table=quote(binding.table),
        column=quote(binding.column),
        recent=f"t.{modified} >= %(since)s" if modified and since is not None else "true",
        touch=f", {modified} = %(now)s" if modified else "",
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, {"enum": enum.enum_id, "now": now, "since": since})
        return cursor.rowcount


def _rewrite(enum: Enum, old: str, new: str) -> int:
    """Put one text in the place of another in every bound column; return how many rows held it."""
    rows = 0
    quote: Callable[[str], str] = connection.ops.quote_name
    for binding in fields(enum.name):
        column = quote(binding.column)
        touch = f", {quote(binding.modified)} = %(now)s" if binding.modified else ""
        with connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE {quote(binding.table)} SET {column} = %(new)s{touch} WHERE {column} = %(old)s",  # noqa: S608 quoted names
                {"new": new, "old": old, "now": clock.now()},
            )
            rows += cursor.rowcount
    return rows


# --- checks -------------------------------------------------------------------------------------------------


def _changeable(name: str, actor: Actor, doing: str) -> Enum:
    actor.require(Right.ADMINISTRATION, to=doing)
    return _locked(name)


def _locked(name: str) -> Enum:
    """Return the list; changes of one list wait for each other."""
    enum = Enum.objects.select_for_update().filter(name=name).first()
    if enum is None:
        raise _unknown(name)
    return enum


def _touch(enum: Enum) -> None:
    enum.modified_at = clock.now()
    enum.save(update_fields=("label", "labels", "type", "mode", "modified_at"))


def _add(enum: Enum, text: str, label: str, position: int | None) -> EnumValue:
    value = EnumValue(enum=enum, value=text, label=_label(label or text, LONGEST))
    _place(enum, value, position)
    value.save()
    _touch(enum)
    return value


def _place(enum: Enum, value: EnumValue, position: int | None) -> None:
    if enum.kind is EnumType.EMOTICON:
        if position is not None:
            if not 1 <= position <= VISIBLE_EMOTICONS:
                raise Invalid(
                    f"An emoticon stands at 1 to {VISIBLE_EMOTICONS}; {position} is none of these. "
                    "Leave the order empty to put it into the store."
                )
            EnumValue.objects.filter(enum=enum, position=position).exclude(pk=value.pk).update(position=None)
    elif position is not None and not 0 <= position < 1 << 31:
        raise Invalid(f"{position} is no place in an order. Use a whole number from 0 on.")
    value.position = position


def _value(enum: Enum, text: str) -> EnumValue:
    found = EnumValue.objects.filter(enum=enum, value=text).first()
    if found is None:
        raise NotFound(f"{enum.name} has no value {text!r}. {_near(enum, text)}".rstrip())
    return found


def _alias(enum: Enum, text: str) -> EnumAlias:
    found = EnumAlias.objects.filter(enum=enum, alias=text).first()
    if found is None:
        raise NotFound(f"{enum.name} has no alias {text!r}.")
    return found


def _near(enum: Enum, text: str) -> str:
    """Return a sentence with the values that may be meant; the first ones when none is near."""
    meant: dict[str, str] = {}
    for value, label in EnumValue.objects.filter(enum=enum).values_list("value", "label"):
        meant[value.casefold()] = meant[label.casefold()] = value
    for alias, value in EnumAlias.objects.filter(enum=enum, value__isnull=False).values_list(
        "alias", "value__value"
    ):
        meant.setdefault(alias.casefold(), value)
    close = difflib.get_close_matches(text.casefold(), list(meant), n=5, cutoff=0.5)
    if close:
        return f"Near to it: {', '.join(dict.fromkeys(meant[key] for key in close))}."
    some = list(dict.fromkeys(meant.values()))
    if not some:
        return "The list is empty; an administrator fills it."
    return f"It has {', '.join(some[:5])}{' and others' if len(some) > 5 else ''}."


def _text(text: str) -> str:
    text = text.strip()
    if not text or len(text) > LONGEST or not text.isprintable():
        raise Invalid(f"A value has 1 to {LONGEST} printable characters; {text[:40]!r} is none.")
    return text


def _label(label: str, longest: int) -> str:
    label = label.strip()
    if not label or len(label) > longest or not label.isprintable():
        raise Invalid(f"A label has 1 to {longest} printable characters.")
    return label


def _code(text: str) -> str:
    """Return the code of an emoticon, one point or several with a space between them."""
    points = text.upper().split()
    for point in points:
        match = _CODE.match(point)
        if match is None or int(match[1], 16) > 0x10FFFF or 0xD800 <= int(match[1], 16) <= 0xDFFF:
            raise Invalid(f"{point!r} is no code of a character. Write it as U+1F600.")
    if not points:
        raise Invalid("An emoticon needs its code, such as U+1F600.")
    return _text(" ".join(points))


def _type(given: EnumType | str) -> EnumType:
    try:
        return EnumType(given)
    except ValueError as error:
        raise Invalid(f"{given!r} is no type of list. Known are {', '.join(EnumType.values)}.") from error


def _mode(given: EnumMode | str) -> EnumMode:
    try:
        return EnumMode(given)
    except ValueError as error:
        raise Invalid(f"{given!r} is no mode of a list. Known are {', '.join(EnumMode.values)}.") from error


def _check_mode(enum: Enum) -> None:
    if enum.kind is EnumType.EMOTICON and enum.cure is not EnumMode.SIMPLE:
        raise Invalid("A list of emoticons has the simple mode.")


def _unknown(name: str) -> NotFound:
    close = difflib.get_close_matches(name, Enum.objects.values_list("name", flat=True), n=1, cutoff=0.5)
    hint = f" Did you mean {close[0]}?" if close else ""
    return NotFound(f"There is no enumeration {name!r}.{hint}")
