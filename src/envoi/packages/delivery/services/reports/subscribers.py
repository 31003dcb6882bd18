"""Subscription tracking of services: who subscribes, who came and went, period by period (delivery.md §10.2,
`subscriptionsProgress`). Counts the people whom the actor sees.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db import connection

from envoi.kernel import folders
from envoi.kernel.query.scope import quoted
from envoi.kernel.rights import Actor
from envoi.packages.delivery.models import Service

STEPS = ("day", "week", "month")
"""Lengths of a period, as PostgreSQL calls them."""


@dataclass(frozen=True)
class Moves:
    """How many came and went in some time, and how many subscribed at its end."""

    subscribers: int
    came: int
    went: int

    @property
    def evolution(self) -> int:
        """Subscriptions less the ends of them."""
        return self.came - self.went

    @property
    def kept(self) -> tuple[int, int]:
        """Loyalty as a share: 1 − ends / (subscribers + subscriptions − ends)."""
        return kept(self.subscribers, self.came, self.went)


@dataclass(frozen=True)
class Period(Moves):
    """A part of the time, by its first day."""

    start: date


@dataclass(frozen=True)
class Standing(Moves):
    """How one service did over the time."""

    service: Service


def kept(subscribers: int, came: int, went: int) -> tuple[int, int]:
    """Return loyalty as part and whole; of nobody there is none. Who comes and leaves again and again makes
    it fall below zero.
    """
    whole = max(subscribers + came - went, 0)
    return whole - went, whole


def periods(
    service: Service, *, actor: Actor, begin: datetime, end: datetime, step: str, zone: str
) -> list[Period]:
    """Return the periods from `begin` to before `end` that are as long as `step` says, oldest first, without
    gaps. The numbers of subscribers go back from those of now.
    """
    bound, allowed = _bound(actor)
    params: dict[str, Any] = {
        "service": service.pk,
        "begin": begin,
        "end": end,
        "step": step if step in STEPS else STEPS[0],
        "zone": zone,
        **allowed,
    }
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT count(*) FROM nms_subscription t
                WHERE service_id = %(service)s AND delete_status = 0 {bound}""",  # noqa: S608 quoted
            params,
        )
        now = (cursor.fetchone() or (0,))[0]
        cursor.execute(
            f"""SELECT date_trunc(%(step)s, date AT TIME ZONE %(zone)s)::date,
                  count(*) FILTER (WHERE action = 1 AND date < %(end)s),
                  count(*) FILTER (WHERE action = 0 AND date < %(end)s),
                  count(*) FILTER (WHERE action = 1 AND date >= %(end)s),
                  count(*) FILTER (WHERE action = 0 AND date >= %(end)s)
                FROM nms_sub_histo t WHERE service_id = %(service)s AND date >= %(begin)s {bound}
                GROUP BY 1""",  # noqa: S608 quoted
            params,
        )
        rows = {row[0]: row[1:] for row in cursor.fetchall()}
        cursor.execute(
            """SELECT start::date FROM generate_series(
                 date_trunc(%(step)s, %(begin)s::timestamptz AT TIME ZONE %(zone)s),
                 (%(end)s::timestamptz - interval '1 microsecond') AT TIME ZONE %(zone)s,
                 ('1 ' || %(step)s)::interval) AS start ORDER BY 1 DESC""",
            params,
        )
        starts = [row[0] for row in cursor.fetchall()]
    # Who came and went after the end is taken back first.
    standing = now - sum(row[2] - row[3] for row in rows.values())
    found: list[Period] = []
    for start in starts:
        came, went = rows.get(start, (0, 0, 0, 0))[:2]
        found.append(Period(standing, came, went, start))
        standing -= came - went
    found.reverse()
    return found


def standings(*, actor: Actor, begin: datetime, end: datetime) -> Sequence[Standing]:
    """Return how the services that the actor sees did, those with most subscribers first."""
    services = Service.objects.filter(folder_id__in=folders.readable(actor).queryset())
    bound, allowed = _bound(actor)
    params: dict[str, Any] = {"begin": begin, "end": end, **allowed}
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT service_id, count(*) FROM nms_subscription t
                WHERE delete_status = 0 {bound} GROUP BY 1""",  # noqa: S608 quoted
            params,
        )
        now: dict[int, int] = dict(cursor.fetchall())
        cursor.execute(
            f"""SELECT service_id, count(*) FILTER (WHERE action = 1), count(*) FILTER (WHERE action = 0)
                FROM nms_sub_histo t WHERE date >= %(begin)s AND date < %(end)s {bound}
                GROUP BY 1""",  # noqa: S608 quoted
            params,
        )
        moves: dict[int, tuple[int, int]] = {row[0]: (row[1], row[2]) for row in cursor.fetchall()}
    found = [Standing(now.get(each.pk, 0), *moves.get(each.pk, (0, 0)), service=each) for each in services]
    return sorted(found, key=lambda each: (-each.subscribers, each.service.label))


def _bound(actor: Actor) -> tuple[str, dict[str, Any]]:
    """Return the condition on the people of `t` whom the actor sees, with its parameters."""
    if actor.is_administrator and actor.root_path == "/":
        return "", {}
    allowed = folders.readable(actor)
    names = [f"bound_{number}" for number in range(len(allowed.params))]
    sql = allowed.sql
    for name in names:
        sql = sql.replace("%s", f"%({name})s", 1)
    table = quoted("nms_recipient")
    return (
        f"""AND EXISTS (SELECT 1 FROM {table} r WHERE r.recipient_id = t.recipient_id
              AND r.folder_id IN ({sql}))""",  # noqa: S608 quoted
        dict(zip(names, allowed.params, strict=True)),
    )
