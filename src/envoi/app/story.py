"""The story that the demonstration tells: a file of profiles comes in, a workflow chooses among them and
tries two subjects on samples, readers answer, the rest get the better one, and some of the messages come
back.
"""

import csv
import itertools
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from importlib.resources import files as resources
from pathlib import Path

from envoi.app import story_content, supervisor
from envoi.engine import commands, editing, waiting
from envoi.engine import files as formats
from envoi.engine.definition import Activity, Transition
from envoi.engine.models import Approval, State, Task, TaskState
from envoi.engine.models import Workflow as Record
from envoi.engine.workflow import STEP_X, STEP_Y, Workflow
from envoi.kernel import folders, writing
from envoi.kernel.errors import Broken
from envoi.kernel.rights import Actor
from envoi.packages.delivery.models import AbTest, Delivery, DeliveryState, ImportState
from envoi.packages.delivery.services import ab_testing, deliveries, imports, lists
from envoi.packages.delivery.services.routing import keys, mx_rules

PROFILES = 2000
"""How many profiles the shipped file holds."""
SELECTION = "demoAutumnSelection"
CONTROL = "demoAutumnControl"
COMPLAINTS = "demoComplaints"
NEWSLETTER = "demoNewsletter"
ADMINISTRATOR = "admin"
TRACKING = "tracking"
REACHABLE = "@email <> '' AND @blackList = 0 AND [location/@countryCode] IN ('FR', 'GB', 'SE')"
CRITERION = "recipientClickRatio"
SHARE = 20
"""Of the audience, in per cent, for each version of the mail."""
WAIT = timedelta(days=1)
SENDER = "news@atelier-nord.example"
PLACES = {
    "reachable": (0, 0), "once": (1, 0), "without": (2, 0), "about": (3, 0), "split": (4, 0),
    "complaints": (0, 1), "tocontrol": (5, 0), "toA": (5, 1), "toB": (5, 2), "join": (6, 1),
    "wait": (3, 3), "best": (4, 3), "rest": (5, 3),
}  # fmt: skip
"""Column and row of each activity of the selection."""
PROVIDERS = (
    "free.example", "inbox.example", "lettre.example", "mail.example", "orange.example", "post.example",
    "shop.example",
)  # fmt: skip
"""The domains of the shipped profiles."""
SECONDS = 120.0
SENDING_SECONDS = 60.0
MOST_WAITING = 0.3
"""The part of the messages that may still wait for a second attempt when the story goes on."""


def prepare(actor: Actor) -> None:
    """Do what must be done before there are senders: mail is signed, and each provider of the demonstration
    takes it as fast as it comes.
    """
    for algorithm in ("rsa", "ed25519"):
        key = keys.make(SENDER.partition("@")[2], algorithm, actor=actor)
        keys.activate(key.pk, actor=actor, unseen=True)
    for domain in PROVIDERS:
        mx_rules.save(None, {"mask": f"mx.{domain}", "per_hour": 1_000_000}, actor=actor)


def tell(actor: Actor, profiles: int = PROFILES) -> None:
    """Import the profiles, choose the audience of a campaign among them, and write to two samples of it; the
    rest waits for what they do.

    Raises Broken when the import, a workflow or a delivery does not come to a good end.
    """
    place = folders.find("services", actor=actor)
    writing.write(
        "nms:service",
        {"name": NEWSLETTER, "label": "Newsletter", "folder-id": place.pk, "public": True},
        actor=actor,
    )
    _import(actor, profiles)
    _complain(actor)
    template = story_content.template(actor, SENDER, profiles)
    _choose(actor, _test(actor, template))
    _ask(actor)


def decide(actor: Actor) -> None:
    """Let what readers did be counted, and the better version go to the rest, as if its day had gone by.

    Raises Broken as `tell`.
    """
    workflow = Record.objects.get(internal_name=SELECTION)
    for name in (TRACKING, SELECTION):
        waiting.run_through(actor, name, seconds=SECONDS)
    _until(workflow, lambda: _state(workflow) == State.FINISHED)
    _wait_for_mail(workflow)


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


def _test(actor: Actor, template: Delivery) -> AbTest:
    """Make the delivery of which two versions are tested, and the test: a workflow of ours carries it out."""
    base = deliveries.create(template, actor=actor, targeting={"filter": REACHABLE})
    test = ab_testing.make(base, actor=actor)
    ab_testing.set_up(
        test, actor=actor, criterion_name=CRITERION, wait=WAIT, shares=dict.fromkeys("AB", SHARE)
    )
    for version in test.versions.select_related("delivery"):
        story_content.under_subject(version.delivery, version.letter, actor=actor)
    return test


def _wait_for_mail(workflow: Record) -> None:
    """Wait until the deliveries of a workflow have gone out, but for what servers have put off."""

    def gone() -> bool:
        found = list(Delivery.objects.filter(workflow_id=workflow.pk, is_model=False))
        return bool(found) and all(_gone(each) for each in found)

    if not supervisor.wait_until(gone, seconds=SENDING_SECONDS, step=0.2):
        raise Broken("A delivery of the demonstration did not go out. What its senders say: HOME/log.")


def _gone(delivery: Delivery) -> bool:
    if delivery.status in (DeliveryState.FAILED, DeliveryState.STOPPED):
        raise Broken(f"{delivery.label} of the demonstration is {delivery.status.label}: see its log.")
    most = delivery.to_deliver * (1 - MOST_WAITING)
    return delivery.status is DeliveryState.FINISHED or delivery.processed >= most > 0


