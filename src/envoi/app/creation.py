"""The making of an instance: its folder, its key, its packages; and a further host of one."""

import json
import os
import secrets as chance
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg

from envoi.app import boot
from envoi.kernel import clock, config, packages, secrets
from envoi.kernel.errors import Conflict, Invalid, Refused
from envoi.postgres import server
from envoi.postgres.files import hand_over

ALWAYS = "core_default"
FINGERPRINT = "EnvoiKeyFingerprint"
KEY_QUERY = "SELECT string_value FROM xtk_option WHERE name = %s"
DATA = frozenset(
    {
        "archive", "exports", "extractions", "files", "imports", "inbound", "journals", "sink", "spool",
        "static", "tracking",
    }
)  # fmt: skip
"""Folders that the processes of an instance fill."""
# What the product itself puts into a folder; anything else in it belongs to somebody else.
OURS = DATA | {config.FILE_NAME, "run", "log", "secrets", "postgres"}
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

[sending]
# processes = 1
# sender = "news@example.com"            # the From address of deliveries that name none
# bounce_domain = "bounce.example.com"   # return addresses; its mail must come back to this instance
# helo = "mail.example.com"              # how this host greets mail servers
# relay = "smtp://user:password@mail.example.com:587"  # "mx": straight to the servers of each domain
"""


def prepare(instance: boot.Instance, names: tuple[str, ...] = ()) -> packages.Installation:
    """Bring the instance of this process up to date: tables, seed rows, workflows; returns `Installation`.

    Cheap when nothing is to do. One process at a time; others wait. Django must be set up.
    Raises Refused when the instance's key is not that of its database.
    """
    from envoi.kernel import rights  # only once Django is set up

    if instance.lease is not None:
        look(instance.lease, instance.home)
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


def join(home: Path, url: str, key_file: Path | None) -> dict[str, Any]:
    """Check that URL and key belong to one instance, then write the folder of a further host."""
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
    new = file.with_name(f".{file.name}.{chance.token_hex(4)}")
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


def look(lease: server.Lease, home: Path) -> list[str]:
    """Return the packages that the database has or that an interrupted run began.

    Raises Refused when the database belongs to the key of another instance: nothing was changed then.
    """
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
