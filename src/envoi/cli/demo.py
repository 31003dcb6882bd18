"""`envoi demo`: a fresh instance to look at."""

from datetime import datetime
from typing import TYPE_CHECKING

import click

from envoi.cli.main import DONE, FAILED, Context, emit_json, json_option, say

WIDE = 200

if TYPE_CHECKING:
    from envoi.app.demo import Ran, Reactions


@click.command()
@click.option(
    "--profiles",
    type=click.IntRange(min=50),
    default=2000,
    show_default=True,
    help="Sample profiles to import.",
)
@click.option("--port", type=click.IntRange(1, 65535), help="The port of the console ([web] port).")
@click.option(
    "--exit", "leave", is_flag=True, help="Stop everything after the run; exit 1 if anything failed."
)
@json_option
@click.pass_obj
def demo(context: Context, profiles: int, port: int | None, leave: bool, as_json: bool) -> int:
    """Make a fresh instance in the home folder, tell the story of a campaign on a mail sink of this machine,
    run each technical workflow once, and serve the console.

    An earlier demonstration in the same folder is replaced; any other instance is left alone.
    """
    from envoi.app import demo as demonstration

    with demonstration.demo(context.home, port=port, profiles=profiles, say=say) as shown:
        if as_json:
            emit_json(shown.as_json())
        else:
            _show(shown.workflows)
            say(_said(shown.reactions))
        if not leave:
            say(f"The console is at {shown.address}")
            say(f"Sign in as {shown.operator} with the password {shown.password}")
            say("Ctrl-C stops it.")
            shown.wait()
    return FAILED if shown.failed else DONE


def _said(found: "Reactions") -> str:
    return (
        f"Of {found.sent + found.errors:,} messages {found.sent:,} arrived, {found.opened:,} were opened, "
        f"{found.clicked:,} clicked ({found.clicks:,} clicks, {found.transactions:,} orders); "
        f"{found.unsubscribed:,} readers left. {found.automatic:,} hits of machines are not counted."
    )


def _show(workflows: "tuple[Ran, ...]") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("workflow", "label", "state", "last run", "duration"):
        table.add_column(column)
    for each in workflows:
        moment = (
            f"{datetime.fromisoformat(each.last_run):%Y-%m-%d %H:%M:%S} UTC" if each.last_run else "never"
        )
        took = "" if each.duration_s is None else f"{each.duration_s:.1f} s"
        state = f"{each.state}, failed" if each.failed else each.state
        table.add_row(each.workflow, each.label, state, moment, took)
    # Not at a terminal there is no width to keep to.
    console = Console(highlight=False)
    console.print(table, width=None if console.is_terminal else WIDE)
