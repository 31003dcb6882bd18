"""Indicators of an instance's own: one SELECT that gives one number (engine.md §8.3).

It runs as the read-only role, in a read-only transaction, for a few seconds at most. Only administrators
write them; changes are in the audit trail.
"""

import math
import re
from decimal import Decimal
from typing import Any, LiteralString, cast

import psycopg
from django.conf import settings
from django.db import connection, transaction
from django.utils.translation import gettext as _

from envoi.kernel import audit, clock
from envoi.kernel.errors import Conflict, Invalid, NotFound
from envoi.kernel.measures import Indicator
from envoi.kernel.models import CustomIndicator
from envoi.kernel.rights import Actor, Right

ENTITY = "xtk:indicator"
PATIENCE_MS = 3000
"""Longer than this no indicator may take."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_TO = "change indicators"
_FIELDS = ("label", "sql", "unit", "warning", "alert", "maximum")


def create(
    name: str,
    sql: str,
    *,
    actor: Actor,
    label: str = "",
    unit: str = "",
    warning: float | None = None,
    alert: float | None = None,
    maximum: float | None = None,
) -> CustomIndicator:
    """Store an indicator, having tried its statement.

    Raises NotAllowed without ADMINISTRATION, Conflict when the name is taken, Invalid for a name, statement
    or limit that cannot be used.
    """
    actor.require(Right.ADMINISTRATION, to=_(_TO))
    if not _NAME.fullmatch(name):
        raise Invalid(
            _("%(name)r cannot name an indicator: letters, digits and _ only, 64 at most.") % {"name": name}
        )
    now = clock.now()
    found = CustomIndicator(
        name=name, sql=sql, label=label, unit=unit, warning=warning, alert=alert, maximum=maximum,
        created_at=now, modified_at=now,
    )  # fmt: skip
    _check(found)
    with transaction.atomic():
        if CustomIndicator.objects.filter(name=name).exists():
            raise Conflict(
                _("There is an indicator %(name)s already. Choose another name, or change that one.")
                % {"name": name}
            )
        found.save(force_insert=True)
        audit.record(actor, ENTITY, name, audit.CREATED, found.pk, {"sql": sql})
    return found


def update(name: str, *, actor: Actor, **changes: Any) -> CustomIndicator:
    """Change `label`, `sql`, `unit`, `warning`, `alert`, `maximum`. Raises as `create` does, or NotFound."""
    actor.require(Right.ADMINISTRATION, to=_(_TO))
    unknown = sorted(set(changes) - set(_FIELDS))
    if unknown:
        raise Invalid(
            _("An indicator has no %(names)s; it has %(known)s.")
            % {"names": ", ".join(unknown), "known": ", ".join(_FIELDS)}
        )
    with transaction.atomic():
        found = _locked(name)
        for field, value in changes.items():
            setattr(found, field, value)
        _check(found)
        found.modified_at = clock.now()
        found.save()
        detail = {field: changes[field] for field in sorted(changes)}
        audit.record(actor, ENTITY, name, audit.MODIFIED, found.pk, detail)
    return found


def attempt(name: str, *, actor: Actor, **values: Any) -> Indicator:
    """Measure an indicator as it would be, storing nothing. `values` and errors are those of `create`."""
    actor.require(Right.ADMINISTRATION, to=_(_TO))
    found = CustomIndicator(name=name, **values)
    _check_limits(found)
    return _indicator(found, _value(found))


def delete(name: str, *, actor: Actor) -> None:
    """Delete an indicator. Raises NotAllowed or NotFound."""
    actor.require(Right.ADMINISTRATION, to=_(_TO))
    with transaction.atomic():
        found = _locked(name)
        audit.record(actor, ENTITY, name, audit.DELETED, found.pk, {"sql": found.sql})
        found.delete()


def list_all(*, actor: Actor) -> list[CustomIndicator]:
    """Return the stored indicators, by name. Raises NotAllowed without ADMINISTRATION."""
    actor.require(Right.ADMINISTRATION, to=_("see how indicators are made"))
    return list(CustomIndicator.objects.order_by("name"))


def measure_all(*, actor: Actor) -> list[Indicator]:
    """Measure all of them; one that fails says why. Raises NotAllowed without WORKFLOW."""
    actor.require(Right.WORKFLOW, to=_("see the indicators"))
    return [_measured(each) for each in CustomIndicator.objects.order_by("name")]


def _measured(stored: CustomIndicator) -> Indicator:
    value, problem = None, ""
    try:
        value = _value(stored)
    except Invalid as error:
        problem = str(error)
    return _indicator(stored, value, problem)


def _indicator(stored: CustomIndicator, value: float | None, problem: str = "") -> Indicator:
    return Indicator(
        name=stored.name,
        label=stored.label or stored.name,
        value=value,
        unit=stored.unit,
        warning=stored.warning,
        alert=stored.alert,
        maximum=stored.maximum,
        custom=True,
        problem=problem,
    )


def _value(stored: CustomIndicator) -> float:
    """Return the number that the statement gives. Raises Invalid, naming the indicator and what is wrong."""
    try:
        with psycopg.connect(_reader(), application_name="envoi indicator", connect_timeout=5) as session:
            session.read_only = True
            session.execute("SELECT set_config('statement_timeout', %s, true)", (str(PATIENCE_MS),))
            # Of a prepared statement the server takes one only.
            found = session.execute(cast("LiteralString", stored.sql), prepare=True)
            rows = found.fetchmany(2)
    except psycopg.errors.QueryCanceled as error:
        raise Invalid(
            _("Indicator %(name)s takes longer than %(seconds)s s.")
            % {"name": stored.name, "seconds": PATIENCE_MS // 1000}
        ) from error
    except psycopg.Error as error:
        reason = error.diag.message_primary or str(error).strip()
        raise Invalid(
            _("Indicator %(name)s: %(reason)s") % {"name": stored.name, "reason": reason}
        ) from error
    if len(rows) != 1 or len(rows[0]) != 1:
        raise Invalid(_("Indicator %(name)s must give one row with one column.") % {"name": stored.name})
    (value,) = rows[0]
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)) or not math.isfinite(value):
        raise Invalid(
            _("Indicator %(name)s must give a number, not %(value)r.") % {"name": stored.name, "value": value}
        )
    return float(value)


def _reader() -> str:
    """Return how to reach this process's database as the role that cannot write."""
    return settings.ENVOI.lease.dsn("envoi_read", dbname=str(connection.settings_dict["NAME"]))


def _check(found: CustomIndicator) -> None:
    _check_limits(found)
    _value(found)


def _check_limits(found: CustomIndicator) -> None:
    for field, longest in (("label", 128), ("unit", 16)):
        if len(getattr(found, field)) > longest:
            raise Invalid(
                _("Indicator %(name)s: %(field)s has %(longest)s characters at most.")
                % {"name": found.name, "field": field, "longest": longest}
            )
    for field in ("warning", "alert", "maximum"):
        limit = getattr(found, field)
        if limit is not None and (isinstance(limit, bool) or not math.isfinite(limit)):
            raise Invalid(
                _("Indicator %(name)s: %(field)s must be a number, or left out.")
                % {"name": found.name, "field": field}
            )
    if found.warning is not None and found.alert is not None and found.warning > found.alert:
        raise Invalid(
            _("Indicator %(name)s: the warning comes at or before the alert.") % {"name": found.name}
        )


def _locked(name: str) -> CustomIndicator:
    found = CustomIndicator.objects.select_for_update().filter(name=name).first()
    if found is None:
        raise NotFound(_("There is no indicator %(name)r.") % {"name": name})
    return found
