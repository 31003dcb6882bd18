"""Tables of delivery."""

from envoi.packages.delivery.models.consent import Consent, ConsentAction
from envoi.packages.delivery.models.country import Country
from envoi.packages.delivery.models.group import Group, GroupType, RcpGrpRel
from envoi.packages.delivery.models.import_job import (
    AT_WORK,
    Import,
    ImportBatch,
    ImportReject,
    ImportState,
)
from envoi.packages.delivery.models.mapping import DeliveryMapping
from envoi.packages.delivery.models.paused_workflow import PausedWorkflow
from envoi.packages.delivery.models.person import Channel, EmailFormat, Gender
from envoi.packages.delivery.models.recipient import AddressQuality, Recipient
from envoi.packages.delivery.models.seed_member import SeedMember
from envoi.packages.delivery.models.service import (
    Confirmation,
    Service,
    ServiceMode,
    ServiceType,
    SubAction,
    SubHisto,
    SubOrigin,
    Subscription,
    ValidityUnit,
    VisitorSub,
)
from envoi.packages.delivery.models.suppression import Suppression, SuppressionKind
from envoi.packages.delivery.models.visitor import Visitor, VisitorOrigin

__all__ = [
    "AT_WORK",
    "AddressQuality",
    "Channel",
    "Confirmation",
    "Consent",
    "ConsentAction",
    "Country",
    "DeliveryMapping",
    "EmailFormat",
    "Gender",
    "Group",
    "GroupType",
    "Import",
    "ImportBatch",
    "ImportReject",
    "ImportState",
    "PausedWorkflow",
    "RcpGrpRel",
    "Recipient",
    "SeedMember",
    "Service",
    "ServiceMode",
    "ServiceType",
    "SubAction",
    "SubHisto",
    "SubOrigin",
    "Subscription",
    "Suppression",
    "SuppressionKind",
    "ValidityUnit",
    "Visitor",
    "VisitorOrigin",
    "VisitorSub",
]