def _choose(actor: Actor, test: AbTest) -> None:
    """Choose the audience: who may be written to, once each, without complaints, but for a control group;
    write to two samples of it, and stop where the workflow waits for what they do.
    """
    place = folders.find("lists", actor=actor)
    lists.create("Autumn: control group", actor=actor, folder=place, name=CONTROL)
    workflow = _make(
        actor,
        SELECTION,
        "Autumn collection",
        _placed(
            _select("reachable", "Reachable in three countries", REACHABLE, to="once"),
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
            *_trial(test),
        ),
    )
    # What the page of a delivery does when its test is started, with a workflow that it makes.
    AbTest.objects.filter(pk=test.pk).update(workflow_id=workflow.pk)
    Delivery.objects.filter(ab_version__test=test).update(workflow_id=workflow.pk)
    commands.post(actor, SELECTION, commands.Command.START)
    pending = Task.objects.filter(workflow=workflow, activity="wait", status=TaskState.PENDING)
    _until(workflow, pending.exists)
    _wait_for_mail(workflow)


def _placed(*activities: Activity) -> tuple[Activity, ...]:
    """Return activities at their places: the last ones below the others, so that a screen shows all."""
    return tuple(
        replace(each, x=STEP_X * PLACES[each.name][0], y=STEP_Y * PLACES[each.name][1]) for each in activities
    )


def _trial(test: AbTest) -> tuple[Activity, ...]:
    """Return the second half: a control group and samples, a mail to each sample, the better one to the
    rest.
    """
    versions = list(test.versions.select_related("delivery"))
    parts = [("control", "C", 10), *((each.letter, each.letter, each.share) for each in versions)]
    return (
        Activity(
            "extract",
            "split",
            "Control group and samples",
            parameters={
                "extractOutput": [
                    {
                        "name": name,
                        "label": label,
                        "code": name,
                        "limiter": {"type": "percent", "percent": percent, "random": True},
                    }
                    for name, label, percent in parts
                ]
            },
            transitions=(
                *(Transition(name, f"to{name}", label, kind="extractOutput") for name, label, _part in parts),
                Transition("remainder", "join", "The rest", kind="remainder"),
            ),
        ),
        Activity(
            "listUpdate", "tocontrol", "Keep the control group", parameters={"list": CONTROL, "purge": True}
        ),
        *(
            Activity(
                "delivery",
                f"to{each.letter}",
                each.delivery.label,
                parameters={
                    "source": "explicit",
                    "delivery": each.delivery.internal_name,
                    "recipients": "transition",
                    "action": "start",
                },
                transitions=(Transition("transition", "join"),),
            )
            for each in versions
        ),
        Activity(
            "andjoin", "join", "All are out", parameters={"mainSet": "split"},
            transitions=(Transition("transition", "wait"),),
        ),
        Activity(
            "wait", "wait", "Reactions come in", parameters={"duration_s": test.wait_seconds},
            transitions=(Transition("transition", "best"),),
        ),
        Activity(
            "bestDelivery", "best", "The better subject",
            parameters={"criterion": test.criterion, "tie": test.tie, "automatic": test.automatic},
            transitions=(Transition("transition", "rest"),),
        ),
        Activity(
            "delivery", "rest", "To the rest",
            parameters={"source": "transition", "recipients": "transition", "action": "start"},
        ),
    )  # fmt: skip


def _select(name: str, label: str, condition: str, *, to: str) -> Activity:
    return Activity(
        "query",
        name,
        label,
        parameters={"targetingDimension": "nms:recipient", "filter": condition},
        transitions=(Transition("result", to, kind="result"),),
    )


def _run(actor: Actor, name: str, label: str, activities: tuple[Activity, ...]) -> None:
    workflow = _make(actor, name, label, activities)
    commands.post(actor, name, commands.Command.START)
    _until(workflow, lambda: _state(workflow) == State.FINISHED)


def _make(actor: Actor, name: str, label: str, activities: tuple[Activity, ...]) -> Record:
    diagram = Workflow(name=name, label=label, activities=activities)
    return editing.create(
        actor,
        name,
        label,
        diagram.definition,
        "targetingWorkflows",
        schema="nms:recipient",
        keep_results=True,
    )


def _ask(actor: Actor) -> None:
    """Leave a question for whoever signs in: the first page shows what waits for an answer."""
    workflow = _make(
        actor,
        "demoWinter",
        "Winter collection: go or wait",
        (
            Activity(
                "validation",
                "ask",
                "Go or wait?",
                parameters={
                    "assignee": {"operator": ADMINISTRATOR},
                    "title": "Shall the winter collection go out as the autumn one did?",
                    "message": "The better of its two subjects is on the tab Versions of Autumn collection.",
                },
                transitions=(
                    Transition("yes", "go", "Go", kind="answer"),
                    Transition("no", "wait", "Wait", kind="answer"),
                ),
            ),
            Activity("end", "go", "Prepare it"),
            Activity("end", "wait", "Leave it for now"),
        ),
    )
    commands.post(actor, workflow.internal_name, commands.Command.START)
    _until(workflow, Approval.objects.filter(workflow=workflow).exists)


def _state(workflow: Record) -> int:
    workflow.refresh_from_db()
    return workflow.state


def _until(workflow: Record, reached: Callable[[], bool]) -> None:
    def ended() -> bool:
        workflow.refresh_from_db()
        return workflow.failed or reached()

    if not supervisor.wait_until(ended, seconds=SECONDS, step=0.1) or workflow.failed:
        raise Broken(
            f"The workflow {workflow.internal_name} did not get on. "
            f"Its journal: envoi workflow log {workflow.internal_name}"
        )
