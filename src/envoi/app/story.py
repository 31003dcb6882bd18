"""The story that the demonstration tells: a file of profiles comes in, a workflow chooses among them and
writes to those whom it has chosen, and some of the messages come back.
"""

import csv
import itertools
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files as resources
from pathlib import Path

from envoi.app import supervisor
from envoi.engine import commands, editing
from envoi.engine import files as formats
from envoi.engine.definition import Activity, Transition
from envoi.engine.models import State
from envoi.engine.workflow import Workflow
from envoi.kernel import folders, writing
from envoi.kernel.errors import Broken
from envoi.kernel.rights import Actor
from envoi.packages.delivery.models import Delivery, DeliveryState, ImportState
from envoi.packages.delivery.services import deliveries, imports, lists
from envoi.packages.delivery.services.routing import keys, mx_rules

PROFILES = 2000
"""How many profiles the shipped file holds."""
SELECTION = "demoAutumnSelection"
AUDIENCE = "demoAutumnAudience"
CONTROL = "demoAutumnControl"
COMPLAINTS = "demoComplaints"
NEWSLETTER = "demoNewsletter"
TEMPLATE = "demoAutumnMail"
SENDER = "news@atelier-nord.example"
PROVIDERS = (
    "free.example", "inbox.example", "lettre.example", "mail.example", "orange.example", "post.example",
    "shop.example",
)  # fmt: skip
"""The domains of the shipped profiles."""
SECONDS = 120.0
SENDING_SECONDS = 60.0
MOST_WAITING = 0.2
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
    """Import the profiles, choose the audience of a campaign among them, and write to it.

    Raises Broken when the import, the workflow or the delivery does not come to a good end.
    """
    place = folders.find("services", actor=actor)
    writing.write(
        "nms:service",
        {"name": NEWSLETTER, "label": "Newsletter", "folder-id": place.pk, "public": True},
        actor=actor,
    )
    _import(actor, profiles)
    _complain(actor)
    _compose(actor)
    _choose(actor)
    _wait_for_mail(actor)


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


def _compose(actor: Actor) -> None:
    """Make the template of the delivery. What a server puts off is tried again within seconds, not hours."""
    folder = resources("envoi.app") / "story_mail"
    deliveries.create(
        deliveries.find("mail", actor=actor),
        actor=actor,
        name=TEMPLATE,
        label="Autumn collection",
        as_template=True,
        subject="{{ recipient.firstName }}, autumn is here",
        from_name="Atelier Nord",
        from_address=SENDER,
        reply_to="hello@atelier-nord.example",
        html_source=(folder / "autumn.html").read_text(encoding="utf-8"),
        text_source=(folder / "autumn.txt").read_text(encoding="utf-8"),
        sending={"retry": {"count": 5, "period": "5s"}},
    )


def _wait_for_mail(actor: Actor) -> None:
    """Wait until the delivery has gone out, but for what servers have put off."""

    def gone() -> bool:
        found = deliveries.visible(actor).filter(is_model=False, workflow_id__isnull=False).first()
        return found is not None and _gone(found)

    if not supervisor.wait_until(gone, seconds=SENDING_SECONDS, step=0.2):
        raise Broken("The delivery of the demonstration did not go out. What its senders say: HOME/log.")


def _gone(delivery: Delivery) -> bool:
    if delivery.status in (DeliveryState.FAILED, DeliveryState.STOPPED):
        raise Broken(f"The delivery of the demonstration is {delivery.status.label}: see its log.")
    most = delivery.to_deliver * (1 - MOST_WAITING)
    return delivery.status is DeliveryState.FINISHED or delivery.processed >= most > 0


def _choose(actor: Actor) -> None:
    """Choose the audience: who may be written to, once each, without complaints, but for a control group;
    and write to it.
    """
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
                "listUpdate",
                "audience",
                "Keep the audience",
                parameters={"list": AUDIENCE, "purge": True},
                transitions=(Transition("transition", "write"),),
            ),
            Activity(
                "delivery",
                "write",
                "Autumn collection",
                parameters={
                    "source": "template",
                    "template": TEMPLATE,
                    "recipients": "transition",
                    "action": "start",
                },
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

    def ended() -> bool:
        workflow.refresh_from_db()
        return workflow.failed or workflow.state == State.FINISHED

    if not supervisor.wait_until(ended, seconds=SECONDS, step=0.1) or workflow.failed:
        raise Broken(f"The workflow {name} did not come to its end. Its journal: envoi workflow log {name}")
