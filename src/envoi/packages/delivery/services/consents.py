"""Consent of people to a purpose on a channel, given and withdrawn, with its proof.

A line is written for each declaration and never changed; the latest of a recipient, purpose and channel
holds.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction
from django.utils.translation import gettext as _

from envoi.kernel import clock, enumerations
from envoi.kernel.big_tables import reserve_ids
from envoi.kernel.errors import Invalid
from envoi.kernel.folders import Access
from envoi.kernel.rights import Actor
from envoi.packages.delivery.models import Channel, Consent, ConsentAction
from envoi.packages.delivery.services.chosen import Chosen, recipients

PURPOSES = "consentPurpose"


@dataclass(frozen=True)
class Proof:
    """How a declaration came to us. `text` is the sentence agreed to, or where the document lies."""

    source: str
    text: str = ""
    address: str = ""
    """Network address that it came from."""


def record(
    chosen: Chosen,
    purpose: str,
    channel: Channel,
    action: ConsentAction,
    *,
    actor: Actor,
    proof: Proof,
    at: datetime | None = None,
) -> int:
    """Write down that the chosen recipients gave or withdrew consent; return how many did.

    `at` is when they did, now unless it is said. Recipients that the actor may not write are passed over.
    Consent that is given needs the text of its proof. Raises Invalid, also for a purpose that is not among
    the enumeration `consentPurpose`.
    """
    now = clock.now()
    when = at or now
    if when > now:
        raise Invalid(_("A consent cannot be given in the future."))
    if action is ConsentAction.GIVEN and not proof.text.strip():
        raise Invalid(
            _("Consent needs its proof: the sentence that was agreed to, or where the document lies.")
        )
    with transaction.atomic():
        if purpose not in {each.value for each in enumerations.values(PURPOSES, actor=actor)}:
            raise Invalid(
                _("There is no purpose %(name)r. Add it to the enumeration %(list)s first.")
                % {"name": purpose, "list": PURPOSES}
            )
        who = recipients(chosen, actor, Access.WRITE)
        ids = reserve_ids(chosen.count())
        if not ids.blocks:
            return 0
        number, blocks = ids.in_block("row_number() OVER ()")
        with connection.cursor() as cursor:
            cursor.execute(
                f"""INSERT INTO nms_consent (consent_id, recipient_id, purpose, channel, action, date, source,
                      proof, source_address, operator_id)
                    SELECT {number}, id, %s, %s, %s, %s, %s, %s, %s, %s FROM ({who.sql}) AS who""",  # noqa: S608 quoted
                [
                    *blocks,
                    purpose,
                    channel,
                    action,
                    when,
                    proof.source[:64],
                    proof.text.strip(),
                    proof.address[:64],
                    actor.operator_id or None,
                    *who.params,
                ],
            )
            return cursor.rowcount


def holding(purpose: str, channel: Channel) -> Chosen:
    """Choose the recipients whose consent holds."""
    return Chosen(
        """SELECT recipient_id AS id FROM (
             SELECT DISTINCT ON (recipient_id) recipient_id, action FROM nms_consent
             WHERE purpose = %s AND channel = %s
             ORDER BY recipient_id, date DESC, consent_id DESC) AS latest
           WHERE action = 1""",
        (purpose, int(channel)),
    )


def of_recipient(recipient_id: int) -> list[Consent]:
    """Return the declarations of a recipient that the caller has found for its actor, newest first."""
    found = Consent.objects.filter(recipient_id=recipient_id).select_related("operator")
    return list(found.order_by("-date", "-consent_id"))


def current(declarations: list[Consent]) -> list[Consent]:
    """Return of declarations, newest first, the one that holds for each purpose and channel."""
    found: dict[tuple[str, int], Consent] = {}
    for each in declarations:
        found.setdefault((each.purpose, each.channel), each)
    return [found[key] for key in sorted(found)]
