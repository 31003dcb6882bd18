"""`envoi delivery`: see and operate deliveries. `send` confirms one and waits until it is over."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from envoi.cli.main import FAILED, Context, emit_json, json_option, say

if TYPE_CHECKING:
    from envoi.kernel.rights import Actor
    from envoi.packages.delivery.models import Delivery

WAIT = 3600.0
LOOK = 0.5
"""Seconds between two looks at a delivery that is waited for."""


@click.group()
def delivery() -> None:
    """See and operate deliveries."""


@delivery.command("list")
@click.option("--state", metavar="STATE", help="Only those in this state, as it is printed.")
@click.option("--templates", is_flag=True, help="Templates instead of deliveries.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="How many at most.")
@json_option
@click.pass_obj
def list_(context: Context, state: str | None, templates: bool, limit: int, as_json: bool) -> None:
    """Print deliveries, the latest first."""
    actor = _actor(context)
    from envoi.packages.delivery.models import DeliveryState
    from envoi.packages.delivery.services import deliveries

    found = deliveries.visible(actor).filter(is_model=templates).order_by("-pk")
    if state is not None:
        known = {each.name.lower().replace("_", " "): each for each in DeliveryState}
        known |= {str(each.label): each for each in DeliveryState}
        if state not in known:
            raise click.BadParameter(f"{state!r} is no state; known are {', '.join(sorted(known))}.")
        found = found.filter(state=known[state])
    rows = [_facts(each) for each in found[:limit]]
    if as_json:
        emit_json(rows)
        return
    for row in rows:
        click.echo(
            f"{row['name']:<24} {row['state']:<28} {row['success']:>9} of {row['to_deliver']:>9}"
            f"  {row['label']}"
        )


@delivery.command()
@click.argument("name")
@click.option(
    "--wait",
    type=float,
    metavar="[SECONDS]",
    is_flag=False,
    flag_value=WAIT,
    help=f"Wait until it is over, {WAIT:g} seconds unless said otherwise; with no sender alive one is run.",
)
@json_option
@click.pass_obj
def send(context: Context, name: str, wait: float | None, as_json: bool) -> None:
    """Confirm NAME, which is analysed and approved; 1 when it has failed or is not over in time."""
    actor = _actor(context)
    from envoi.packages.delivery.models import DeliveryState
    from envoi.packages.delivery.services import deliveries
    from envoi.packages.delivery.services.deliveries import states

    found = deliveries.find(name, actor=actor)
    # One that is on its way already is only waited for, so that the command can be given again.
    if found.status not in states.RUNNING | {DeliveryState.FINISHED}:
        deliveries.confirm(found, actor=actor)
    over = True
    if wait is not None:
        with _some_sender(context):
            over = _until_over(found, wait)
    found.refresh_from_db()
    if as_json:
        emit_json(_stats(found))
    else:
        say(f"{found.internal_name}: {found.status.label}, {found.success} sent, {found.error} failed")
    if not over:
        say(f"Not over after {wait:g} s; it goes on.")
    good = (DeliveryState.FINISHED,) if wait is not None else tuple(states.RUNNING | {DeliveryState.FINISHED})
    if not over or found.status not in good:
        sys.exit(FAILED)


@delivery.command()
@click.argument("name")
@json_option
@click.pass_obj
def stats(context: Context, name: str, as_json: bool) -> None:
    """Print state, figures and throughput of NAME."""
    actor = _actor(context)
    from envoi.packages.delivery.services import deliveries

    found = _stats(deliveries.find(name, actor=actor))
    if as_json:
        emit_json(found)
        return
    for key in (
        "state", "contact_date", "started", "ended", "total_target", "reject", "to_deliver", "processed",
        "success", "error", "pending", "new_quarantine", "messages_per_hour",
    ):  # fmt: skip
        click.echo(f"{key.replace('_', ' '):<18} {'-' if found[key] is None else found[key]}")
    for cause in found["exclusions"]:
        click.echo(f"  excluded         {cause['count']:>9}  {cause['reason']} {cause['rule']}".rstrip())
    for wave in found["waves"]:
        click.echo(f"  wave {wave['wave']:<11} {wave['left']:>9}  {wave['due'] or '-'}")


@delivery.command()
@click.argument("name")
@click.option(
    "--limit", type=click.IntRange(1), default=200, show_default=True, help="How many lines at most."
)
@json_option
@click.pass_obj
def log(context: Context, name: str, limit: int, as_json: bool) -> None:
    """Print what happened to NAME, oldest line first."""
    actor = _actor(context)
    from django.conf import settings
    from django.utils import translation

    from envoi.packages.delivery.models import JobLevel, JobLog
    from envoi.packages.delivery.services import deliveries

    found = deliveries.find(name, actor=actor)
    lines = list(JobLog.objects.filter(delivery=found).order_by("-pk")[:limit])[::-1]
    with translation.override(settings.CONFIG.instance.language):
        rows = [
            {
                "at": line.at.isoformat(),
                "level": JobLevel(line.level).name.lower(),
                "operator": line.operator_name,
                "code": line.code,
                "message": deliveries.text(line),
            }
            for line in lines
        ]
    if as_json:
        emit_json(rows)
        return
    for row in rows:
        at = row["at"][:19].replace("T", " ")
        click.echo(f"{at}  {row['level']:<7} {row['operator']:<16} {row['message']}")


def _command(word: str, doc: str) -> Callable[..., None]:
    def run(context: Context, name: str, as_json: bool) -> None:
        actor = _actor(context)
        from envoi.packages.delivery.services import deliveries

        found = deliveries.find(name, actor=actor)
        getattr(deliveries, word)(found, actor=actor)
        found.refresh_from_db()
        if as_json:
            emit_json(_facts(found))
        else:
            say(f"{found.internal_name}: {found.status.label}")

    run.__doc__ = doc
    return click.argument("name")(json_option(click.pass_obj(run)))


delivery.command("pause")(_command("pause", "Let no further message of NAME go out; what is under way ends."))
delivery.command("resume")(_command("resume", "Let NAME go on after a pause."))
delivery.command("stop")(_command("stop", "Stop NAME for good: what has not gone out is cancelled."))


def _actor(context: Context) -> "Actor":
    instance = context.setup()
    from envoi.kernel.errors import Conflict
    from envoi.kernel.rights import at_command_line

    if "delivery" not in instance.packages:
        raise Conflict("This instance sends no deliveries: the package delivery is not installed.")
    return at_command_line()


def _until_over(found: "Delivery", seconds: float) -> bool:
    """Wait for a state that does not change by itself any more; False when the time is up."""
    import time

    from envoi.packages.delivery.models import DeliveryState as S

    over = {S.FINISHED, S.STOPPED, S.PAUSED, S.FAILED, S.DELETED, S.EDITING}
    end = time.monotonic() + seconds
    told = -1
    while found.status not in over:
        if time.monotonic() > end:
            return False
        time.sleep(LOOK)
        found.refresh_from_db()
        if found.processed != told:
            told = found.processed
            say(f"{found.internal_name}: {told} of {found.to_deliver}")
    return True


@contextmanager
def _some_sender(context: Context) -> Iterator[None]:
    """Have a sender: the instance's own if one lives, else one of ours for as long as it takes."""
    from envoi.packages.delivery.services.deliveries import verbs

    if verbs.sender_alive():
        yield
        return
    command = [sys.executable, "-m", "envoi.cli", "--home", str(context.home), "sender"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def _facts(found: "Delivery") -> dict[str, Any]:
    return {
        "name": found.internal_name,
        "label": found.label,
        "state": str(found.status.label),
        "code": int(found.state),
        "proof": found.fcp,
        "contact_date": _iso(found.contact_date),
        "started": _iso(found.broad_start),
        "ended": _iso(found.broad_end),
        "total_target": found.total_target,
        "reject": found.reject,
        "to_deliver": found.to_deliver,
        "processed": found.processed,
        "success": found.success,
        "error": found.error,
        "new_quarantine": found.new_quarantine,
    }


def _stats(found: "Delivery") -> dict[str, Any]:
    from django.db.models import Min, Sum

    from envoi.kernel import clock
    from envoi.packages.delivery.models import DeliveryPart, DlvExclusion, FailureReason
    from envoi.packages.delivery.services.deliveries import verbs

    parts = DeliveryPart.objects.filter(delivery=found, seeds=False)
    waves = parts.filter(wave__gt=0).values("wave").annotate(due=Min("due_at"), left=Sum("quantity"))
    end = found.broad_end or clock.now()
    hours = (end - found.broad_start).total_seconds() / 3600 if found.broad_start else 0
    return {
        **_facts(found),
        **verbs.known_starters(found),
        "validity": _iso(found.validity),
        "pending": max(found.to_deliver - found.processed, 0),
        "messages_per_hour": round(found.processed / hours) if hours > 0 else None,
        "exclusions": [
            {"reason": str(FailureReason(each.failure_reason).label), "rule": each.rule, "count": each.count}
            for each in DlvExclusion.objects.filter(delivery=found, run_id=found.run_id).order_by("-count")
        ],
        "waves": [
            {"wave": each["wave"], "due": _iso(each["due"]), "left": each["left"]}
            for each in waves.order_by("wave")
        ],
    }


def _iso(moment: Any) -> str | None:
    return None if moment is None else moment.isoformat()
