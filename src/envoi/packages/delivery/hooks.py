"""What delivery answers to the questions of others."""

from collections.abc import Mapping
from typing import Any

from django.db.models import Model
from django.utils.translation import gettext as _

from envoi.kernel.errors import NotFound
from envoi.kernel.extensions.store import extended_together
from envoi.kernel.folders import folder_contents
from envoi.kernel.hooks import install_steps
from envoi.kernel.models import Folder
from envoi.kernel.registry import current, further, translate
from envoi.kernel.rights import Actor
from envoi.kernel.writing import Preparer, Writer, preparers, writers
from envoi.packages.delivery.hookspecs import recipient_merged
from envoi.packages.delivery.models import (
    AddressStatus,
    BroadLogMsg,
    Delivery,
    DeliveryMapping,
    FailureReason,
    FailureType,
    Group,
    Image,
    Qualification,
    Recipient,
    SeedMember,
    Service,
    Subscription,
    TrackingRule,
    Typology,
    TypologyRule,
    TypologyRuleRel,
    Visitor,
)
from envoi.packages.delivery.services import (
    analysis,
    chosen,
    confirmations,
    content,
    deliveries,
    imports,
    lists,
    log_schemas,
    log_tables,
    mappings,
    normalise,
    qualification,
    quarantine,
    ready_filters,
    shipping,
    subscriptions,
    suppression,
    typologies,
)
from envoi.packages.delivery.services.ab_testing import script_calls
from envoi.packages.delivery.services.deliverability import updating
from envoi.packages.delivery.services.landing import confirmation_mails
from envoi.packages.delivery.services.mta import without
from envoi.packages.delivery.services.tracking import machines, running

__all__ = [
    "analysis",
    "confirmation_mails",
    "confirmations",
    "imports",
    "ready_filters",
    "running",
    "script_calls",
    "without",
]  # imported so that outbox items, work of workers and filters are known
IN_FOLDERS: tuple[type[Model], ...] = (Recipient, Visitor, SeedMember, Service, Group, Delivery, Image)


@install_steps.answer
def plant(package: str, actor: Actor) -> list[str]:
    """Plant countries, target mappings with their log tables, and templates."""
    if package != "delivery":
        return []
    kept = shipping.plant()
    for storage in DeliveryMapping.objects.filter(built_in=True).values_list("storage", flat=True):
        log_tables.make(storage)
    further.changed()
    typologies.plant()
    deliveries.plant()
    kept += content.plant()
    kept += machines.plant()
    return [*kept, *updating.plant(actor=actor)]


@recipient_merged.answer
def hand_logs_over(kept: int, gone: int) -> None:
    """Let a profile have the logs of the one that becomes part of it."""
    log_tables.hand_over("rcp", kept, gone)


@folder_contents.answer
def profiles_in(folder: Folder) -> list[str]:
    """Return what lies in a folder, one line for each kind."""
    found: list[str] = []
    for model in IN_FOLDERS:
        if model._default_manager.filter(folder=folder).exists():
            count = model._default_manager.filter(folder=folder).count()
            found.append(f"{count} {translate(vars(model)['SCHEMA'].label).lower()}")
    return found


@extended_together.answer
def seeds_like_recipients() -> Mapping[str, str]:
    """Let seed addresses have every field of recipients, which content may show (delivery.md §2.11)."""
    return {"nms:recipient": "nms:seedMember"}


@preparers.answer
def normalised() -> Mapping[str, Preparer]:
    """Return what keeps addresses of persons in their form."""
    return dict.fromkeys(("nms:recipient", "nms:visitor", "nms:seedMember"), normalise.person)


def _list(key: int) -> Group:
    found = Group.objects.filter(pk=key).first()
    if found is None:
        raise NotFound(_("This list is not there any more."))
    return found


def _folder(key: object) -> Folder:
    found = Folder.objects.filter(pk=key).first()
    if found is None:
        raise NotFound(_("There is no folder with the number %(number)s.") % {"number": key})
    return found


def _make_list(values: Mapping[str, Any], actor: Actor) -> int:
    made = lists.create(
        values.get("label") or "",
        actor=actor,
        folder=_folder(values.get("folder-id")),
        name=values.get("name") or "",
        expiration=values.get("expirationDate"),
    )
    if values.get("description"):
        lists.describe(made, actor=actor, description=values["description"])
    return made.group_id


