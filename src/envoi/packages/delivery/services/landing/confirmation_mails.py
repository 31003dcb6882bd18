"""Messages that confirm a subscription or its end: runs of one continuous delivery (delivery.md §1.2).

There is one for each service and template, a new one each month. A run is for all people who wait when it
begins, so a rush of subscribers makes few runs, and each person is told once. Those who have left have no
subscription that a message could be about: theirs go to the profiles.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.db import connection, transaction

from envoi.kernel import clock, outbox
from envoi.kernel.rights import internal
from envoi.packages.delivery.models import (
    Confirmation,
    Delivery,
    DeliveryState,
    Kind,
    Service,
    SubAction,
    SubHisto,
    ValidationMode,
)
from envoi.packages.delivery.services import analysis, confirmations, deliveries
from envoi.packages.delivery.services.analysis import continuous
from envoi.packages.delivery.services.confirmations import Batch

SUBSCRIPTIONS, RECIPIENTS = "nms:subscription", "nms:recipient"
_READY = continuous.AGAIN | {DeliveryState.EDITING, DeliveryState.FAILED}
"""States in which a further run can begin."""
_USED = timedelta(days=30)
"""How long one delivery is used: whoever looks for a message of it looks through its runs."""
_OVER = (DeliveryState.STOPPED, DeliveryState.DELETED)


class Busy(Exception):  # noqa: N818 it is tried again
    """The delivery is analysed for others just now."""


@confirmations.send_with
def send(batch: Batch) -> str | None:
    """Begin a run for all who wait to be told of this change of this service.

    Raises Permanent when the template is gone, Busy while the delivery cannot take a further run.
    """
    waiting = SubHisto.objects.filter(
        service_id=batch.service_id, action=batch.action, confirmation=Confirmation.ASKED
    )
    if not waiting.filter(batch_id=batch.batch_id).exists():
        return "told already"
    template = (
        Delivery.objects.filter(pk=batch.template_id, is_model=True, delete_status=0)
        .select_related("mapping", "folder")
        .first()
    )
    service = Service.objects.filter(pk=batch.service_id).first()
    if template is None or service is None:
        raise outbox.Permanent("The service or its template is not there any more.")
    with transaction.atomic(), connection.cursor() as cursor:
        # Two batches at once would each make a delivery.
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
            [f"confirmations {batch.service_id} {template.pk} {int(batch.action)}"],
        )
        delivery = _delivery(service, template, batch.action)
        if delivery.status not in _READY:
            raise Busy(f"{delivery.internal_name} is {delivery.status.label}.")
        batches = sorted(set(waiting.values_list("batch_id", flat=True)))
        continuous.reopen(delivery)
        deliveries.change(delivery, {"targeting": _target(delivery, batches)}, actor=internal())
        analysis.start(delivery, actor=internal())
        waiting.filter(batch_id__in=batches).update(confirmation=Confirmation.SENT)
    return None


def _delivery(service: Service, template: Delivery, action: SubAction) -> Delivery:
    said = {"service": service.name, "serviceLabel": service.label, "action": int(action)}
    found = (
        Delivery.objects.filter(
            parent=template,
            kind=Kind.CONTINUOUS,
            delete_status=0,
            variables__service=service.name,
            variables__action=int(action),
            created_at__gt=clock.now() - _USED,
        )
        .exclude(state__in=_OVER)
        .select_related("mapping", "folder")
        .order_by("-pk")
        .first()
    )
    if found is not None:
        return found
    left = action is SubAction.UNSUBSCRIBE and template.mapping.schema == SUBSCRIPTIONS
    further: dict[str, Any] = {"mapping": "mapRecipient"} if left else {}
    return deliveries.create(
        template,
        actor=internal(),
        label=f"{template.label}: {service.label}"[:128],
        kind=Kind.CONTINUOUS,
        parent_id=template.pk,
        validation_mode=int(ValidationMode.AUTOMATIC),
        approvals={},
        variables=said,
        **further,
    )


def _target(delivery: Delivery, batches: list[int]) -> Mapping[str, Any]:
    """Return the target: those of whom the history tells in these batches."""
    listed = ", ".join(str(each) for each in batches)
    path = "[recipient/subHisto]" if delivery.mapping.schema == SUBSCRIPTIONS else "[subHisto]"
    line = {
        "expr": path,
        "setOperator": "EXISTS",
        "condition": [{"expr": f"[@batch-id] IN ({listed})"}],
    }
    conditions = [line]
    if delivery.mapping.schema == SUBSCRIPTIONS:
        name = str(delivery.variables["service"]).replace("'", "''")
        conditions.append({"expr": f"[service/@name] = '{name}'"})
    return {"filter": {"condition": conditions}}
