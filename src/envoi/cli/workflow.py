"""`envoi workflow`: see and operate workflows. Commands are queued; `--wait` waits for their effect."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import click

from envoi.cli.main import FAILED, Context, emit_json, json_option, say

WAIT = 60.0


@click.group()
def workflow() -> None:
    """See and operate workflows."""


def _language() -> str:
    from django.conf import settings

    return settings.CONFIG.instance.language


@workflow.command("list")
@click.option("--folder", metavar="PATH", help="Only this branch of folders.")
@json_option
@click.pass_obj
def list_(context: Context, folder: str | None, as_json: bool) -> None:
    """Print the workflows with state, schedule and dates."""
    context.setup()
    from envoi.engine import supervision
    from envoi.kernel.rights import at_command_line

    rows = supervision.workflows(at_command_line(), folder_path=folder, language=_language())
    if as_json:
        emit_json([_listed(row) for row in rows])
        return
    for row in rows:
        facts = _listed(row)
        failed = " FAILED" if row.failed else ""
        click.echo(
            f"{row.internal_name:<34} {row.state_name + failed:<16} {row.schedule:<22}"
            f" last {_moment(facts['last_run'])}  next {_moment(facts['next_run'])}  {row.label}"
        )


@workflow.command()
@click.argument("name")
@json_option
@click.pass_obj
def show(context: Context, name: str, as_json: bool) -> None:
    """Print one workflow: its activities, tasks and variables."""
    context.setup()
    from envoi.engine import supervision
    from envoi.kernel.rights import at_command_line

    detail = supervision.workflow(at_command_line(), name, _language())
    if as_json:
        emit_json(_shown(detail))
        return
    row = detail.row
    click.echo(f"{row.label} ({row.internal_name}): {row.state_name}{', failed' if row.failed else ''}")
    if row.reason:
        click.echo(row.reason)
    for activity in detail.activities:
        click.echo(
            f"  {activity.name:<24} {activity.state or '-':<9} {activity.executions} times {activity.message}"
        )


def _command(word: str, doc: str, *, start: bool = False) -> Callable[..., None]:
    def run(
        context: Context, name: str, wait: float | None, as_json: bool, variable: tuple[str, ...] = ()
    ) -> None:
        context.setup()
        from envoi.engine import access, commands, waiting
        from envoi.engine.models import State
        from envoi.kernel.rights import at_command_line

        actor = at_command_line()
        parameters = {"variables": _variables(variable)} if variable else {}
        job = commands.post(actor, name, commands.Command[word], **parameters)
        found = access.find(actor, name)
        done = waiting.until_passive(found.workflow_id, wait) if wait is not None else None
        found.refresh_from_db()
        state = State(found.state).label
        if as_json:
            emit_json({"job": job, "name": found.internal_name, "state": state, "failed": found.failed})
        else:
            say(f"{found.internal_name}: {state}" if done else f"{found.internal_name}: asked, {state}")
        if done is False:
            say(f"Not done after {wait:g} s; the command stays in the queue.")
            sys.exit(FAILED)

    run.__doc__ = doc
    wrapped = click.pass_obj(run)
    wrapped = json_option(wrapped)
    wrapped = click.option(
        "--wait",
        type=float,
        metavar="[SECONDS]",
        is_flag=False,
        flag_value=WAIT,
        help=f"Wait for the effect, {WAIT:g} seconds unless said otherwise.",
    )(wrapped)
    if start:
        option = click.option("--variable", multiple=True, metavar="NAME=VALUE", help="An instance variable.")
        wrapped = option(wrapped)
    return click.argument("name")(wrapped)


workflow.command("start")(_command("START", "Start NAME, or let it go on after a pause.", start=True))
workflow.command("pause")(_command("PAUSE", "Pause NAME; what runs is completed."))
workflow.command("stop")(_command("STOP", "Stop NAME; what runs is cancelled."))
workflow.command("kill")(_command("KILL", "Stop NAME at once, without cleaning."))
workflow.command("restart")(_command("RESTART", "Stop NAME and start it again; variables are kept."))
workflow.command("wakeup")(_command("WAKEUP", "Execute the pending tasks of NAME now."))


@workflow.command()
@click.option("--operator", metavar="NAME", help="Only what waits for this operator.")
@json_option
@click.pass_obj
def approvals(context: Context, operator: str | None, as_json: bool) -> None:
    """Print the questions that wait for an answer, oldest first."""
    context.setup()
    from envoi.engine import approvals
    from envoi.kernel.rights import at_command_line
    from envoi.web.approvals import document

    actor = at_command_line()
    found = approvals.pending(_in_the_name_of(operator)) if operator else approvals.everyones(actor)
    if as_json:
        emit_json([document(question) for question in found])
        return
    for question in found:
        answers = ", ".join(choice.name for choice in question.choices)
        click.echo(
            f"{question.approval_id:>8}  {question.operator:<16} {question.workflow_name:<24}"
            f" {question.title}  [{answers}]"
        )


@workflow.command()
@click.argument("number", type=int)
@click.argument("choice")
@click.option("--operator", metavar="NAME", required=True, help="Who was asked, and answers.")
@click.option("--comment", default="", metavar="TEXT", help="What the one who asked will read.")
@json_option
@click.pass_obj
def reply(context: Context, number: int, choice: str, operator: str, comment: str, as_json: bool) -> None:
    """Answer approval NUMBER with CHOICE; an answer cannot be changed."""
    context.setup()
    from envoi.engine import approvals
    from envoi.web.approvals import document

    actor = _in_the_name_of(operator)
    approvals.answer(actor, number, choice, comment)
    question = approvals.question(actor, number)
    if as_json:
        emit_json(document(question))
    else:
        say(f"{question.workflow_name}, {question.activity}: {question.answer}")


def _in_the_name_of(operator: str) -> Any:
    """Return the actor of an operator; the audit trail says that it came in here."""
    from envoi.kernel.rights import actor_named, at_command_line

    return replace(actor_named(operator), origin=at_command_line().origin)


@workflow.command()
@click.argument("name")
@click.option(
    "--limit", type=click.IntRange(1), default=100, show_default=True, help="How many lines at most."
)
@click.option("--activity", help="Only the lines of this activity.")
@json_option
@click.pass_obj
def log(context: Context, name: str, limit: int, activity: str | None, as_json: bool) -> None:
    """Print the journal of NAME, oldest line first."""
    context.setup()
    from envoi.engine import supervision
    from envoi.kernel.rights import at_command_line

    found = supervision.journal(at_command_line(), name, language=_language(), activity=activity, limit=limit)
    lines = list(reversed(found))
    if as_json:
        emit_json([_line(line) for line in lines])
        return
    for line in lines:
        click.echo(_line_text(line))


@workflow.command()
@click.argument("name")
@click.option("--language", help="Language of the words in it; the instance's by default.")
@click.pass_obj
def diagram(context: Context, name: str, language: str | None) -> None:
    """Print the diagram of NAME as SVG."""
    context.setup()
    from envoi.console import diagram as drawing
    from envoi.engine import supervision
    from envoi.kernel.rights import at_command_line

    language = language or _language()
    click.echo(drawing.draw(supervision.workflow(at_command_line(), name, language), language))


@workflow.command()
@click.argument("name")
@click.option("--variable", multiple=True, metavar="NAME=VALUE", help="An instance variable for the start.")
@click.option("--wait", type=float, default=None, metavar="SECONDS", help="Give up after so long.")
@json_option
@click.pass_obj
def run(context: Context, name: str, variable: tuple[str, ...], wait: float | None, as_json: bool) -> None:
    """Start NAME if needed, execute what is pending, wait until it has nothing to do; 1 when it failed."""
    context.setup()
    from envoi.engine import supervision, waiting
    from envoi.kernel.rights import at_command_line

    actor = at_command_line()
    newest = supervision.journal(actor, name, limit=1)
    seen = newest[0].id if newest else 0
    with _some_worker(context):
        done = waiting.run_through(actor, name, seconds=wait, variables=_variables(variable))
    detail = supervision.workflow(actor, name, _language())
    lines = list(
        reversed(supervision.journal(actor, name, language=_language(), after_id=seen, limit=10_000))
    )
    if as_json:
        emit_json({**_shown(detail), "journal": [_line(line) for line in lines]})
    else:
        for task in reversed(detail.tasks):
            click.echo(f"{task.id:>8}  {task.activity:<24} {task.status:<10} {_seconds(task.duration_s)}")
        for line in lines:
            click.echo(_line_text(line))
    if not done:
        say(f"{name} was still at work after {wait:g} s.")
    if not done or detail.row.failed:
        sys.exit(FAILED)


@contextmanager
def _some_worker(context: Context) -> Iterator[None]:
    """Have a worker: the instance's own if one lives, else one of ours for as long as it takes."""
    from envoi.engine import waiting

    if waiting.worker_alive():
        yield
        return
    command = [sys.executable, "-m", "envoi.cli", "--home", str(context.home), "worker"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def _variables(given: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in given:
        name, separator, value = each.partition("=")
        if not separator or not name:
            raise click.BadParameter(f"{each!r} is not NAME=VALUE.")
        found[name] = value
    return found


def _listed(row: Any) -> dict[str, Any]:
    return {
        "name": row.internal_name,
        "label": row.label,
        "package": row.package,
        "folder": row.folder_path,
        "state": row.state_name,
        "failed": row.failed,
        "schedule": row.schedule,
        "last_run": row.last_run.isoformat() if row.last_run else None,
        "next_run": row.next_run.isoformat() if row.next_run else None,
        "last_duration_s": row.last_duration_s,
    }


def _shown(detail: Any) -> dict[str, Any]:
    return {
        **_listed(detail.row),
        "reason": detail.row.reason,
        "run_number": detail.run_number,
        "runs_as": detail.runs_as,
        "version": detail.definition_number,
        "variables": dict(detail.variables),
        "activities": [
            {"name": a.name, "state": a.state, "executions": a.executions, "duration_s": a.duration_s}
            for a in detail.activities
        ],
        "tasks": [
            {
                "id": task.id,
                "activity": task.activity,
                "status": task.status,
                "started_at": _iso(task.started_at),
                "completed_at": _iso(task.completed_at),
                "next_at": _iso(task.next_at),
                "duration_s": task.duration_s,
                "message": task.message,
            }
            for task in detail.tasks
        ],
    }


def _line(line: Any) -> dict[str, Any]:
    return {
        "id": line.id,
        "at": line.at.isoformat(),
        "level": line.level,
        "activity": line.activity,
        "message": line.message,
        "task": line.task_id,
    }


def _line_text(line: Any) -> str:
    return f"{line.at:%Y-%m-%d %H:%M:%S}  {line.level:<7} {line.activity:<20} {line.message}"


def _iso(moment: Any) -> str | None:
    return None if moment is None else moment.isoformat()


def _moment(text: str | None) -> str:
    return "-" * 16 if text is None else text[:16].replace("T", " ")


def _seconds(duration: float | None) -> str:
    return "" if duration is None else f"{duration:.2f} s"
