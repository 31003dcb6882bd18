"""The second step of an import: what only a library can bring into its form, in blocks, beside the staging
table.

E-mail addresses of the usual form and codes of countries are dealt with by the merge itself, in SQL; what is
left comes here: phone numbers, unusual addresses, names of countries. A value that has no form stays NULL.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence

from django.db import transaction
from psycopg import sql

from envoi.engine.files import Format
from envoi.kernel.rights import Actor
from envoi.packages.delivery.models import Import, ImportState
from envoi.packages.delivery.models.country import UNSET
from envoi.packages.delivery.services import normalise
from envoi.packages.delivery.services.imports import checkpoint, phones, tables
from envoi.packages.delivery.services.imports.plan import Plan, Sink, Treatment, sinks
from envoi.packages.delivery.services.imports.tables import I, S

LINES = 50_000
USUAL = (
    "^[a-z0-9_+-]+([.][a-z0-9_+-]+)*@([a-z0-9]([a-z0-9-]*[a-z0-9])?[.])+[a-z]{2,24}$"  # a POSIX expression
)
"""Addresses, in small letters, that need no closer look."""
SHORT = 64
"""Characters up to which no part of an address can be too long."""


def clean(job: Import, carry_on: Callable[[], None], *, actor: Actor) -> None:
    """Bring into their form what is not yet, and find the lines with the same key. Goes on where it was."""
    plan = Plan.from_json(job.plan)
    columns = Format.from_json(job.format).columns
    found = sinks(plan, job.schema, len(columns))
    slow = [each for each in found if each.treatment is not Treatment.NONE]
    if slow:
        if job.cleaned_line == 0:
            with transaction.atomic():
                tables.make_values(job, [each.raw for each in slow])
                checkpoint.move(job, ImportState.CLEANING)
        known = normalise.countries()
        while job.cleaned_line < job.last_line:
            carry_on()
            with transaction.atomic():
                upto = min(job.cleaned_line + LINES, job.last_line)
                _block(job, plan, found, slow, known, upto, actor=actor)
                checkpoint.move(job, ImportState.CLEANING, cleaned_line=upto)
        with transaction.atomic():
            tables.run(S("CREATE INDEX ON {} USING brin (line)").format(I(tables.values(job))))
            tables.run(S("ANALYZE {} (line)").format(I(tables.values(job))))


def clean_once(job: Import, plan: Plan, found: Sequence[Sink], *, actor: Actor) -> None:
    """Bring the few rows of a preview into their form, in the caller's transaction."""
    slow = [each for each in found if each.treatment is not Treatment.NONE]
    if slow:
        tables.make_values(job, [each.raw for each in slow])
        _block(job, plan, found, slow, normalise.countries(), job.last_line, actor=actor)


def usual(allowed: str) -> str:
    """Return the pattern of addresses that need no closer look, in small letters and of at most `SHORT`
    characters; one that nothing matches when the option forbids a character of it.
    """
    known = "0123456789abcdefghijklmnopqrstuvwxyz._+-"
    return USUAL if normalise.email_or_none(f"a{known}a@example.org", allowed) else "^$"


def _block(
    job: Import,
    plan: Plan,
    every: Sequence[Sink],
    slow: Sequence[Sink],
    known: Mapping[str, str],
    upto: int,
    *,
    actor: Actor,
) -> None:
    allowed = normalise.characters(actor=actor)
    region = plan.region or normalise.region(actor=actor)
    codes = sorted({*known.values(), UNSET})
    country = next((each.raw for each in every if each.treatment is Treatment.COUNTRY), None)
    wanted = [_unsettled(each, usual(allowed), codes) for each in slow]
    statement = S("SELECT line, {}, {} FROM {} WHERE line > {} AND line <= {}").format(
        I(country) if country else S("NULL"),
        S(", ").join(wanted),
        I(job.staging),
        job.cleaned_line,
        upto,
    )
    with tables.cursor() as at:
        rows = at.execute(statement).fetchall()
    names = S(", ").join(I(each.raw) for each in slow)
    into = S("COPY {} (line, {}) FROM STDIN").format(I(tables.values(job)), names)
    treatments = [each.treatment for each in slow]
    with tables.cursor() as at, at.copy(into) as copy:
        for line, place, *texts in rows:
            if not any(texts):
                continue
            home = (known.get(normalise.folded(place)) if place else None) or region
            cleaned = (
                None if text is None else _cleaned(text, treatment, home, allowed, known)
                for text, treatment in zip(texts, treatments, strict=True)
            )
            copy.write_row((line, *cleaned))


def _unsettled(sink: Sink, pattern: str, codes: Sequence[str]) -> sql.Composable:
    """SQL of a cell that SQL cannot settle, NULL where it can."""
    cell = S("nullif(btrim({}), '')").format(I(sink.raw))
    match sink.treatment:
        case Treatment.EMAIL:
            settled = S("lower({0}) ~ {1} AND length({0}) <= {2}").format(cell, pattern, SHORT)
        case Treatment.COUNTRY:
            settled = S("upper({}) = ANY({})").format(cell, list(codes))
        case _:
            return cell
    return S("CASE WHEN ({}) IS NOT TRUE THEN {} END").format(settled, cell)


def _cleaned(
    text: str, treatment: Treatment, region: str, allowed: str, known: Mapping[str, str]
) -> str | None:
    match treatment:
        case Treatment.PHONE:
            plain = text if text.isascii() else unicodedata.normalize("NFKC", text)
            return phones.e164(plain.strip(), region)
        case Treatment.EMAIL:
            return normalise.email_or_none(text, allowed)
        case _:
            return known.get(normalise.folded(text))