def _change_list(key: int, values: Mapping[str, Any], actor: Actor) -> None:
    group = _list(key)
    if "expirationDate" in values:
        lists.set_expiration(group, values["expirationDate"], actor=actor)
    if values.keys() & {"label", "description", "folder-id"}:
        lists.describe(
            group,
            actor=actor,
            label=values.get("label"),
            description=values.get("description"),
            folder=_folder(values["folder-id"]) if "folder-id" in values else None,
        )


def _delete_list(key: int, actor: Actor) -> None:
    lists.delete(_list(key), actor=actor)


def _make_mapping(values: Mapping[str, Any], actor: Actor) -> int:
    made = mappings.create(
        values.get("name") or "",
        actor=actor,
        label=values.get("label") or "",
        schema=values.get("schema") or "",
        storage=values.get("storage") or "",
        addresses=values.get("addresses") or {},
        recipient_path=values.get("recipientPath") or "",
    )
    return made.delivery_mapping_id


def _delete_mapping(key: int, actor: Actor) -> None:
    found = DeliveryMapping.objects.filter(pk=key).first()
    if found is None:
        raise NotFound(_("This target mapping is not there any more."))
    mappings.delete(found.name, actor=actor)


def _delivery(key: int, actor: Actor) -> Delivery:
    found = deliveries.visible(actor).filter(pk=key).first()
    if found is None:
        raise NotFound(_("This delivery is not there any more."))
    return found


_CONTENT = {
    "mailParameters/subject": "subject",
    "mailParameters/senderName": "from_name",
    "mailParameters/senderAddress": "from_address",
    "mailParameters/replyAddress": "reply_to",
    "content/html/source": "html_source",
    "content/text/source": "text_source",
    "content/format": "content_format",
}


def _change_delivery(key: int, values: Mapping[str, Any], actor: Actor) -> None:
    named = {
        {
            "scheduling/validationMode": "validation_mode",
            "scheduling/contactDate": "contact_date",
            "batchQuantity": "batch_quantity",
            "exclusionLog": "exclusion_log",
            "typology-id": "typology_id",
            **_CONTENT,
        }.get(name, name): value
        for name, value in values.items()
    }
    deliveries.change(_delivery(key, actor), named, actor=actor)


def _delete_delivery(key: int, actor: Actor) -> None:
    deliveries.delete(_delivery(key, actor), actor=actor)


def _end_subscription(key: int, actor: Actor) -> None:
    found = Subscription.objects.filter(subscription_id=key).select_related("service").first()
    if found is None:
        raise NotFound(_("This subscription is not there any more."))
    subscriptions.unsubscribe(found.service, chosen.ids([found.recipient_id]), actor=actor)


def _rule(key: int) -> TypologyRule:
    found = TypologyRule.objects.filter(pk=key).first()
    if found is None:
        raise NotFound(_("This typology rule is not there any more."))
    return found


def _typology(key: int) -> Typology:
    found = Typology.objects.filter(pk=key).first()
    if found is None:
        raise NotFound(_("This typology is not there any more."))
    return found


def _make_rule(values: Mapping[str, Any], actor: Actor) -> int:
    given = {{"executionOrder": "rank"}.get(name, name): value for name, value in values.items()}
    name, kind = given.pop("name", None) or "", given.pop("type", -1)
    definition = given.pop("definition", None) or {}
    return typologies.create_rule(name, actor=actor, type=kind, definition=definition, **given).pk


def _change_rule(key: int, values: Mapping[str, Any], actor: Actor) -> None:
    given = {{"executionOrder": "rank"}.get(name, name): value for name, value in values.items()}
    typologies.change_rule(_rule(key), given, actor=actor)


def _make_typology(values: Mapping[str, Any], actor: Actor) -> int:
    return typologies.create_typology(
        values.get("name") or "",
        actor=actor,
        label=values.get("label") or "",
        description=values.get("description") or "",
        filtering=bool(values.get("filtering")),
    ).pk


def _put_rule_in(values: Mapping[str, Any], actor: Actor) -> int:
    typology, rule = _typology(values.get("typology-id") or 0), _rule(values.get("rule-id") or 0)
    return typologies.put_in(typology, rule, actor=actor)


def _take_rule_out(key: int, actor: Actor) -> None:
    line = TypologyRuleRel.objects.filter(pk=key).select_related("typology", "rule").first()
    if line is not None:
        typologies.take_out(line.typology, line.rule, actor=actor)


def _change_address(key: int, values: Mapping[str, Any], actor: Actor) -> None:
    quarantine.set_status(quarantine.Chosen(ids=(key,)), AddressStatus(values["status"]), actor=actor)


