"""Write docs/reference and the index of docs/adr from what the code itself says.

`python docs/generate.py` writes; with --check it names what is out of date and exits with 1. It needs neither
a database nor an instance.
"""
# ruff: noqa: D103, S101, SIM118, T201

import ast
import importlib
import inspect
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
from django.apps import apps
from django.conf import settings

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src/envoi"
NOTE = "<!-- Written by docs/generate.py; do not edit by hand. -->\n"


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return a Markdown table; bars and line ends inside of cells are made harmless."""
    cells = [tuple(" ".join(cell.split()).replace("|", "\\|") for cell in row) for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, tuple("---" for _ in head), *cells)) + "\n"


def page(title: str, *parts: str) -> str:
    return "\n".join((NOTE, f"# {title}\n", *parts))


# --- commands


def commands() -> str:
    from envoi.cli.main import COMMANDS, cli

    parts = []
    for name in COMMANDS:
        if find_spec(f"envoi.cli.{COMMANDS[name]}") is not None:
            command = cli.get_command(click.Context(cli), name)
            assert command is not None, name
            parts += described(f"envoi {name}", command)
    general = (
        "`--home DIR` before the command (or `ENVOI_HOME`) names the instance's folder; `./var` without it."
    )
    codes = "Every command exits with 0 when done, 1 when it failed, 2 for wrong usage and 3 when refused."
    return page("Commands", f"{general}\n{codes}\n", *parts)


def described(path: str, command: click.Command) -> list[str]:
    """Return the section of a command, and those of its subcommands."""
    context = click.Context(command)
    arguments = [each.make_metavar(context) for each in command.params if isinstance(each, click.Argument)]
    text = inspect.cleandoc((command.help or "").replace("\b", ""))
    rows = [
        (f"`{'`, `'.join((*each.opts, *each.secondary_opts))}`{metavar(each, context)}", each.help or "")
        for each in command.params
        if isinstance(each, click.Option) and not each.hidden
    ]
    parts = [f"## {path}\n", f"`{' '.join([path, *arguments])}`\n", f"{text}\n"]
    if rows:
        parts.append(table(("option", "meaning"), rows))
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None, name
            parts += described(f"{path} {name}", inner)
    return parts


def metavar(option: click.Option, context: click.Context) -> str:
    return "" if option.is_flag else f" {option.make_metavar(context)}"


# --- configuration


def configuration() -> str:
    from envoi.kernel import config

    notes = {(section, name): text for section, name, text in attribute_notes(SOURCE / "kernel/config.py")}
    parts = []
    for section, kind in config.SECTIONS.items():
        rows = [
            (f"`{key}`", f"`{variable}`", shown(default), notes.get((kind.__name__, key), ""))
            for group, key, variable, default in config.keys()
            if group == section
        ]
        about = (kind.__doc__ or "").partition(": ")[2] or (kind.__doc__ or "")
        parts += [f"## [{section}]\n", f"{about[:1].upper()}{about[1:]}\n"]
        parts.append(table(("key", "variable", "default", "meaning"), rows))
    first = (
        "The file is `envoi.toml` in the instance's folder. The variable wins over the file, the file over\n"
        "the default. An unknown key is refused with the nearest known one.\n"
    )
    return page("Configuration", first, *parts)


def attribute_notes(file: Path) -> Iterator[tuple[str, str, str]]:
    """Yield (class, attribute, the text that stands under it)."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            for before, after in zip(node.body, node.body[1:], strict=False):
                if isinstance(before, ast.AnnAssign) and isinstance(after, ast.Expr):
                    yield node.name, ast.unparse(before.target), str(ast.literal_eval(after.value))


def shown(value: Any) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        value = ",".join(value)
    return f"`{value}`" if value != "" else ""


# --- options, packages, workflows, hooks


def rooms() -> Iterator[tuple[str, Path]]:
    """Yield (package, folder); the platform itself first, under the name of its room."""
    yield "kernel", SOURCE / "kernel"
    for point in sorted(entry_points(group="envoi.packages"), key=lambda point: point.name):
        yield point.name, SOURCE / "packages" / point.name


def options() -> str:
    rows = []
    for package, folder in rooms():
        for file in sorted((folder / "data").glob("*.toml")):
            for row in tomllib.loads(file.read_text(encoding="utf-8")).get("option", []):
                value = shown(row.get("value", ""))
                rows.append((f"`{row['name']}`", row["type"], value, row.get("description", ""), package))
    about = "Options live in the database: `envoi option get NAME`, `envoi option set NAME VALUE`.\n"
    return page("Options", about, table(("option", "type", "default", "meaning", "shipped by"), sorted(rows)))


