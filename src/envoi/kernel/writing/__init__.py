"""Writes rows of any registered schema in an actor's name: one row, or all rows of a query.

An entity of the platform, and any whose package says so, is written through its service (`writers`); others
by generated SQL with the same checks: rights of the schema and of the folder, types, enumerations, links,
keys. Private, computed and generated columns are never written.
"""

from envoi.kernel.writing.access import (
    Preparer,
    Writer,
    may_create,
    may_remove,
    may_write,
    preparers,
    writable,
    writers,
)
from envoi.kernel.writing.rows import (
    Changed,
    Dependent,
    Written,
    WrongValues,
    dependents,
    remove,
    write,
)
from envoi.kernel.writing.sets import MOST_BY_SERVICE, Prospect, change_all, prospect, remove_all
from envoi.kernel.writing.values import digest, typed

__all__ = [
    "MOST_BY_SERVICE",
    "Changed",
    "Dependent",
    "Preparer",
    "Prospect",
    "Writer",
    "Written",
    "WrongValues",
    "change_all",
    "dependents",
    "digest",
    "may_create",
    "may_remove",
    "may_write",
    "preparers",
    "prospect",
    "remove",
    "remove_all",
    "typed",
    "writable",
    "write",
    "writers",
]
