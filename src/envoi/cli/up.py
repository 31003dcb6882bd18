"""`envoi up`: all processes of the instance on this host."""

import os

import click

from envoi.cli.main import Context, say


@click.command()
@click.option("--host", help="The address to listen on ([web] host; this machine only by default).")
@click.option("--port", type=click.IntRange(1, 65535), help="The port of the console ([web] port).")
@click.option("--processes", metavar="NAMES", default="", help="Only these, separated by commas: web,worker.")
@click.pass_obj
def up(context: Context, host: str | None, port: int | None, processes: str) -> None:
    """Start the instance and keep it running until it is stopped (Ctrl-C, SIGTERM).

    SIGHUP loads everything anew, one process after another.
    """
    from envoi.app import up as instance_up

    # The children read the same variables.
    if host is not None:
        os.environ["ENVOI_WEB_HOST"] = host
    if port is not None:
        os.environ["ENVOI_WEB_PORT"] = str(port)
    only = tuple(name.strip() for name in processes.split(",") if name.strip())
    instance_up.up(context.home, only=only, say=say)
