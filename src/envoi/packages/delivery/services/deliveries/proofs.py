"""Proofs: numbered deliveries that show a few people what a delivery will be (delivery.md §2.4, §2.11).

A proof goes the way of every delivery, by itself when its analysis has no error. Its subject bears the label
`Proof #n`, its doubles, denylisted and quarantined are kept, and figures of the delivery do not change by it.

    target         a target of its own, as `targeting` of a delivery says it
    substitution   what profiles of the target would get, sent to other addresses: the profiles that are
                   chosen, else some drawn from the target
    seeds          the seed addresses of the delivery; what a seed lacks comes from a real profile, as always
    target+seeds   both
"""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

from django.db import connection, transaction
from django.utils.translation import gettext as _

from envoi.engine import population
from envoi.kernel import query
from envoi.kernel.errors import Conflict, Invalid
from envoi.kernel.query import Field, QueryDef
from envoi.kernel.query.scope import quoted
from envoi.kernel.rights import Actor
from envoi.packages.delivery.models import (
    Channel,
    Delivery,
    DeliveryRun,
    Flag,
    MessageStatus,
    Priority,
    RunStep,
    SeedMember,
)
from envoi.packages.delivery.services import file_target, log_tables
from envoi.packages.delivery.services.deliveries import job_log, records, sending, states, targeting

Mode = Literal["target", "substitution", "seeds", "target+seeds"]
MODES: tuple[Mode, ...] = ("target", "substitution", "seeds", "target+seeds")
MOST = 100
"""Addresses of a proof."""
NOBODY = "@id = 0"
_CANDIDATES = 1_000


def prove(
    delivery: Delivery,
    mode: Mode,
    *,
    actor: Actor,
    target: Mapping[str, Any] | None = None,
    addresses: Sequence[str] = (),
    profiles: Sequence[int] = (),
    label: str = "",
) -> Delivery:
    """Make a proof of a delivery, begin its analysis and return it; it then goes out by itself.

    `label` replaces *Proof #{n}*. Raises NotAllowed without PREPARE DELIVERIES, Conflict for a template or a
    proof, or when there are no seeds, Invalid for what the mode needs and is missing.
    """
    from envoi.packages.delivery.services import analysis

    if delivery.is_model or delivery.fcp:
        raise Conflict(_("Proofs are made of deliveries: %(label)s is none.") % {"label": delivery.label})
    said = _target(delivery, mode, target, addresses, profiles, actor)
    with transaction.atomic():
        # Two proofs at once would get one number.
        Delivery.objects.select_for_update().only("pk").get(pk=delivery.pk)
        number = Delivery.objects.filter(parent=delivery, fcp=True).count() + 1
        way = sending.read(delivery.sending, channel=Channel(delivery.message_type))
        mark = (label.strip() or way.proof_label).replace("{n}", str(number))
        made = records.create(
            delivery,
            actor=actor,
            label=f"{mark} – {delivery.label}"[:128],
            folder=delivery.folder,
            proof=True,
            parent_id=delivery.pk,
            subject=f"{mark} – {delivery.subject}" if delivery.subject else "",
            variants=_marked(delivery, mark),
            targeting=said,
            sending=_way(delivery.sending),
            approvals={},
            priority=Priority.VERY_HIGH,
        )
        job_log.write(delivery, "proof_made", actor=actor, label=made.label)
        analysis.start(made, actor=actor)
    return made


def _marked(delivery: Delivery, mark: str) -> dict[str, Any]:
    """Return the variants of a delivery with the mark of a proof before their subjects."""
    of = {
        language: {**texts, "subject": f"{mark} – {texts['subject']}"} if texts.get("subject") else texts
        for language, texts in delivery.variants.get("of", {}).items()
    }
    return {**delivery.variants, "of": of} if of else {}


def of(delivery: Delivery) -> list[Delivery]:
    """Return the proofs of a delivery, the latest first."""
    return list(Delivery.objects.filter(parent=delivery, fcp=True, delete_status=0).order_by("-pk"))


def seeds_of(delivery: Delivery) -> dict[str, Any]:
    """Return the seeds of a delivery as a `targeting` says them, those that belong to it alone among them."""
    said = cast("dict[str, Any]", delivery.targeting.get("seeds") or {})
    own = SeedMember.objects.filter(delivery_id=delivery.pk, active=True).values_list("pk", flat=True)
    ids = [*(said.get("ids") or ()), *own]
    return {**said, **({"ids": ids} if ids else {})}


