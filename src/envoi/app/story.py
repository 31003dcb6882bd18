"""The story that the demonstration tells: a file of profiles comes in, and a workflow chooses among them."""

import csv
import itertools
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files as resources
from pathlib import Path

from envoi.engine import commands, editing, waiting
from envoi.engine import files as formats
from envoi.engine.definition import Activity, Transition
from envoi.engine.models import State
from envoi.engine.workflow import Workflow
from envoi.kernel import folders, writing
from envoi.kernel.errors import Broken
from envoi.kernel.rights import Actor
from envoi.packages.delivery.models import ImportState
from envoi.packages.delivery.services import imports, lists

PROFILES = 2000
"""How many profiles the shipped file holds."""
SELECTION = "demoAutumnSelection"
AUDIENCE = "demoAutumnAudience"
CONTROL = "demoAutumnControl"
COMPLAINTS = "demoComplaints"
NEWSLETTER = "demoNewsletter"
SECONDS = 120.0


def tell(actor: Actor, profiles: int = PROFILES) -> None:
    """Import the profiles, and choose the audience of a campaign among them.

    Raises Broken when the import or the workflow does not come to a good end.
    """
    place = folders.find("services", actor=actor)
    writing.write(
        "nms:service",
        {"name": NEWSLETTER, "label": "Newsletter", "folder-id": place.pk},
        actor=actor,
    )
    _import(actor, profiles)
    _complain(actor)
    _choose(actor)


def _import(actor: Actor, profiles: int) -> None:
    """Bring the profiles in, through the same import that a file of yours goes through."""
    with tempfile.TemporaryDirectory(prefix="envoi-demo-") as folder:
        file = Path(folder) / "profiles.csv"
        with file.open("w", encoding="utf-8", newline="") as out:
            csv.writer(out, lineterminator="\n").writerows(_lines(profiles))
        form = formats.detect(formats.Source.of(file))
        plan = imports.propose(form.columns)
        job = imports.create(
            file,
            form,
            actor=actor,
            plan=replace(plan, keys=("account",), service=NEWSLETTER, region="FR"),
            name="Profiles of the shops",
            folder=folders.find("recipients", actor=actor),
        )
        imports.start(job, actor=actor, queue=False)
        done = imports.work(job.pk)
    if done.status is not ImportState.FINISHED:
        raise Broken(f"The profiles of the demonstration were not imported: {done.error or done.status}")


def _lines(profiles: int) -> Iterator[list[str]]:
    """Yield the head and as many lines as wanted; behind the shipped ones they begin anew, with new keys."""
    shipped = resources("envoi.packages.delivery") / "data" / "sample_profiles.csv"
    head, *lines = csv.reader(shipped.read_text(encoding="utf-8").splitlines())
    yield head
    account, email = head.index("Account"), head.index("E-mail")
    for turn in itertools.count():
        for line in lines:
            if profiles == 0:
                return
            profiles -= 1
            if turn:
                line = [*line]
                line[account] = f"{line[account]}-{turn}"
                line[email] = line[email].replace("@", f".{turn}@")
            yield line


def _complain(actor: Actor) -> None:
    """Make the list of those who are left in peace."""
    place = folders.find("lists", actor=actor)
    lists.create("Open complaints", actor=actor, folder=place, name=COMPLAINTS)
    _run(
        actor,
        "demoComplaints",
        "Open complaints of the week",
        (
            _select("complaining", "Customers with a complaint", "@account LIKE '%7'", to="keep"),
            Activity("listUpdate", "keep", "Open complaints", parameters={"list": COMPLAINTS, "purge": True}),
        ),
    )


def _choose(actor: Actor) -> None:
    """Choose the audience: who may be written to, once each, without complaints, and a control group."""
    place = folders.find("lists", actor=actor)
    lists.create("Autumn: control group", actor=actor, folder=place, name=CONTROL)
    lists.create("Autumn: audience", actor=actor, folder=place, name=AUDIENCE)
    reachable = "@email <> '' AND @blackList = 0 AND [location/@countryCode] IN ('FR', 'GB', 'SE')"
    _run(
        actor,
        SELECTION,
        "Autumn collection: audience",
        (
            Activity(
                "fork",
                "sides",
                "Both sides",
                transitions=(Transition("wanted", "reachable"), Transition("unwanted", "complaints")),
            ),
            _select("reachable", "Reachable in three countries", reachable, to="once"),
            _select(
                "complaints",
                "Open complaints",
                f"[rcpGrpRel/group/@name] = '{COMPLAINTS}'",
                to="without",
            ),
            Activity(
                "dedup",
                "once",
                "One for each address",
                parameters={"keys": ["@email"], "method": "max", "expr": "@lastModified"},
                transitions=(Transition("result", "without", kind="result"),),
            ),
            Activity(
                "exclusion",
                "without",
                "Without complaints",
                parameters={"mainSet": "once"},
                transitions=(Transition("result", "about", kind="result"),),
            ),
            Activity(
                "enrichment",
                "about",
                "Age and country",
                parameters={
                    "columns": [
                        {"expr": "@age", "alias": "age"},
                        {"expr": "[country/@label]", "alias": "country"},
                    ]
                },
                transitions=(Transition("result", "split", kind="result"),),
            ),
            Activity(
                "extract",
                "split",
                "Control group of 10 %",
                parameters={
                    "extractOutput": [
                        {
                            "name": "control",
                            "label": "Control group",
                            "code": "control",
                            "limiter": {"type": "percent", "percent": 10, "random": True},
                        }
                    ]
                },
                transitions=(
                    Transition("control", "control", "Control group", kind="extractOutput"),
                    Transition("remainder", "audience", "Audience", kind="remainder"),
                ),
            ),
            Activity(
                "listUpdate", "control", "Keep the control group", parameters={"list": CONTROL, "purge": True}
            ),
            Activity(
                "listUpdate", "audience", "Keep the audience", parameters={"list": AUDIENCE, "purge": True}
            ),
        ),
    )


def _select(name: str, label: str, condition: str, *, to: str) -> Activity:
    return Activity(
        "query",
        name,
        label,
        parameters={"targetingDimension": "nms:recipient", "filter": condition},
        transitions=(Transition("result", to, kind="result"),),
    )


def _run(actor: Actor, name: str, label: str, activities: tuple[Activity, ...]) -> None:
    diagram = Workflow(name=name, label=label, activities=activities)
    workflow = editing.create(
        actor,
        name,
        label,
        diagram.definition,
        "targetingWorkflows",
        schema="nms:recipient",
        keep_results=True,
    )
    commands.post(actor, name, commands.Command.START)
    waiting.until_passive(workflow.workflow_id, SECONDS)
    workflow.refresh_from_db()
    if workflow.failed or workflow.state != State.FINISHED:
        raise Broken(f"The workflow {name} did not come to its end. Its journal: envoi workflow log {name}")
