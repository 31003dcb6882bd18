"""Subscribing and unsubscribing recipients, set by set (delivery.md §1.2).

Whoever changes a subscription may write in the folder of the recipient and read in that of the service. A
line of history is written for each change of state, none for a renewal.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dateutil.relativedelta import relativedelta
from django.db import connection, transaction
from django.utils.translation import gettext as _

from envoi.kernel import audit, clock, folders
from envoi.kernel.big_tables import reserve_ids
from envoi.kernel.errors import Invalid, NotFound
from envoi.kernel.folders import Access
from envoi.kernel.rights import Actor, Right
from envoi.packages.delivery.models import (
    Confirmation,
    Service,
    ServiceType,
    SubAction,
    SubHisto,
    SubOrigin,
    Subscription,
    ValidityUnit,
)
from envoi.packages.delivery.services import confirmations
from envoi.packages.delivery.services.chosen import Chosen, recipients

BATCH = 5_000


@dataclass(frozen=True)
class Changes:
    """What a call did."""

    changed: int
    """People whose state is another now."""
    renewed: int = 0
    """People who had subscribed before and whose validity begins anew."""


def find(name: str, *, actor: Actor) -> Service:
    """Return a service by its internal name. Raises NotFound for one that the actor does not see."""
    found = (
        Service.objects.filter(name=name, folder_id__in=folders.readable(actor).queryset())
        .select_related("folder", "mapping")
        .first()
    )
    if found is None:
        raise NotFound(_("There is no service %(name)r, or you have no right to see it.") % {"name": name})
    return found


def open_to_readers(service: Service, public: bool, *, actor: Actor) -> None:
    """Let readers find a service, or no longer: its form, and the choice on their preferences page.

    Raises NotFound for a service that the actor does not see, NotAllowed, Invalid for one that is not of
    e-mail.
    """
    with transaction.atomic():
        service = _held(service, actor)
        folders.require(actor, service.folder, Access.WRITE)
        if public and ServiceType(service.type) is not ServiceType.EMAIL:
            raise Invalid(_("Only services of e-mail have a form for readers."))
        Service.objects.filter(pk=service.pk).update(public=public, modified_at=clock.now())
        values = {"values": {"public": [service.public, public]}}
        audit.record(actor, "nms:service", service.name, audit.MODIFIED, service.pk, values)


def expiration(service: Service, start: datetime) -> datetime | None:
    """Return when a subscription of now ends by itself: days or calendar months later, or never."""
    if not service.validity_length:
        return None
    if ValidityUnit(service.validity_unit) is ValidityUnit.MONTHS:
        return start + relativedelta(months=service.validity_length)
    return start + relativedelta(days=service.validity_length)


def subscribe(
    service: Service,
    chosen: Chosen,
    *,
    actor: Actor,
    origin: SubOrigin = SubOrigin.MANUAL,
    confirm: bool = True,
) -> Changes:
    """Subscribe the chosen recipients; those who have subscribed already get a new term of validity.

    Works in the caller's transaction and holds other changes of the same service back until its end. With
    `confirm`, a template of the service asks for a message to each new subscriber. Recipients that the actor
    may not write are passed over. Raises NotFound for a service that the actor does not see.
    """
    with transaction.atomic():
        service = _held(service, actor)
        now = clock.now()
        ends = expiration(service, now)
        who = recipients(chosen, actor, Access.WRITE)
        most = chosen.count()
        changed = _note(
            service,
            SubAction.SUBSCRIBE,
            f"""SELECT id FROM ({who.sql}) AS who WHERE NOT EXISTS (
                  SELECT 1 FROM nms_subscription s WHERE s.recipient_id = who.id AND s.service_id = %s
                    AND s.delete_status = 0)""",  # noqa: S608 quoted
            (*who.params, service.service_id),
            most,
            now,
            actor,
            origin,
            confirm,
        )
        number, blocks = reserve_ids(most).in_block("row_number() OVER ()")
        with connection.cursor() as cursor:
            cursor.execute(
                f"""INSERT INTO nms_subscription AS s (subscription_id, recipient_id, service_id, created_at,
                      expiration_date, delete_status, origin)
                    SELECT {number}, who.id, %s, %s, %s, 0, %s FROM ({who.sql}) AS who
                    ON CONFLICT (recipient_id, service_id) DO UPDATE SET
                      expiration_date = excluded.expiration_date, delete_status = 0,
                      created_at = CASE WHEN s.delete_status = 0 THEN s.created_at
                        ELSE excluded.created_at END
                    WHERE s.delete_status <> 0
                      OR s.expiration_date IS DISTINCT FROM excluded.expiration_date""",  # noqa: S608 quoted
                [*blocks, service.service_id, now, ends, origin, *who.params],
            )
            touched = cursor.rowcount
        return Changes(changed, touched - changed)


def unsubscribe(
    service: Service,
    chosen: Chosen,
    *,
    actor: Actor,
    origin: SubOrigin = SubOrigin.MANUAL,
    confirm: bool = True,
) -> Changes:
    """End the subscriptions of the chosen recipients, as `subscribe` begins them."""
    with transaction.atomic():
        service = _held(service, actor)
        who = recipients(chosen, actor, Access.WRITE)
        changed = _note(
            service,
            SubAction.UNSUBSCRIBE,
            f"""SELECT s.recipient_id AS id FROM nms_subscription s JOIN ({who.sql}) AS who
                  ON who.id = s.recipient_id WHERE s.service_id = %s AND s.delete_status = 0""",  # noqa: S608 quoted
            (*who.params, service.service_id),
            chosen.count(),
            clock.now(),
            actor,
            origin,
            confirm,
        )
        with connection.cursor() as cursor:
            cursor.execute(
                f"""DELETE FROM nms_subscription s USING ({who.sql}) AS who
                    WHERE s.recipient_id = who.id AND s.service_id = %s""",  # noqa: S608 quoted
                [*who.params, service.service_id],
            )
        return Changes(changed)


def expire_subscriptions(*, actor: Actor, limit: int = BATCH) -> int:
    """End at most `limit` subscriptions whose validity is over, and remove those that are marked for it.

    For the nightly cleanup, which calls it in transactions of its own until it returns 0: how many are gone.
    Only the first kind leaves a line of history. Raises NotAllowed without ADMINISTRATION.
    """
    actor.require(Right.ADMINISTRATION, to=_("end subscriptions that are over"))
    now = clock.now()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            """SELECT recipient_id, service_id FROM nms_subscription WHERE expiration_date <= %s
               ORDER BY expiration_date LIMIT %s""",
            [now, limit],
        )
        over = cursor.fetchall()
        if len(over) < limit:
            cursor.execute(
                "SELECT recipient_id, service_id FROM nms_subscription WHERE delete_status <> 0 LIMIT %s",
                [limit - len(over)],
            )
            over += cursor.fetchall()
        # What was renewed meanwhile is neither deleted nor told of.
        cursor.execute(
            """DELETE FROM nms_subscription s
               USING unnest(%s::bigint[], %s::bigint[]) AS over (recipient, service)
               WHERE s.recipient_id = over.recipient AND s.service_id = over.service
                 AND (s.expiration_date <= %s OR s.delete_status <> 0)
               RETURNING s.recipient_id, s.service_id, s.delete_status""",
            [[each for each, _ in over], [each for _, each in over], now],
        )
        gone = cursor.fetchall()
        ended = [(recipient, service) for recipient, service, marked in gone if not marked]
        ids = list(reserve_ids(len(ended)))
        cursor.execute(
            """INSERT INTO nms_sub_histo (sub_histo_id, recipient_id, service_id, action, date, origin,
                 operator_id, batch_id, confirmation)
               SELECT id, recipient, service, %s, %s, %s, NULL, %s, 0
               FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS ended (id, recipient, service)""",
            [
                SubAction.UNSUBSCRIBE,
                now,
                SubOrigin.EXPIRY,
                ids[0] if ids else 0,
                ids,
                [each for each, _ in ended],
                [each for _, each in ended],
            ],
        )
    return len(gone)


def of_recipient(recipient_id: int) -> list[Subscription]:
    """Return the running subscriptions of a recipient that the caller has found for its actor."""
    found = Subscription.objects.filter(recipient_id=recipient_id, delete_status=0)
    return list(found.select_related("service").order_by("service__label"))


def history_of(recipient_id: int, limit: int = 100) -> list[SubHisto]:
    """Return the latest lines of a recipient's history, newest first."""
    found = SubHisto.objects.filter(recipient_id=recipient_id).select_related("service", "operator")
    return list(found.order_by("-date", "-sub_histo_id")[:limit])


