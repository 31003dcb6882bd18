"""Target mappings: which dimension is targeted, and which tables keep the logs of that (delivery.md §1.1)."""

from collections.abc import Mapping

from django.db import transaction
from django.utils.translation import gettext as _

from envoi.kernel import audit, registry
from envoi.kernel.errors import Conflict, Invalid, NotFound
from envoi.kernel.registry import further
from envoi.kernel.registry.collect import camel
from envoi.kernel.rights import Actor, Right
from envoi.packages.delivery.models import DeliveryMapping
from envoi.packages.delivery.services import log_tables

ENTITY = "nms:deliveryMapping"
ADDRESSES = (
    "email", "mobile", "phone", "fax", "postal", "language", "country", "format", "blackList",
    "blackListEmail", "blackListMobile", "blackListPhone", "blackListPostalMail", "blackListFax",
)  # fmt: skip
"""What a mapping has an expression for."""


def log_schemas(storage: str) -> dict[str, str]:
    """Return the names of the log schemas of a storage, by the field that holds them."""
    return {
        f"{kind}_schema": f"nms:{camel(f'{kind}_{storage}')}" for kind in ("broad_log", "tracking_log")
    } | {
        "broad_log_excl_schema": f"nms:{camel(f'excl_log_{storage}')}",
        "forecast_log_schema": f"nms:{camel(f'forecast_log_{storage}')}",
    }


def find(name: str) -> DeliveryMapping:
    """Return a mapping by its internal name. Raises NotFound."""
    found = DeliveryMapping.objects.filter(name=name).first()
    if found is None:
        raise NotFound(_("There is no target mapping %(name)r.") % {"name": name})
    return found


def create(
    name: str,
    *,
    actor: Actor,
    label: str,
    schema: str,
    storage: str,
    addresses: Mapping[str, str],
    recipient_path: str = "",
) -> DeliveryMapping:
    """Create a mapping of a dimension with log tables of its own.

    `addresses` are expressions over the dimension, by the names of `ADDRESSES`. One storage serves one
    dimension. Raises NotAllowed without ADMINISTRATION, Invalid, NotFound for an unknown schema, Conflict
    when name or storage are taken.
    """
    actor.require(Right.ADMINISTRATION, to=_("create a target mapping"))
    if schema:
        registry.find(schema)
    if strange := sorted(set(addresses) - set(ADDRESSES)):
        raise Invalid(
            _("A mapping has no address called %(name)r; known are %(known)s.")
            % {"name": strange[0], "known": ", ".join(ADDRESSES)}
        )
    if not name.isascii() or not name.isalnum():
        raise Invalid(_("An internal name has letters and digits only."))
    with transaction.atomic():
        log_tables.check(storage)
        if DeliveryMapping.objects.filter(name=name).exists():
            raise Conflict(_("There is a target mapping %(name)r already.") % {"name": name})
        if taken := DeliveryMapping.objects.filter(storage=storage).first():
            raise Conflict(
                _("The logs called %(storage)r are those of the mapping %(name)s; choose another name.")
                % {"storage": storage, "name": taken.label}
            )
        log_tables.make(storage)
        made = DeliveryMapping.objects.create(
            name=name,
            label=label,
            schema=schema,
            storage=storage,
            addresses=dict(addresses),
            recipient_path=recipient_path,
            **log_schemas(storage),
        )
        further.changed()
        audit.record(actor, ENTITY, name, audit.CREATED, made.delivery_mapping_id, {"schema": schema})
        return made


def delete(name: str, *, actor: Actor) -> None:
    """Delete a mapping that an administrator made, with its logs. Raises Conflict for a shipped one or one in
    use.
    """
    actor.require(Right.ADMINISTRATION, to=_("delete a target mapping"))
    from envoi.packages.delivery.models import Service

    with transaction.atomic():
        found = find(name)
        if found.built_in:
            raise Conflict(_("%(name)s belongs to the product and stays.") % {"name": found.label})
        if service := Service.objects.filter(mapping=found).first():
            raise Conflict(_("The service %(name)s uses it.") % {"name": service.label})
        log_tables.drop(found.storage)
        audit.record(actor, ENTITY, name, audit.DELETED, found.delivery_mapping_id)
        found.delete()
        further.changed()
