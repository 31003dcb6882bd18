"""`envoi init`: create an instance, or bring an existing one up to date."""

import secrets
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from envoi.cli.main import Context, emit_json, json_option, say
from envoi.kernel.errors import Invalid

# Without letters and digits that are taken for one another.
PASSWORD_LETTERS = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # noqa: S105


@click.command()
@click.option(
    "--packages", "asked", default="", metavar="A,B", help="Packages to install besides core_default."
)
@click.option("--name", metavar="NAME", help="Name of a new instance (the folder's name when not given).")
@click.option(
    "--admin-password-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="First line: the password of admin, instead of a generated one.",
)
@click.option(
    "--join", metavar="URL", help="Make this a further host of the instance with the database at URL."
)
@click.option(
    "--key-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="With --join: a copy of secrets/instance.key of another host of that instance.",
)
@json_option
@click.pass_obj
def init(
    context: Context,
    asked: str,
    name: str | None,
    admin_password_file: Path | None,
    join: str | None,
    key_file: Path | None,
    as_json: bool,
) -> None:
    """Create an instance in the home folder, or bring an existing one up to date.

    Safe to run again, also after it was interrupted.
    """
    from envoi.app import boot, creation
    from envoi.kernel import config, packages

    home = context.home
    if join:
        joined = creation.join(home, join, key_file)
        emit_json(joined) if as_json else say(f"{home} is now a host of the instance {joined['instance']}.")
        return
    password = _read_password(admin_password_file)
    wanted = [part.strip() for part in asked.split(",") if part.strip()]
    packages.resolve(wanted)  # a misspelt name is refused before anything is made
    settings = config.load(home)
    if settings.database.url:
        # A database of the user's own may belong to another host: that is told before anything is made here.
        with closing(boot.acquire(settings)) as lease:
            creation.look(lease, home)
    fresh = creation.make_folder(home, name)
    with closing(boot.acquire(config.load(home))) as lease:
        names = packages.resolve((creation.ALWAYS, *wanted, *creation.look(lease, home)))

    instance = boot.setup(home, packages=names)
    done = creation.prepare(instance, names)
    for line in done.kept:
        say(f"Left as it is, an operator changed it: {line}")
    if not as_json:
        say(_summary(home, fresh, done))
    _first_sign_in(instance, done.packages, password, as_json)


def _read_password(file: Path | None) -> str | None:
    if file is None:
        return None
    lines = file.read_text(encoding="utf-8").splitlines()
    if not lines or not lines[0]:
        raise Invalid(f"{file} must hold the password of admin in its first line.")
    return lines[0]


def _first_sign_in(instance: Any, names: tuple[str, ...], password: str | None, as_json: bool) -> None:
    """Give `admin` a password when nobody could sign in and administer otherwise, and print the last words.

    A generated password is printed before it is committed: killed in between, the next run makes another,
    while the other order could lose the only copy.
    """
    from django.db import transaction

    from envoi.kernel import locks, operators, rights

    with transaction.atomic():
        locks.in_transaction(locks.Lock.ADMINISTRATORS)
        shown = None
        if not operators.administrators():
            chosen = password or "".join(secrets.choice(PASSWORD_LETTERS) for _ in range(20))
            operators.set_password("admin", chosen, actor=rights.at_command_line())
            shown = None if password else chosen
        elif password:
            say("The password file was not used: there is an administrator. See `envoi operator password`.")
        if as_json:
            emit_json(
                {
                    "instance": instance.config.instance.name,
                    "home": str(instance.home),
                    "packages": list(names),
                    "admin_password": shown,
                }
            )
        elif shown:
            say(f"Sign in as admin with the password {shown} (shown this once).")


def _summary(home: Path, fresh: bool, done: Any) -> str:
    if fresh:
        return f"Made an instance in {home} with {', '.join(done.packages)}."
    parts = []
    if done.added:
        parts.append(f"installed {', '.join(done.added)}")
    if done.migrated:
        parts.append(f"applied {len(done.migrated)} migrations")
    return f"The instance in {home} is up to date" + (
        f": {'; '.join(parts)}." if parts else "; nothing to do."
    )
