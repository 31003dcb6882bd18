"""`envoi option`: read and set the options of the product, under their product names."""

from typing import Any

import click

from envoi.cli.main import Context, emit_json, json_option, say

TYPES = tuple("byte short long float double string datetime date memo timespan boolean".split())  # noqa: SIM905


@click.group()
def option() -> None:
    """Read and set options. Time spans are seconds; `set` also takes them as "180 d" or "12 h"."""


@option.command("list")
@json_option
@click.pass_obj
def list_(context: Context, as_json: bool) -> None:
    """Print every option with type and value."""
    context.setup()
    from envoi.kernel import options
    from envoi.kernel.rights import at_command_line

    found = options.list_all(actor=at_command_line())
    if as_json:
        emit_json([_facts(each) for each in found])
        return
    for each in found:
        facts = _facts(each)
        click.echo(f"{facts['name']:<40} {facts['type']:<9} {_text(facts['value'])}")


@option.command()
@click.argument("name")
@json_option
@click.pass_obj
def get(context: Context, name: str, as_json: bool) -> None:
    """Print the value of NAME."""
    context.setup()
    from envoi.kernel import options
    from envoi.kernel.rights import at_command_line

    facts = _facts(options.describe(name, actor=at_command_line()))
    if as_json:
        emit_json(facts)
    else:
        click.echo(_text(facts["value"]))


@option.command("set")
@click.argument("name")
@click.argument("value")
@click.option("--type", "kind", type=click.Choice(TYPES), help="Create NAME with this type if need be.")
@click.option("--description", help="What the option is for.")
@json_option
@click.pass_obj
def set_(
    context: Context, name: str, value: str, kind: str | None, description: str | None, as_json: bool
) -> None:
    """Set NAME to VALUE."""
    context.setup()
    from envoi.kernel import options
    from envoi.kernel.models.option import DataType
    from envoi.kernel.rights import at_command_line

    wanted = DataType[kind.upper()] if kind else None
    done = options.set(name, value, actor=at_command_line(), data_type=wanted, description=description)
    if as_json:
        emit_json(_facts(done))
    else:
        say(f"{done.name} is {_text(_facts(done)['value'])}.")


def _facts(found: Any) -> dict[str, Any]:
    from envoi.kernel.models.option import DataType

    return {
        "name": found.name,
        "type": str(DataType(found.data_type).label),
        "value": found.value,
        "description": found.description,
    }


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)
