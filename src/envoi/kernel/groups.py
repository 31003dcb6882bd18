"""Groups of operators: who shares rights, is told together and approves together (delivery.md §1.5)."""

from collections.abc import Iterable

from django.db import transaction
from django.utils.translation import gettext as _

from envoi.kernel import audit, locks
from envoi.kernel.errors import Conflict, Invalid, NotFound
from envoi.kernel.models import Group, NamedRight
from envoi.kernel.operators import administrators_stay, known_rights
from envoi.kernel.rights import Actor, Right

ENTITY = "xtk:opGroup"


def find(name: str) -> Group:
    """Return the group called `name`. Raises NotFound."""
    group = Group.objects.filter(name=name).first()
    if group is None:
        raise NotFound(_("There is no group %(name)r.") % {"name": name})
    return group


def create(name: str, *, actor: Actor, label: str = "", rights: Iterable[Right | str] = ()) -> Group:
    """Create a group. Raises NotAllowed without ADMINISTRATION, Conflict for a name that is taken."""
    actor.require(Right.ADMINISTRATION, to=_("create a group"))
    if not name or len(name) > 64 or not name.isprintable() or name != name.strip():
        raise Invalid(
            _("%(name)r cannot name a group: 1 to 64 printable characters are needed.") % {"name": name}
        )
    if len(label) > 128:
        raise Invalid(_("The label has %(count)s characters; 128 are allowed.") % {"count": len(label)})
    wanted = known_rights(rights)
    with transaction.atomic():
        locks.in_transaction(locks.Lock.ADMINISTRATORS)
        if Group.objects.filter(name__iexact=name).exists():
            raise Conflict(_("There is already a group %(name)r. Choose another name.") % {"name": name})
        group = Group.objects.create(name=name, label=label or name)
        NamedRight.objects.bulk_create(NamedRight(name=right.value, group=group) for right in wanted)
        audit.record(actor, ENTITY, name, audit.CREATED, group.group_id)
    return group


def set_rights(name: str, rights: Iterable[Right | str], *, actor: Actor) -> Group:
    """Make `rights` those of the group, in place of those it had.

    Raises Conflict when nobody could administer without them.
    """
    actor.require(Right.ADMINISTRATION, to=_("change the rights of a group"))
    group, wanted = find(name), {right.value for right in known_rights(rights)}
    with transaction.atomic(), administrators_stay(_("%(name)s cannot lose ADMINISTRATION") % {"name": name}):
        before = set(NamedRight.objects.filter(group=group).values_list("name", flat=True))
        NamedRight.objects.filter(group=group, name__in=before - wanted).delete()
        NamedRight.objects.bulk_create(NamedRight(name=right, group=group) for right in wanted - before)
        if before != wanted:
            detail = {"added": sorted(wanted - before), "removed": sorted(before - wanted)}
            audit.record(actor, ENTITY, name, audit.MODIFIED, group.group_id, detail)
    return group


def delete(name: str, *, actor: Actor) -> None:
    """Delete a group with its memberships and rights. Shipped groups stay."""
    actor.require(Right.ADMINISTRATION, to=_("delete a group"))
    group = find(name)
    if group.built_in:
        raise Conflict(
            _("%(name)s belongs to the product and cannot be deleted. Its members can leave it.")
            % {"name": name}
        )
    with transaction.atomic(), administrators_stay(_("%(name)s cannot be deleted") % {"name": name}):
        audit.record(actor, ENTITY, name, audit.DELETED, group.group_id)
        group.delete()
