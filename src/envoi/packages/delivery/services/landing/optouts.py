"""Readers leave: a service whose subscribers the message went to, or all e-mail (docs/adr/0031).

Each that changes something leaves a proof (`nms_opt_out`): one by a page, many by a segment of one-click
requests. The proofs of a batch are what the statements work on. Proofs of deliveries (test messages) and seed
addresses change nothing: whoever reads those is not the person they speak of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import connection, transaction

from envoi.kernel.big_tables import reserve_ids
from envoi.kernel.query.scope import quoted
from envoi.kernel.rights import internal
from envoi.packages.delivery.models import (
    Address,
    AddressStatus,
    Channel,
    Consent,
    ConsentAction,
    FailureReason,
    FailureType,
    Flag,
    HitKind,
    OptOut,
    OptOutReason,
    OptOutWay,
    Recipient,
    Service,
    SubOrigin,
    Subscription,
)
from envoi.packages.delivery.services import consents, log_tables, quarantine, subscriptions
from envoi.packages.delivery.services.chosen import Chosen, ids

if TYPE_CHECKING:
    from envoi.packages.delivery.services.landing.messages import Message

RECIPIENTS, SUBSCRIPTIONS = "rcp", "sub"
"""Storages whose targets have a profile that can refuse."""
UNDONE_WITHIN = timedelta(days=1)
SOURCE = "unsubscribe"
"""What the withdrawal of a consent says it came through."""
_SEGMENT = f"""SELECT broad_log_id, delivery_id, received_at AS at, address AS source_address
    FROM nms_tracking_inbox WHERE segment = %(segment)s AND kind = {int(HitKind.UNSUBSCRIBE)}"""  # noqa: S608


@dataclass(frozen=True)
class Said:
    """What a reader said beside wanting to leave. `everything`: all e-mail, also where the message was of a
    service.
    """

    way: OptOutWay = OptOutWay.PAGE
    everything: bool = False
    reason: OptOutReason = OptOutReason.NONE
    remark: str = ""
    source_address: str = ""


def apply(segment: str, *, now: datetime) -> int:
    """Carry out the one-click unsubscriptions of a segment that is being loaded, in the caller's transaction;
    returns how many readers have left.
    """
    params = {"segment": segment}
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(
                f"""SELECT DISTINCT r.storage FROM ({_SEGMENT}) AS a
                    JOIN nms_delivery_run r ON r.delivery_id = a.delivery_id
                    WHERE r.storage <> '' ORDER BY 1""",  # noqa: S608 our own
                params,
            )
            storages = [storage for (storage,) in cursor.fetchall()]
        if not storages:
            return 0
        batch = reserve_ids(1).blocks[0]
        count = sum(_note(params, storage, batch) for storage in storages)
        if count:
            _carry_out(batch, now)
        return count


def leave(message: Message, said: Said, *, now: datetime) -> OptOut | None:
    """Let the reader of one message leave, in the caller's transaction; None when nothing changed by it."""
    service = None if said.everything else message.service
    # One click leaves what the message was of: a subscription that has ended is left already.
    ended = message.storage == SUBSCRIPTIONS and message.service is None and not said.everything
    if message.is_test or ended or has_left(message.recipient_id, message.address, service):
        return None
    return _prove(
        said,
        now,
        recipient_id=message.recipient_id,
        service=service,
        delivery_id=message.delivery.pk,
        storage=message.storage,
        broad_log_id=message.id,
        address=message.address,
    )


def refuse(recipient_id: int, said: Said, service: Service | None = None, *, now: datetime) -> OptOut:
    """Let a profile refuse all e-mail, or end its subscription to one service, with a proof, in the caller's
    transaction.
    """
    address = Recipient.objects.filter(pk=recipient_id).values_list("email", flat=True).first() or ""
    return _prove(said, now, recipient_id=recipient_id, service=service, address=address)


