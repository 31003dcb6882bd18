"""Values of individual coupons: imported or generated, counted."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext as _

from envoi.kernel.big_tables import reserve_ids
from envoi.kernel.errors import Conflict, Invalid
from envoi.kernel.rights import Actor
from envoi.packages.delivery.models import Coupon, CouponType
from envoi.packages.delivery.services.coupons import records

MOST = 1_000_000
"""Values that are added at once."""
LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Without those that are taken for one another."""
LENGTH = 12


@dataclass(frozen=True)
class Counts:
    """Values of a coupon, and how many no message has."""

    every: int
    free: int


def add(coupon: Coupon, lines: Iterable[str], *, actor: Actor) -> tuple[int, int]:
    """Add values, one a line; returns how many are new, and how many were there or came twice.

    Raises Conflict for a coupon with one value, Invalid for a value that is too long or too many, NotAllowed.
    """
    records.require(actor, coupon.folder)
    if CouponType(coupon.type) is not CouponType.INDIVIDUAL:
        raise Conflict(_("%(label)s has one value for everybody.") % {"label": coupon.label})
    given = 0
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE coming (value text NOT NULL) ON COMMIT DROP")
        raw: Any = cursor
        with raw.copy("COPY coming (value) FROM STDIN") as copy:
            for line in lines:
                value = line.strip()
                if not value:
                    continue
                given += 1
                if len(value) > 128 or not value.isprintable():
                    raise Invalid(
                        _("Value %(number)d is longer than 128 characters, or none.") % {"number": given}
                    )
                if given > MOST:
                    raise Invalid(_("At most %(most)d values are added at once.") % {"most": MOST})
                copy.write_row((value,))
        number, blocks = reserve_ids(given).in_block("n")
        cursor.execute(
            f"""INSERT INTO nms_coupon_value (id, coupon_id, value)
                SELECT {number}, %s, value FROM (SELECT value, row_number() OVER () AS n
                  FROM (SELECT DISTINCT value FROM coming) AS d) AS numbered
                ON CONFLICT (coupon_id, value) DO NOTHING""",  # noqa: S608 of ours
            [*blocks, coupon.pk],
        )
        new = cursor.rowcount
        cursor.execute("DROP TABLE coming")
    return new, given - new


def generate(coupon: Coupon, count: int, *, actor: Actor, prefix: str = "") -> int:
    """Add values that nobody can guess; returns how many. Raises as `add`."""
    if not 0 < count <= MOST:
        raise Invalid(_("At most %(most)d values are added at once.") % {"most": MOST})
    made = (prefix + "".join(secrets.choice(LETTERS) for _letter in range(LENGTH)) for _value in range(count))
    return add(coupon, made, actor=actor)[0]


def counts(coupon: Coupon) -> Counts:
    """Return how many values there are, and how many are free."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT count(*), count(*) FILTER (WHERE broad_log_id IS NULL) FROM nms_coupon_value
               WHERE coupon_id = %s""",
            [coupon.pk],
        )
        every, free = cursor.fetchone() or (0, 0)
    return Counts(int(every), int(free))
