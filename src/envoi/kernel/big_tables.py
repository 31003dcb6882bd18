"""Big tables (architecture §2.5): their names, and ids for them, reserved in blocks before a mass statement.

A big table has a bigint `id` that is never an identity column: on a distributed database a sequence inside a
mass statement would pull every row to one host. All big tables share one sequence that hands out blocks of
`BLOCK` ids, so an id names one row of one table.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from django.db import connection

DISTRIBUTED_BY: dict[str, str] = {
    "nms_recipient": "recipient_id",
    "nms_rcp_grp_rel": "recipient_id",
    "nms_subscription": "recipient_id",
    "nms_sub_histo": "recipient_id",
    "nms_consent": "recipient_id",
    "nms_broad_log_rcp": "target_id",
    "nms_excl_log_rcp": "target_id",
    "nms_forecast_log_rcp": "target_id",
    "nms_tracking_log_rcp": "target_id",
    "nms_web_tracking_log": "target_id",
    "nms_proposition_rcp": "recipient_id",
    "nms_coupon_value": "coupon_id",
}
"""The column that a distributed database places the rows of a big table by. It stands in each of its keys."""
BIG_TABLES = frozenset(DISTRIBUTED_BY)
SEQUENCE = "xtk_big_id"
BLOCK = 1000


@dataclass(frozen=True)
class Ids:
    """Ids reserved for `count` rows. They need not follow one another: each block of `BLOCK` does."""

    count: int
    blocks: tuple[int, ...]
    """First id of each block."""

    def __iter__(self) -> Iterator[int]:
        """Yield the ids in rising order."""
        for index in range(self.count):
            yield self.blocks[index // BLOCK] + index % BLOCK

    def __len__(self) -> int:
        return self.count

    def in_block(self, number: str) -> tuple[str, list[list[int]]]:
        """Return SQL, with its parameters, for the id of row `number` (an SQL expression that counts from 1).

        `INSERT … SELECT <sql>, … FROM (SELECT row_number() OVER () AS n, …)` with `number="n"`.
        """
        row = f"(({number}) - 1)"
        return f"((%s::bigint[])[1 + {row} / {BLOCK}] + mod({row}, {BLOCK}))", [list(self.blocks)]


def reserve_ids(count: int) -> Ids:
    """Reserve ids for `count` rows. Never handed out again, not even when the transaction rolls back."""
    if count < 0:
        raise ValueError(f"cannot reserve {count} ids")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT nextval(%s::regclass) FROM generate_series(1, %s) ORDER BY 1",
            (SEQUENCE, -(-count // BLOCK)),
        )
        return Ids(count, tuple(first for (first,) in cursor.fetchall()))
