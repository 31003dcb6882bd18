"""`envoi worker`: runs the activities of workflows until it is told to stop."""

import sys

import click

from envoi.cli.main import Context


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
    settings = context.setup().config.worker
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
