"""The target of a delivery: one statement finds it and says of each row why it is excluded, if it is.

Order of the checks (delivery.md §2.6): address defined, refused by the profile or the address denylisted,
address in quarantine, suppression list, filtering rules in their order, doubles. Who fails several is counted
under the first. Pressure rules mark rows of the table afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.db import connection
from django.utils.translation import gettext as _

from envoi.engine import access, population, targeting
from envoi.kernel import query, registry
from envoi.kernel.errors import Conflict, Invalid
from envoi.kernel.query import Condition, Field, QueryDef
from envoi.kernel.query.scope import quoted
from envoi.kernel.rights import Actor
from envoi.packages.delivery.models import (
    AddressStatus,
    Channel,
    Delivery,
    DeliveryMapping,
    DeliveryRun,
    FailureReason,
)
from envoi.packages.delivery.services import file_target, lists, suppression
from envoi.packages.delivery.services.analysis import left
from envoi.packages.delivery.services.deliveries.targeting import Targeting
from envoi.packages.delivery.services.typologies.filtering import Clauses

TARGET_IDS = "temp:deliveryTarget"
_OF_CHANNEL: Mapping[Channel, tuple[str, str]] = {
    Channel.EMAIL: ("email", "blackListEmail"),
    Channel.SMS: ("mobile", "blackListMobile"),
    Channel.PHONE: ("phone", "blackListPhone"),
    Channel.DIRECT_MAIL: ("postal", "blackListPostalMail"),
    Channel.FAX: ("fax", "blackListFax"),
}
"""Channel -> what a mapping calls its address and the refusal of it."""
_MAIL = r'^[^@[:space:][:cntrl:]<>(),;:"]+@[a-z0-9-]+([.][a-z0-9-]+)+$'
"""What an address in a file must look like."""
_POSTAL = ("@firstName", "@lastName", "location/@zipCode", "location/@city")
"""Equal in all of these are doubles of direct mail (delivery.md §2.6)."""


@dataclass(frozen=True)
class _Select:
    """A compiled select of columns c0, c1, …, and which of them are what."""

    sql: str
    params: dict[str, Any]
    refusals: tuple[str, ...]
    postal: tuple[str, ...]
    sort: tuple[tuple[str, bool], ...]
    person: tuple[str, ...]


def table(run: DeliveryRun) -> str:
    """Return the name of the table that an analysis works on (the product's `wkDlv_<delivery>_<n>`)."""
    return f"wkdlv_{run.delivery_id}_{run.pk}"


def check(delivery: Delivery, said: Targeting) -> None:
    """Raise Invalid when a delivery has no target, or its mapping no address for the channel. Which column of
    a file holds the address is seen when the target is found.
    """
    mapping = delivery.mapping
    if file_target.concerns(mapping):
        if said.lists:
            raise Invalid(_("A delivery to an external file has no lists: its target is one population."))
        if not file_target.table_of(delivery):
            raise Invalid(
                _("%(label)s has no target: give it the population of a workflow that has loaded a file.")
                % {"label": delivery.label}
            )
        return
    if said.where is None and not said.lists and not said.table:
        raise Invalid(_("%(label)s has no target: choose one.") % {"label": delivery.label})
    address, _refusal = _OF_CHANNEL[Channel(delivery.message_type)]
    if not mapping.addresses.get(address):
        raise Invalid(
            _("The mapping %(mapping)s has no address for this channel.") % {"mapping": mapping.label}
        )


def find(run: DeliveryRun, delivery: Delivery, said: Targeting, rules: Clauses, *, actor: Actor) -> int:
    """Make the table of the target in the caller's transaction: `id`, `address`, `reason` (0: nothing against
    it), `rule` (the number of the typology rule that excludes it, else 0), and `rank` where the control group
    is sorted. Returns how many rows.

    Of the dimension those rows are found that the actor may read. Raises Invalid for a condition that is
    wrong, NotFound for a list that is gone.
    """
    channel = Channel(delivery.message_type)
    name = table(run)
    of_file = file_target.concerns(delivery.mapping)
    ids = _ids(run, delivery, said, actor) if not of_file and (said.lists or said.table) else None
    found = (
        _lines(run, delivery, said, actor)
        if of_file
        else _select(run, delivery, said, ids, rules.person, actor)
    )
    params: dict[str, Any] = {**found.params, **rules.params, "channel": int(channel)}
    if of_file:
        # Nobody has brought these addresses into their form.
        address = "btrim(coalesce(q.c1::text, ''), E' \\t\\r\\n')"
        address = f"lower({address})" if channel is Channel.EMAIL else address
        same = f"lower({address})" if channel is Channel.DIRECT_MAIL else address
        missing = "u.address = ''"
    elif channel is Channel.DIRECT_MAIL:
        address = f"trim(concat_ws(' ', {found.postal[2]}, {found.postal[3]}))"
        same = f"lower(concat_ws(E'\\x1f', {', '.join(f'trim({each})' for each in found.postal)}))"
        missing = "coalesce(q.c1, false) IS FALSE"
    else:
        address = same = "coalesce(q.c1, '')::text"
        missing = "u.address = ''"
    checks = [f"WHEN {missing.replace('q.c1', 'u.defined')} THEN {FailureReason.NO_ADDRESS}"]
    if of_file and channel is Channel.EMAIL:
        checks.append(f"WHEN u.address !~ '{_MAIL}' THEN {FailureReason.BAD_QUALITY}")
    if said.exclude.denylisted:
        refused = [f"coalesce(u.{each}, 0) <> 0" for each in found.refusals]
        refused.append(f"a.status = {AddressStatus.DENYLISTED}")
        checks.append(f"WHEN {' OR '.join(refused)} THEN {FailureReason.DENYLISTED}")
    if said.exclude.quarantined:
        checks.append(f"WHEN a.status = {AddressStatus.QUARANTINE} THEN {FailureReason.QUARANTINE}")
    if channel is not Channel.DIRECT_MAIL:
        suppressed, values = suppression.condition("u.address", channel)
        # Each of its values is the channel.
        assert set(values) == {int(channel)}  # noqa: S101
        checks.append(f"WHEN {suppressed.replace('%s', '%(channel)s')} THEN {FailureReason.RULE}")
    # A filtering rule stands as its number below zero.
    checks += rules.checks
    reason = f"CASE WHEN v.code < 0 THEN {FailureReason.RULE} ELSE v.code END" if rules.checks else "v.code"
    rule = "greatest(-v.code, 0)" if rules.checks else "0"
    order = ", ".join(f"{each}{' DESC' if falling else ''} NULLS LAST" for each, falling in found.sort)
    number = 'row_number() OVER (PARTITION BY v.code, v.same COLLATE "C" ORDER BY v.id)'
    doubles = (
        f"CASE WHEN v.code = 0 AND {number} > 1 THEN {FailureReason.DOUBLE} ELSE {reason} END"
        if said.exclude.doubles
        else reason
    )
    rank = f", row_number() OVER (ORDER BY {order}, v.id) AS rank" if order else ""
    carried = "".join(f", u.{each}" for each, _falling in found.sort)
    defined = ", q.c1 AS defined" if channel is Channel.DIRECT_MAIL and not of_file else ""
    further = "".join(f", q.{each}" for each in (*found.refusals, *(each for each, _falling in found.sort)))
    further += "".join(f", q.{each} AS person" for each in found.person)
    key = file_target.key(delivery.mapping, run.pk, "q.c0")
    narrowed = ""
    if said.left:
        condition, values = left.condition(delivery.mapping, said.left, "q.c0")
        narrowed, params = f"WHERE {condition}", params | values
    statement = f"""CREATE TABLE {quoted(name)} AS
        SELECT v.id, ({rule})::bigint AS rule, ({doubles})::smallint AS reason, v.address{rank}
        FROM (SELECT u.id, u.address, u.same{carried}, CASE {" ".join(checks)} ELSE 0 END AS code
              FROM (SELECT {key} AS id, {address} AS address, {same} AS same{defined}{further}
                    FROM ({found.sql}) q {narrowed}) u
              LEFT JOIN nms_address a ON a.address = u.address AND a.type = %(channel)s
                AND a.status IN ({AddressStatus.DENYLISTED}, {AddressStatus.QUARANTINE}) {rules.joins}) v"""  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        cursor.execute(f"ALTER TABLE {quoted(name)} ADD PRIMARY KEY (id)")
        if ids:
            cursor.execute(f"DROP TABLE {quoted(ids)}")
        cursor.execute(f"ANALYZE {quoted(name)}")
        cursor.execute(f"SELECT count(*) FROM {quoted(name)}")  # noqa: S608 quoted
        row = cursor.fetchone()
    return int(row[0]) if row else 0


def drop(run: DeliveryRun) -> None:
    """Drop the table of an analysis, if it is there, in the caller's transaction."""
    with connection.cursor() as cursor:
        for name in (table(run), f"{table(run)}_ids"):
            cursor.execute(f"DROP TABLE IF EXISTS {quoted(name)}")


def _ids(run: DeliveryRun, delivery: Delivery, said: Targeting, actor: Actor) -> str:
    """Make a table of the keys that lists, a population and the filter choose together."""
    dimension = delivery.mapping.schema
    queries: list[str] = []
    params: dict[str, Any] = {}
    if said.where is not None:
        definition = QueryDef(dimension, select=(Field("@id"),), where=said.where, line_count=targeting.EVERY)
        compiled = query.compile(definition, actor=actor, now=run.started_at)
        queries.append(f"SELECT c0 AS id FROM ({compiled.sql}) q")  # noqa: S608 compiled
        params |= compiled.params
    for number, each in enumerate(said.lists):
        group = lists.find(each, actor=actor)
        if group.schema != dimension:
            raise Invalid(
                _("The list %(list)s holds rows of %(schema)s, and the delivery is for %(wanted)s.")
                % {"list": group.label, "schema": group.schema or "-", "wanted": dimension}
            )
        members = lists.members(group, actor=actor)
        names = [f"list{number}_{place}" for place in range(len(members.params))]
        queries.append(members.sql % tuple(f"%({name})s" for name in names))
        params |= dict(zip(names, members.params, strict=True))
    if said.table:
        stored = population.stored(said.table)
        if stored is None or not access.visible(actor).filter(pk=stored[1]).exists():
            raise Conflict(_("The population %(table)s is there no more.") % {"table": said.table})
        if stored[0].dimension != dimension:
            raise Invalid(
                _("The population holds rows of %(schema)s, and the delivery is for %(wanted)s.")
                % {"schema": stored[0].dimension or "-", "wanted": dimension}
            )
        queries.append(f"SELECT id FROM {quoted(said.table)}")  # noqa: S608 quoted
    name = f"{table(run)}_ids"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {quoted(name)} AS {' UNION '.join(queries)}", params)
        cursor.execute(f"ANALYZE {quoted(name)}")
    return name


def _select(
    run: DeliveryRun, delivery: Delivery, said: Targeting, ids: str | None, person: bool, actor: Actor
) -> _Select:
    mapping: DeliveryMapping = delivery.mapping
    channel = Channel(delivery.message_type)
    address, refusal = _OF_CHANNEL[channel]
    fields = [Field("@id"), Field(mapping.addresses[address])]
    refusals = [mapping.addresses[each] for each in ("blackList", refusal) if mapping.addresses.get(each)]
    fields += [Field(each) for each in refusals]
    postal = (
        [behind(mapping.recipient_path, each) for each in _POSTAL] if channel is Channel.DIRECT_MAIL else []
    )
    fields += [Field(each) for each in postal]
    sort = said.control.sort if said.control else ()
    fields += [Field(each.expr) for each in sort]
    fields += [Field(behind(mapping.recipient_path, "@id"))] if person else []
    where: tuple[Condition, ...] = said.where or ()
    schema, within = mapping.schema, None
    if ids is not None:
        made = population.Population(ids, TARGET_IDS, mapping.schema)
        schema, within, where = TARGET_IDS, population.registry([made]), (Condition("[target/@id] > 0"),)
    definition = QueryDef(schema, select=tuple(fields), where=where, line_count=targeting.EVERY)
    if targeting.multiplies(definition, within or registry.fresh()):
        definition = QueryDef(
            schema, select=tuple(fields), where=where, line_count=targeting.EVERY, distinct=True
        )
    compiled = query.compile(definition, actor=actor, now=run.started_at, within=within)
    first, last = 2 + len(refusals), 2 + len(refusals) + len(postal)
    return _Select(
        compiled.sql,
        dict(compiled.params),
        tuple(f"c{place}" for place in range(2, first)),
        tuple(f"q.c{place}" for place in range(first, last)),
        tuple((f"c{last + place}", each.descending) for place, each in enumerate(sort)),
        (f"c{last + len(sort)}",) if person else (),
    )


def _lines(run: DeliveryRun, delivery: Delivery, said: Targeting, actor: Actor) -> _Select:
    """Return the lines of the population that is the target, of which `filter` may leave some."""
    kind, _refusal = _OF_CHANNEL[Channel(delivery.message_type)]
    lines = file_target.source(delivery, actor=actor)
    address = file_target.column(delivery, lines, kind)
    sort = said.control.sort if said.control else ()
    known = population.registry([lines])
    definition = QueryDef(
        lines.schema,
        select=(Field("@id"), Field(f"[@{address.attribute}]"), *(Field(each.expr) for each in sort)),
        where=said.where or (),
        line_count=targeting.EVERY,
    )
    if targeting.multiplies(definition, known):
        definition = replace(definition, distinct=True)
    compiled = query.compile(definition, actor=actor, now=run.started_at, within=known)
    order = tuple((f"c{place}", each.descending) for place, each in enumerate(sort, 2))
    return _Select(compiled.sql, dict(compiled.params), (), (), order, ())


def behind(link: str, path: str) -> str:
    """Return the expression of a path of a person, from a dimension that leads to it by `link`."""
    whole = f"{link}/{path}" if link else path
    return f"[{whole}]"