def substitute(delivery: Delivery, run: DeliveryRun) -> None:
    """Let the messages of a proof go to the addresses that stand in, in the caller's transaction."""
    addresses = targeting.read(delivery.targeting, proof=True).addresses
    if not addresses:
        return
    log = quoted(log_tables.table("broad_log", run.storage))
    with connection.cursor() as cursor:
        cursor.execute(
            f"""UPDATE {log} b SET address = (%s::text[])[1 + mod(m.n - 1, %s)::int]
                FROM (SELECT target_id, row_number() OVER (ORDER BY id) AS n FROM {log}
                      WHERE run_id = %s AND status = %s AND flags & %s = 0) AS m
                WHERE b.run_id = %s AND b.target_id = m.target_id""",  # noqa: S608 quoted
            [
                list(addresses), len(addresses), run.pk, int(MessageStatus.PENDING), int(Flag.SEED), run.pk,
            ],
        )  # fmt: skip


def _target(
    delivery: Delivery,
    mode: Mode,
    target: Mapping[str, Any] | None,
    addresses: Sequence[str],
    profiles: Sequence[int],
    actor: Actor,
) -> dict[str, Any]:
    if mode not in MODES:
        raise Invalid(_("%(value)r is not one of %(known)s.") % {"value": mode, "known": ", ".join(MODES)})
    said: dict[str, Any] = {"filter": NOBODY}
    if mode in ("target", "target+seeds"):
        given = {
            name: value for name, value in (target or {}).items() if name in ("filter", "lists", "table")
        }
        if not any(given.values()):
            raise Invalid(_("Say whom the proof is for: a condition or a list."))
        said = given
    elif mode == "substitution":
        people = _profiles(delivery, profiles, wanted := _addresses(addresses), actor)
        said = {
            "filter": " or ".join(f"@id = {number}" for number in people),
            "addresses": wanted,
        }
    if mode in ("seeds", "target+seeds"):
        seeds = seeds_of(delivery)
        if not any(seeds.values()):
            raise Conflict(_("%(label)s has no seed addresses: choose some.") % {"label": delivery.label})
        said["seeds"] = seeds
    targeting.read(said, proof=True)
    return said


def _addresses(given: Sequence[str]) -> list[str]:
    found = list(dict.fromkeys(each.strip() for each in given if each.strip()))
    if not found:
        raise Invalid(_("Say which addresses the proof goes to."))
    if len(found) > MOST:
        raise Invalid(_("A proof goes to %(most)d addresses at most.") % {"most": MOST})
    return found


def _profiles(delivery: Delivery, chosen: Sequence[int], addresses: list[str], actor: Actor) -> list[int]:
    """Return a profile for each address: those chosen first, then drawn ones."""
    people = list(dict.fromkeys(int(each) for each in chosen))[: len(addresses)]
    if len(people) < len(addresses):
        drawn = [each for each in _candidates(delivery, actor) if each not in people]
        while drawn and len(people) < len(addresses):
            people.append(drawn.pop(secrets.randbelow(len(drawn))))
    if len(people) < len(addresses):
        raise Conflict(
            _("The target has fewer profiles (%(count)d) than there are addresses.") % {"count": len(people)}
        )
    return people


def _candidates(delivery: Delivery, actor: Actor) -> list[int]:
    """Return some profiles of the target: of the latest analysis, else those that the filter finds."""
    run = DeliveryRun.objects.filter(pk=delivery.run_id, step=RunStep.READY).first()
    of_file = file_target.concerns(delivery.mapping)
    if run is not None and delivery.status not in states.ANALYSED:
        with connection.cursor() as cursor:
            cursor.execute(
                f"""SELECT target_id FROM {quoted(log_tables.table("broad_log", run.storage))}
                    WHERE run_id = %s AND flags & %s = 0 AND failure_reason = 0
                    ORDER BY id LIMIT %s""",  # noqa: S608 quoted
                [run.pk, int(Flag.SEED), _CANDIDATES],
            )
            if found := [int(number) for (number,) in cursor.fetchall()]:
                # Those of a file are chosen by their lines.
                return [file_target.line(each) for each in found] if of_file else found
    said = targeting.read(delivery.targeting)
    lines = file_target.source(delivery, actor=actor) if of_file else None
    definition = QueryDef(
        lines.schema if lines else delivery.mapping.schema,
        select=(Field("@id"),),
        where=said.where or (),
        line_count=_CANDIDATES,
    )
    within = population.registry([lines]) if lines else None
    return [int(row[0]) for row in query.run(definition, actor=actor, within=within).rows]


def _way(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a proof is sent: as its delivery, but at once and in one go."""
    left = {"waves", "validity", "web", "local_time", "missed"}
    return {name: value for name, value in said.items() if name not in left}
