"""Extension at run time (architecture §3.5, ADR 0014): fields, links and tables that an instance adds to its
schemas, online and at once for every process, and takes away after showing what uses them.
"""

from envoi.kernel.extensions.additions import TYPES, Additions, NewField, NewLink, NewTable, Prepared
from envoi.kernel.extensions.store import (
    ENTITY,
    Removal,
    add,
    add_field,
    add_table,
    change_field,
    plan,
    removal,
    remove_field,
    remove_table,
)
from envoi.kernel.extensions.uses import Member, Use, schema_uses

__all__ = [
    "ENTITY",
    "TYPES",
    "Additions",
    "Member",
    "NewField",
    "NewLink",
    "NewTable",
    "Prepared",
    "Removal",
    "Use",
    "add",
    "add_field",
    "add_table",
    "change_field",
    "plan",
    "removal",
    "remove_field",
    "remove_table",
    "schema_uses",
]
