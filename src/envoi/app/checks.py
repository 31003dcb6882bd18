"""What is misconfigured: one small function a question, each finding with thing, place and remedy.

The questions of `OUTSIDE` need neither Django nor a server; those of `INSIDE` are asked of a running
database.
"""

import ipaddress
import os
import shutil
import socket
import stat
import zoneinfo
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from envoi.app import boot, serve, supervisor, telemetry
from envoi.kernel import config as configuration
from envoi.kernel.config import Config
from envoi.kernel.errors import PlatformError, Refused

LEAST_FREE = 1024**3
MOST_SKEW = 2.0
SILENT = timedelta(hours=1)
SMTP_SECONDS = 5.0
LANGUAGES = ("en", "fr", "sv", "ko", "zh-hant")


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be. A `problem` needs mending; a `hint` is worth a thought."""

    level: Literal["problem", "hint"]
    thing: str
    place: str
    message: str
    remedy: str


def problem(thing: str, place: object, message: str, remedy: str) -> Finding:
    """Return a finding that makes `envoi check` fail."""
    return Finding("problem", thing, str(place), message, remedy)


def hint(thing: str, place: object, message: str, remedy: str) -> Finding:
    """Return a finding that does not."""
    return Finding("hint", thing, str(place), message, remedy)


def check(home: Path) -> dict[str, Any]:
    """Ask every question of the instance in `home`; returns ok, the questions asked, and the findings.

    A question whose ground is missing (no configuration, no database) is not asked; what is missing is a
    finding.
    """
    asked: list[str] = []
    findings: list[Finding] = []

    def put(questions: tuple[Callable[..., Iterator[Finding]], ...], *about: Any) -> None:
        for question in questions:
            asked.append(question.__name__)
            findings.extend(question(*about))

    try:
        config = configuration.load(home)
    except Refused as error:
        findings.append(problem("configuration", home / "envoi.toml", str(error), "Mend that key."))
        return _result(asked, findings)
    if not boot.holds_instance(config):
        findings.append(
            problem(
                "instance", home, "There is no instance.", "Create one with `envoi init`, or give --home."
            )
        )
        return _result(asked, findings)
    put(OUTSIDE, config)
    try:
        instance = boot.setup(home)
    except PlatformError as error:
        # A refusal names its remedy itself.
        remedy = "Do that." if isinstance(error, Refused) else f"See {home}/log/postgres.log."
        findings.append(problem("database", _database_place(config), str(error), remedy))
        return _result(asked, findings)
    put(INSIDE, instance)
    if not any(finding.thing == "migrations" for finding in findings):
        put(ROWS, instance)
    return _result(asked, findings)


def _result(asked: list[str], findings: list[Finding]) -> dict[str, Any]:
    return {
        "ok": all(finding.level != "problem" for finding in findings),
        "asked": asked,
        "findings": [asdict(finding) for finding in findings],
    }


def _database_place(config: Config) -> str:
    return "DATABASE_URL" if config.database.url else f"{config.home}/postgres"


# Outside of the database


def folder(config: Config) -> Iterator[Finding]:
    """Is the instance's folder ours, and closed to others?"""
    home = config.home
    if not home.is_dir():
        yield problem("folder", home, "The folder does not exist.", f"mkdir -m 700 {home}")
        return
    found = home.stat()
    if found.st_mode & (stat.S_IRGRP | stat.S_IWGRP | stat.S_IROTH | stat.S_IWOTH):
        yield problem(
            "folder", home, "Other users of this machine can list or change it.", f"chmod go-rw {home}"
        )
    if os.geteuid() not in (0, found.st_uid):
        yield problem(
            "folder", home, f"It belongs to user {found.st_uid}, not to you.", "Run `envoi` as that user."
        )


def secret_files(config: Config) -> Iterator[Finding]:
    """Are key, passwords and configuration readable by their owner alone?"""
    closed = [config.file, *sorted((config.home / "secrets").glob("*"))]
    for path in closed:
        if path.is_file() and path.stat().st_mode & 0o077:
            yield problem("secrets", path, "Other users of this machine can read it.", f"chmod 600 {path}")


def instance_key(config: Config) -> Iterator[Finding]:
    """Is the instance's key there, and whole?"""
    path = config.home / "secrets" / "instance.key"
    try:
        size = path.stat().st_size
    except OSError:
        yield problem(
            "key",
            path,
            "The instance's key is missing; stored secrets cannot be read without it.",
            "Put it back from a backup of the folder, or run `envoi init` if nothing was stored yet.",
        )
        return
    if size != 32:
        yield problem("key", path, f"It holds {size} bytes instead of 32.", "Put it back from a backup.")


