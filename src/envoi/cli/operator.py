"""`envoi operator`: create operators, set their passwords and rights, shut them out."""

import sys
from pathlib import Path
from typing import Any

import click

from envoi.cli.main import Context, emit_json, json_option, say
from envoi.kernel.errors import Invalid

password_file = click.option(
    "--password-file",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    help="First line: the password; - reads standard input. Asked for at the terminal when not given.",
)


@click.group()
def operator() -> None:
    """Create operators, set their passwords and rights, shut them out."""


@operator.command("list")
@json_option
@click.pass_obj
def list_(context: Context, as_json: bool) -> None:
    """Print the operators with their rights and groups."""
    context.setup()
    from envoi.kernel.models import Operator

    rows = [_facts(each) for each in Operator.objects.order_by("name")]
    if as_json:
        emit_json(rows)
        return
    for row in rows:
        state = "disabled" if row["disabled"] else "technical" if row["technical"] else ""
        held = ", ".join([*row["groups"], *row["rights"]])
        click.echo(f"{row['name']:<24} {state:<10} {held}")


@operator.command()
@click.argument("name")
@click.option("--label", default="", help="How the operator is called on pages.")
@click.option("--email", default="", help="Where notices go.")
@click.option("--right", "rights", multiple=True, metavar="RIGHT", help="A named right; may be repeated.")
@click.option("--group", "groups", multiple=True, metavar="GROUP", help="A group to join; may be repeated.")
@click.option("--language", default="", metavar="CODE", help="en, fr, sv, ko or zh-hant.")
@click.option("--timezone", default="", metavar="ZONE", help="Such as Europe/Paris.")
@click.option("--no-password", is_flag=True, help="Create it without a password: nobody can sign in yet.")
@password_file
@json_option
@click.pass_obj
def create(
    context: Context,
    name: str,
    label: str,
    email: str,
    rights: tuple[str, ...],
    groups: tuple[str, ...],
    language: str,
    timezone: str,
    no_password: bool,
    password_file: Path | None,
    as_json: bool,
) -> None:
    """Create the operator NAME."""
    context.setup()
    from django.db import transaction

    from envoi.kernel import operators
    from envoi.kernel.rights import at_command_line

    password = None if no_password else _password(password_file)
    with transaction.atomic():
        made = operators.create(
            name,
            actor=at_command_line(),
            label=label,
            email=email,
            password=password,
            rights=rights,
            groups=groups,
            language=language,
            timezone=timezone,
        )
    _report(made, as_json, f"Created {made.name}.")


@operator.command()
@click.argument("name")
@password_file
@json_option
@click.pass_obj
def password(context: Context, name: str, password_file: Path | None, as_json: bool) -> None:
    """Set the password of NAME; its sessions end."""
    context.setup()
    from envoi.kernel import operators
    from envoi.kernel.rights import at_command_line

    who = operators.find(name)
    operators.set_password(name, _password(password_file), actor=at_command_line())
    _report(who, as_json, f"The password of {who.name} is set.")


@operator.command()
@click.argument("name")
@click.option("--right", "rights", multiple=True, metavar="RIGHT", help="Give this right; may be repeated.")
@click.option("--without", multiple=True, metavar="RIGHT", help="Take this right; may be repeated.")
@click.option("--group", "groups", multiple=True, metavar="GROUP", help="Join this group; may be repeated.")
@click.option("--leave", multiple=True, metavar="GROUP", help="Leave this group; may be repeated.")
@json_option
@click.pass_obj
def rights(
    context: Context,
    name: str,
    rights: tuple[str, ...],
    without: tuple[str, ...],
    groups: tuple[str, ...],
    leave: tuple[str, ...],
    as_json: bool,
) -> None:
    """Give and take rights of NAME, and print those it has. Without options it only prints."""
    context.setup()
    from django.db import transaction

    from envoi.kernel import operators
    from envoi.kernel.rights import at_command_line

    actor = at_command_line()
    with transaction.atomic():
        before = _facts(operators.find(name))
        taken = {right.upper() for right in without}
        wanted = (set(before["rights"]) | {right.upper() for right in rights}) - taken
        if groups or leave:
            operators.set_groups(name, (set(before["groups"]) | set(groups)) - set(leave), actor=actor)
        if rights or without:
            operators.set_rights(name, wanted, actor=actor)
    found = operators.find(name)
    facts = _facts(found)
    _report(found, as_json, "\n".join([*facts["groups"], *facts["rights"]]) or f"{found.name} has no rights.")


@operator.command()
@click.argument("name")
@click.option("--enable", is_flag=True, help="Let it in again.")
@json_option
@click.pass_obj
def disable(context: Context, name: str, enable: bool, as_json: bool) -> None:
    """Shut NAME out, or let it in again. Its notices still go out until its address is removed."""
    context.setup()
    from envoi.kernel import operators
    from envoi.kernel.rights import at_command_line

    changed = operators.set_disabled(name, not enable, actor=at_command_line())
    _report(changed, as_json, f"{changed.name} is {'disabled' if changed.disabled else 'enabled'}.")


def _password(file: Path | None) -> str:
    if file is None:
        return click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    lines = text.splitlines()
    if not lines or not lines[0]:
        raise Invalid(f"{file} must hold the password in its first line.")
    return lines[0]


def _report(who: Any, as_json: bool, text: str) -> None:
    if as_json:
        emit_json(_facts(who))
    else:
        say(text)


def _facts(who: Any) -> dict[str, Any]:
    from envoi.kernel.models import Group, NamedRight

    return {
        "name": who.name,
        "label": who.label,
        "email": who.email,
        "disabled": who.disabled,
        "technical": who.technical,
        "rights": sorted(NamedRight.objects.filter(operator=who).values_list("name", flat=True)),
        "groups": sorted(Group.objects.filter(members=who).values_list("name", flat=True)),
        "last_login": who.last_login,
    }
