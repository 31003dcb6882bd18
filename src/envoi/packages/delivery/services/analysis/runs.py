"""Analyses as work: started, carried out step by step, gone on with after a crash (delivery.md §2.4).

The step of a run is committed with what the step before has done, so any process may go on where another
died: whoever calls `work`, and the workers, which look every few seconds. The lock of a run is that of a
session, which the server frees however the session ends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import DataError, IntegrityError, ProgrammingError, connection, transaction
from django.utils.translation import gettext as _

from envoi.engine import background
from envoi.engine.jobs import draining
from envoi.kernel import audit, clock, folders
from envoi.kernel.errors import Conflict, NotAllowed, NotFound, Refused
from envoi.kernel.folders import Access
from envoi.kernel.locks import SPACE
from envoi.kernel.rights import Actor, Right, actor_of, internal
from envoi.packages.delivery.models import (
    ControlPhase,
    Delivery,
    DeliveryMode,
    DeliveryRun,
    DeliveryState,
    JobLevel,
    RuleType,
    RunStep,
)
from envoi.packages.delivery.services import content, extractions, typologies
from envoi.packages.delivery.services.analysis import (
    choosing,
    continuous,
    counting,
    forgetting,
    target,
    writing,
)
from envoi.packages.delivery.services.deliveries import job_log, records, starting, states, targeting
from envoi.packages.delivery.services.typologies import checks, controls, filtering, pressure

JOB = "envoi.analysis"
CLASS = SPACE ^ 0x616E61
"""First half of the advisory lock of a run; the second is its number."""


class _Leave(Exception):  # noqa: N818 what became of the work
    """The worker ends; another goes on."""


def start(delivery: Delivery, *, actor: Actor, queue: bool = True, estimate: bool = False) -> DeliveryRun:
    """Begin the analysis of a delivery, with the rights of the actor, and return it.

    One that is ready or has failed is analysed anew; what the analysis before has left goes. With `queue`
    a worker does the work; without, the caller calls `work`. With `estimate` only the target is
    calculated: no message is made, and the delivery ends as *target ready*. A continuous one may be on
    its way. Raises NotAllowed without PREPARE DELIVERIES, Invalid when the target is not one, Conflict
    for a template, or when it is analysed already or on its way.
    """
    actor.require(Right.PREPARE_DELIVERIES, to=_("prepare deliveries"))
    folders.require(actor, delivery.folder, Access.WRITE)
    if delivery.is_model:
        raise Conflict(_("%(label)s is a template: make a delivery of it.") % {"label": delivery.label})
    delivery.refresh_from_db()
    states.require_unbegun(delivery)
    target.check(delivery, targeting.read(delivery.targeting, proof=delivery.fcp))
    if delivery.status in states.ANALYSED:
        raise Conflict(_("%(label)s is being analysed already.") % {"label": delivery.label})
    with transaction.atomic():
        if not continuous.reopen(delivery) and delivery.status is not DeliveryState.EDITING:
            states.move(delivery, DeliveryState.EDITING)
        run = DeliveryRun(
            delivery=delivery,
            storage=delivery.mapping.storage,
            started_at=clock.now(),
            operator_id=actor.operator_id or None,
            counts={"estimate": True} if estimate else {},
        )
        run.save()
        states.move(
            delivery, DeliveryState.TARGET_PENDING, run_id=run.pk, total_target=0, reject=0, to_deliver=0
        )
        job_log.write(delivery, "analysis", actor=actor, run=run)
        audit.record(actor, records.ENTITY, delivery.internal_name, "Analyse", delivery.pk)
        if queue:
            background.enqueue(JOB, run.pk)
    return run


def work(
    run_id: int, *, actor: Actor | None = None, told: Callable[[DeliveryRun], None] = lambda run: None
) -> DeliveryRun:
    """Carry an analysis to its end; returns it as it then is.

    `told` is called before each step. Raises NotFound, Conflict when another process has it. Must be called
    outside of a transaction. What fails is told in the log of the delivery, and raises nothing.
    """
    if not _try_lock(run_id):
        raise Conflict(_("Another process works on analysis %(number)d.") % {"number": run_id})
    try:
        run = DeliveryRun.objects.select_related("delivery__mapping", "operator").filter(pk=run_id).first()
        if run is None:
            raise NotFound(_("There is no analysis %(number)d.") % {"number": run_id})
        return _work(run, actor, told)
    finally:
        _unlock(run_id)


def _work(run: DeliveryRun, actor: Actor | None, told: Callable[[DeliveryRun], None]) -> DeliveryRun:
    acting = actor or internal()
    try:
        acting = actor or _actor_of(run)
        said = targeting.read(run.delivery.targeting, proof=run.delivery.fcp)
        while run.step < RunStep.READY:
            told(run)
            _step(run, said, acting)
    except Refused as error:
        _fail(run, acting, "failed", error=str(error))
    except (IntegrityError, DataError, ProgrammingError) as error:
        # A value that a condition cannot be calculated with, or a table that has gone meanwhile: the step is
        # rolled back, and it is told.
        _fail(run, acting, "failed", error=str(error).partition("\n")[0])
    return run


def _step(run: DeliveryRun, said: targeting.Targeting, actor: Actor) -> None:
    delivery = run.delivery
    match RunStep(run.step):
        case RunStep.FORGETTING:
            before = DeliveryRun.objects.filter(delivery=delivery, pk__lt=run.pk)
            for old in before.exclude(step=RunStep.GONE):
                if not continuous.keeps(delivery, old):
                    forgetting.forget(old)
            with transaction.atomic():
                states.move(delivery, DeliveryState.TARGETING)
                _reach(run, RunStep.TARGETING)
        case RunStep.TARGETING:
            _target(run, said, actor)
        case RunStep.CHOOSING:
            _choose(run, said, actor)
        case RunStep.WRITING:
            with transaction.atomic():
                left = run.counts["deliver"] - run.counts["written"]
                count, last = writing.messages(run, left=left) if left else (0, 0)
                if count:
                    counts = {**run.counts, "written": run.counts["written"] + count}
                    _reach(run, RunStep.WRITING, last_id=last, counts=counts)
                else:
                    _reach(run, RunStep.EXCLUDING, last_id=None)
        case RunStep.EXCLUDING:
            with transaction.atomic():
                left = run.counts["total"] - run.counts["deliver"]
                count, last = (
                    writing.excluded(run, left=left, apart=delivery.exclusion_log) if left else (0, 0)
                )
                if count:
                    _reach(run, RunStep.EXCLUDING, last_id=last)
                else:
                    _reach(run, RunStep.SEEDING, last_id=None)
        case RunStep.SEEDING:
            with transaction.atomic():
                seeds, without = writing.seeds(run, delivery, said.seeds, actor=actor)
                if without:
                    job_log.write(
                        delivery, "unaddressed", actor=actor, run=run, level=JobLevel.WARNING, count=without
                    )
                if seeds:
                    job_log.write(delivery, "seeds", actor=actor, run=run, count=seeds)
                _reach(run, RunStep.ENDING, counts={**run.counts, "seeds": seeds})
        case _:
            _end(run, actor)


def _target(run: DeliveryRun, said: targeting.Targeting, actor: Actor) -> None:
    """Find the target, in the order of delivery.md §2.6: control, filtering, doubles, pressure, control.

    An error of a control rule ends the analysis.
    """
    delivery, mapping = run.delivery, run.delivery.mapping
    rules = typologies.rules_of(delivery)
    clauses = filtering.clauses(rules.of(RuleType.FILTERING), mapping, now=run.started_at)
    arbitration = () if delivery.fcp else rules.of(RuleType.PRESSURE)
    with transaction.atomic():
        looked = controls.look(rules, ControlPhase.TARGETING, checks.Look(delivery, run, 0), actor=actor)
        if looked is JobLevel.ERROR:
            _stop(run)
            return
        total = target.find(run, delivery, said, clauses, actor=actor)
        job_log.write(delivery, "target", actor=actor, run=run, count=total)
        for rule in arbitration:
            if pressure.concerns(rule, mapping):
                pressure.apply(run, delivery, rule, target.table(run))
        for rule in (*clauses.elsewhere, *(r for r in arbitration if not pressure.concerns(r, mapping))):
            job_log.write(delivery, "rule_elsewhere", actor=actor, run=run, rule=rule.label)
        # Capacity rules have their place here.
        looked = controls.look(rules, ControlPhase.TARGETED, checks.Look(delivery, run, total), actor=actor)
        if looked is JobLevel.ERROR:
            _stop(run)
            return
        _reach(run, RunStep.CHOOSING, counts={**run.counts, "total": total})


def _choose(run: DeliveryRun, said: targeting.Targeting, actor: Actor) -> None:
    delivery = run.delivery
    with transaction.atomic():
        if said.exclude.limit:
            choosing.limit(run, said.exclude.limit)
        left = choosing.remaining(run)
        control = choosing.control(run, said.control, left) if said.control else 0
        deliver = left - control
        states.move(delivery, DeliveryState.TARGET_READY)
        if run.counts.get("estimate"):
            _estimated(run, {**run.counts, "deliver": deliver, "control": control}, actor)
            return
        rules = typologies.rules_of(delivery)
        controls.look(rules, ControlPhase.PERSONALIZATION, checks.Look(delivery, run, deliver), actor=actor)
        states.move(delivery, DeliveryState.PREPARATION_PENDING)
        states.move(delivery, DeliveryState.PREPARING)
        _reach(
            run,
            RunStep.WRITING,
            batch_quantity=writing.quantity(delivery, deliver),
            counts={**run.counts, "deliver": deliver, "control": control, "written": 0},
        )


def _estimated(run: DeliveryRun, counts: dict[str, Any], actor: Actor) -> None:
    """End after the first phase, in the transaction that has chosen."""
    counting.count(run, run.delivery, actor)
    target.drop(run)
    job_log.write(run.delivery, "estimated", actor=actor, run=run, count=counts["deliver"])
    _reach(run, RunStep.READY, counts=counts, ended_at=clock.now())
    Delivery.objects.filter(pk=run.delivery_id).update(**continuous.totals(run.delivery, run))
    run.delivery.refresh_from_db()


def _end(run: DeliveryRun, actor: Actor) -> None:
    """Count, freeze the content, look at it, make the delivery ready, and let follow what is to follow."""
    delivery = run.delivery
    with transaction.atomic():
        counting.count(run, delivery, actor)
        counts = run.counts
        target.drop(run)
        _freeze(run, delivery, actor)
        rules = typologies.rules_of(delivery)
        controls.look(rules, ControlPhase.END, checks.Look(delivery, run, counts["deliver"]), actor=actor)
        if delivery.contact_date is not None and delivery.contact_date < clock.now():
            job_log.write(delivery, "past", actor=actor, run=run, level=JobLevel.WARNING)
        if not counts["deliver"] and not counts["seeds"]:
            job_log.write(delivery, "nobody", actor=actor, run=run, level=JobLevel.ERROR)
        job_log.write(delivery, "ready", actor=actor, run=run, count=counts["deliver"])
        wrong = job_log.worst(run) is JobLevel.ERROR
        extracted = DeliveryMode(delivery.delivery_mode) is DeliveryMode.EXTERNAL and not wrong
        states.move(
            delivery,
            DeliveryState.EXTRACTION if extracted else DeliveryState.READY,
            **continuous.totals(delivery, run),
        )
        if wrong and continuous.fall_back(delivery, run):
            _reach(run, RunStep.FAILED, ended_at=clock.now())
            return
        _reach(run, RunStep.READY, ended_at=clock.now())
        if extracted:
            extractions.begin(run)
            return
        starting.after_analysis(delivery, run, actor=actor)


def _freeze(run: DeliveryRun, delivery: Delivery, actor: Actor) -> None:
    """Keep the content for the run; what is wrong with it keeps the delivery from being confirmed."""
    if DeliveryMode(delivery.delivery_mode) is DeliveryMode.EXTERNAL:
        return
    try:
        with transaction.atomic():
            content.freeze(run, delivery, actor=actor)
    except Refused as error:
        job_log.write(delivery, "content", actor=actor, run=run, level=JobLevel.ERROR, error=str(error))


def _stop(run: DeliveryRun) -> None:
    """End an analysis that a control rule does not let go on, in the caller's transaction."""
    target.drop(run)
    if not continuous.fall_back(run.delivery, run):
        states.move(run.delivery, DeliveryState.FAILED)
    _reach(run, RunStep.FAILED, ended_at=clock.now())