def packages() -> str:
    rows = []
    for point in sorted(entry_points(group="envoi.packages"), key=lambda point: point.name):
        kind = point.load()
        about = (
            (importlib.import_module(f"envoi.packages.{point.name}").__doc__ or "").strip().partition("\n")[0]
        )
        needs = ", ".join(f"`{name}`" for name in kind.requires)
        rows.append((f"`{point.name}`", str(kind.verbose_name), needs, kind.version, about))
    about = "`envoi init --packages A,B` installs packages with all that they require.\n"
    return page("Packages", about, table(("package", "label", "requires", "version", "what it brings"), rows))


def workflows() -> str:
    rows, parts = [], []
    for package, folder in rooms():
        for file in sorted((folder / "workflows").glob("[!_]*.py")):
            tree = ast.parse(file.read_text(encoding="utf-8"))
            name, label, starts = workflow_of(tree)
            where = file.relative_to(ROOT).as_posix()
            link = f"[`{file.name}`](../../{where})"
            state = "started" if starts else "being edited"
            rows.append((f"`{name}`", label, f"`{package}`", link, "; ".join(triggers(tree)), state))
            text = (ast.get_docstring(tree) or "").partition(":")[2].strip()
            parts += [f"## {name}\n", f"{text[:1].upper()}{text[1:]}\n"]
    about = (
        "The technical workflows, each with the file that holds its whole diagram. The last column is what\n"
        "a fresh instance finds: one that is being edited runs once somebody has started it. An upgrade\n"
        "starts none and stops none.\n"
    )
    head = ("workflow", "label", "package", "file", "runs", "after installation")
    return page("Technical workflows", about, table(head, sorted(rows)), *parts)


def workflow_of(tree: ast.Module) -> tuple[str, str, bool]:
    """Return internal name and label of the `workflow` of a file, and whether the installation starts it."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "workflow":
            assert isinstance(node.value, ast.Call)
            given = {keyword.arg: keyword.value for keyword in node.value.keywords}
            label = given["label"]
            text = label.args[0] if isinstance(label, ast.Call) else label
            starts = "starts" in given and ast.literal_eval(given["starts"])
            return ast.literal_eval(given["name"]), ast.literal_eval(text), starts
    raise ValueError("no workflow in this file")


def triggers(tree: ast.Module) -> Iterator[str]:
    """Yield the sentence of every schedule in a file."""
    from envoi.engine.schedule import Schedule

    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Schedule.from_json":
            yield str(Schedule.from_json(ast.literal_eval(node.args[0])).describe())


def hooks() -> str:
    rows = []
    for file in sorted(SOURCE.rglob("*.py")):
        where = file.relative_to(ROOT).as_posix()
        if "/tests/" in where:
            continue
        body = ast.parse(file.read_text(encoding="utf-8")).body
        for node, after in zip(body, [*body[1:], None], strict=True):
            if isinstance(node, ast.AnnAssign) and re.match(
                r"(hooks\.)?Hook\[", ast.unparse(node.annotation)
            ):
                has_text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
                text = str(ast.literal_eval(after.value)) if has_text else ""
                asked = ast.unparse(node.annotation).partition("[")[2][:-1]
                rows.append(
                    (f"`{ast.unparse(node.target)}`", f"`{asked}`", text, f"[`{file.name}`](../../{where})")
                )
    about = "Questions that a package may answer. `[parameters], answer` is the signature of an answer.\n"
    return page("Hooks", about, table(("hook", "signature", "question", "asked in"), sorted(rows)))


# --- schemas and functions of expressions


def schemas() -> str:
    """Return what the registry holds with every package; the models' declarations are all that is read."""
    from envoi.kernel import registry

    parts = []
    for schema in registry.current():
        told = [f"Table `{schema.table}`, of `{schema.package}`."]
        if schema.folder is not None:
            path = "/".join(schema.folder)
            told.append(
                f"Rows lie in folders, by `{path}`." if path else "Each row is a folder with its rights."
            )
        if schema.reading:
            told.append(f"Reading takes {schema.reading}.")
        elif schema.writing:
            told.append(f"Writing takes {schema.writing}.")
        rows = [
            (f"`{each.xpath}`", each.type.value + (f" ({each.length})" if each.length else ""), each.label,
             _values(each))
            for each in schema.attributes.values()
        ]  # fmt: skip
        links = [
            (f"`{each.name}`", f"[{each.target}](#{each.target.replace(':', '').lower()})",
             "0 to n" if each.collection else "0 or 1", each.label)
            for each in schema.links.values()
        ]  # fmt: skip
        parts += [f"## {schema.name}\n", f"{schema.label}. {' '.join(told)}\n"]
        parts.append(table(("attribute", "type", "label", "values"), rows))
        if links:
            parts.append(table(("link", "leads to", "rows", "label"), links))
    about = "The entities, under the names by which queries, lists and clients know them.\n"
    return page("Schemas", about, *parts)


