"""`envoi bench`: what the product does, next to the limit of the bare tools."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click

import envoi
from envoi.cli.main import emit_json, json_option, say
from envoi.kernel.errors import NotFound, Refused

ROOT = Path(envoi.__file__).resolve().parents[2]
NOT_BENCHES = ("__init__", "frame")


@click.command()
@click.argument("name")
@click.option("--quick", is_flag=True, help="One run on less data: for a look, not for a statement.")
@click.option("--only", metavar="LINE", help="Only this line of the benchmark.")
@json_option
def bench(name: str, quick: bool, only: str | None, as_json: bool) -> None:
    """Run the benchmark NAME, or all of them.

    Ratios are ours over the limit, both as rates: 1 is at the limit, more is better. A benchmark makes its
    own database and needs no instance.
    """
    folder = Path(os.environ.get("ENVOI_BENCH_FOLDER") or ROOT / "bench")
    if not (ROOT / "bench/frame.py").is_file():
        raise Refused(
            "Benchmarks are not in the installed package. Clone the project and run ./envoi bench there."
        )
    names = sorted(file.stem for file in folder.glob("*.py") if file.stem not in NOT_BENCHES)
    if name == "all":
        documents = [_in_its_own_process(each, quick) for each in names]
        if as_json:
            emit_json(documents)
        else:
            for document in documents:
                _show(document)
        return
    if name not in names:
        raise NotFound(
            f"There is no benchmark {name!r} in {folder}. There are: {', '.join(names) or 'none'}."
        )
    document = _run(folder, name, quick, only)
    if as_json:
        emit_json(document)
    else:
        _show(document)


def _run(folder: Path, name: str, quick: bool, only: str | None) -> dict[str, Any]:
    sys.path[:0] = [str(ROOT), str(folder)]
    frame = importlib.import_module("bench.frame")
    module = importlib.import_module(f"bench.{name}" if folder == ROOT / "bench" else name)
    params = frame.Params(quick=quick, only=only)
    return frame.document(name, params, module.lines(params))


def _in_its_own_process(name: str, quick: bool) -> dict[str, Any]:
    """Run one benchmark; each needs a process, since a process works on one instance."""
    say(f"Running {name}")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "envoi.cli", "bench", name, "--json", *(["--quick"] if quick else [])],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.returncode)
    return json.loads(done.stdout)


def _show(document: dict[str, Any]) -> None:
    for line in document["lines"]:
        text = f"{document['name']} · {line['line']}: {line['ours']:.6g} {line['unit']}"
        if line["ratio"] is not None:
            text += f" against {line['limit']:.6g} ({line['what_the_limit_is']}): ratio {line['ratio']:.2f}"
        click.echo(f"{text}, spread {line['spread']:.0%}")
