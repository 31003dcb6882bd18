"""Options under their product names (engine.md §8.8): read by all, written by administrators.

Values are typed; time spans (`…PurgeDelay`) are whole seconds. Nothing is cached: another process may have
changed an option a moment ago.
"""

import difflib
from datetime import date, datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from envoi.kernel import audit, clock
from envoi.kernel.errors import Conflict, Invalid, NotFound
from envoi.kernel.models import Operator, Option
from envoi.kernel.models.option import DataType, OptionValue
from envoi.kernel.rights import Actor, Right

ENTITY = "xtk:option"
LONGEST_NAME = 128
_REQUIRED: Any = object()
_TEXTS = (DataType.STRING, DataType.MEMO)


def get(name: str, *, actor: Actor, default: OptionValue = _REQUIRED) -> OptionValue:
    """Return the value of an option in its Python type; seconds for a time span, None for a time never set.

    Raises NotFound, naming the nearest known option, unless a `default` says what an absent one means.
    """
    option = Option.objects.filter(name=name).first()
    if option is not None:
        return option.value
    if default is _REQUIRED:
        raise _unknown(name)
    return default


def describe(name: str, *, actor: Actor) -> Option:
    """Return an option with its type and description. Raises NotFound, naming the nearest known option."""
    option = Option.objects.filter(name=name).first()
    if option is None:
        raise _unknown(name)
    return option


def list_all(*, actor: Actor) -> list[Option]:
    """Return every option, by name."""
    return list(Option.objects.order_by("name"))


def set(
    name: str,
    value: object,
    *,
    actor: Actor,
    data_type: DataType | None = None,
    description: str | None = None,
) -> Option:
    """Set an option, from its Python type or a text; write it to the audit trail when that changes something.

    An unknown option is created only when a `data_type` is given. The trail keeps old and new value of
    numbers, times and switches; texts may hold a secret, so of them only that they changed. Raises NotAllowed
    without ADMINISTRATION, NotFound, Invalid when the value does not fit the type, Conflict when the option
    has another type than the one given.
    """
    actor.require(Right.ADMINISTRATION, to=_("set the option %(name)s") % {"name": name})
    with transaction.atomic():
        option = Option.objects.select_for_update().filter(name=name).first()
        if option is None:
            if data_type is None:
                raise _unknown(name)
            _check_name(name)
            option, before = Option(name=name, data_type=data_type), None
        else:
            before = option.value
            if data_type is not None and data_type is not DataType(option.data_type):
                kind = DataType(option.data_type).label
                raise Conflict(
                    _("Option %(name)s is a %(kind)s, not a %(data_type)s. Delete it first.")
                    % {"name": name, "kind": kind, "data_type": data_type.label}
                )
        new = option.pk is None
        option.put(value)
        if not new and option.value == before and description in (None, option.description):
            return option
        if description is not None:
            option.description = description
        option.modified_at = clock.now()
        option.modified_by = Operator.objects.filter(pk=actor.operator_id).first()
        option.save()
        detail = (
            {}
            if DataType(option.data_type) in _TEXTS
            else {"from": _plain(before), "to": _plain(option.value)}
        )
        action = audit.CREATED if new else audit.MODIFIED
        audit.record(actor, ENTITY, name, action, option.option_id, detail)
        return option


def delete(name: str, *, actor: Actor) -> None:
    """Delete an option; one that a package shipped does not come back. Raises NotAllowed or NotFound."""
    actor.require(Right.ADMINISTRATION, to=_("delete the option %(name)s") % {"name": name})
    with transaction.atomic():
        option = describe(name, actor=actor)
        audit.record(actor, ENTITY, name, audit.DELETED, option.option_id)
        option.delete()


def _check_name(name: str) -> None:
    if not name or len(name) > LONGEST_NAME or not name.isprintable() or name != name.strip():
        raise Invalid(
            _("%(name)r cannot name an option: 1 to %(longest_name)s printable characters are needed.")
            % {"name": name, "longest_name": LONGEST_NAME}
        )


def _unknown(name: str) -> NotFound:
    known = list(Option.objects.values_list("name", flat=True))
    by_folded = {each.lower(): each for each in known}
    close = difflib.get_close_matches(name.lower(), list(by_folded), n=1, cutoff=0.5)
    hint = f" Did you mean {by_folded[close[0]]}?" if close else ""
    return NotFound(_("There is no option %(name)r.%(hint)s") % {"name": name, "hint": hint})


def _plain(value: OptionValue) -> object:
    return value.isoformat() if isinstance(value, (date, datetime)) else value
