"""What delivery answers to the questions of others."""

from collections.abc import Mapping

from django.db.models import Model
from django.utils.translation import gettext as _

from envoi.kernel.errors import NotFound
from envoi.kernel.folders import folder_contents
from envoi.kernel.hooks import install_steps
from envoi.kernel.models import Folder
from envoi.kernel.registry import translate
from envoi.kernel.rights import Actor
from envoi.kernel.writing import Preparer, Writer, preparers, writers
from envoi.packages.delivery.models import Group, Recipient, SeedMember, Service, Subscription, Visitor
from envoi.packages.delivery.services import (
    chosen,
    confirmations,
    lists,
    normalise,
    shipping,
    subscriptions,
    suppression,
)

__all__ = ["confirmations"]  # imported so that its outbox items are known
IN_FOLDERS: tuple[type[Model], ...] = (Recipient, Visitor, SeedMember, Service, Group)


@install_steps.answer
def plant(package: str, actor: Actor) -> list[str]:
    """Plant countries and target mappings."""
    return shipping.plant() if package == "delivery" else []


@folder_contents.answer
def profiles_in(folder: Folder) -> list[str]:
    """Return what lies in a folder, one line for each kind."""
    found: list[str] = []
    for model in IN_FOLDERS:
        if model._default_manager.filter(folder=folder).exists():
            count = model._default_manager.filter(folder=folder).count()
            found.append(f"{count} {translate(vars(model)['SCHEMA'].label).lower()}")
    return found


@preparers.answer
def normalised() -> Mapping[str, Preparer]:
    """Return what keeps addresses of persons in their form."""
    return dict.fromkeys(("nms:recipient", "nms:visitor", "nms:seedMember"), normalise.person)


def _delete_list(key: int, actor: Actor) -> None:
    found = Group.objects.filter(pk=key).first()
    if found is None:
        raise NotFound(_("This list is not there any more."))
    lists.delete(found, actor=actor)


def _end_subscription(key: int, actor: Actor) -> None:
    found = Subscription.objects.filter(subscription_id=key).select_related("service").first()
    if found is None:
        raise NotFound(_("This subscription is not there any more."))
    subscriptions.unsubscribe(found.service, chosen.ids([found.recipient_id]), actor=actor)


@writers.answer
def own_writers() -> Mapping[str, Writer]:
    """Return what has a service of its own, or is a record of what happened and never written by hand."""
    return {
        "nms:group": Writer(remove=_delete_list),
        "nms:subscription": Writer(remove=_end_subscription),
        "nms:suppression": Writer(remove=lambda key, actor: suppression.remove(key, actor=actor)),
        "nms:rcpGrpRel": Writer(),
        "nms:subHisto": Writer(),
        "nms:consent": Writer(),
        "nms:deliveryMapping": Writer(),
        "nms:pausedWorkflow": Writer(),
    }