def disk(config: Config) -> Iterator[Finding]:
    """Is there room?"""
    for path in _folders_that_grow(config):
        usage = shutil.disk_usage(path)
        if usage.free < LEAST_FREE or usage.free < usage.total / 50:
            yield problem(
                "disk",
                path,
                f"Only {usage.free // 1024**2} MB of {usage.total // 1024**2} MB are free.",
                "Make room, or move the folder to a larger disk.",
            )


def _folders_that_grow(config: Config) -> list[Path]:
    found = [config.home]
    if not config.database.url:
        from envoi.postgres.describe import describe
        from envoi.postgres.errors import PostgresRefused

        try:
            data = describe(config.home).folder
        except PostgresRefused:
            return found
        if data.is_dir() and data.stat().st_dev != config.home.stat().st_dev:
            found.append(data)
    return found


def port(config: Config) -> Iterator[Finding]:
    """Can the console have its port, unless it has it already?"""
    if supervisor.up_pid(config.home) is not None:
        return
    try:
        serve.claim(config.web.host, config.web.port)
    except Refused as error:
        yield problem(
            "port", f"{config.web.host}:{config.web.port}", str(error), "Choose another [web] port."
        )


def addresses(config: Config) -> Iterator[Finding]:
    """Do public address, host names and TLS fit together?"""
    web, file = config.web, config.file
    if "*" in web.allowed_hosts:
        yield problem(
            "allowed_hosts",
            file,
            "Every host name is accepted, so links in mails can be made to point elsewhere.",
            "List the names by which the console is reached in [web] allowed_hosts.",
        )
    public = urlsplit(web.public_url)
    if web.public_url and public.scheme not in ("http", "https"):
        yield problem(
            "public_url", file, f"{web.public_url!r} is no web address.", "Write https://name in [web]."
        )
    elif public.hostname and not _is_allowed(public.hostname, web.allowed_hosts):
        yield problem(
            "public_url",
            file,
            f"{public.hostname} is not among the allowed host names, so its pages are refused.",
            f'Add "{public.hostname}" to [web] allowed_hosts.',
        )
    if web.https and public.scheme == "http":
        yield problem("https", file, "https is on, but public_url begins with http.", "Make them agree.")
    if not web.https and (public.scheme == "https" or web.host not in ("127.0.0.1", "::1", "localhost")):
        yield hint(
            "https",
            file,
            "The console is reached from elsewhere, and cookies are not confined to TLS.",
            "Put a TLS proxy before it, and set [web] https = true.",
        )


def _is_allowed(name: str, allowed: tuple[str, ...]) -> bool:
    return any(
        name == each or each == "*" or (each.startswith(".") and (name.endswith(each) or name == each[1:]))
        for each in allowed
    )


def readers(config: Config) -> Iterator[Finding]:
    """Can readers reach us, and where are they led?"""
    tracking, file = config.tracking, config.file
    if not tracking.url:
        yield hint(
            "tracking",
            file,
            "Readers have no address to reach us: links and opens are not tracked.",
            "Set [tracking] url to the public address of the process `track`, such as https://t.example.org.",
        )
        return
    public = urlsplit(tracking.url)
    if public.scheme not in ("http", "https") or not public.hostname or public.path.strip("/"):
        yield problem(
            "tracking",
            file,
            f"[tracking] url is {tracking.url!r}.",
            "Write scheme and name alone: https://t.example.org.",
        )
    if not config.web.public_url and public.hostname not in ("127.0.0.1", "localhost", "::1"):
        yield problem(
            "tracking",
            file,
            f"Readers who unsubscribe or open a mirror page are led to {config.web.address}.",
            "Set [web] public_url to the address at which readers reach the console.",
        )
    for network in tracking.trusted_proxies:
        try:
            ipaddress.ip_network(network, strict=False)
        except ValueError:
            yield problem(
                "tracking",
                file,
                f"[tracking] trusted_proxies has {network!r}, which is no network.",
                "Write addresses or networks such as 10.0.0.0/8.",
            )
    if tracking.cookies_elsewhere and public.scheme != "https":
        yield hint(
            "tracking",
            file,
            "Browsers send cookies from pages of other sites over https alone.",
            "Put a TLS proxy before `track`, and write https in [tracking] url.",
        )
    rejected = sorted((config.home / "tracking").glob("*.rejected"))
    if rejected:
        yield hint(
            "tracking",
            rejected[0],
            f"{len(rejected)} files hold hits that could not be read.",
            "Look at them; remove them when nobody misses them.",
        )


