"""Queries that somebody waits for: bounded in time, read only, and each cancels the one before it.

The connection bears a name while such a query runs (`envoi ask 12 3f9c…`: operator and editor). By it the
next request of the same editor, or the button *Stop*, finds and cancels it, whichever process serves it.
After the transaction the connection has its own name again.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

from django.db import OperationalError, connection, transaction
from django.utils.translation import gettext as _
from psycopg import errors

from envoi.kernel.errors import Conflict, Invalid
from envoi.kernel.query import QueryDef, Result, compile, count, run
from envoi.kernel.registry import Registry
from envoi.kernel.rights import Actor

Found = TypeVar("Found")


class TookTooLong(Conflict):
    """The query was given up after its time."""


ESTIMATE_SECONDS, PREVIEW_SECONDS, COUNT_SECONDS = 5, 15, 120
AT_ONCE_SECONDS = 0.4
"""For so long a small number is counted before an estimate has to do."""
ROWS = 100
CHEAP = 20_000
"""Up to this cost, in PostgreSQL's units, it is worth trying: reading the pages of some 100,000 profiles."""
COUNTED = 10_000
"""Up to so many rows a number is exact."""


@dataclass(frozen=True)
class Asker:
    """Who asks: an operator in one editor."""

    actor: Actor
    key: str
    zone: str = "UTC"

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_-]{0,40}", self.key):
            raise Invalid(_("This editor has no usable key. Load the page again."))

    @property
    def mark(self) -> str:
        """Name of the connection while a query of this editor runs."""
        return f"envoi ask {self.actor.operator_id} {self.key}"


@dataclass(frozen=True)
class Number:
    """How many rows there are. `exact` is False for an estimate, and for "more than"."""

    rows: int
    exact: bool = True


def about(definition: QueryDef, asker: Asker) -> Number:
    """Return how many rows a query gives: counted when they are few and quickly found, else estimated."""
    guess, cost = _ask(asker, ESTIMATE_SECONDS, lambda: _planned(definition, asker))
    if guess > COUNTED or cost > CHEAP:
        return Number(guess, exact=False)
    few = replace(definition, line_count=COUNTED + 1)
    try:
        found = _ask(asker, AT_ONCE_SECONDS, lambda: count(few, actor=asker.actor, zone=asker.zone))
    except TookTooLong:
        return Number(guess, exact=False)
    return Number(found) if found <= COUNTED else Number(max(guess, found), exact=False)


def _planned(definition: QueryDef, asker: Asker) -> tuple[int, float]:
    """Return about how many rows a query gives, and what all of them would cost, as PostgreSQL thinks."""
    whole = replace(definition, order_by=(), start_line=0, line_count=2**31)
    compiled = compile(whole, actor=asker.actor, zone=asker.zone)
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {compiled.sql}", dict(compiled.params))
        (found,) = cursor.fetchone() or ("[]",)
    plan = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
    return int(plan["Plan Rows"]), float(plan["Total Cost"])


def exactly(definition: QueryDef, asker: Asker) -> int:
    """Return how many rows a query gives. Raises Conflict when it is stopped or takes too long."""
    return _ask(asker, COUNT_SECONDS, lambda: count(definition, actor=asker.actor, zone=asker.zone))


def first(definition: QueryDef, asker: Asker, *, within: Registry | None = None) -> Result:
    """Return the first rows of a query, at most `ROWS`. Raises Conflict when it is stopped or too long."""
    few = replace(definition, line_count=min(definition.line_count or ROWS, ROWS))
    return _ask(asker, PREVIEW_SECONDS, lambda: run(few, actor=asker.actor, zone=asker.zone, within=within))


def stop(asker: Asker) -> bool:
    """Cancel what the editor waits for; return whether there was anything."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT bool_or(pg_cancel_backend(pid)) FROM pg_stat_activity
               WHERE datname = current_database() AND application_name = %s
                 AND state = 'active' AND pid <> pg_backend_pid()""",
            [asker.mark],
        )
        (found,) = cursor.fetchone() or (None,)
        return bool(found)


def _ask(asker: Asker, seconds: float, query: Callable[[], Found]) -> Found:
    if asker.key:
        stop(asker)
    try:
        with _bounded(asker, seconds):
            return query()
    except OperationalError as error:
        if isinstance(error.__cause__, errors.QueryCanceled):
            if "statement timeout" in str(error):
                raise TookTooLong(
                    _("It took longer than %(n)d seconds and was given up. Narrow the conditions.")
                    % {"n": seconds}
                ) from error
            raise Conflict(_("It was stopped.")) from error
        raise


@contextmanager
def _bounded(asker: Asker, seconds: float) -> Iterator[None]:
    with transaction.atomic():
        with connection.cursor() as cursor:
            # All three hold for this transaction alone.
            cursor.execute(
                """SELECT set_config('transaction_read_only', 'on', true),
                          set_config('statement_timeout', %s, true),
                          set_config('application_name', %s, true)""",
                [f"{round(seconds * 1000)}ms", asker.mark],
            )
        try:
            yield
        finally:
            # Nothing was written. A rollback takes the bounds away, also inside of a caller's transaction.
            transaction.set_rollback(True)
