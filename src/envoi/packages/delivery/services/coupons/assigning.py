"""Values of a coupon come to the messages of an analysis: one each, none twice, none to seeds and proofs."""

from typing import Any

from django.db import connection
from django.utils.translation import gettext as _

from envoi.kernel import clock
from envoi.kernel.errors import Invalid
from envoi.kernel.query.scope import quoted
from envoi.packages.delivery.models import (
    Coupon,
    CouponType,
    Delivery,
    DeliveryRun,
    Flag,
    JobLog,
    MessageStatus,
)
from envoi.packages.delivery.services import log_tables

SAMPLE = "SAMPLE-0000"
"""What seeds, proofs and previews show in place of a value that is worth something."""


def shown(number: int) -> dict[str, Any]:
    """Return what templates see of a coupon where no message has a value of its own."""
    coupon = Coupon.objects.filter(pk=number).first() if number else None
    if coupon is None:
        return {}
    anonymous = CouponType(coupon.type) is CouponType.ANONYMOUS
    return {"value": coupon.value if anonymous else SAMPLE}


def assign(run: DeliveryRun, delivery: Delivery, number: int) -> int | None:
    """Give each message of a run a value, in the caller's transaction; safe to repeat. Returns the coupon
    whose values were given; None for one with a value for everybody, and of a proof.

    Raises Invalid when there is no coupon, when it is not valid, or has too few values.
    """
    coupon = Coupon.objects.filter(pk=number).first() if number else None
    if coupon is None:
        raise Invalid(_("The content shows a coupon, and none is chosen: choose it below the content."))
    when = max(delivery.contact_date or clock.now(), clock.now())
    if coupon.end_date is not None and coupon.end_date <= when:
        raise Invalid(_("The coupon %(label)s has ended: choose another one.") % {"label": coupon.label})
    if CouponType(coupon.type) is CouponType.ANONYMOUS or delivery.fcp:
        return None
    release(run)
    log = quoted(log_tables.table("broad_log", run.storage))
    chosen = f"run_id = %(run)s AND status = {int(MessageStatus.PENDING)} AND flags & {int(Flag.SEED)} = 0"
    params = {"run": run.pk, "coupon": coupon.pk, "delivery": delivery.pk, "now": clock.now()}
    with connection.cursor() as cursor:
        # Two analyses at once would take the same values.
        cursor.execute("SELECT 1 FROM nms_coupon WHERE coupon_id = %(coupon)s FOR UPDATE", params)
        cursor.execute(
            f"""WITH message AS (
                  SELECT id, row_number() OVER (ORDER BY id) AS n FROM {log} WHERE {chosen}),
                free AS (
                  SELECT id, row_number() OVER (ORDER BY id) AS n FROM nms_coupon_value
                  WHERE coupon_id = %(coupon)s AND broad_log_id IS NULL
                  ORDER BY id LIMIT (SELECT count(*) FROM message)),
                given AS (
                  UPDATE nms_coupon_value v SET broad_log_id = m.id, run_id = %(run)s,
                    delivery_id = %(delivery)s, assigned_at = %(now)s
                  FROM free f JOIN message m ON m.n = f.n WHERE v.coupon_id = %(coupon)s AND v.id = f.id
                  RETURNING 1)
                SELECT (SELECT count(*) FROM message), (SELECT count(*) FROM given)""",  # noqa: S608 quoted
            params,
        )
        messages, given = cursor.fetchone() or (0, 0)
    if given < messages:
        raise Invalid(
            _("The coupon %(label)s has %(free)d free values for %(count)d messages: add %(missing)d more.")
            % {"label": coupon.label, "free": given, "count": messages, "missing": messages - given}
        )
    return coupon.pk


def release(run: DeliveryRun) -> None:
    """Free the values of an analysis that nobody has confirmed, in the caller's transaction."""
    if JobLog.objects.filter(run=run, code="confirmed").exists():
        return
    with connection.cursor() as cursor:
        cursor.execute(
            """UPDATE nms_coupon_value SET broad_log_id = NULL, run_id = NULL, delivery_id = NULL,
                 assigned_at = NULL WHERE run_id = %s""",
            [run.pk],
        )
