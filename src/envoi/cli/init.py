"""`envoi init`: create an instance, or bring an existing one up to date."""

import json
import os
import secrets
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from envoi.cli.main import Context, emit_json, json_option, say
from envoi.kernel import config, packages
from envoi.kernel.errors import Conflict, Invalid, Refused
from envoi.postgres.files import hand_over

ALWAYS = "core_default"
FINGERPRINT = "EnvoiKeyFingerprint"
KEY_QUERY = "SELECT string_value FROM xtk_option WHERE name = %s"
# Without letters and digits that are taken for one another.
PASSWORD_LETTERS = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # noqa: S105
# What the product itself puts into a folder; anything else in it belongs to somebody else.
OURS = {
    config.FILE_NAME,
    "run",
    "log",
    "secrets",
    "postgres",
    "static",
    "files",
    "spool",
}
URL_EXAMPLE = (
    '# url = "postgresql://envoi@db.example.com/envoi"    # none: the embedded PostgreSQL, in this folder'
)
FILE = """\
# Configuration of the instance {name}. Each key can also be given as an environment variable: `port` of [web]
# as ENVOI_WEB_PORT, the database's url as DATABASE_URL, the mail relay's as SMTP_URL. The environment wins.

[instance]
name = "{name}"
# label = "Our campaigns"
# timezone = "Europe/Paris"
# language = "en"           # en, fr, sv, ko or zh-hant
# test = true               # marks a test instance on every page

[web]
# host = "127.0.0.1"
# port = 8080
# allowed_hosts = ["localhost", "127.0.0.1"]
# public_url = "https://campaigns.example.com"
# https = true              # behind a proxy that speaks TLS

[database]
{url}

[smtp]
# url = "smtp://user:password@mail.example.com:587"  # relay of system mail; without it such mail waits
# sender = "envoi@example.com"

[worker]
# processes = 1
# threads = 5
"""


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
    home = context.home
    if join:
        joined = _join(home, join, key_file)
        emit_json(joined) if as_json else say(f"{home} is now a host of the instance {joined['instance']}.")
        return
    password = _read_password(admin_password_file)
    wanted = [part.strip() for part in asked.split(",") if part.strip()]
    packages.resolve(wanted)  # a misspelt name is refused before anything is made
    from envoi.app import boot

    settings = config.load(home)
    if settings.database.url:
        # A database of the user's own may belong to another host: that is told before anything is made here.
        with closing(boot.acquire(settings)) as lease:
            _look(lease, home)
    fresh = make_folder(home, name)
    with closing(boot.acquire(config.load(home))) as lease:
        names = packages.resolve((ALWAYS, *wanted, *_look(lease, home)))

    instance = boot.setup(home, packages=names)
    done = prepare(instance, names)
    for line in done.kept:
        say(f"Left as it is, an operator changed it: {line}")
    if not as_json:
        say(_summary(home, fresh, done))
    _first_sign_in(instance, done.packages, password, as_json)


def prepare(instance: Any, names: tuple[str, ...] = ()) -> Any:
    """Bring the instance of this process up to date: tables, seed rows, workflows; returns `Installation`.

    Cheap when nothing is to do. One process at a time; others wait. Django must be set up.
    Raises Refused when the instance's key is not that of its database.
    """
    from envoi.kernel import rights

    _look(instance.lease, instance.home)
    done = packages.install(names, actor=rights.INSTALLER)
    _tie_key(instance.home)
    return done


def make_folder(home: Path, name: str | None = None, url: str = "") -> bool:
    """Make the folder of an instance with its configuration file; return False when it was there.

    `url` is that of a database of the user's own.

    Raises Conflict when the folder holds something else, Invalid when the name cannot be one.
    """
    file = home / config.FILE_NAME
    if file.exists():
        if name is not None and config.load(home).instance.name != name:
            raise Conflict(
                f"{home} holds another instance. Rename it in {file}, or give another folder by --home."
            )
        return False
    if home.exists() and not home.is_dir():
        raise Conflict(f"{home} is a file. Give a folder by --home.")
    foreign = (
        sorted(entry.name for entry in home.iterdir() if not _is_ours(entry.name)) if home.exists() else []
    )
    if foreign:
        raise Conflict(
            f"{home} is not empty and holds no instance ({', '.join(foreign[:3])}"
            f"{', …' if foreign[3:] else ''}). Give an empty folder by --home."
        )
    name = _name_from(home) if name is None else name
    if not _is_name(name):
        raise Invalid(f"{name!r} cannot name an instance: use letters, digits, '-' and '_', 40 at most.")
    # Root's database runs as another user, who has to pass through; nobody but its owner can list the folder.
    mode = 0o711 if os.geteuid() == 0 else 0o700
    if not home.exists():
        home.mkdir(mode=mode, parents=True, exist_ok=True)
        home.chmod(mode)
    _write(file, FILE.format(name=name, url=f"url = {json.dumps(url)}" if url else URL_EXAMPLE))
    return True


