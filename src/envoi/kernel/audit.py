"""The audit trail (engine.md §8.5): one line for each change an operator makes, in the transaction that makes
it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection

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

    `detail` is kept for as long as the trail: no secrets belong there. Values of a row stand under `values`
    (attribute -> [before, after]) and nowhere else, so that `forget` finds them. Where the actor came from (a
    command line, say) is added to it.
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


def forget(entity: str, ids: Sequence[int]) -> int:
    """Take the values and names of objects out of their lines; which attributes changed stays. Returns lines.

    For rows that are deleted or erased: what they held may be about a person.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """UPDATE xtk_audit SET entity_key = entity_id::text, detail = detail - 'values' ||
                 CASE WHEN detail ? 'values' THEN jsonb_build_object('changed',
                   (SELECT coalesce(jsonb_agg(name ORDER BY name), '[]')
                    FROM jsonb_object_keys(detail->'values') AS name)) ELSE '{}' END
               WHERE entity = %s AND entity_id = ANY(%s)""",
            [entity, list(ids)],
        )
        return cursor.rowcount
