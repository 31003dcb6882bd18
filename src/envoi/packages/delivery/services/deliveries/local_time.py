"""Sending at the recipient's local time: at the wall clock of the contact date where each one is.

The zone of a person is that of the country: of several, its capital's; unknown, the delivery's or the
instance's. Messages get new ids, in the order in which they are due, so that parts stay ranges of ids; this
is done at the end of the analysis, before anything else refers to the messages.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from babel.core import get_global
from django.conf import settings
from django.db import connection
from django.db.models import Max

from envoi.engine import targeting
from envoi.kernel import query
from envoi.kernel.big_tables import reserve_ids
from envoi.kernel.query import Condition, Field, QueryDef
from envoi.kernel.query.scope import quoted
from envoi.kernel.rights import internal
from envoi.packages.delivery.models import Country, Delivery, DeliveryPart, DeliveryRun, Flag, MessageStatus
from envoi.packages.delivery.services import file_target, log_tables
from envoi.packages.delivery.services.deliveries.sending import Sending
from envoi.packages.delivery.services.deliveries.waves import Wave

CAPITALS = {
    "AR": "America/Argentina/Buenos_Aires", "AU": "Australia/Sydney", "BR": "America/Sao_Paulo",
    "CA": "America/Toronto", "CD": "Africa/Kinshasa", "CL": "America/Santiago", "CN": "Asia/Shanghai",
    "CY": "Asia/Nicosia", "DE": "Europe/Berlin", "EC": "America/Guayaquil", "ES": "Europe/Madrid",
    "FM": "Pacific/Pohnpei", "GL": "America/Nuuk", "ID": "Asia/Jakarta", "KI": "Pacific/Tarawa",
    "KZ": "Asia/Almaty", "MH": "Pacific/Majuro", "MN": "Asia/Ulaanbaatar", "MX": "America/Mexico_City",
    "MY": "Asia/Kuala_Lumpur", "NZ": "Pacific/Auckland", "PF": "Pacific/Tahiti",
    "PG": "Pacific/Port_Moresby", "PS": "Asia/Hebron", "PT": "Europe/Lisbon", "RU": "Europe/Moscow",
    "UA": "Europe/Kyiv", "US": "America/New_York", "UZ": "Asia/Tashkent",
}  # fmt: skip
"""Of countries with several zones, that of the capital (the zone by which its clocks go)."""


@cache
def zone_of(country: str) -> ZoneInfo | None:
    """Return the zone of a country (ISO 3166-1, two letters), or None for one without people or unknown."""
    known: Sequence[str] = get_global("territory_zones").get(country, ())
    name = CAPITALS.get(country) or (known[0] if len(known) == 1 else "")
    return ZoneInfo(name) if name else None


def own_zone(said: Sending) -> ZoneInfo:
    """Return the zone that the contact date is meant in."""
    return ZoneInfo(said.zone or settings.CONFIG.instance.timezone)


def dues(said: Sending, contact: datetime, offset: timedelta) -> dict[str, datetime]:
    """Return when messages are due, by country; "" for those whose zone is not known."""
    wall = (contact + offset).astimezone(own_zone(said)).replace(tzinfo=None)
    found = {"": contact + offset}
    for country in Country.objects.values_list("iso_a2", flat=True):
        if (zone := zone_of(country)) is not None:
            found[country] = wall.replace(tzinfo=zone).astimezone(contact.tzinfo)
    return found


def spread(run: DeliveryRun, delivery: Delivery, said: Sending, waves: Sequence[Wave], quantity: int) -> None:
    """Order the messages of an analysis by when they are due, and make their parts anew, in the caller's
    transaction. Needs a contact date. Safe to repeat before anything is sent.
    """
    contact = delivery.contact_date
    assert contact is not None  # noqa: S101 asked before
    given = list(waves) or [Wave(0, timedelta(0), 0)]
    rows = [
        (each.number, country, due)
        for each in given
        for country, due in dues(said, contact, each.offset).items()
    ]
    # First place of each wave; what is left goes with the last.
    since = [1 + sum(each.count for each in given[:place]) for place in range(len(given))]
    log = quoted(log_tables.partition("broad_log", run.storage, run.pk))
    path = delivery.mapping.recipient_path
    country = f"[{path}/location/@countryCode]" if path else "[location/@countryCode]"
    known = QueryDef(
        delivery.mapping.schema, select=(Field("@id"), Field(country)), line_count=targeting.EVERY
    )
    # Of the lines of a file nobody knows the country.
    nobody = QueryDef("nms:recipient", select=(Field("@id"), Field("''")), where=(Condition("@id < 0"),))
    people = query.compile(
        nobody if file_target.concerns(delivery.mapping) else known,
        actor=internal(),
        now=run.started_at,
    )
    waiting = f"""b.run_id = %(run)s AND b.status = {int(MessageStatus.PENDING)}
        AND b.flags & {int(Flag.SEED)} = 0"""
    values = {
        **people.params,
        "run": run.pk,
        "delivery": run.delivery_id,
        "waves": [wave for wave, _country, _due in rows],
        "countries": [place for _wave, place, _due in rows],
        "dues": [due for _wave, _country, due in rows],
        "numbers": [each.number for each in given],
        "since": since,
        "quantity": max(quantity, 1),
    }
    with connection.cursor() as cursor:
        # Tables with figures of their own: of rows that were written a moment ago the planner knows nothing,
        # and would join a million with a million row by row.
        cursor.execute(f"ANALYZE {log}")
        cursor.execute("DROP TABLE IF EXISTS dlv_message, dlv_due, dlv_order")
        cursor.execute(
            f"""CREATE TEMP TABLE dlv_message ON COMMIT DROP AS
                SELECT b.target_id, b.id, coalesce(q.c1, '')::text AS country,
                  (%(numbers)s::smallint[])[width_bucket(
                    row_number() OVER (ORDER BY b.id), %(since)s::bigint[])] AS wave
                FROM {log} b LEFT JOIN ({people.sql}) q ON q.c0 = b.target_id WHERE {waiting}""",  # noqa: S608
            values,
        )
        ids = reserve_ids(cursor.rowcount)
        number, blocks = ids.in_block("n")
        cursor.execute(
            """CREATE TEMP TABLE dlv_due ON COMMIT DROP AS
               SELECT * FROM unnest(%(waves)s::smallint[], %(countries)s::text[], %(dues)s::timestamptz[])
                 AS given (wave, country, due)""",
            values,
        )
        cursor.execute("ANALYZE dlv_message")
        cursor.execute("ANALYZE dlv_due")
        cursor.execute(
            f"""CREATE TEMP TABLE dlv_order ON COMMIT DROP AS
                SELECT target_id, wave, due, k, {number.replace("%s", "%(blocks)s")} AS new_id
                FROM (
                  SELECT *, row_number() OVER (ORDER BY wave, due, id) AS n,
                    row_number() OVER (PARTITION BY wave, due ORDER BY id) AS k
                  FROM (
                    SELECT m.target_id, m.id, m.wave, coalesce(d.due, unknown.due) AS due
                    FROM dlv_message m JOIN dlv_due unknown ON unknown.wave = m.wave AND unknown.country = ''
                    LEFT JOIN dlv_due d ON d.wave = m.wave AND d.country = m.country) timed) ordered""",  # noqa: S608
            {"blocks": blocks[0]},
        )
        cursor.execute("ANALYZE dlv_order")
        cursor.execute(
            f"""UPDATE {log} b SET id = o.new_id FROM dlv_order o
                WHERE b.run_id = %(run)s AND b.target_id = o.target_id""",  # noqa: S608 quoted
            values,
        )
        DeliveryPart.objects.filter(run=run, seeds=False, retry=False).delete()
        cursor.execute(
            """INSERT INTO nms_delivery_part
                 (delivery_id, run_id, first_id, last_id, quantity, wave, due_at)
               SELECT %(delivery)s, %(run)s, min(new_id), max(new_id), count(*), wave, due
               FROM dlv_order GROUP BY wave, due, (k - 1) / %(quantity)s""",
            values,
        )
    DeliveryPart.objects.filter(run=run, seeds=True).update(
        wave=given[0].number, due_at=contact + given[0].offset
    )


def last(run: DeliveryRun) -> datetime | None:
    """Return when the last part of an analysis is due."""
    return DeliveryPart.objects.filter(run=run).aggregate(due=Max("due_at"))["due"]