def zone_and_language(config: Config) -> Iterator[Finding]:
    """Are time zone and language known?"""
    try:
        zoneinfo.ZoneInfo(config.instance.timezone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        yield problem(
            "timezone",
            config.file,
            f"{config.instance.timezone!r} is no time zone of the IANA data base.",
            'Write one such as "Europe/Paris" in [instance] timezone.',
        )
    if config.instance.language not in LANGUAGES:
        yield problem(
            "language",
            config.file,
            f"{config.instance.language!r} is not among {', '.join(LANGUAGES)}.",
            "Choose one of them in [instance] language.",
        )


def mail(config: Config) -> Iterator[Finding]:
    """Can system mail leave?"""
    if not config.smtp.url:
        yield hint(
            "mail",
            "SMTP_URL",
            "No relay is set: messages to operators wait in the console.",
            "Set [smtp] url, or SMTP_URL, to smtp://user:password@host:587.",
        )
        return
    relay = urlsplit(config.smtp.url)
    place = f"{relay.hostname}:{relay.port or (465 if relay.scheme == 'smtps' else 25)}"
    if relay.scheme not in ("smtp", "smtps") or not relay.hostname:
        yield problem(
            "mail", "SMTP_URL", "It is no address of a relay.", "Write smtp://host or smtps://host."
        )
        return
    try:
        with socket.create_connection(
            (relay.hostname, int(place.rsplit(":", 1)[1])), timeout=SMTP_SECONDS
        ) as connection:
            greeting = b"220" if relay.scheme == "smtps" else connection.recv(512)
    except OSError as error:
        yield problem("mail", place, f"The relay does not answer: {error}.", "Mend SMTP_URL, or the relay.")
        return
    if not greeting.startswith(b"220"):
        yield problem("mail", place, "What answers there is no mail server.", "Mend the port in SMTP_URL.")
    if not config.smtp.sender:
        yield hint(
            "mail", config.file, "System mail has no sender of its own.", "Set [smtp] sender to an address."
        )


def traces(config: Config) -> Iterator[Finding]:
    """Is what traces need installed?"""
    try:
        telemetry.require(config)
    except Refused as error:
        yield problem(
            "telemetry", config.file, str(error), 'pip install "envoi[telemetry]", or empty the key.'
        )


OUTSIDE = (
    folder,
    secret_files,
    instance_key,
    disk,
    port,
    addresses,
    readers,
    zone_and_language,
    mail,
    traces,
)


# Of a running database


def server(instance: boot.Instance) -> Iterator[Finding]:
    """Is the server as we need it: rights of the roles, room for connections, durable?"""
    from django.db import connection

    lease = instance.lease
    place = _database_place(instance.config)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT rolsuper, has_schema_privilege(current_user, 'public', 'CREATE'),"
            " current_setting('max_connections')::int, current_setting('fsync'),"
            " current_setting('server_encoding')"
            " FROM pg_roles WHERE rolname = current_user"
        )
        ((superuser, may_create, connections, fsync, encoding),) = cursor.fetchall()
    if superuser:
        yield problem(
            "database",
            place,
            "Envoi works as a superuser of the server.",
            "Make a role without that right, the owner of the database, and name it in DATABASE_URL.",
        )
    if not may_create:
        yield problem(
            "database",
            place,
            "The role may not create tables.",
            "Make it the owner: ALTER DATABASE … OWNER TO ….",
        )
    wanted = instance.config.web.threads + instance.config.worker.processes * (
        instance.config.worker.threads + 3
    )
    if connections < wanted + 10:
        yield problem(
            "database",
            place,
            f"The server allows {connections} connections; this host alone may use {wanted}.",
            "Raise max_connections, or lower [web] threads and [worker] threads.",
        )
    if fsync != "on":
        yield problem("database", place, "fsync is off: a power cut spoils the data.", "Set fsync = on.")
    if encoding != "UTF8":
        yield problem(
            "database", place, f"Its encoding is {encoding}.", "Create the database with ENCODING 'UTF8'."
        )
    if lease is not None and lease.embedded:
        yield from _embedded(instance.home)


def _embedded(home: Path) -> Iterator[Finding]:
    from envoi.postgres.describe import describe

    found = describe(home)
    if found.upgrade:
        yield hint(
            "database",
            found.folder,
            f"PostgreSQL {found.upgrade} is installed; the data are of {found.version}.",
            "Back up, then run `envoi db upgrade`.",
        )
    for path in found.abandoned:
        yield hint(
            "database", path, "Data of an instance whose folder is gone.", "Remove it if nobody misses it."
        )