@dataclass(frozen=True)
class Day:
    """A day of a service: how many came and went."""

    day: Any
    came: int
    went: int


@dataclass(frozen=True)
class Figures:
    """Of a service, as far as the actor sees the people (delivery.md §10.2, subscriptionsProgress)."""

    subscribers: int
    days: Sequence[Day]
    came: int
    went: int

    @property
    def evolution(self) -> int:
        """Subscriptions less the ends of them."""
        return self.came - self.went

    @property
    def loyalty(self) -> float | None:
        """1 − ends / (subscribers + subscriptions − ends); None where nobody has subscribed."""
        base = self.subscribers + self.came - self.went
        return 1 - self.went / base if base > 0 else None


def figures(service: Service, *, actor: Actor, since: datetime, zone: str = "UTC") -> Figures:
    """Return how many subscribe, and who came and went on each day since, oldest first; days without a change
    are left out.
    """
    everything = actor.is_administrator and actor.root_path == "/"
    allowed = folders.readable(actor)
    bound = (
        ""
        if everything
        else f"""AND EXISTS (SELECT 1 FROM nms_recipient r WHERE r.recipient_id = t.recipient_id
                   AND r.folder_id IN ({allowed.sql}))"""  # noqa: S608 quoted
    )
    params = () if everything else allowed.params
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT count(*) FROM nms_subscription t WHERE service_id = %s AND delete_status = 0 {bound}",  # noqa: S608 quoted
            [service.service_id, *params],
        )
        count = cursor.fetchone()
        cursor.execute(
            f"""SELECT (date AT TIME ZONE %s)::date AS day, count(*) FILTER (WHERE action = 1),
                  count(*) FILTER (WHERE action = 0)
                FROM nms_sub_histo t WHERE service_id = %s AND date >= %s {bound}
                GROUP BY 1 ORDER BY 1""",  # noqa: S608 quoted
            [zone, service.service_id, since, *params],
        )
        days = [Day(*row) for row in cursor.fetchall()]
    came, went = sum(day.came for day in days), sum(day.went for day in days)
    return Figures(int(count[0]) if count else 0, days, came, went)


