"""Lists and services that imported profiles are put into, and out of again by the undo."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from envoi.kernel import big_tables
from envoi.kernel.folders import Access
from envoi.kernel.rights import Actor
from envoi.packages.delivery.models import Import, SubOrigin
from envoi.packages.delivery.services import lists, subscriptions
from envoi.packages.delivery.services.chosen import Chosen
from envoi.packages.delivery.services.imports import tables
from envoi.packages.delivery.services.imports.plan import Plan
from envoi.packages.delivery.services.imports.tables import I, S


def join(job: Import, plan: Plan, blocks: Sequence[int], *, actor: Actor) -> None:
    """Put the profiles of the present batch, known and new ones, into the list and the service of a plan."""
    if job.schema != "nms:recipient" or not (plan.group or plan.service):
        return
    members = Chosen(
        "SELECT id FROM imp_match UNION SELECT r.recipient_id FROM nms_recipient r JOIN unnest(%s::bigint[])"
        " AS f (first) ON r.recipient_id >= f.first AND r.recipient_id < f.first + %s",
        (list(blocks), big_tables.BLOCK),
    )
    if plan.group:
        lists.add(lists.find(plan.group, actor=actor, access=Access.WRITE), members, actor=actor)
    if plan.service:
        service = subscriptions.find(plan.service, actor=actor)
        subscriptions.subscribe(service, members, actor=actor, origin=SubOrigin.IMPORT)


def leave(table: str, key: str, blocks: sql.Composable, condition: sql.Composable) -> None:
    """Take the rows of `blocks` for which `condition` (on `r`) holds out of all lists and services."""
    if table != "nms_recipient":
        return
    chosen = S(
        "SELECT r.{0} FROM {1} r, unnest({2}::bigint[]) AS f(first)"
        " WHERE r.{0} >= f.first AND r.{0} < f.first + {3} AND {4}"
    ).format(I(key), I(table), blocks, big_tables.BLOCK, condition)
    for member in ("nms_rcp_grp_rel", "nms_subscription", "nms_sub_histo"):
        tables.run(S("DELETE FROM {} WHERE recipient_id IN ({})").format(I(member), chosen))


def require(plan: Plan, *, actor: Actor) -> None:
    """Raise NotFound or NotAllowed for a list or service that the actor cannot fill."""
    if plan.group:
        lists.find(plan.group, actor=actor, access=Access.WRITE)
    if plan.service:
        subscriptions.find(plan.service, actor=actor)
