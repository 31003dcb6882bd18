"""`envoi schema`: what the entities of the instance are made of, and what is added to them."""

from pathlib import Path
from typing import Any

import click

from envoi.cli.main import Context, emit_json, json_option, say


@click.group()
def schema() -> None:
    """Show schemas, extend them by a document, take away what was added."""


@schema.command("list")
@json_option
@click.pass_obj
def list_(context: Context, as_json: bool) -> None:
    """Print every schema with its label and table."""
    context.setup()
    from envoi.kernel import registry

    found = [
        {"name": each.name, "label": each.label, "table": each.table, "added": each.runtime}
        for each in registry.fresh()
    ]
    if as_json:
        emit_json(found)
        return
    for each in found:
        click.echo(f"{each['name']:<28} {each['table']:<32} {each['label']}")


@schema.command()
@click.argument("name")
@click.option("--xml", "as_xml", is_flag=True, help="Print the schema's document.")
@json_option
@click.pass_obj
def show(context: Context, name: str, as_xml: bool, as_json: bool) -> None:
    """Print attributes and links of NAME, such as nms:recipient."""
    context.setup()
    from envoi.kernel import registry
    from envoi.kernel.registry.documents import document, text_of

    known = registry.fresh()
    found = known[name]
    if as_xml:
        click.echo(text_of(document(found, known)), nl=False)
        return
    if as_json:
        emit_json(_facts(found))
        return
    click.echo(f"{found.name} ({found.table}): {found.label}")
    for attribute in found.attributes.values():
        kind = attribute.type.value + (f"({attribute.length})" if attribute.length else "")
        more = " added" if attribute.runtime else ""
        click.echo(f"  {attribute.xpath:<32} {kind:<14} {attribute.label}{more}")
    for link in found.links.values():
        more = " added" if link.runtime else ""
        click.echo(f"  {link.name:<32} -> {link.target:<26} {'n' if link.collection else '1'}{more}")


@schema.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Tell what would be added, and add nothing.")
@json_option
@click.pass_obj
def extend(context: Context, file: Path, dry_run: bool, as_json: bool) -> None:
    """Add what the schema document FILE says: fields and links of a schema, or a table."""
    context.setup()
    from envoi.kernel import extensions, registry
    from envoi.kernel.extensions import documents, indexes
    from envoi.kernel.rights import at_command_line

    actor = at_command_line()
    found = documents.read(file.read_bytes(), registry.fresh())
    if found.adds and dry_run:
        extensions.plan(found.additions, actor=actor)
    elif found.adds:
        extensions.add(found.additions, actor=actor)
        indexes.make()
    tables = [each.name for each in found.additions.tables]
    fields = [each.name for _, each in found.additions.members]
    fields += [each.name for table in found.additions.tables for each in table.members]
    if as_json:
        emit_json({"schema": found.name, "tables": tables, "fields": fields, "known": list(found.known)})
        return
    done = "would be added" if dry_run else "added"
    say(f"{found.name}: {', '.join(fields) or 'nothing'} {done}; {len(found.known)} were there already.")


@schema.command()
@click.argument("name")
@click.argument("field", required=False, default="")
@click.option("--force", is_flag=True, help="Also when something uses it.")
@click.pass_obj
def remove(context: Context, name: str, field: str, force: bool) -> None:
    """Take the added FIELD of schema NAME away, or the whole added table NAME. Its data is lost."""
    context.setup()
    from envoi.kernel import extensions
    from envoi.kernel.rights import at_command_line

    if field:
        extensions.remove_field(name, field, actor=at_command_line(), force=force)
    else:
        extensions.remove_table(name, actor=at_command_line(), force=force)
    say(f"{name} {field}".strip() + " is taken away.")


def _facts(found: Any) -> dict[str, Any]:
    return {
        "name": found.name,
        "label": found.label,
        "table": found.table,
        "key": list(found.key),
        "keys": {name: list(parts) for name, parts in found.keys.items()},
        "attributes": [
            {
                "name": each.name,
                "type": each.type.value,
                "length": each.length,
                "label": each.label,
                "column": each.column,
                "expr": each.expr,
                "enumeration": each.enumeration.name if each.enumeration else each.list_name,
                "added": each.runtime,
            }
            for each in found.attributes.values()
        ],
        "links": [
            {
                "name": each.name,
                "target": each.target,
                "collection": each.collection,
                "label": each.label,
                "added": each.runtime,
            }
            for each in found.links.values()
        ],
    }
