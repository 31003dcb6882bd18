"""`envoi COMMAND`: finds the command's file, runs it, turns errors into exit codes.

Exit 0 done, 1 failed, 2 wrong usage, 3 refused (rights, state). With `--json` a command prints one JSON
document on standard output and nothing else there; progress and logs go to standard error.
"""

import importlib
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from keyword import iskeyword
from pathlib import Path
from typing import Any, TypeVar

import click

from envoi import __version__
from envoi.kernel.errors import PlatformError, Refused

# command -> module of this folder; the click command in it bears the same name (dashes become underscores).
COMMANDS = {
    "demo": "demo",
    "test": "test",
    "init": "init",
    "up": "up",
    "status": "status",
    "check": "check",
    "web": "web",
    "track": "track",
    "worker": "worker",
    "sender": "sender",
    "inmail": "inmail",
    "sink": "sink",
    "postgres": "postgres",
    "workflow": "workflow",
    "delivery": "delivery",
    "deliverability": "deliverability",
    "import": "import_",
    "operator": "operator",
    "option": "option",
    "schema": "schema",
    "db": "db",
    "sql": "sql",
    "bench": "bench",
}
DONE, FAILED, USAGE, REFUSED = 0, 1, 2, 3
F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class Context:
    """What each command gets as `ctx.obj`."""

    home: Path

    def setup(self) -> Any:
        """Boot the instance and set Django up; returns `app.boot.Instance`. Refused where there is none."""
        from envoi.app import boot

        instance = boot.setup(self.home)
        from django.db import ProgrammingError

        from envoi.kernel import registry

        # A database that is yet to be upgraded has no table for what was added to its schemas.
        with suppress(ProgrammingError):
            registry.fresh()
        return instance


class Commands(click.Group):
    """A group that imports a command's file only when that command is asked for: start-up stays fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table above."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"envoi.cli.{COMMANDS[cmd_name]}")
        name = cmd_name.replace("-", "_")
        return getattr(module, f"{name}_" if iskeyword(name) else name)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--home", metavar="DIR", help="The instance's folder (ENVOI_HOME; ./var when neither is given)."
)
@click.version_option(__version__, prog_name="envoi")
@click.pass_context
def cli(ctx: click.Context, home: str | None) -> None:
    """Run an instance of Envoi and work with it."""
    from envoi.app.boot import home_of

    ctx.obj = Context(home_of(home))


def json_option(command: F) -> F:
    """Add `--json` to a command; it arrives as the argument `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(command)


def emit_json(data: Any) -> None:
    """Print the one JSON document of a command."""
    click.echo(json.dumps(data, ensure_ascii=False, default=str, indent=2))


def say(text: str) -> None:
    """Tell the person at the terminal; never on standard output, which belongs to the data."""
    click.echo(text, err=True)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    try:
        code = cli.main(args=arguments, prog_name="envoi", standalone_mode=False)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(USAGE if isinstance(error, click.UsageError) else FAILED)
    except (click.Abort, KeyboardInterrupt):
        say("Stopped.")
        sys.exit(130)
    except Refused as error:
        say(f"Refused: {error}")
        sys.exit(REFUSED)
    except PlatformError as error:
        say(f"Failed: {error}")
        sys.exit(FAILED)
    except BrokenPipeError:
        sys.exit(FAILED)
    sys.exit(code if isinstance(code, int) else DONE)


if __name__ == "__main__":
    main()
