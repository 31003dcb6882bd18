"""Once more to those who did not get it: a new delivery for who is left of one that is over."""

from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from envoi.engine import access, population
from envoi.kernel import registry
from envoi.kernel.errors import Conflict
from envoi.kernel.rights import Actor
from envoi.packages.delivery.models import Delivery, DeliveryState
from envoi.packages.delivery.services import file_target
from envoi.packages.delivery.services.deliveries import job_log, records, states, targeting

OVER = frozenset({DeliveryState.FINISHED, DeliveryState.STOPPED})


def resend(delivery: Delivery, *, actor: Actor) -> Delivery:
    """Make a delivery for those whose message of a finished or stopped one is pending, failed or cancelled,
    and begin its analysis; never for anybody whom it, or one made of it, has reached or may have.

    Who is left is found when it is analysed; quarantine and refusals hold as always. Raises NotAllowed
    without PREPARE DELIVERIES, Conflict when it is not over, one that was made of it is not, or the file that
    it was for is gone.
    """
    from envoi.packages.delivery.services import analysis

    if delivery.is_model or delivery.fcp or not _is_over(delivery):
        raise Conflict(_("%(label)s is not over yet.") % {"label": delivery.label})
    with transaction.atomic():
        Delivery.objects.select_for_update().only("pk").get(pk=delivery.pk)
        family = _family(delivery)
        open_one = next((each for each in family[1:] if not _is_over(each)), None)
        if open_one is not None:
            raise Conflict(
                _("%(label)s was made for them already, and is not over yet.") % {"label": open_one.label}
            )
        way = {name: value for name, value in delivery.sending.items() if name not in ("waves", "local_time")}
        made = records.create(
            delivery,
            actor=actor,
            label=(_("%(label)s, to those who did not get it") % {"label": delivery.label})[:128],
            folder=delivery.folder,
            parent_id=delivery.pk,
            targeting=_left(delivery, [each.pk for each in family], actor=actor),
            sending=way,
        )
        job_log.write(made, "resent", actor=actor, label=delivery.label)
        analysis.start(made, actor=actor)
    return made


def _is_over(delivery: Delivery) -> bool:
    return delivery.status in OVER or states.has_begun(delivery)


def _family(delivery: Delivery) -> list[Delivery]:
    """Return a delivery and those that were made of it for who was left, and of these in turn."""
    found, new = [delivery], [delivery]
    while new:
        new = list(Delivery.objects.filter(parent__in=new, fcp=False, is_model=False, delete_status=0))
        found += new
    return found


def _left(delivery: Delivery, family: list[int], *, actor: Actor) -> dict[str, Any]:
    """Return the target: the rows that have a message, narrowed to those who are left. A population is named
    as long as it is there, since a content may show its data.
    """
    said = targeting.read(delivery.targeting)
    found: dict[str, Any] = {"left": family, "exclude": delivery.targeting.get("exclude") or {}}
    if file_target.concerns(delivery.mapping):
        lines = file_target.source(delivery, actor=actor)
        return found | {"table": lines.table, "columns": dict(said.columns)}
    known = registry.fresh()
    links = known[delivery.mapping.schema].links.values()
    logs = next(each.name for each in links if each.target == delivery.mapping.broad_log_schema)
    message = {"expr": f"[@delivery-id] = {delivery.pk}"}
    where = {"expr": logs, "setOperator": "EXISTS", "condition": [message]}
    stored = population.stored(said.table) if said.table else None
    if stored is not None and access.visible(actor).filter(pk=stored[1]).exists():
        found["table"] = said.table
    return found | {"filter": {"condition": [where]}}