def _join(home: Path, url: str, key_file: Path | None) -> dict[str, Any]:
    """Check that URL and key belong to one instance, then write the folder of a further host."""
    import psycopg

    from envoi.kernel import secrets
    from envoi.postgres import server

    if key_file is None:
        raise Invalid("--join needs --key-file: copy secrets/instance.key from another host of the instance.")
    key = secrets.read_key(key_file)
    try:
        with closing(server.external(url)) as lease, psycopg.connect(lease.dsn()) as connection:
            row = connection.execute(KEY_QUERY, (FINGERPRINT,)).fetchone()
    except server.PostgresRefused as error:
        raise Refused(str(error).replace("DATABASE_URL", "--join")) from error
    except psycopg.errors.UndefinedTable:
        row = None
    if row is None:
        raise Conflict(
            "The database at the URL of --join holds no instance. Run `envoi init` on its first host."
        )
    if row[0] != secrets.fingerprint(key):
        raise Refused(f"{key_file} is not the key of the instance at the URL of --join.")
    if not make_folder(home, url=url):
        raise Conflict(f"{home} holds an instance already. Give an empty folder by --home.")
    secrets.store_key(home, key)
    return {"instance": config.load(home).instance.name, "home": str(home)}


def _write(file: Path, text: str) -> None:
    new = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        hand_over(file.parent, descriptor)
        os.fsync(descriptor)
    new.replace(file)


def _is_ours(name: str) -> bool:
    # A run that was killed may have left the file that was to become envoi.toml.
    return name in OURS or name.startswith(f".{config.FILE_NAME}.")


def _is_name(name: str) -> bool:
    return 0 < len(name) <= 40 and name.isascii() and name.replace("-", "").replace("_", "").isalnum()


def _name_from(home: Path) -> str:
    return home.name if _is_name(home.name) and home.name != "var" else "envoi"


def _look(lease: Any, home: Path) -> list[str]:
    """Return the packages that the database has or that an interrupted run began.

    Raises Refused when the database belongs to the key of another instance: nothing was changed then.
    """
    import psycopg

    from envoi.kernel import secrets

    with psycopg.connect(lease.dsn()) as connection:
        try:
            names = [name for (name,) in connection.execute("SELECT name FROM xtk_package").fetchall()]
            row = connection.execute(KEY_QUERY, (FINGERPRINT,)).fetchone()
        except psycopg.errors.UndefinedTable:
            return []
    key = home / secrets.KEY_FILE
    if row is None or (key.exists() and row[0] == secrets.fingerprint(secrets.read_key(key))):
        return names
    if key.exists():
        raise Refused(
            f"{key} is not the key of this database. Put the key back that belongs to it: with another one "
            "stored passwords cannot be read."
        )
    raise Refused(
        f"The database has an instance, and {home} lacks its key. Make this a further host of it with "
        "`envoi init --join URL --key-file FILE`, or put the key back from a backup."
    )


def _tie_key(home: Path) -> None:
    """Let the database recognise the instance's key from now on."""
    from envoi.kernel import clock, secrets
    from envoi.kernel.models import Option
    from envoi.kernel.models.option import DataType

    Option.objects.get_or_create(
        name=FINGERPRINT,
        defaults={
            "data_type": DataType.STRING,
            "string_value": secrets.fingerprint(secrets.read_key(home / secrets.KEY_FILE)),
            "description": "Tells whether a host has the key that belongs to this database.",
            "modified_at": clock.now(),
        },
    )


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