def _change_tracking_rule(key: int, values: Mapping[str, Any], actor: Actor) -> None:
    found = TrackingRule.objects.filter(pk=key).first()
    if found is None:
        raise NotFound(_("This rule is not there any more."))
    machines.change(found, values, actor=actor)


def _make_tracking_rule(values: Mapping[str, Any], actor: Actor) -> int:
    return machines.create(values, actor=actor).pk


def _change_text(key: int, values: Mapping[str, Any], actor: Actor) -> None:
    found = BroadLogMsg.objects.filter(pk=key).first()
    if found is None:
        raise NotFound(_("These texts are not kept any more."))
    qualification.decide(
        [key],
        Qualification(values.get("qualification", Qualification.KEEP)),
        actor=actor,
        failure_type=FailureType(values.get("failureType", found.failure_type)),
        failure_reason=FailureReason(values.get("failureReason", found.failure_reason)),
    )


@writers.answer
def own_writers() -> Mapping[str, Writer]:
    """Return what has a service of its own, or is a record of what happened and never written by hand."""
    return {
        **dict.fromkeys(log_schemas.names(current()), Writer()),
        "nms:group": Writer(
            fields=frozenset({"label", "description", "folder-id", "expirationDate"}),
            first=frozenset({"name"}),
            insert=_make_list,
            update=_change_list,
            remove=_delete_list,
        ),
        "nms:subscription": Writer(remove=_end_subscription),
        "nms:suppression": Writer(remove=lambda key, actor: suppression.remove(key, actor=actor)),
        "nms:rcpGrpRel": Writer(),
        "nms:subHisto": Writer(),
        "nms:consent": Writer(),
        "nms:deliveryMapping": Writer(
            first=frozenset({"name", "label", "schema", "storage", "addresses", "recipientPath"}),
            insert=_make_mapping,
            remove=_delete_mapping,
        ),
        "nms:pausedWorkflow": Writer(),
        "nms:coupon": Writer(),
        "nms:address": Writer(fields=frozenset({"status"}), update=_change_address),
        "nms:broadLogMsg": Writer(
            fields=frozenset({"qualification", "failureType", "failureReason"}), update=_change_text
        ),
        "nms:trackingRule": Writer(
            fields=frozenset({"label", "value", "automatic", "active"}),
            first=frozenset({"name", "kind"}),
            insert=_make_tracking_rule,
            update=_change_tracking_rule,
            remove=lambda key, actor: machines.delete(key, actor=actor),
        ),
        "nms:typology": Writer(
            fields=frozenset({"label", "description", "filtering"}),
            first=frozenset({"name"}),
            insert=_make_typology,
            update=lambda key, values, actor: typologies.change_typology(_typology(key), values, actor=actor),
            remove=lambda key, actor: typologies.delete_typology(_typology(key), actor=actor),
        ),
        "nms:typologyRule": Writer(
            fields=frozenset((typologies.RULE_FIELDS - {"rank"}) | {"executionOrder"}),
            first=frozenset({"name", "type"}),
            insert=_make_rule,
            update=_change_rule,
            remove=lambda key, actor: typologies.delete_rule(_rule(key), actor=actor),
        ),
        "nms:typologyRuleRel": Writer(
            first=frozenset({"typology-id", "rule-id"}), insert=_put_rule_in, remove=_take_rule_out
        ),
        "nms:delivery": Writer(
            fields=frozenset(
                {
                    "label",
                    "code",
                    "description",
                    "priority",
                    "scheduling/validationMode",
                    "scheduling/contactDate",
                    "batchQuantity",
                    "exclusionLog",
                    "targeting",
                    "typology-id",
                    "weight",
                    *_CONTENT,
                }
            ),
            update=_change_delivery,
            remove=_delete_delivery,
        ),
        **dict.fromkeys(
            (
                "nms:deliveryRun",
                "nms:deliveryPart",
                "nms:dlvExclusion",
                "nms:trackingUrl",
                "nms:deliveryAttachment",
                "xtk:fileRes",
                "xtk:jobLog",
                "nms:ip",
                "nms:mxRule",
                "nms:domainRule",
                "nms:dkimKey",
                "nms:sendingDomain",
                "nms:mxBlock",
                "nms:deliverabilityUpdate",
                "nms:inboundMail",
                "nms:mailRuleSet",
                "nms:mailRule",
                "nms:sender",
                "nms:deliveryStat",
                "nms:optOut",
                "nms:userAgent",
                "nms:trackingStats",
                "nms:userAgentsStats",
                "nms:webTrackingLog",
            ),
            Writer(),
        ),
    }
