"""Seed addresses of one delivery: added by hand, or copied of those kept as templates (delivery.md §2.11).

Further ways are in `targeting` (`seeds`): by number, by folder, by a condition. What a seed lacks is filled
from a real profile when the content is frozen.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from envoi.kernel import audit, clock, folders, writing
from envoi.kernel.errors import Conflict, Invalid, NotFound
from envoi.kernel.folders import Access
from envoi.kernel.models import Folder
from envoi.kernel.query.scope import quoted
from envoi.kernel.rights import Actor, Right, internal
from envoi.packages.delivery.models import Delivery, DeliveryState, SeedMember
from envoi.packages.delivery.services.deliveries import states

FOLDER = "seedAddresses"
_FIELDS = frozenset({"label", "email", "mobilePhone", "firstName", "lastName", "language"})
_OWN = ("seed_member_id", "delivery_id", "operation_id", "created_at", "modified_at")


def own(delivery: Delivery) -> list[SeedMember]:
    """Return the seeds that belong to a delivery alone."""
    return list(SeedMember.objects.filter(delivery_id=delivery.pk).order_by("seed_member_id"))


def offered(actor: Actor) -> QuerySet[SeedMember]:
    """Return the seeds that the actor may copy: active ones that belong to no delivery and no campaign."""
    return SeedMember.objects.filter(
        folder__in=folders.readable_folders(actor),
        active=True,
        delivery_id__isnull=True,
        operation_id__isnull=True,
    ).order_by("label", "seed_member_id")


def add(delivery: Delivery, values: Mapping[str, Any], *, actor: Actor) -> SeedMember:
    """Add one; `values` are label, email, mobilePhone, firstName, lastName, language.

    Raises NotAllowed, Invalid for a value that is none or when there is no address, Conflict as `change`.
    """
    given = {name: value for name, value in values.items() if value}
    if strange := sorted(set(given) - _FIELDS):
        raise Invalid(
            _("A seed address has no property %(name)r that can be set here.") % {"name": strange[0]}
        )
    if not given.get("email") and not given.get("mobilePhone"):
        raise Invalid(_("A seed address needs an e-mail address or a mobile number."))
    with transaction.atomic():
        _changed(delivery, actor)
        values = {**given, "folder-id": Folder.objects.get(name=FOLDER).pk}
        key = writing.write("nms:seedMember", values, actor=internal(), operation="insert").key
        SeedMember.objects.filter(pk=key).update(delivery_id=delivery.pk)
    return SeedMember.objects.get(pk=key)


def copy(delivery: Delivery, ids: Sequence[int], *, actor: Actor) -> int:
    """Copy seeds of `offered` for a delivery, with all they have; returns how many. Raises as `add`."""
    chosen = list(offered(actor).filter(pk__in=ids).values_list("pk", flat=True))
    with transaction.atomic(), connection.cursor() as cursor:
        _changed(delivery, actor)
        cursor.execute(
            """SELECT column_name FROM information_schema.columns
               WHERE table_schema = current_schema() AND table_name = 'nms_seed_member'
                 AND column_name <> ALL(%s) AND is_generated = 'NEVER' ORDER BY ordinal_position""",
            [list(_OWN)],
        )
        columns = ", ".join(quoted(name) for (name,) in cursor.fetchall())
        cursor.execute(
            f"""INSERT INTO nms_seed_member ({columns}, delivery_id, created_at, modified_at)
                SELECT {columns}, %s, %s, %s FROM nms_seed_member
                WHERE seed_member_id = ANY(%s) ORDER BY seed_member_id""",  # noqa: S608 quoted
            [delivery.pk, clock.now(), clock.now(), chosen],
        )
        return cursor.rowcount


def remove(delivery: Delivery, number: int, *, actor: Actor) -> None:
    """Remove a seed of a delivery. Raises NotFound, and as `add`."""
    with transaction.atomic():
        _changed(delivery, actor)
        if not SeedMember.objects.filter(pk=number, delivery_id=delivery.pk).delete()[0]:
            raise NotFound(_("This seed address is not there any more."))


def _changed(delivery: Delivery, actor: Actor) -> None:
    """Check that seeds may change, and let a delivery that is ready be analysed anew."""
    actor.require(Right.PREPARE_DELIVERIES, to=_("prepare deliveries"))
    folders.require(actor, delivery.folder, Access.WRITE)
    if delivery.status not in states.EDITABLE:
        raise Conflict(
            _("%(label)s is %(state)s: it cannot be changed.")
            % {"label": delivery.label, "state": states.spoken(delivery.status.label)}
        )
    if delivery.status is not DeliveryState.EDITING:
        states.move(delivery, DeliveryState.EDITING)
    audit.record(
        actor, "nms:delivery", delivery.internal_name, audit.MODIFIED, delivery.pk, {"changed": ["seeds"]}
    )
