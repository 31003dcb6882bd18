"""Saved views of lists: kept by their owner, offered to others when shared.

Everyone may keep views of what they may read. A shared view is changed by its owner and by administrators.
"""

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from envoi.kernel import audit, clock, registry
from envoi.kernel.errors import Conflict, Invalid, NotAllowed, NotFound
from envoi.kernel.models import SavedView
from envoi.kernel.rights import Actor

ENTITY = "xtk:view"
LONGEST = 64


def offered(schema: str, *, actor: Actor) -> list[SavedView]:
    """Return the actor's own views of a schema and those that others share, by name."""
    mine = Q(owner_id=actor.operator_id) | Q(shared=True)
    return list(SavedView.objects.filter(mine, schema=schema).order_by("name", "view_id"))


def find(number: int, *, actor: Actor) -> SavedView:
    """Return a view that the actor is offered. Raises NotFound."""
    mine = Q(owner_id=actor.operator_id) | Q(shared=True)
    found = SavedView.objects.filter(mine, pk=number).first()
    if found is None:
        raise NotFound(_("There is no such view, or it is not shared with you."))
    return found


def default(schema: str, *, actor: Actor) -> SavedView | None:
    """Return the view with which the actor's list opens, or None."""
    found = SavedView.objects.filter(schema=schema, owner_id=actor.operator_id, is_default=True)
    return found.order_by("-view_id").first()


def save(
    schema: str,
    name: str,
    *,
    actor: Actor,
    columns: Sequence[str],
    filter: Sequence[Any],
    sort: str,
    shared: bool = False,
    opens: bool = False,
) -> SavedView:
    """Keep a view under a name; the actor's own view of that name takes the new content.

    With `opens` the actor's list opens with it. Raises NotFound for an unknown schema, Invalid.
    """
    registry.find(schema)
    values = {
        "columns": list(columns),
        "filter": list(filter),
        "sort": sort,
        "shared": shared,
        "is_default": opens,
        "modified_at": clock.now(),
    }
    with transaction.atomic():
        if opens:
            SavedView.objects.filter(schema=schema, owner_id=actor.operator_id).update(is_default=False)
        view, created = SavedView.objects.update_or_create(
            schema=schema, owner_id=actor.operator_id, name=_name(name), defaults=values
        )
        action = audit.CREATED if created else audit.MODIFIED
        audit.record(actor, ENTITY, view.name, action, view.view_id, {"schema": schema, "shared": shared})
        return view


def rename(number: int, name: str, *, actor: Actor) -> SavedView:
    """Give a view another name. Raises NotFound, NotAllowed, Invalid, Conflict for a name that is taken."""
    with transaction.atomic():
        view = _mine(number, actor)
        old, view.name = view.name, _name(name)
        taken = SavedView.objects.filter(schema=view.schema, owner=view.owner, name=view.name)
        if taken.exclude(pk=view.pk).exists():
            raise Conflict(_("There is a view %(name)s already. Choose another name.") % {"name": view.name})
        view.modified_at = clock.now()
        view.save(update_fields=("name", "modified_at"))
        audit.record(actor, ENTITY, view.name, audit.MODIFIED, view.view_id, {"from": old, "to": view.name})
        return view


def delete(number: int, *, actor: Actor) -> SavedView:
    """Delete a view and return it. Raises NotFound, NotAllowed for somebody else's."""
    with transaction.atomic():
        view = _mine(number, actor)
        audit.record(actor, ENTITY, view.name, audit.DELETED, view.view_id, {"schema": view.schema})
        view.delete()
        return view


def _mine(number: int, actor: Actor) -> SavedView:
    view = find(number, actor=actor)
    if view.owner.pk != actor.operator_id and not actor.is_administrator:
        raise NotAllowed(
            _("The view %(name)s belongs to %(owner)s, who can change it; an administrator can too.")
            % {"name": view.name, "owner": view.owner}
        )
    return view


def _name(name: str) -> str:
    name = name.strip()
    if not name or len(name) > LONGEST or not name.isprintable():
        raise Invalid(_("A view has a name of 1 to %(most)s printable characters.") % {"most": LONGEST})
    return name
