"""Workflows that stay paused: people are told each period, and the fourth notice is the end (engine.md §8.2).

The period is the option NmsServer_PausedWorkflowPeriod, in days. A workflow that is paused for longer gets
its first notice, further ones follow a period apart, and with the fourth, about four periods after the
pause, it is stopped unconditionally. Its work tables go with the next cleanup, as those of every finished
workflow do. Only workflows of severity Normal are looked at.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext

from envoi.engine import commands, journal, notify
from envoi.engine.activities.base import Outcome, TaskContext, fire, wait
from envoi.engine.journal import Pen
from envoi.engine.models import Severity, State, Workflow
from envoi.kernel import clock, options
from envoi.kernel.errors import Invalid
from envoi.kernel.mail import system_mail
from envoi.kernel.models import Operator
from envoi.kernel.rights import Actor, Right
from envoi.packages.delivery.models import PausedWorkflow

OPTION = "NmsServer_PausedWorkflowPeriod"
DEFAULT_DAYS = 7
NOTICES = 4
"""With the last of them the workflow is stopped."""
_DAY = timedelta(days=1)
_WEEK = timedelta(days=7)
# A week that loses an hour to summer time is a week too, and so is one whose first check came late.
_SLACK = timedelta(hours=12)


def check(*, actor: Actor, ctx: TaskContext) -> Outcome:
    """Look at all paused workflows; fires `done` with `recCount` notices.

    The scheduler calls once a week. When the period is shorter, each day in between is looked at too: the
    task waits for the next day until the week is over. Raises NotAllowed without ADMINISTRATION, Invalid for
    an option below 1.
    """
    days = period(actor=actor)
    told = look_after(actor=actor)
    ctx.info(gettext_noop("%(count)s notices about paused workflows"), count=told)
    since = ctx.now - ctx.created_at
    upcoming = (since // _DAY + 1) * _DAY
    if days * _DAY < _WEEK and upcoming < _WEEK:
        return wait(ctx.created_at + upcoming)
    return fire("done", recCount=told)


def period(*, actor: Actor) -> int:
    """Return after how many days people are told. Raises Invalid unless that is a whole number above 0."""
    days = options.get(OPTION, actor=actor, default=DEFAULT_DAYS)
    if not isinstance(days, int) or days < 1:
        raise Invalid(f"The option {OPTION} is {days!r}: it takes a whole number of days, 1 or more.")
    return days


def look_after(*, actor: Actor) -> int:
    """Write the notices that are due and stop what had its last one; returns the number of notices.

    Safe to repeat: count, mails and stop of a workflow are written together, and what was counted is not due
    again before a period is over. Raises as `check`.
    """
    actor.require(Right.ADMINISTRATION, to="look after paused workflows")
    days, now = period(actor=actor), clock.now()
    paused = Workflow.objects.filter(
        state=State.PAUSED, production=Severity.NORMAL, is_model=False, paused_at__lt=now - days * _DAY
    )
    PausedWorkflow.objects.exclude(
        workflow_id__in=Workflow.objects.filter(state=State.PAUSED).values("pk")
    ).delete()
    # One order for everyone who locks several workflows, else two of them could wait for one another.
    return sum(
        _look_at(each, days, now, actor) for each in paused.order_by("pk").values_list("pk", flat=True)
    )


def _look_at(workflow_id: int, days: int, now: datetime, actor: Actor) -> bool:
    found = Workflow.objects.select_for_update(of=("self",), no_key=True).filter(
        pk=workflow_id, state=State.PAUSED, production=Severity.NORMAL, paused_at__lt=now - days * _DAY
    )
    workflow = found.first()
    if workflow is None or workflow.paused_at is None:
        return False  # somebody was faster
    told = PausedWorkflow.objects.filter(workflow_id=workflow_id, paused_at=workflow.paused_at).first()
    if told is not None and now - told.noticed_at < days * _DAY - _SLACK:
        return False
    number = told.notices + 1 if told else 1
    PausedWorkflow.objects.update_or_create(
        workflow_id=workflow_id,
        defaults={"paused_at": workflow.paused_at, "notices": number, "noticed_at": now},
    )
    for operator in _people(workflow):
        _tell(workflow, workflow.paused_at, operator, number, days, now)
    if number >= NOTICES:
        _stop(workflow, number, now, actor)
    return True


def _stop(workflow: Workflow, number: int, now: datetime, actor: Actor) -> None:
    pen = Pen()
    pen.warning(
        gettext_noop("Paused for %(days)s days, %(count)s notices remained without effect: it is stopped"),
        days=_days_paused(workflow.paused_at or now, now),
        count=number,
    )
    journal.write(workflow.workflow_id, workflow.run_number, pen.lines)
    commands.post(actor, workflow.internal_name, commands.Command.KILL)


def _people(workflow: Workflow) -> list[Operator]:
    """Return who is told, each once: supervisors, creator, last modifier, if enabled and with an address.

    A workflow without supervisors has the standard group for them. To be an administrator is no reason.
    """
    operator, group = workflow.supervisor_operator, workflow.supervisor_group
    others = (workflow.created_by, workflow.modified_by)
    return _each_once(
        (
            *notify.supervisors(operator.pk if operator else None, group.pk if group else None),
            *(each for each in others if each is not None and each.email and not each.disabled),
        )
    )


def _each_once(people: Iterable[Operator]) -> list[Operator]:
    return list({each.pk: each for each in people}.values())


def _tell(
    workflow: Workflow, paused_at: datetime, operator: Operator, number: int, days: int, now: datetime
) -> None:
    config = settings.CONFIG
    with translation.override(operator.language or settings.LANGUAGE_CODE):
        names = {
            "instance": config.instance.name,
            "label": workflow.label_in(translation.get_language() or "en"),
            "name": workflow.internal_name,
            "link": f"{config.web.address}/workflows/{workflow.internal_name}",
        }
        paused = _days_paused(paused_at, now)
        for_days = ngettext("for %(days)s day", "for %(days)s days", paused) % {"days": paused}
        if number >= NOTICES:
            subject = _("%(instance)s: workflow %(label)s was stopped after a long pause")
            text = _(
                "Workflow %(label)s (%(name)s) on instance %(instance)s was paused %(for_days)s. After"
                " %(count)s notices it has now been stopped unconditionally; its tables go with the next"
                " cleanup.\n\n%(link)s"
            )
        else:
            subject = _("%(instance)s: workflow %(label)s is paused")
            text = _(
                "Workflow %(label)s (%(name)s) on instance %(instance)s has been paused %(for_days)s. This is"
                " notice %(number)s of %(count)s, one every %(period)s days; with the last one it is stopped"
                " unconditionally. Resume it or stop it, or set its severity to Production to keep it as it"
                " is.\n\n%(link)s"
            )
        values = {**names, "for_days": for_days, "number": number, "count": NOTICES, "period": days}
        system_mail(
            operator.email,
            " ".join((subject % values).split()),
            text % values,
            f"paused-workflow:{workflow.pk}:{paused_at:%Y%m%dT%H%M%S.%f}:{number}:{operator.pk}",
        )


def _days_paused(since: datetime, now: datetime) -> int:
    return (now - since) // _DAY
