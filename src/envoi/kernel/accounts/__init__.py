"""External accounts: how other servers are reached, in whose name, and whether they answer
(docs/adr/0012-external-accounts.md).

`TYPES` declares what an account of each type asks for. `credentials` is for code that connects; nothing else
returns a secret, and no page shows one.
"""

from envoi.kernel.accounts.declare import AccountType, Field, Kind
from envoi.kernel.accounts.opened import Credentials
from envoi.kernel.accounts.store import create, credentials, delete, find, list_all, place, update, values_of
from envoi.kernel.accounts.trial import Outcome, test
from envoi.kernel.accounts.types import TYPES, by_name, type_of

__all__ = [
    "TYPES",
    "AccountType",
    "Credentials",
    "Field",
    "Kind",
    "Outcome",
    "by_name",
    "create",
    "credentials",
    "delete",
    "find",
    "list_all",
    "place",
    "test",
    "type_of",
    "update",
    "values_of",
]