def _held(service: Service, actor: Actor) -> Service:
    """Return the service as it is now, held against other changes until the transaction ends."""
    found = (
        Service.objects.select_for_update()
        .filter(pk=service.pk, folder_id__in=folders.readable(actor).queryset())
        .first()
    )
    if found is None:
        raise NotFound(
            _("There is no service %(name)r, or you have no right to see it.") % {"name": service.name}
        )
    return found


def _note(
    service: Service,
    action: SubAction,
    who: str,
    params: tuple[Any, ...],
    most: int,
    now: datetime,
    actor: Actor,
    origin: SubOrigin,
    confirm: bool,
) -> int:
    """Write a line of history for each id of `who`, at most `most`; return how many."""
    ids = reserve_ids(most)
    if not ids.blocks:
        return 0
    told = confirm and confirmations.template_of(service, action) is not None
    number, blocks = ids.in_block("row_number() OVER ()")
    with connection.cursor() as cursor:
        cursor.execute(
            f"""INSERT INTO nms_sub_histo (sub_histo_id, recipient_id, service_id, action, date, origin,
                  operator_id, batch_id, confirmation)
                SELECT {number}, id, %s, %s, %s, %s, %s, %s, %s FROM ({who}) AS changing""",  # noqa: S608 quoted
            [
                *blocks,
                service.service_id,
                action,
                now,
                origin,
                actor.operator_id or None,
                ids.blocks[0],
                Confirmation.ASKED if told else Confirmation.NONE,
                *params,
            ],
        )
        count = cursor.rowcount
    if told and count:
        confirmations.ask(service, action, ids.blocks[0])
    return count