def clocks(instance: boot.Instance) -> Iterator[Finding]:
    """Do the clocks of this host and of the database agree?"""
    from django.db import connection

    from envoi.kernel import clock

    if os.environ.get("ENVOI_CLOCK_FILE"):
        return
    with connection.cursor() as cursor:
        before = clock.now()
        cursor.execute("SELECT clock_timestamp()")
        ((there,),) = cursor.fetchall()
        here = before + (clock.now() - before) / 2
    skew = abs((there - here).total_seconds())
    if skew > MOST_SKEW:
        yield problem(
            "clock",
            _database_place(instance.config),
            f"The clocks of this host and of the database differ by {skew:.0f} s.",
            "Let both follow the same time servers (chrony, systemd-timesyncd).",
        )


def tables(instance: boot.Instance) -> Iterator[Finding]:
    """Do tables and packages fit the code?"""
    from envoi.kernel import migrate, packages

    missing = [name for name in instance.packages if name not in packages.discover()]
    if missing:
        yield problem(
            "packages",
            _database_place(instance.config),
            f"The instance has packages that this installation lacks: {', '.join(missing)}.",
            "Install the Python distributions that bring them.",
        )
    if found := migrate.unapplied():
        yield problem(
            "migrations",
            _database_place(instance.config),
            f"{len(found)} are not applied ({found[0]}{', …' if found[1:] else ''}).",
            "Run `envoi init`, or restart `envoi up`, which applies them.",
        )


def operators(instance: boot.Instance) -> Iterator[Finding]:
    """Can operators be told of what goes wrong?"""
    from envoi.kernel.operators import administrators

    unheard = [each.name for each in administrators() if not each.email]
    if unheard:
        yield hint(
            "operators",
            "Access management",
            f"No e-mail address is known of {', '.join(sorted(unheard))}.",
            "Give one, so that failures can be told.",
        )


def supervisors(instance: boot.Instance) -> Iterator[Finding]:
    """Has every production workflow somebody who is told when it fails?"""
    from envoi.engine.models import Severity, Workflow

    alone = Workflow.objects.filter(
        is_model=False,
        production__gte=Severity.PRODUCTION,
        supervisor_operator=None,
        supervisor_group=None,
    )
    for workflow in alone.order_by("internal_name"):
        yield hint(
            "supervisor",
            f"workflow {workflow.internal_name}",
            "It is of production severity, and nobody is told when it fails.",
            "Choose an operator or a group as its supervisor.",
        )


def outgoing(instance: boot.Instance) -> Iterator[Finding]:
    """Is anything stuck in the outbox?"""
    from envoi.kernel.models.outbox import OutboxItem, OutboxState

    failed = OutboxItem.objects.filter(state=OutboxState.FAILED).count()
    if failed:
        yield problem(
            "outbox",
            "Monitoring",
            f"{failed} outgoing effects have failed for good.",
            "Read why in the console, mend it, and send them again.",
        )


def sending(instance: boot.Instance) -> Iterator[Finding]:
    """Will providers believe and take our deliveries? Whether we are on block lists is not asked."""
    if "delivery" not in instance.packages or instance.config.sending.sink:
        return
    from envoi.packages.delivery.services.routing import standing

    config = instance.config
    if not config.sending.bounce_domain and not config.sending.sender:
        yield hint(
            "sending",
            config.file,
            "No domain of return addresses is set, so bounces go to a host that may take none.",
            "Set [sending] bounce_domain to a domain whose MX is this instance.",
        )
    for name in standing.unreadable_keys(config.home):
        yield problem(
            "sending",
            name,
            "This DKIM key cannot be opened, so mail leaves without its signature.",
            "Put the instance's key back that it was sealed with, or make another key under Sending domains.",
        )
    for domain in standing.unsigned_domains(config):
        yield hint(
            "sending",
            domain,
            "Deliveries come From this domain, and no DKIM key signs for it.",
            "Make a key under Sending domains, publish its record, and let it sign.",
        )
    if standing.never_answered(config):
        yield hint(
            "sending",
            config.file,
            "No mail server has answered for a day: outgoing connections to port 25 may be blocked.",
            "Ask the provider of this host to open port 25, or set [sending] relay.",
        )


def senders(instance: boot.Instance) -> Iterator[Finding]:
    """Is there a sender of another host that holds messages and was not seen for long?"""
    if "delivery" not in instance.packages:
        return
    from envoi.kernel import clock
    from envoi.packages.delivery.services.mta import journals

    for each in journals.silent(clock.now() - SILENT):
        yield problem(
            "sender",
            each.host,
            f"A sender there was last seen at {each.seen_at:%Y-%m-%d %H:%M} UTC and may hold messages.",
            f"Start the host again; if it is gone for good: `envoi sender --give-up {each.host}`.",
        )


INSIDE = (server, clocks, tables)
ROWS = (operators, supervisors, outgoing, sending, senders)
