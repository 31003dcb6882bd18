"""Between deliveries and workflows: what an activity has made, and what has made a delivery."""

from collections.abc import Sequence

from django.urls import reverse
from django.utils import translation

from envoi.console.hooks import opens
from envoi.engine import access
from envoi.engine.activities import kind_of
from envoi.engine.definition import Activity
from envoi.engine.models import Task
from envoi.kernel.rights import Actor
from envoi.packages.delivery.activities.delivery import DeliveryActivity
from envoi.packages.delivery.activities.delivery_control import DeliveryControl
from envoi.packages.delivery.activities.steps.choice import MEMORY
from envoi.packages.delivery.models import Delivery
from envoi.packages.delivery.services import deliveries


def workflow_of(delivery: Delivery, actor: Actor) -> tuple[str, str] | None:
    """Return (label, address) of the workflow that has made a delivery, if the actor sees it."""
    found = access.visible(actor).filter(pk=delivery.workflow_id).first() if delivery.workflow_id else None
    if found is None:
        return None
    address = reverse("console:workflow", args=[found.internal_name])
    return found.label_in(translation.get_language() or "en"), address


@opens.answer
def delivery_of(activity: Activity, tasks: Sequence[int], actor: Actor) -> tuple[str, str] | None:
    """Return (label, address) of the latest delivery that the tasks of an activity are about, else of the one
    that it names.
    """
    if not isinstance(kind_of(activity.type), (DeliveryActivity, DeliveryControl)):
        return None
    known = Task.objects.filter(pk__in=tasks, memory__has_key=MEMORY).order_by("-pk").first()
    seen = deliveries.visible(actor)
    if known is not None:
        found = seen.filter(pk=known.memory[MEMORY]).first()
    else:
        said = str(activity.parameters.get("delivery") or activity.parameters.get("template") or "")
        found = seen.filter(internal_name=said).first()
    return (found.label, reverse("delivery:delivery", args=[found.pk])) if found else None
