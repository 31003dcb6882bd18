"""Writes all rows of a query at once: one statement, the same checks as for one row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext as _

from envoi.kernel import audit, clock, query, registry
from envoi.kernel.errors import Conflict, Invalid
from envoi.kernel.folders import Access
from envoi.kernel.models import AuditEntry
from envoi.kernel.query import Condition, Field, QueryDef
from envoi.kernel.query.scope import quoted
from envoi.kernel.registry import Schema
from envoi.kernel.rights import Actor
from envoi.kernel.writing import access, rows, table
from envoi.kernel.writing.values import digest, plain

MOST_BY_SERVICE = 1_000
"""Rows that one call writes through a service, one by one."""
MOST_LINES = 10_000
"""Rows that get a line each in the audit trail; more share one."""
BATCH = 1_000
ALL = 2**62


@dataclass(frozen=True)
class Prospect:
    """What a change of a set will touch: rows of the query, and those of them that the actor may change."""

    found: int
    allowed: int


def prospect(
    name: str,
    where: Sequence[Condition],
    *,
    actor: Actor,
    deleting: bool = False,
    zone: str = "UTC",
) -> Prospect:
    """Return how many rows a change or a deletion would touch. Counts exactly, so it may take its time."""
    schema = registry.find(name)
    chosen, params = _chosen(schema, where, actor, zone)
    bound = access.restriction(schema, "t", actor, Access.DELETE if deleting else Access.WRITE, params)
    key = quoted(schema.key[0])
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT count(*), count(*) FILTER (WHERE {bound}) FROM {quoted(schema.table)} t "  # noqa: S608 quoted
            f"WHERE t.{key} IN ({chosen})",
            params,
        )
        row = cursor.fetchone()
    return Prospect(*row) if row else Prospect(0, 0)


def change_all(
    name: str,
    where: Sequence[Condition],
    values: Mapping[str, Any],
    *,
    actor: Actor,
    confirmed: frozenset[str] = frozenset(),
    zone: str = "UTC",
) -> int:
    """Give all rows of a query that the actor may change the same values; return how many changed.

    Rows that have the values already are left alone. Raises what `write` raises; nothing is half done.
    """
    schema = registry.find(name)
    access.require_schema(schema, actor, to=_("write %(schema)s") % {"schema": name})
    with transaction.atomic(), rows.refusals(schema):
        found = rows.checked(schema, values, actor, confirmed, zone)
        if not found:
            raise Invalid(_("Say which attribute gets which value."))
        rows.check_needed(schema, found)
        rows.check_folder(schema, found, actor)
        writer = access.writer_of(schema)
        if writer is not None:
            return _by_service(schema, where, found, actor, zone)
        known = table.columns(schema)
        chosen, params = _chosen(schema, where, actor, zone)
        bound = access.restriction(schema, "t", actor, Access.WRITE, params)
        sets, differs = list[str](), list[str]()
        for number, (attribute, value) in enumerate(found.items()):
            column = schema.attributes[attribute].column
            place, params[f"v{number}"] = rows.bound(known[column], value)
            place = place.replace("%s", f"%(v{number})s")
            sets.append(f"{quoted(column)} = {place}")
            differs.append(f"t.{quoted(column)} IS DISTINCT FROM {place}")
        for number, (column, value) in enumerate(rows.stamps(schema, known, actor, created=False).items()):
            params[f"s{number}"] = value
            sets.append(f"{quoted(column)} = %(s{number})s::{known[column].type}")
        before = ", ".join(f"t.{quoted(schema.attributes[each].column)}" for each in found)
        key = quoted(schema.key[0])
        # The old values come with the rows, so that each line of the trail has both.
        sql = f"""\
WITH chosen AS MATERIALIZED (
    SELECT t.{key} AS row_key, {before} FROM {quoted(schema.table)} t
    WHERE t.{key} IN ({chosen}) AND {bound} AND ({" OR ".join(differs)}))
