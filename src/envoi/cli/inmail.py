"""`envoi inmail`: takes in mails that come back; `classify` shows what the bounce engine makes of them."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from envoi.cli.main import Context, emit_json, json_option
from envoi.cli.worker import keep_alive
from envoi.kernel.errors import Conflict, NotFound

if TYPE_CHECKING:
    from envoi.packages.delivery.services.bounces import Verdict


@click.group(invoke_without_command=True)
@click.option("--once", is_flag=True, help="Go once through everything that waits, then end.")
@click.pass_context
def inmail(ctx: click.Context, once: bool) -> None:
    """Take in mails that come back until told to stop."""
    if ctx.invoked_subcommand is not None:
        return
    from envoi.app import logs

    context: Context = ctx.obj
    instance = context.setup()
    logs.configure_from_environment(instance.config.log, context.home, process="inmail")
    if "delivery" not in instance.packages:
        if logs.PROCESS_VARIABLE not in os.environ:
            raise Conflict("This instance has not installed the package delivery, which takes in mails.")
        told = threading.Event()  # `up` starts it whatever is installed
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: told.set())
        told.wait()
        return
    from envoi.packages.delivery.services.inbound.process import Process

    process = Process(instance.config)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: process.stop())
    if once:
        while process.once():
            pass
        return
    if instance.lease is not None and logs.PROCESS_VARIABLE not in os.environ:
        threading.Thread(target=keep_alive, args=(instance.lease,), name="keeper", daemon=True).start()
    process.run()


@inmail.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH…")
@json_option
def classify(paths: tuple[Path, ...], as_json: bool) -> None:
    """Say what each mail of PATH… is, and what it means for the addresses it is about.

    A path is a mail file, a mailbox file or a folder of them (a Maildir too). Needs no instance and changes
    nothing.
    """
    from envoi.packages.delivery.services.bounces import classify as verdict_on

    found = ((file, verdict_on(file.read_bytes())) for path in paths for file in _files(path))
    if as_json:
        emit_json([_facts(file, verdict) for file, verdict in found])
        return
    for file, verdict in found:
        click.echo(f"{file.name}: {verdict.kind}")
        for one in verdict.recipients:
            reason = "no failure" if one.reason is None else f"{one.reason} ({one.reason_code})"
            click.echo(
                f"  {one.address or '?'}  {one.status or '-'}  {one.error_type}  {reason}  by {one.rule}"
            )


def _files(path: Path) -> Iterator[Path]:
    """Yield the mail files at a path, in the order of their names. Raises NotFound."""
    if path.is_file():
        yield path
    elif path.is_dir():
        yield from sorted(
            file for file in path.rglob("*") if file.is_file() and not file.name.startswith(".")
        )
    else:
        raise NotFound(f"There is no file or folder {str(path)!r}.")


def _facts(file: Path, verdict: "Verdict") -> dict[str, Any]:
    return {
        "file": file.name,
        "kind": verdict.kind,
        "recipients": [
            {
                "address": one.address or None,
                "sent_to": one.sent_to or None,
                "status": one.status or None,
                "error_type": one.error_type,
                "reason_code": one.reason_code,
                "reason": one.reason,
                "rule": one.rule,
                "text": one.normalised or None,
            }
            for one in verdict.recipients
        ],
    }
