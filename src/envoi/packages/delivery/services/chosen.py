"""Which rows a service is to work on: ids in hand, or those of a work table; both are one SQL source."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db import connection

from envoi.kernel import folders
from envoi.kernel.folders import Access
from envoi.kernel.query.scope import quoted
from envoi.kernel.rights import Actor


@dataclass(frozen=True)
class Chosen:
    """A query of ids, `SELECT id …`, with its parameters. Each id stands in it once."""

    sql: str
    params: tuple[Any, ...] = ()
    checked: bool = True
    """The ids are known to be those of rows: they were selected, not typed."""

    def count(self) -> int:
        """Return how many ids there are."""
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM ({self.sql}) AS chosen", self.params)  # noqa: S608 quoted
            row = cursor.fetchone()
        return int(row[0]) if row else 0


def ids(given: Iterable[int]) -> Chosen:
    """Choose these ids."""
    return Chosen("SELECT DISTINCT id FROM unnest(%s::bigint[]) AS given (id)", (sorted(set(given)),), False)


def table(name: str) -> Chosen:
    """Choose the column `id` of a work table, of which it is the key."""
    return Chosen(f"SELECT id FROM {quoted(name)}")  # noqa: S608 quoted


def recipients(chosen: Chosen, actor: Actor, access: Access) -> Chosen:
    """Return those of the ids that are recipients in folders where the actor has `access`."""
    if chosen.checked and actor.is_administrator and actor.root_path == "/":
        return chosen
    allowed = folders.allowed(actor, access)
    return Chosen(
        f"SELECT recipient.recipient_id AS id FROM ({chosen.sql}) AS asked "  # noqa: S608 quoted
        "JOIN nms_recipient recipient ON recipient.recipient_id = asked.id "
        f"WHERE recipient.folder_id IN ({allowed.sql})",
        (*chosen.params, *allowed.params),
    )