UPDATE {quoted(schema.table)} u SET {", ".join(sets)} FROM chosen WHERE u.{key} = chosen.row_key
RETURNING chosen.*"""  # noqa: S608 quoted
        with connection.cursor() as cursor:
            cursor.execute(sql, params)
            count, changed = cursor.rowcount, cursor.fetchmany(MOST_LINES + 1)
        _record(schema, found, changed, count, where, actor)
        return count


def remove_all(name: str, where: Sequence[Condition], *, actor: Actor, zone: str = "UTC") -> int:
    """Delete all rows of a query that the actor may delete; return how many.

    Raises NotAllowed, and Conflict when others depend on one of them; nothing is half done.
    """
    schema = registry.find(name)
    access.require_schema(schema, actor, to=_("delete %(schema)s") % {"schema": name})
    with transaction.atomic(), rows.refusals(schema):
        keys = _keys(schema, where, actor, Access.DELETE, zone)
        if access.writer_of(schema) is not None:
            _check_few(keys)
            for key in keys:
                rows.remove(name, key, actor=actor)
            return len(keys)
        if uses := rows.uses(schema, keys):
            raise Conflict(
                _("Some rows are used: %(uses)s. Delete or change these first.")
                % {"uses": ", ".join(f"{each.label} ({each.count})" for each in uses)}
            )
        count = sum(rows.delete(schema, keys[at : at + BATCH]) for at in range(0, len(keys), BATCH))
        audit.forget(name, keys)
        detail = {"rows": count, "filter": _written(schema, where)}
        audit.record(actor, name, "", audit.DELETED, None, detail)
        return count


def _by_service(
    schema: Schema, where: Sequence[Condition], values: Mapping[str, Any], actor: Actor, zone: str
) -> int:
    keys = _keys(schema, where, actor, Access.WRITE, zone)
    _check_few(keys)
    changed = 0
    for key in keys:
        done = rows.write(schema.name, values, actor=actor, operation="update", key=key, zone=zone)
        changed += bool(done.changed)
    return changed


def _check_few(keys: Sequence[int]) -> None:
    if len(keys) > MOST_BY_SERVICE:
        raise Invalid(
            _("%(count)s rows are too many at once here; %(most)s are allowed. Narrow the filter.")
            % {"count": len(keys), "most": MOST_BY_SERVICE}
        )


def _keys(schema: Schema, where: Sequence[Condition], actor: Actor, needed: Access, zone: str) -> list[int]:
    chosen, params = _chosen(schema, where, actor, zone)
    bound = access.restriction(schema, "t", actor, needed, params)
    key = quoted(schema.key[0])
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT t.{key} FROM {quoted(schema.table)} t "  # noqa: S608 quoted
            f"WHERE t.{key} IN ({chosen}) AND {bound} ORDER BY 1",
            params,
        )
        return [found for (found,) in cursor.fetchall()]


def _chosen(
    schema: Schema, where: Sequence[Condition], actor: Actor, zone: str
) -> tuple[str, dict[str, Any]]:
    """Return the keys of a query's rows as SQL with its values: only rows that the actor may read."""
    attribute = schema.attribute_of(schema.key[0]) if len(schema.key) == 1 else None
    if attribute is None:
        raise Invalid(_("%(schema)s has no single key and is not written by rows.") % {"schema": schema.name})
    asked = QueryDef(schema.name, select=(Field(attribute.xpath),), where=tuple(where), line_count=ALL)
    compiled = query.compile(asked, actor=actor, zone=zone)
    return f"SELECT q.c0 FROM ({compiled.sql}) q", dict(compiled.params)  # noqa: S608 compiled


def _record(
    schema: Schema,
    values: Mapping[str, Any],
    changed: Sequence[Sequence[Any]],
    count: int,
    where: Sequence[Condition],
    actor: Actor,
) -> None:
    if not count:
        return
    shown = {name: plain(value) for name, value in values.items()}
    detail = {"rows": count, "to": shown, "filter": _written(schema, where)}
    summary = audit.record(actor, schema.name, "", "Bulk change", None, detail)
    if count > MOST_LINES:
        return
    lines: list[AuditEntry] = []
    for key, *old in changed:
        pairs = zip(values.items(), old, strict=True)
        moved = {
            name: [plain(before), plain(value)]
            for (name, value), before in pairs
            if digest(before) != digest(value)
        }
        lines.append(
            AuditEntry(
                entity=schema.name,
                entity_id=key,
                entity_key=str(key),
                action=audit.MODIFIED,
                at=clock.now(),
                operator_id=actor.operator_id or None,
                operator_name=actor.name,
                detail={"values": moved, "part of": summary.audit_id},
            )
        )
    AuditEntry.objects.bulk_create(lines, batch_size=BATCH)


def _written(schema: Schema, where: Sequence[Condition]) -> Any:
    document = query.to_json(replace(QueryDef(schema.name), where=tuple(where)))
    return document.get("where", {}).get("condition", [])
