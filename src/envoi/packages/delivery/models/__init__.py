"""Tables of delivery."""

from envoi.packages.delivery.models.ab_test import AbTest, AbVersion
from envoi.packages.delivery.models.address import Address, AddressStatus
from envoi.packages.delivery.models.approval import ApprovalStep, DeliveryApproval, DeliveryReviewer
from envoi.packages.delivery.models.consent import Consent, ConsentAction
from envoi.packages.delivery.models.content import (
    DeliveryAttachment,
    DeliveryContent,
    DeliverySeed,
    IncludeView,
    TrackingUrl,
    UrlType,
)
from envoi.packages.delivery.models.country import Country
from envoi.packages.delivery.models.coupon import Coupon, CouponType, CouponValue
from envoi.packages.delivery.models.delivery import (
    Delivery,
    DeliveryMode,
    DeliveryState,
    Format,
    Kind,
    Priority,
    ValidationMode,
)
from envoi.packages.delivery.models.delivery_run import (
    DeliveryPart,
    DeliveryRun,
    DlvExclusion,
    JobLevel,
    JobLog,
    RunStep,
)
from envoi.packages.delivery.models.group import Group, GroupType, RcpGrpRel
from envoi.packages.delivery.models.image import Image
from envoi.packages.delivery.models.import_job import (
    AT_WORK,
    Import,
    ImportBatch,
    ImportReject,
    ImportState,
)
from envoi.packages.delivery.models.inbound import (
    InboundKind,
    InboundMail,
    InboundOutcome,
    MailRule,
    MailRuleSet,
)
from envoi.packages.delivery.models.landing import (
    OptOut,
    OptOutReason,
    OptOutWay,
    ReaderRequest,
    ReaderText,
    RequestKind,
)
from envoi.packages.delivery.models.log import (
    BroadLogMsg,
    BroadLogRcp,
    ExclLogRcp,
    FailureReason,
    FailureType,
    Flag,
    MessageStatus,
    Qualification,
)
from envoi.packages.delivery.models.mapping import DeliveryMapping
from envoi.packages.delivery.models.paused_workflow import PausedWorkflow
from envoi.packages.delivery.models.person import Channel, EmailFormat, Gender
from envoi.packages.delivery.models.recipient import AddressQuality, Recipient
from envoi.packages.delivery.models.routing import (
    CheckState,
    DkimKey,
    DomainRule,
    Encryption,
    MxBlock,
    MxRule,
    SendingDomain,
    SendingIp,
    SigningAlgorithm,
)
from envoi.packages.delivery.models.schedule import DeliverySchedule, Execution
from envoi.packages.delivery.models.seed_member import SeedMember
from envoi.packages.delivery.models.sender import DeliveryRetry, DeliveryStat, SenderProcess
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
from envoi.packages.delivery.models.tracking import HitKind, TrackingInbox, TrackingSegment
from envoi.packages.delivery.models.typology import (
    ControlPhase,
    RuleType,
    Typology,
    TypologyRule,
    TypologyRuleRel,
)
from envoi.packages.delivery.models.visitor import Visitor, VisitorOrigin

__all__ = [
    "AT_WORK",
    "Address",
    "AddressQuality",
    "AddressStatus",
    "ApprovalStep",
    "BroadLogMsg",
    "BroadLogRcp",
    "Channel",
    "CheckState",
    "Confirmation",
    "Consent",
from envoi.packages.delivery.models.url_memory import UrlMemory
    "ConsentAction",
    "ControlPhase",
    "Country",
    "Delivery",
    "AbTest",
    "AbVersion",
    "DeliveryApproval",
    "DeliveryAttachment",
    "DeliveryContent",
    "DeliveryMapping",
    "DeliveryMode",
    "DeliveryPart",
    "DeliveryRetry",
    "DeliveryReviewer",
    "DeliveryRun",
    "DeliverySchedule",
    "DeliverySeed",
    "DeliveryStat",
    "DeliveryState",
    "DkimKey",
    "Coupon",
    "CouponType",
    "CouponValue",
    "DlvExclusion",
    "DomainRule",
    "EmailFormat",
    "Encryption",
    "ExclLogRcp",
    "Execution",
    "FailureReason",
    "FailureType",
    "Flag",
    "Format",
    "Gender",
    "Group",
    "GroupType",
    "HitKind",
    "Image",
    "Import",
    "ImportBatch",
    "ImportReject",
    "ImportState",
    "InboundKind",
    "InboundMail",
    "InboundOutcome",
    "IncludeView",
    "JobLevel",
    "JobLog",
    "Kind",
    "MailRule",
    "MailRuleSet",
    "MessageStatus",
    "MxBlock",
    "MxRule",
    "OptOut",
    "OptOutReason",
    "OptOutWay",
    "PausedWorkflow",
    "Priority",
    "Qualification",
    "RcpGrpRel",
    "ReaderRequest",
    "ReaderText",
    "Recipient",
    "RequestKind",
    "RuleType",
    "RunStep",
    "SeedMember",
    "SenderProcess",
    "SendingDomain",
    "SendingIp",
    "Service",
    "ServiceMode",
    "ServiceType",
    "SigningAlgorithm",
    "SubAction",
    "SubHisto",
    "SubOrigin",
    "Subscription",
    "Suppression",
    "SuppressionKind",
    "TrackingInbox",
    "TrackingSegment",
    "TrackingUrl",
    "Typology",
    "TypologyRule",
    "TypologyRuleRel",
    "UrlType",
    "ValidationMode",
    "ValidityUnit",
    "Visitor",
    "VisitorOrigin",
    "VisitorSub",
]
    "UrlMemory",