def _values(attribute: Any) -> str:
    if attribute.enumeration is None:
        return f"`{attribute.expr}`" if attribute.expr else ""
    return ", ".join(f"{each.value} {each.name}" for each in attribute.enumeration.values)


def functions() -> str:
    from envoi.kernel.expression import FUNCTIONS
    from envoi.kernel.expression.functions import Group

    parts = []
    for group in Group:
        rows = [(f"`{f.syntax}`", f.meaning) for f in FUNCTIONS.values() if f.group is group]
        parts += [f"## {group.value}\n", table(("function", "meaning"), rows)]
    about = (
        "What expressions may call. Dates are counted in the reader's zone. What cannot be converted\n"
        "and a division by 0 give nothing (NULL) instead of an error.\n"
    )
    return page("Functions of expressions", about, *parts)


# --- activities


def activities() -> str:
    """Return every activity type, from its class: what it is called in a diagram, and its parameters."""
    from envoi.engine.activities import kinds

    parts = []
    for name, kind in sorted(kinds().items()):
        module = inspect.getmodule(type(kind))
        about = inspect.cleandoc((module.__doc__ if module else "") or "").replace("\n\n", "\n")
        ways = ", ".join(f"`{way}`" for way, _kind in kind.ways) or "none of its own"
        told = [f"Ways out: {ways}."]
        if kind.joins:
            told.append("Waits for all that lead to it.")
        if kind.effects:
            told.append("Not carried out in a simulation.")
        parts += [f"## {name}\n", f"{about}\n", f"{' '.join(told)}\n"]
        if text := inspect.cleandoc(type(kind).__doc__ or ""):
            parts.append(f"{text}\n")
    about = "The types of activities, under their names in a definition, with their parameters (JSON).\n"
    return page("Activities", about, *parts)


# --- decisions


def decisions() -> str:
    rows = []
    for file in sorted((ROOT / "docs/adr").glob("[0-9]*.md")):
        text = file.read_text(encoding="utf-8")
        title = re.match(r"# (\d{4}) (.+)", text)
        status = re.search(r"Date: (\S+?)\. Status: (\w+)", text)
        if title is None or status is None or not file.name.startswith(title[1]):
            raise ValueError(
                f"{file.name}: begins with `# NNNN Title`, then `Date: 2026-01-31. Status: accepted.`"
            )
        rows.append((title[1], f"[{title[2]}]({file.name})", status[2], status[1]))
    about = "Decisions that are dear to reverse: why they were taken, and what was decided against.\n"
    return page("Decisions", about, table(("number", "decision", "status", "date"), rows))


PAGES = {
    "docs/reference/commands.md": commands,
    "docs/reference/configuration.md": configuration,
    "docs/reference/options.md": options,
    "docs/reference/packages.md": packages,
    "docs/reference/workflows.md": workflows,
    "docs/reference/hooks.md": hooks,
    "docs/reference/activities.md": activities,
    "docs/reference/schemas.md": schemas,
    "docs/reference/functions.md": functions,
    "docs/adr/README.md": decisions,
}


def main(arguments: list[str]) -> int:
    """Write the pages, or with --check compare them."""
    settings.configure(
        USE_I18N=False,
        AUTH_USER_MODEL="kernel.Operator",
        INSTALLED_APPS=[
            "django.contrib.contenttypes",
            "django.contrib.auth",
            # Pages of packages know those of administrators, which know the second factor.
            "django_otp.plugins.otp_totp",
            "django_otp.plugins.otp_static",
            "axes",
            "envoi.kernel",
            "envoi.engine",
            *(f"{point.module}.{point.attr}" for point in entry_points(group="envoi.packages")),
        ],
    )
    apps.populate(settings.INSTALLED_APPS)
    stale = []
    for name, make in PAGES.items():
        path, text = ROOT / name, make()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if "--check" not in arguments:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
    if "--check" in arguments and stale:
        print(f"out of date: {', '.join(stale)}; run: .venv/bin/python docs/generate.py")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
