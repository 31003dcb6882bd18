"""The audit trail (engine.md §8.5): one line for each change an operator makes, in the transaction that makes
it.
"""

from collections.abc import Mapping
from typing import Any

from envoi.kernel import clock
from envoi.kernel.models import AuditEntry
from envoi.kernel.rights import Actor

CREATED, MODIFIED, DELETED = "Created", "Modified", "Deleted"


def record(
    actor: Actor,
    entity: str,
    key: str,
    action: str,
    id: int | None = None,
    detail: Mapping[str, Any] | None = None,
) -> AuditEntry:
    """Write one line. `entity` is a schema name, `key` what a person calls the object, `action` a word of the
    product.

    `detail` is kept for as long as the trail: neither secrets nor personal data belong there. Where the actor
    came from (a command line, say) is added to it.
    """
    return AuditEntry.objects.create(
        entity=entity,
        entity_id=id,
        entity_key=key,
        action=action,
        at=clock.now(),
        operator_id=actor.operator_id or None,
        operator_name=actor.name,
        detail={**(detail or {}), **({"origin": actor.origin} if actor.origin else {})},
    )
