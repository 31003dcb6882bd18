"""`envoi import`: profiles from a file, with progress; killed, it goes on by `import resume`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from envoi.cli.main import FAILED, Context, emit_json, json_option, say

if TYPE_CHECKING:
    from envoi.packages.delivery.models import Import
    from envoi.packages.delivery.services.imports import Plan

COUNTS = (
    "rows", "inserted", "updated", "unchanged", "deleted", "doubles", "skipped", "rejected", "warnings",
    "undone", "kept",
)  # fmt: skip


@click.group("import")
def import_() -> None:
    """Import files, see what became of it, undo it."""


@import_.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--map",
    "maps",
    multiple=True,
    metavar="COLUMN=FIELD",
    help="Where a column goes; “COLUMN=” leaves it out.",
)
@click.option(
    "--key", "keys", multiple=True, metavar="FIELD", help="By what a profile is recognised (email)."
)
@click.option(
    "--operation",
    type=click.Choice(("insert", "update", "insertOrUpdate", "delete")),
    help="What is done (insertOrUpdate).",
)
@click.option(
    "--doubles", type=click.Choice(("last", "reject")), default="last", help="Of lines with one key."
)
@click.option("--keep-values", is_flag=True, help="Empty cells empty nothing.")
@click.option("--as-is", is_flag=True, help="Values are taken as they are, not brought into their form.")
@click.option("--folder", metavar="NAME", help="Folder that new profiles go into.")
@click.option("--list", "group", metavar="NAME", default="", help="List that the profiles are put into.")
@click.option("--service", metavar="NAME", default="", help="Service that the profiles are subscribed to.")
@click.option("--region", metavar="XX", default="", help="Country of phone numbers without a prefix.")
@click.option("--encoding", help="Of the file, when what is guessed is wrong.")
@click.option("--delimiter", metavar="CHARACTER", help="Between two cells.")
@click.option("--quote", metavar="CHARACTER", help="Around a cell; empty for none.")
@click.option("--header/--no-header", default=None, help="Whether the first line names the columns.")
@click.option("--sheet", metavar="NAME", help="Of a workbook; its first when not given.")
@click.option("--width", "widths", multiple=True, type=int, help="Of each column of a file of fixed width.")
@click.option("--replace", is_flag=True, help="Read what the encoding does not know as “�”.")
@click.option("--rejects", type=click.Path(path_type=Path), help="Side file of rejects (FILE.rejects.csv).")
@click.option("--preview", is_flag=True, help="Show what would be done with the first rows, and do nothing.")
@json_option
@click.pass_obj
def profiles(
    context: Context, file: Path, as_json: bool, rejects: Path | None, preview: bool, **given: Any
) -> None:
    """Import the profiles in FILE: CSV, XLSX or fixed width, plain or gzipped."""
    context.setup()
    from dataclasses import replace

    from envoi.engine import files
    from envoi.kernel import folders
    from envoi.kernel.rights import at_command_line
    from envoi.packages.delivery.services import imports

    actor = at_command_line()
    source = files.Source.of(file.absolute())
    form = files.detect(source, **_format(given))
    plan = _plan(imports.propose_for(source, form), form.columns, given)
    if preview:
        _preview(imports.preview(file.absolute(), form, plan, actor=actor), as_json)
        return
    folder = folders.find(given["folder"], actor=actor) if given["folder"] else None
    job = imports.create(
        file.absolute(), form, actor=actor, plan=replace(plan), name=file.name, folder=folder
    )
    imports.start(job, actor=actor, queue=False)
    say(f"Import {job.pk}. If it is interrupted: envoi import resume {job.pk}")
    _carry_out(job.pk, rejects or file.with_name(f"{file.name}.rejects.csv"), as_json)


@import_.command()
@click.argument("number", type=int)
@click.option("--rejects", type=click.Path(path_type=Path), help="Side file of rejects.")
@json_option
@click.pass_obj
def resume(context: Context, number: int, rejects: Path | None, as_json: bool) -> None:
    """Go on with import NUMBER, after a crash or a failure."""
    context.setup()
    from envoi.kernel.rights import at_command_line
    from envoi.packages.delivery.models import AT_WORK
    from envoi.packages.delivery.services import imports

    actor = at_command_line()
    job = imports.find(number, actor=actor)
    if job.status not in AT_WORK:
        imports.start(job, actor=actor, queue=False)
    _carry_out(number, rejects or Path(f"import-{number}.rejects.csv"), as_json)


@import_.command()
@click.argument("number", type=int)
@json_option
@click.pass_obj
def undo(context: Context, number: int, as_json: bool) -> None:
    """Undo import NUMBER; profiles that somebody has changed since are left and counted."""
    context.setup()
    from envoi.kernel.rights import at_command_line
    from envoi.packages.delivery.services import imports

    actor = at_command_line()
    imports.undo(imports.find(number, actor=actor), actor=actor, queue=False)
    _carry_out(number, None, as_json)


@import_.command("list")
@json_option
@click.pass_obj
def list_(context: Context, as_json: bool) -> None:
    """Print the imports, the newest first."""
    context.setup()
    from envoi.kernel.rights import at_command_line
    from envoi.packages.delivery.services import imports

    found = list(imports.visible(at_command_line())[:200])
    if as_json:
        emit_json([_facts(job) for job in found])
        return
    for job in found:
        click.echo(f"{job.pk:>6} {job.status.name.lower():<10} {job.created_at:%Y-%m-%d %H:%M} {job.label}")


def _carry_out(number: int, rejects: Path | None, as_json: bool) -> None:
    """Work on an import here, telling its progress; ends with 1 when it failed."""
    import time

    from envoi.packages.delivery.models import ImportState
    from envoi.packages.delivery.services import imports

    told = float("-inf")

    def tell(job: "Import") -> None:
        nonlocal told
        if time.monotonic() - told >= 1:
            told = time.monotonic()
            say(f"{job.status.label}: {progress(job)}")

    job = imports.work(number, told=tell)
    written = imports.write_rejects(job, rejects) if rejects is not None else 0
    if as_json:
        emit_json({**_facts(job), "rejects": str(rejects) if written else None})
    else:
        facts = ", ".join(f"{name} {getattr(job, name)}" for name in COUNTS if getattr(job, name))
        say(f"Import {job.pk} {job.status.label}: {facts or 'nothing'}")
        if written:
            say(f"{written} rejects and warnings in {rejects}")
        if job.error:
            say(job.error)
    if job.status not in (ImportState.FINISHED, ImportState.UNDONE):
        sys.exit(FAILED)


def progress(job: "Import") -> str:
    """Return how far an import is, as a person says it."""
    from envoi.packages.delivery.models import ImportState

    match job.status:
        case ImportState.CLEANING:
            return f"line {job.cleaned_line} of {job.last_line}"
        case ImportState.MERGING:
            return f"line {job.merged_line} of {job.last_line}"
        case ImportState.UNDOING:
            return f"{job.undone} profiles"
        case _:
            return f"{job.rows} rows"


def _facts(job: "Import") -> dict[str, Any]:
    return {
        "id": job.pk,
        "label": job.label,
        "state": job.status.name.lower(),
        "error": job.error or None,
        **{name: getattr(job, name) for name in COUNTS},
    }


def _format(given: dict[str, Any]) -> dict[str, Any]:
    from envoi.engine.files import Encoding, Kind

    fixed: dict[str, Any] = {
        name: given[name] for name in ("delimiter", "quote", "header", "sheet") if given[name] is not None
    }
    if fixed.get("delimiter") in ("\\t", "tab"):
        fixed["delimiter"] = "\t"
    if given["encoding"]:
        try:
            fixed["encoding"] = Encoding(given["encoding"].lower())
        except ValueError:
            known = ", ".join(each.value for each in Encoding)
            raise click.BadParameter(f"{given['encoding']} is not read; there are {known}") from None
    if given["replace"]:
        fixed["replace"] = True
    if given["widths"]:
        fixed |= {"kind": Kind.FIXED, "widths": tuple(given["widths"])}
    return fixed


def _plan(proposed: "Plan", columns: tuple[str, ...], given: dict[str, Any]) -> "Plan":
    from dataclasses import replace

    from envoi.packages.delivery.services.imports import Doubles, Operation, Target

    targets = {each.source: each for each in proposed.targets}
    for text in given["maps"]:
        column, equals, attribute = text.rpartition("=")
        if not equals or column not in columns:
            raise click.BadParameter(f"{text!r} must be COLUMN=FIELD; columns are {', '.join(columns)}")
        number = columns.index(column)
        targets.pop(number, None)
        if attribute:
            targets = {n: t for n, t in targets.items() if t.attribute != attribute}
            targets[number] = Target(number, attribute.removeprefix("@"))
    chosen = tuple(replace(targets[n], clean=not given["as_is"]) for n in sorted(targets))
    known = {each.attribute for each in chosen}
    keys = tuple(given["keys"]) or tuple(key for key in proposed.keys if key in known)
    operation = Operation(given["operation"]) if given["operation"] else proposed.operation
    if not keys and not given["operation"]:
        operation = Operation.INSERT
    return replace(
        proposed,
        targets=chosen,
        keys=keys,
        operation=operation,
        doubles=Doubles(given["doubles"]),
        empties=not given["keep_values"],
        region=given["region"].upper(),
        group=given["group"],
        service=given["service"],
    )


def _preview(shown: Any, as_json: bool) -> None:
    if as_json:
        emit_json(shown.to_json())
        return
    for target in shown.targets:
        click.echo(f"{target.column} -> {target.label or '-'}")
    for row in shown.rows:
        click.echo(f"{row.line:>6}: " + " | ".join(cell.value for cell in row.cells if cell.used))
        for problem in row.problems:
            say(f"        {problem}")
