"""`envoi sender`: sends deliveries until it is told to stop."""

import asyncio
import logging
import os
import signal
import sys
import threading
from dataclasses import replace
from typing import Any

import click

from envoi.cli.main import Context
from envoi.cli.worker import keep_alive


@click.command()
@click.option(
    "--give-up",
    metavar="HOST",
    help="Declare the senders of a host dead that is gone for good: what they held is in doubt.",
)
@click.pass_obj
def sender(context: Context, give_up: str | None) -> None:
    """Send deliveries."""
    from envoi.app import logs

    instance = context.setup()
    logs.configure_from_environment(instance.config.log, context.home, process="sender")
    if give_up is not None:
        _give_up(give_up)
        return
    if "delivery" not in instance.packages:
        _wait()
        return
    if instance.lease is not None and logs.PROCESS_VARIABLE not in os.environ:
        threading.Thread(target=keep_alive, args=(instance.lease,), name="keeper", daemon=True).start()
    sys.exit(_send(instance.config))


def _send(config: object) -> int:
    try:
        from uvloop import run
    except ImportError:  # it is faster, and not there for every system
        from asyncio import run

    from envoi.kernel.config import Config
    from envoi.kernel.errors import Broken
    from envoi.packages.delivery.services.mta.process import Process

    assert isinstance(config, Config)  # noqa: S101 for the type checker

    async def send() -> None:
        process = Process(config, _pace())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, process.stop)
        await process.run()

    try:
        run(send())
    except Broken as error:
        logging.getLogger(__name__).error("%s", error)
        return 1
    return 0


def _pace() -> Any:
    """Return how often the sender looks; a test of crashes makes it look sooner."""
    from envoi.packages.delivery.services.mta.process import Pace

    usual = Pace()
    return replace(
        usual,
        again=float(os.environ.get("ENVOI_CHAOS_AGAIN_S", usual.again)),
        look=float(os.environ.get("ENVOI_CHAOS_LOOK_S", usual.look)),
    )


def _wait() -> None:
    """Do nothing until told to stop: there are no deliveries on this instance."""
    logging.getLogger(__name__).info("the package delivery is not installed: there is nothing to send")
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
    signal.sigwait((signal.SIGTERM, signal.SIGINT))


def _give_up(host: str) -> None:
    from envoi.kernel import clock
    from envoi.packages.delivery.services.mta import journals
    from envoi.packages.delivery.services.mta.runs import Runs

    found = journals.give_up(host, Runs(), now=clock.now())
    for each in found:
        click.echo(f"{each.journal}: {each.parts} parts are free again, {each.doubts} messages in doubt")
    if not found:
        click.echo(f"There is no sender of {host}.")
