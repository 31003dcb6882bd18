"""Tables of the kernel; one file per aggregate."""

from envoi.kernel.models.account import ExternalAccount
from envoi.kernel.models.audit import AuditEntry
from envoi.kernel.models.enumeration import Enum, EnumAlias, EnumValue
from envoi.kernel.models.extension import AddedField, AddedTable, SchemaStamp
from envoi.kernel.models.folder import Folder, FolderRight
from envoi.kernel.models.indicator import CustomIndicator
from envoi.kernel.models.operator import Group, GroupMember, NamedRight, Operator
from envoi.kernel.models.option import Option
from envoi.kernel.models.outbox import OutboxItem
from envoi.kernel.models.package import InstalledPackage, ShippedRow
from envoi.kernel.models.view import SavedView

__all__ = [
    "AddedField",
    "AddedTable",
    "AuditEntry",
    "CustomIndicator",
    "Enum",
    "EnumAlias",
    "EnumValue",
    "ExternalAccount",
    "Folder",
    "FolderRight",
    "Group",
    "GroupMember",
    "InstalledPackage",
    "NamedRight",
    "Operator",
    "Option",
    "OutboxItem",
    "SavedView",
    "SchemaStamp",
    "ShippedRow",
]
