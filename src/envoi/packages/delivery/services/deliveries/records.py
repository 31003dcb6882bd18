"""Deliveries and templates as records: made, changed, copied, deleted (delivery.md §2.4, §2.5).

Whoever does so has PREPARE DELIVERIES and may write in the folder of the delivery.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from envoi.kernel import audit, clock, folders
from envoi.kernel.errors import Conflict, Invalid, NotFound
from envoi.kernel.folders import Access
from envoi.kernel.models import Folder
from envoi.kernel.rights import Actor, Right
from envoi.packages.delivery.models import (
    Delivery,
    DeliveryAttachment,
    DeliveryState,
    Format,
    Kind,
    Priority,
    Typology,
    ValidationMode,
)
from envoi.packages.delivery.services import mappings, variants
from envoi.packages.delivery.services.content import settings as content_settings
from envoi.packages.delivery.services.content import translating
from envoi.packages.delivery.services.deliveries import approvals, job_log, sending, states, targeting

ENTITY = "nms:delivery"
FOLDER = "deliveries"
TEMPLATES = "deliveryTemplates"
_NAME = re.compile(r"^[A-Za-z_][\w-]{0,63}$", re.ASCII)
_CARRIED = (
    "code", "description", "message_type", "delivery_mode", "mapping", "priority", "validation_mode",
    "exclusion_log", "targeting", "subject", "from_name", "from_address", "reply_to", "html_source",
    "text_source", "mjml_source", "content_format", "content", "variants", "sending", "approvals",
    "extraction", "variables", "typology_id", "weight",
)  # fmt: skip
"""What a copy takes from what it is made of. The quantity of a part is not (delivery.md §2.8)."""
CONTENT = frozenset(
    {
        "subject", "from_name", "from_address", "reply_to", "html_source", "text_source", "mjml_source",
        "content_format", "content", "variants",
    }
)  # fmt: skip
CHANGEABLE = CONTENT | frozenset(
    {
        "label", "code", "description", "priority", "validation_mode", "contact_date", "batch_quantity",
        "exclusion_log", "targeting", "sending", "approvals", "extraction", "variables",
        "typology_id", "weight",
    }
)  # fmt: skip
FIRST = frozenset({"kind", "parent_id", "workflow_id", "operation_id", "mapping"})
"""Properties that are given when it is made, and stay; `mapping` by its internal name."""
_ANEW = CONTENT | frozenset(
    {
        "contact_date", "batch_quantity", "exclusion_log", "targeting", "extraction", "variables",
        "typology_id", "weight",
    }
)  # fmt: skip
"""A change of these makes a new analysis necessary."""
_SENDING_ANEW = ("waves", "validity", "local_time", "zone", "personalisation")
"""The same, of what is said about the sending."""


def visible(actor: Actor) -> QuerySet[Delivery]:
    """Return the deliveries and templates that the actor sees."""
    return Delivery.objects.filter(
        folder_id__in=folders.readable(actor).queryset(), delete_status=0
    ).select_related("folder", "mapping")


def find(name: str, *, actor: Actor) -> Delivery:
    """Return a delivery or template by its internal name. Raises NotFound."""
    found = visible(actor).filter(internal_name=name).first()
    if found is None:
        raise NotFound(_("There is no delivery %(name)r, or you have no right to see it.") % {"name": name})
    return found


def create(
    template: Delivery,
    *,
    actor: Actor,
    label: str = "",
    name: str = "",
    folder: Folder | None = None,
    as_template: bool = False,
    proof: bool = False,
    **values: Any,
) -> Delivery:
    """Make a delivery of a template, or of another delivery: its copy, being edited, without its results.

    Without a folder it goes where the template says, else to the folder of deliveries (of templates, with
    `as_template`). Without a name it is called `DM<id>`. `values` are those of `CHANGEABLE` and `FIRST`.
    Raises NotAllowed, Invalid, Conflict for a name that is taken.
    """
    actor.require(Right.PREPARE_DELIVERIES, to=_("prepare deliveries"))
    where = folder or template.folder_process or _default_folder(TEMPLATES if as_template else FOLDER)
    folders.require(actor, where, Access.WRITE)
    if name and not _NAME.match(name):
        raise Invalid(
            _("%(name)r is no internal name: letters, digits, _ and -, at most 64.") % {"name": name}
        )
    first = {name: values.pop(name) for name in FIRST & values.keys()}
    if "kind" in first:
        first["kind"] = _one_of(Kind, first["kind"])
    if "mapping" in first:
        first["mapping"] = mappings.find(str(first["mapping"]))
    given = _checked({"label": label or template.label, **values}, proof=proof) | first
    _require_files(given.get("content", template.content))
    with transaction.atomic(), connection.cursor() as cursor:
        if name and Delivery.objects.filter(internal_name=name).exists():
            raise Conflict(_("There is a delivery %(name)r already.") % {"name": name})
        cursor.execute("SELECT nextval(pg_get_serial_sequence('nms_delivery', 'delivery_id'))")
        row = cursor.fetchone()
        number = int(row[0]) if row else 0
        now = clock.now()
        fields = {field: getattr(template, field) for field in _CARRIED} | given
        made = Delivery.objects.create(
            delivery_id=number,
            internal_name=name or f"DM{number}",
            folder=where,
            is_model=as_template,
            fcp=proof,
            created_at=now,
            created_by_id=actor.operator_id or None,
            modified_at=now,
            **fields,
        )
        job_log.write(made, "created", actor=actor, template=template.label)
        audit.record(actor, ENTITY, made.internal_name, audit.CREATED, made.pk)
        return made


def change(delivery: Delivery, values: Mapping[str, Any], *, actor: Actor) -> Delivery:
    """Change properties, those of `CHANGEABLE`. One that is ready goes back to being edited when the change
    makes a new analysis necessary; its messages stay until then, and nobody can confirm them.

    Raises NotAllowed, Invalid, Conflict for a delivery that is analysed or on its way.
    """
    actor.require(Right.PREPARE_DELIVERIES, to=_("prepare deliveries"))
    folders.require(actor, delivery.folder, Access.WRITE)
    given = _checked(values, proof=delivery.fcp)
    if given.get("html_source", delivery.html_source) != delivery.html_source:
        # HTML that is written by hand is no product of the visual editor any more.
        given.setdefault("mjml_source", "")
    anew = any(given[name] != getattr(delivery, name) for name in _ANEW & given.keys()) or any(
        given["sending"].get(name) != delivery.sending.get(name)
        for name in (_SENDING_ANEW if "sending" in given else ())
    )
    with transaction.atomic():
        if delivery.variant:
            # Somebody may be at another variant, and all stand in one value.
            now = Delivery.objects.select_for_update().values_list("variants", flat=True).get(pk=delivery.pk)
            given = variants.stored(delivery, given, now)
        states.require_unbegun(delivery)
        if delivery.status not in states.EDITABLE:
            raise Conflict(
                _("%(label)s is %(state)s: it cannot be changed.")
                % {"label": delivery.label, "state": states.spoken(delivery.status.label)}
            )
        touched = Delivery.objects.filter(pk=delivery.pk, state=delivery.state).update(
            modified_at=clock.now(), **given, **({"state": DeliveryState.EDITING} if anew else {})
        )
        if not touched:
            raise Conflict(_("%(label)s is in another state by now: look again.") % {"label": delivery.label})
        audit.record(
            actor, ENTITY, delivery.internal_name, audit.MODIFIED, delivery.pk, {"changed": sorted(given)}
        )
    delivery.refresh_from_db()
    variants.enter(delivery, delivery.variant)
    return delivery


def delete(delivery: Delivery, *, actor: Actor) -> None:
    """Mark a delivery for the nightly cleanup, which takes its messages along.

    Raises NotAllowed, Conflict for a template of the product and for what is analysed or on its way.
    """
    actor.require(Right.PREPARE_DELIVERIES, to=_("delete deliveries"))
    folders.require(actor, delivery.folder, Access.DELETE)
    if delivery.built_in:
        raise Conflict(_("%(name)s belongs to the product and stays.") % {"name": delivery.label})
    if delivery.status in states.RUNNING | states.ANALYSED:
        raise Conflict(_("Stop %(label)s before you delete it.") % {"label": delivery.label})
    with transaction.atomic():
        touched = Delivery.objects.filter(pk=delivery.pk, state=delivery.state).update(
            delete_status=1, modified_at=clock.now()
        )
        if not touched:
            raise Conflict(_("%(label)s is in another state by now: look again.") % {"label": delivery.label})
        # Proofs have no life of their own.
        Delivery.objects.filter(parent=delivery, fcp=True).exclude(
            state__in=[*states.RUNNING, *states.ANALYSED]
        ).update(delete_status=1)
        audit.record(actor, ENTITY, delivery.internal_name, audit.DELETED, delivery.pk)


def _checked(values: Mapping[str, Any], *, proof: bool) -> dict[str, Any]:
    if strange := sorted(set(values) - CHANGEABLE):
        raise Invalid(_("A delivery has no property %(name)r that can be set.") % {"name": strange[0]})
    given = dict(values)
    if "label" in given:
        given["label"] = str(given["label"] or "").strip()
        if not 0 < len(given["label"]) <= 128:
            raise Invalid(_("A delivery needs a label of at most 128 characters."))
    if given.get("batch_quantity", 0) < 0:
        raise Invalid(_("The messages of a part must be 0, or a number above it."))
    if "priority" in given:
        given["priority"] = _one_of(Priority, given["priority"])
    if "validation_mode" in given:
        given["validation_mode"] = _one_of(ValidationMode, given["validation_mode"])
    moment = given.get("contact_date")
    if moment is not None and (not isinstance(moment, datetime) or moment.tzinfo is None):
        raise Invalid(_("The contact date needs a time with its zone."))
    if "content_format" in given:
        given["content_format"] = _one_of(Format, given["content_format"])
    if "targeting" in given:
        targeting.read(given["targeting"], proof=proof)
    for name in ("html_source", "text_source", "subject"):
        if name in given:
            given[name] = translating.translated(given[name], html=name == "html_source").source
    number = given.get("typology_id")
    if number is not None and not Typology.objects.filter(pk=number).exists():
        raise NotFound(_("This typology is not there any more."))
    weight = given.get("weight")
    if weight is not None and (not isinstance(weight, int) or not 0 <= weight < 10_000):
        raise Invalid(_("The weight must be a whole number below 10,000."))
    if "content" in given:
        content_settings.read(given["content"])
    if "variants" in given:
        given["variants"] = variants.read(given["variants"]).said()
    if "sending" in given:
        sending.read(given["sending"])
    if "approvals" in given:
        approvals.read(given["approvals"])
    if "extraction" in given:
        from envoi.packages.delivery.services.extractions.definition import read as read_extraction

        read_extraction(given["extraction"])
    return given


def _require_files(content: Mapping[str, Any]) -> None:
    """Raise Conflict when a file that goes with the messages is there no more."""
    wanted = content_settings.read(content).attachments
    there = set(DeliveryAttachment.objects.filter(pk__in=wanted).values_list("pk", flat=True))
    if gone := [str(each) for each in wanted if each not in there]:
        raise Conflict(
            _("An attached file is there no more (number %(numbers)s): detach it, or attach it again.")
            % {"numbers": ", ".join(gone)}
        )


def _one_of(choices: Any, value: Any) -> int:
    if value not in choices.values:
        raise Invalid(_("%(value)r is not one of %(known)s.") % {"value": value, "known": choices.values})
    return int(value)


def _default_folder(name: str) -> Folder:
    found = Folder.objects.filter(name=name).first()
    if found is None:
        raise NotFound(_("There is no folder %(name)r.") % {"name": name})
    return found
