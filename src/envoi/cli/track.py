"""`envoi track`: answers readers: links, opens, pages of ours, web tracking tags."""

import logging
import os
import signal
import threading
from dataclasses import replace

import click

from envoi.cli.main import Context


@click.command()
@click.option("--host", help="The address to listen on ([tracking] host; this machine only by default).")
@click.option("--port", type=click.IntRange(1, 65535), help="The port ([tracking] port).")
@click.option("--load", is_flag=True, help="Answer nobody: only bring hits of this host into the database.")
@click.option("--once", is_flag=True, help="With --load: what waits, then end.")
@click.pass_obj
def track(context: Context, host: str | None, port: int | None, load: bool, once: bool) -> None:
    """Answer readers, and bring what they did into the database."""
    if once and not load:
        raise click.UsageError("--once goes with --load.")
    if load:
        _load(context, once)
        return
    from envoi.app import boot, logs
    from envoi.app import track as process

    settings = boot.boot(context.home, database=False).config
    logs.configure_from_environment(settings.log, context.home, process="track")
    process.run(
        replace(
            settings,
            tracking=replace(
                settings.tracking, host=host or settings.tracking.host, port=port or settings.tracking.port
            ),
        )
    )


def _load(context: Context, once: bool) -> None:
    from envoi.app import logs
    from envoi.app import track as process
    from envoi.cli.worker import keep_alive

    instance = context.setup()
    logs.configure_from_environment(instance.config.log, context.home, process="track")
    if "delivery" not in instance.packages:
        logging.getLogger(__name__).info("the package delivery is not installed: there is nothing to load")
        if not once:
            signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
            signal.sigwait((signal.SIGTERM, signal.SIGINT))
        return
    from envoi.packages.delivery.services.hits.process import Process

    loader = Process(process.folder(instance.config))
    if once:
        loader.once()
        return
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: loader.stop())
    if instance.lease is not None and logs.PROCESS_VARIABLE not in os.environ:
        threading.Thread(target=keep_alive, args=(instance.lease,), name="keeper", daemon=True).start()
    loader.run()
