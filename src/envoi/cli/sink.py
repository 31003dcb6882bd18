"""`envoi sink`: takes the mail of a demonstration."""

import sys

import click

from envoi.cli.main import Context
from envoi.kernel.errors import Refused


@click.command()
@click.option(
    "--anyway", is_flag=True, help="Also for an instance that is no demonstration: its mail stays here."
)
@click.pass_obj
def sink(context: Context, anyway: bool) -> None:
    """Take the mail of a demonstration.

    It listens where [sending] sink says, and answers as providers do; the console shows what it took. Bounces
    go to [inbound] listen, else into the Maildir of [inbound] maildir.
    """
    from envoi.app import logs
    from envoi.app import sink as server
    from envoi.kernel import config as configuration

    config = configuration.load(context.home)
    if not config.sending.sink:
        raise Refused("This instance sends its mail to the world: [sending] sink in envoi.toml is empty.")
    if not config.instance.demo and not anyway:
        raise Refused("This instance is no demonstration. Say --anyway to keep its mail on this machine.")
    logs.configure_from_environment(config.log, context.home, process="sink")
    bounces = config.inbound.listen or config.inbound.maildir or str(config.home / "sink" / "bounces")
    server.run(config.home, config.sending.sink, bounces)
    sys.exit(0)
