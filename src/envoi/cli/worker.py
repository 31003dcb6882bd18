"""`envoi worker`: runs the activities of workflows until it is told to stop."""

import logging
import os
import sys
import threading
from typing import Any

import click

from envoi.cli.main import Context

REVIVE_S = 5.0
"""How often a worker of its own looks whether the embedded server has to be started again."""


@click.command()
@click.option(
    "--affinity",
    metavar="A,B",
    help="Accept these affinities only; with a trailing comma also work without one.",
)
@click.option("--threads", type=click.IntRange(1, 200), help="How many activities at a time.")
@click.pass_obj
def worker(context: Context, affinity: str | None, threads: int | None) -> None:
    """Run workflow activities."""
    from envoi.app import logs

    instance = context.setup()
    settings = instance.config.worker
    logs.configure_from_environment(instance.config.log, context.home, process="worker")
    if instance.lease is not None and logs.PROCESS_VARIABLE not in os.environ:
        threading.Thread(target=keep_alive, args=(instance.lease,), name="keeper", daemon=True).start()
    from envoi.engine import dispatcher
    from envoi.engine.worker import Options

    sys.exit(
        dispatcher.run(
            Options(
                affinity=settings.affinity if affinity is None else affinity,
                threads=threads or settings.threads,
            )
        )
    )


def keep_alive(lease: Any) -> None:
    """Bring the embedded server back when its keeper was killed. Under `up` the supervisor does it."""
    from envoi.postgres import server
    from envoi.postgres.errors import PostgresRefused

    pause = threading.Event()
    while not pause.wait(REVIVE_S):
        try:
            server.revive(lease)
        except PostgresRefused as refused:
            logging.getLogger(__name__).warning("the database does not come back: %s", refused)
