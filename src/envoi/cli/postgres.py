"""`envoi postgres`: keep the embedded server in the foreground."""

import click

from envoi.cli.main import Context, say
from envoi.kernel.errors import Broken, Refused


@click.command()
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="A setting of the server.")
@click.pass_obj
def postgres(context: Context, settings: tuple[str, ...]) -> int:
    """Keep the instance's PostgreSQL until Ctrl-C or SIGTERM.

    Not needed as a rule: every command starts the server when it needs it. While another process keeps it,
    this one waits to take over.
    """
    from envoi.app import boot
    from envoi.postgres.files import instance_home
    from envoi.postgres.keep import keep

    config = boot.boot(context.home, database=False).config
    if config.database.url:
        raise Refused("DATABASE_URL: the instance uses a server of your own; there is none to keep here.")
    wrong = [each for each in settings if "=" not in each]
    if wrong:
        raise click.UsageError(f"--set {wrong[0]}: write NAME=VALUE, e.g. --set work_mem=64MB.")
    wanted = dict(each.split("=", 1) for each in settings)
    if config.database.shared_buffers_mb:
        wanted.setdefault("shared_buffers", f"{config.database.shared_buffers_mb}MB")
    faults: list[tuple[str, str]] = []

    def report(state: str, kind: str, message: str) -> None:
        if state == "refused":
            faults.append((kind, message))
        elif state == "busy":
            say(f"{message}; waiting to take over.")
        elif state == "ready":
            say(f"PostgreSQL is ready in {context.home}. Ctrl-C stops it.")

    code = keep(instance_home(context.home), settings=wanted, report=report, foreground=True)
    if faults:
        kind, message = faults[0]
        raise Broken(message) if kind == "ServerFailed" else Refused(message)
    return code
