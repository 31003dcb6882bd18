"""Recipients one by one: finding one within the rights of an actor, and making one profile of two."""

from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext as _

from envoi.kernel import audit, clock, folders
from envoi.kernel.errors import Invalid, NotFound
from envoi.kernel.folders import Access
from envoi.kernel.rights import Actor, Right
from envoi.packages.delivery.hookspecs import recipient_merged
from envoi.packages.delivery.models import Recipient

ENTITY = "nms:recipient"
REFUSALS = (
    "black_list", "black_list_email", "black_list_mobile", "black_list_phone", "black_list_postal_mail",
    "black_list_fax",
)  # fmt: skip
_KEPT = {
    "recipient_id",
    "folder",
    "domain",
    "created_at",
    "created_by",
    "modified_at",
    "modified_by",
    *REFUSALS,
}
_MOVED = (
    # A line of its own for each: what the kept profile has already stays, what it lacks comes over.
    """INSERT INTO nms_rcp_grp_rel (rcp_grp_rel_id, group_id, recipient_id)
       SELECT rcp_grp_rel_id, group_id, %(kept)s FROM nms_rcp_grp_rel WHERE recipient_id = %(gone)s
       ON CONFLICT (group_id, recipient_id) DO NOTHING""",
    # Of two subscriptions to one service the one holds that lasts longer.
    """INSERT INTO nms_subscription AS s (subscription_id, recipient_id, service_id, created_at,
         expiration_date, delete_status, origin)
       SELECT subscription_id, %(kept)s, service_id, created_at, expiration_date, 0, origin
       FROM nms_subscription WHERE recipient_id = %(gone)s AND delete_status = 0
       ON CONFLICT (recipient_id, service_id) DO UPDATE SET
         expiration_date = CASE WHEN s.delete_status <> 0 THEN excluded.expiration_date
           WHEN s.expiration_date IS NULL OR excluded.expiration_date IS NULL THEN NULL
           ELSE greatest(s.expiration_date, excluded.expiration_date) END,
         delete_status = 0""",
    """INSERT INTO nms_sub_histo (sub_histo_id, recipient_id, service_id, action, date, origin, operator_id,
         batch_id, confirmation)
       SELECT sub_histo_id, %(kept)s, service_id, action, date, origin, operator_id, batch_id, confirmation
       FROM nms_sub_histo WHERE recipient_id = %(gone)s""",
    """INSERT INTO nms_consent (consent_id, recipient_id, purpose, channel, action, date, source, proof,
         source_address, operator_id)
       SELECT consent_id, %(kept)s, purpose, channel, action, date, source, proof, source_address, operator_id
       FROM nms_consent WHERE recipient_id = %(gone)s""",
    "DELETE FROM nms_rcp_grp_rel WHERE recipient_id = %(gone)s",
    "DELETE FROM nms_subscription WHERE recipient_id = %(gone)s",
    "DELETE FROM nms_sub_histo WHERE recipient_id = %(gone)s",
    "DELETE FROM nms_consent WHERE recipient_id = %(gone)s",
    "UPDATE nms_visitor SET recipient_id = %(kept)s WHERE recipient_id = %(gone)s",
    "UPDATE nms_opt_out SET recipient_id = %(kept)s WHERE recipient_id = %(gone)s",
)


def merge(kept: int, gone: int, *, actor: Actor) -> Recipient:
    """Make one profile of two and return it.

    `kept` stays; what it lacks is taken from `gone`, lists, subscriptions, history and consents of both come
    together, and a refusal of either holds. Raises NotFound, NotAllowed without the right MERGE, or without
    the right to write the one and delete the other, and Invalid for one and the same.
    """
    actor.require(Right.MERGE, to=_("merge profiles"))
    if kept == gone:
        raise Invalid(_("A profile cannot be merged with itself."))
    with transaction.atomic():
        one, other = find(kept, actor=actor), find(gone, actor=actor)
        folders.require(actor, one.folder, Access.WRITE)
        folders.require(actor, other.folder, Access.DELETE)
        changed: list[str] = []
        for field in Recipient._meta.concrete_fields:
            mine, theirs = getattr(one, field.attname), getattr(other, field.attname)
            refused = field.name in REFUSALS and theirs and not mine
            lacking = field.name not in _KEPT and theirs != mine and _is_empty(field.name, mine)
            if refused or lacking:
                setattr(one, field.attname, theirs)
                changed.append(field.name)
        one.created_at = min(one.created_at, other.created_at)
        one.modified_at, one.modified_by_id = clock.now(), actor.operator_id or None
        one.save(update_fields=(*changed, "created_at", "modified_at", "modified_by"))
        with connection.cursor() as cursor:
            for statement in _MOVED:
                cursor.execute(statement, {"kept": kept, "gone": gone})
        recipient_merged.ask(kept, gone)
        other.delete()
        audit.forget(ENTITY, [gone])
        audit.record(actor, ENTITY, str(kept), "Merged", kept, {"gone": gone, "fields": changed})
        one.refresh_from_db()
        return one


def find(recipient_id: int, *, actor: Actor) -> Recipient:
    """Return a recipient with its folder. Raises NotFound for one that the actor does not see."""
    found = (
        Recipient.objects.filter(pk=recipient_id, folder_id__in=folders.readable(actor).queryset())
        .select_related("folder")
        .first()
    )
    if found is None:
        raise NotFound(
            _("There is no profile with the number %(number)s, or you have no right to see it.")
            % {"number": recipient_id}
        )
    return found


def _is_empty(name: str, value: Any) -> bool:
    return value in (None, "", 0) or (name == "country_code" and value == "XX")
