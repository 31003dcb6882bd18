"""`envoi web`: the web process."""

import os
from dataclasses import replace

import click

from envoi.cli.main import Context


@click.command()
@click.option("--host", help="The address to listen on ([web] host; this machine only by default).")
@click.option("--port", type=click.IntRange(1, 65535), help="The port ([web] port).")
@click.pass_obj
def web(context: Context, host: str | None, port: int | None) -> None:
    """Serve the console and the machine-readable doors."""
    from envoi.app import boot, logs, serve

    settings = boot.boot(context.home, database=False).config
    logs.configure_from_environment(settings.log, context.home, process="web")
    # The process that serves boots from the environment alone.
    if host is not None:
        os.environ["ENVOI_WEB_HOST"] = host
    if port is not None:
        os.environ["ENVOI_WEB_PORT"] = str(port)
    serve.serve(
        replace(
            settings,
            web=replace(settings.web, host=host or settings.web.host, port=port or settings.web.port),
        )
    )