def _reach(run: DeliveryRun, step: RunStep, **values: Any) -> None:
    """Write the next step down, in the transaction of the work before it."""
    DeliveryRun.objects.filter(pk=run.pk, step=run.step).update(step=step, **values)
    run.step = step
    for name, value in values.items():
        setattr(run, name, value)


def _fail(run: DeliveryRun, actor: Actor, code: str, **detail: Any) -> None:
    with transaction.atomic():
        run.refresh_from_db()
        run.delivery.refresh_from_db()
        target.drop(run)
        job_log.write(run.delivery, code, actor=actor, run=run, level=JobLevel.ERROR, **detail)
        if not continuous.fall_back(run.delivery, run):
            states.move(run.delivery, DeliveryState.FAILED)
        _reach(run, RunStep.FAILED, ended_at=clock.now())


def _actor_of(run: DeliveryRun) -> Actor:
    if run.operator is None:
        return internal()
    if run.operator.disabled:
        raise NotAllowed(_("The operator %(name)s is disabled.") % {"name": run.operator.name})
    return actor_of(run.operator)


def _try_lock(run_id: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", (CLASS, run_id))
        row = cursor.fetchone()
    return row is not None and row[0] is True


def _unlock(run_id: int) -> None:
    if connection.is_usable():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s, %s)", (CLASS, run_id))


@background.work(JOB)
def _in_worker(run_id: int) -> None:
    """Carry an analysis out in a worker's thread, unless somebody else is at it."""
    if not DeliveryRun.objects.filter(pk=run_id, step__lt=RunStep.READY).exists():
        return

    def stay(_run: DeliveryRun) -> None:
        if draining.is_set():
            raise _Leave

    try:
        work(run_id, told=stay)
    except (Conflict, _Leave):
        return


@background.lost.answer
def queue_lost() -> list[tuple[str, int]]:
    """Return the analyses that nobody works on: their process has died."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT r.run_id FROM nms_delivery_run r WHERE r.step < %s AND NOT EXISTS (
                 SELECT 1 FROM pg_locks l WHERE l.locktype = 'advisory' AND l.classid = %s
                 AND l.objid = r.run_id AND l.granted
                 AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()))""",
            [int(RunStep.READY), CLASS],
        )
        return [(JOB, number) for (number,) in cursor.fetchall()]