def _prove(said: Said, now: datetime, **whose: Any) -> OptOut:
    """Write the proof of one reader, and carry it out."""
    with transaction.atomic():
        made = OptOut.objects.create(
            date=now,
            way=said.way,
            reason=said.reason,
            remark=said.remark.strip()[:500],
            source_address=said.source_address[:64],
            batch_id=reserve_ids(1).blocks[0],
            **whose,
        )
        _carry_out(made.batch_id, now)
    return made


def _carry_out(batch: int, now: datetime) -> None:
    _refuse(batch, now)
    _withdraw(batch, now)
    _unsubscribe(batch)
    _denylist(batch, now)


def _note(params: Mapping[str, Any], storage: str, batch: int) -> int:
    """Write the proofs of those messages of one storage that something changes for; returns how many."""
    who, behind, where = _whose(storage)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""INSERT INTO nms_opt_out (date, way, recipient_id, service_id, delivery_id, storage,
                  broad_log_id, address, source_address, batch_id)
                SELECT DISTINCT ON (l.id) a.at, %(way)s::smallint, {who}, l.delivery_id, %(storage)s, l.id,
                  l.address, a.source_address, %(batch)s::bigint
                FROM ({_SEGMENT}) AS a
                JOIN nms_delivery v ON v.delivery_id = a.delivery_id AND NOT v.fcp AND v.message_type = 0
                JOIN nms_delivery_run r ON r.delivery_id = a.delivery_id AND r.storage = %(storage)s
                JOIN {quoted(log_tables.table("broad_log", storage))} l
                  ON l.run_id = r.run_id AND l.id = a.broad_log_id AND l.flags & %(seed)s = 0
                {behind} WHERE {where}
                ORDER BY l.id, a.at""",  # noqa: S608 quoted
            {
                **params,
                "way": int(OptOutWay.ONE_CLICK),
                "storage": storage,
                "batch": batch,
                "seed": int(Flag.SEED),
                "channel": int(Channel.EMAIL),
                "denylisted": int(AddressStatus.DENYLISTED),
            },
        )
        return cursor.rowcount


def _whose(storage: str) -> tuple[str, str, str]:
    """Return SQL for profile and service of the message `l`, joins for them, and when something changes.

    A subscription that is gone has ended: nothing is left to leave by one click.
    """
    if storage == RECIPIENTS:
        profile = "JOIN nms_recipient p ON p.recipient_id = l.target_id"
        return "p.recipient_id, NULL::bigint", profile, "p.black_list_email <> 1"
    if storage == SUBSCRIPTIONS:
        subscription = "JOIN nms_subscription s ON s.subscription_id = l.target_id"
        return "s.recipient_id, s.service_id", subscription, "s.delete_status = 0"
    address = """LEFT JOIN nms_address d ON d.address = l.address AND d.type = %(channel)s
        AND d.status = %(denylisted)s"""
    return "0::bigint, NULL::bigint", address, "d.address_id IS NULL AND l.address <> ''"


def _refuse(batch: int, now: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            """UPDATE nms_recipient SET black_list_email = 1, modified_at = %s
               WHERE black_list_email <> 1 AND recipient_id IN (
                 SELECT recipient_id FROM nms_opt_out WHERE batch_id = %s AND service_id IS NULL)""",
            [now, batch],
        )


def _withdraw(batch: int, now: datetime) -> None:
    """Withdraw the consents to e-mail of those who left altogether."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT count(*) FROM nms_consent WHERE channel = %s AND recipient_id IN (
                 SELECT recipient_id FROM nms_opt_out WHERE batch_id = %s AND service_id IS NULL)""",
            [int(Channel.EMAIL), batch],
        )
        most = (cursor.fetchone() or (0,))[0]
        if not most:
            return
        number, blocks = reserve_ids(most).in_block("row_number() OVER ()")
        cursor.execute(
            f"""INSERT INTO nms_consent (consent_id, recipient_id, purpose, channel, action, date, source,
                  proof, source_address, operator_id)
                SELECT {number}, recipient_id, purpose, channel, %s, %s, %s, 'nms:optOut ' || opt_out_id,
                  source_address, NULL
                FROM (SELECT DISTINCT ON (c.recipient_id, c.purpose) c.recipient_id, c.purpose, c.channel,
                        c.action, o.opt_out_id, o.source_address
                      FROM nms_consent c JOIN nms_opt_out o ON o.recipient_id = c.recipient_id
                        AND o.batch_id = %s AND o.service_id IS NULL
                      WHERE c.channel = %s
                      ORDER BY c.recipient_id, c.purpose, c.date DESC, c.consent_id DESC) AS latest
                WHERE action = %s""",  # noqa: S608 our own
            [
                *blocks,
                int(ConsentAction.WITHDRAWN),
                now,
                SOURCE,
                batch,
                int(Channel.EMAIL),
                int(ConsentAction.GIVEN),
            ],
        )


def _unsubscribe(batch: int) -> None:
    services = Service.objects.filter(opt_outs__batch_id=batch).distinct().order_by("service_id")
    for service in services:
        who = Chosen(
            "SELECT DISTINCT recipient_id AS id FROM nms_opt_out WHERE batch_id = %s AND service_id = %s",
            (batch, service.pk),
        )
        subscriptions.unsubscribe(service, who, actor=internal(), origin=SubOrigin.FORM)


def _denylist(batch: int, now: datetime) -> None:
    """Let the addresses of those bear it who have no profile that could refuse."""
    found = OptOut.objects.filter(batch_id=batch, recipient_id=0).order_by("opt_out_id")
    failures = [
        quarantine.Failure(
            each.address, Channel.EMAIL, each.delivery_id, FailureType.HARD, FailureReason.DENYLISTED, SOURCE,
            each.date, complaint=True,
        )
        for each in found
    ]  # fmt: skip
    quarantine.note(failures, now=now)


def has_left(recipient_id: int, address: str, service: Service | None) -> bool:
    """Return whether a reader gets no message of a service, or no e-mail at all, any more."""
    if service is not None:
        return not Subscription.objects.filter(
            recipient_id=recipient_id, service=service, delete_status=0
        ).exists()
    if recipient_id:
        return Recipient.objects.filter(pk=recipient_id, black_list_email=1).exists()
    return Address.objects.filter(
        address=address, type=Channel.EMAIL, status=AddressStatus.DENYLISTED
    ).exists()


def undo(batch_id: int, *, now: datetime) -> OptOut | None:
    """Take back what one request of a page has done, in the caller's transaction; None when there is nothing
    to take back. What came after it stays: who has left again remains so.
    """
    with transaction.atomic():
        proof = (
            OptOut.objects.select_for_update()
            .filter(batch_id=batch_id, undone_at=None, date__gt=now - UNDONE_WITHIN)
            .first()
        )
        if proof is None or OptOutWay(proof.way) is OptOutWay.ONE_CLICK:
            return None
        proof.undone_at = now
        proof.save(update_fields=("undone_at",))
        if proof.service is not None:
            who = ids([proof.recipient_id])
            subscriptions.subscribe(
                proof.service, who, actor=internal(), origin=SubOrigin.FORM, confirm=False
            )
        elif proof.recipient_id:
            Recipient.objects.filter(pk=proof.recipient_id).update(black_list_email=0, modified_at=now)
            _give_back(proof, now)
        else:
            Address.objects.filter(
                address=proof.address, type=Channel.EMAIL, status=AddressStatus.DENYLISTED
            ).update(status=AddressStatus.VALID, modified_at=now)
        return proof


def _give_back(proof: OptOut, now: datetime) -> None:
    """Give those consents again that leaving has withdrawn."""
    withdrawn = Consent.objects.filter(
        recipient_id=proof.recipient_id, source=SOURCE, proof=f"nms:optOut {proof.pk}"
    )
    for each in withdrawn:
        latest = Consent.objects.filter(
            recipient_id=each.recipient_id, purpose=each.purpose, channel=each.channel
        ).latest("date", "consent_id")
        if latest.pk == each.pk:
            consents.record(
                ids([each.recipient_id]),
                each.purpose,
                Channel.EMAIL,
                ConsentAction.GIVEN,
                actor=internal(),
                proof=consents.Proof("taken back", each.proof, proof.source_address),
                at=now,
            )
