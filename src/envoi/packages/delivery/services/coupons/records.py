"""Coupons as records. Whoever changes them has PREPARE DELIVERIES and may write in their folder."""

import re
from datetime import datetime

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from envoi.kernel import audit, clock, folders
from envoi.kernel.errors import Conflict, Invalid, NotFound
from envoi.kernel.folders import Access
from envoi.kernel.models import Folder
from envoi.kernel.query.scope import quoted
from envoi.kernel.rights import Actor, Right
from envoi.packages.delivery.models import Coupon, CouponType, Delivery

ENTITY = "nms:coupon"
_NAME = re.compile(r"^[A-Za-z_][\w-]{0,63}$", re.ASCII)


def visible(actor: Actor) -> QuerySet[Coupon]:
    """Return the coupons that the actor sees."""
    return Coupon.objects.filter(folder_id__in=folders.readable(actor).queryset()).select_related("folder")


def find(number: int, *, actor: Actor) -> Coupon:
    """Return a coupon. Raises NotFound."""
    found = visible(actor).filter(pk=number).first()
    if found is None:
        raise NotFound(_("This coupon is not there any more, or you have no right to see it."))
    return found


def create(
    name: str,
    *,
    actor: Actor,
    folder: Folder,
    label: str = "",
    type: CouponType = CouponType.ANONYMOUS,
    value: str = "",
    start: datetime | None = None,
    end: datetime | None = None,
) -> Coupon:
    """Make a coupon. Raises Invalid, Conflict for a name that is taken, NotAllowed."""
    require(actor, folder)
    if not _NAME.match(name):
        raise Invalid(
            _("%(name)r is no internal name: letters, digits, _ and -, at most 64.") % {"name": name}
        )
    if type is CouponType.ANONYMOUS and not 0 < len(value.strip()) <= 128:
        raise Invalid(_("A coupon for everybody needs its value, of at most 128 characters."))
    if start is not None and end is not None and end <= start:
        raise Invalid(_("A coupon must end after it begins."))
    now = clock.now()
    with transaction.atomic(), connection.cursor() as cursor:
        if Coupon.objects.filter(name=name).exists():
            raise Conflict(_("There is a coupon %(name)r already.") % {"name": name})
        made = Coupon.objects.create(
            name=name,
            label=(label.strip() or name)[:128],
            folder=folder,
            type=type,
            value=value.strip() if type is CouponType.ANONYMOUS else "",
            start_date=start,
            end_date=end,
            created_at=now,
            modified_at=now,
        )
        if type is CouponType.INDIVIDUAL:
            of = quoted(table(made.pk))
            cursor.execute(f"CREATE TABLE {of} PARTITION OF nms_coupon_value FOR VALUES IN ({made.pk})")
        audit.record(actor, ENTITY, made.name, audit.CREATED, made.pk)
    return made


def delete(coupon: Coupon, *, actor: Actor) -> None:
    """Delete a coupon with its values. Raises Conflict while a delivery names it, NotAllowed."""
    require(actor, coupon.folder)
    with transaction.atomic(), connection.cursor() as cursor:
        using = Delivery.objects.filter(content__coupon=coupon.pk, delete_status=0).first()
        if using is not None:
            raise Conflict(
                _("%(label)s shows this coupon: take it away there first.") % {"label": using.label}
            )
        cursor.execute(f"DROP TABLE IF EXISTS {quoted(table(coupon.pk))}")
        audit.record(actor, ENTITY, coupon.name, audit.DELETED, coupon.pk)
        coupon.delete()


def purge(*, actor: Actor, ended_before: datetime) -> int:
    """Delete coupons that ended before a date and that no delivery names any more; returns how many. Safe to
    run at any time. Raises NotAllowed without ADMINISTRATION.
    """
    actor.require(Right.ADMINISTRATION, to=_("clean up coupons"))
    gone = 0
    for coupon in Coupon.objects.filter(end_date__lt=ended_before).order_by("pk"):
        if not Delivery.objects.filter(content__coupon=coupon.pk, delete_status=0).exists():
            delete(coupon, actor=actor)
            gone += 1
    return gone


def table(number: int) -> str:
    """Return the name of the table with the values of an individual coupon."""
    return f"nms_coupon_value_{number}"


def require(actor: Actor, folder: Folder) -> None:
    """Raise NotAllowed for whoever may not change coupons of a folder."""
    actor.require(Right.PREPARE_DELIVERIES, to=_("prepare deliveries"))
    folders.require(actor, folder, Access.WRITE)
