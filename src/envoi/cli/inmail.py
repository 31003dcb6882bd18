"""`envoi inmail`: mails that come back. `classify` shows what the bounce engine makes of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from envoi.cli.main import emit_json, json_option
from envoi.kernel.errors import NotFound

if TYPE_CHECKING:
    from envoi.packages.delivery.services.bounces import Verdict


@click.group()
def inmail() -> None:
    """Read mails that come back."""


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
