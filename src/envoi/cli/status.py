"""`envoi status`: what runs, and how the instance stands."""

from datetime import datetime
from typing import Any

import click

from envoi.cli.main import Context, emit_json, json_option


@click.command()
@json_option
@click.pass_obj
def status(context: Context, as_json: bool) -> None:
    """Show what runs: processes, database, workflows, queues."""
    instance = context.setup()
    from envoi.app.standing import standing

    found = standing(instance)
    if as_json:
        emit_json(found)
    else:
        _show(found)


def _show(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, soft_wrap=True)
    database, workflows, queues = found["database"], found["workflows"], found["queues"]
    where = f"in {database['folder']}" if database["embedded"] else "external"
    if database["embedded"] and not database["folder"].startswith(found["home"]):
        where += f" ({database['why']})"
    lines = {
        "packages": ", ".join(found["packages"]) or "none",
        "database": f"PostgreSQL {database['version']}, {_size(database['size_bytes'])}, {where}",
        "workflows": ", ".join(f"{count} {state}" for state, count in workflows.items()),
        "queues": ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in queues.items()),
    }
    console.print(f"[bold]{found['instance']}[/bold] (Envoi {found['version']}) in {found['home']}")
    for name, line in lines.items():
        console.print(f"{name:<10} {line}", markup=False)
    if not any(each["name"] == "up" for each in found["processes"]):
        console.print("The instance is not up on this host; start it with `envoi up`.")
    table = Table(box=None, pad_edge=False)
    for column in ("process", "pid", "state", "since", "why"):
        table.add_column(column, overflow="fold")
    for each in found["processes"]:
        name = f"{each['name']} on {each['host']}" if each["host"] else each["name"]
        table.add_row(name, str(each["pid"] or ""), each["state"], _moment(each["since"]), each["reason"])
    # Not at a terminal there is no width to keep to.
    console.print(table, width=None if console.is_terminal else 200)


def _moment(iso: str | None) -> str:
    return f"{datetime.fromisoformat(iso):%Y-%m-%d %H:%M:%S} UTC" if iso else ""


def _size(size: int) -> str:
    amount = float(size)
    for unit in ("bytes", "KB", "MB", "GB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TB"
