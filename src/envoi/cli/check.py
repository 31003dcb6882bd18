"""`envoi check`: what is misconfigured."""

import click

from envoi.cli.main import DONE, FAILED, Context, emit_json, json_option


@click.command()
@json_option
@click.pass_obj
def check(context: Context, as_json: bool) -> int:
    """Find what is misconfigured, and say how to mend it. Exit 1 when something needs mending."""
    from envoi.app import checks

    found = checks.check(context.home)
    if as_json:
        emit_json(found)
    else:
        for each in found["findings"]:
            click.echo(f"{each['level']:<8} {each['thing']}: {each['place']}")
            click.echo(f"         {each['message']}")
            click.echo(f"         {each['remedy']}")
        problems = sum(each["level"] == "problem" for each in found["findings"])
        hints = len(found["findings"]) - problems
        click.echo(f"{len(found['asked'])} questions asked: {problems} to mend, {hints} hints.")
    return DONE if found["ok"] else FAILED
