"""The workflow of a test: the target is split, versions go out, later the best one goes to the rest."""

from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from envoi.engine import commands, editing
from envoi.engine.commands import Command
from envoi.engine.definition import Activity, Definition, Transition
from envoi.engine.models import Workflow
from envoi.kernel.errors import Conflict
from envoi.kernel.rights import Actor, Right
from envoi.packages.delivery.models import AbTest, AbVersion, Delivery
from envoi.packages.delivery.services.ab_testing import records
from envoi.packages.delivery.services.deliveries import targeting

FOLDER = "targetingWorkflows"


def start(test: AbTest, *, actor: Actor) -> Workflow:
    """Make the workflow of a test and start it. Raises Conflict when it was started, Invalid for a target
    that is none, NotAllowed without START DELIVERIES or WORKFLOW.
    """
    actor.require(Right.START_DELIVERIES, to=_("start deliveries"))
    records.require_unstarted(test, actor)
    versions = list(test.versions.select_related("delivery"))
    with transaction.atomic():
        label = _("Test of %(label)s") % {"label": test.delivery.label}
        workflow = editing.create(
            actor, "", label[:128], definition(test, versions), FOLDER, keep_results=True
        )
        if not AbTest.objects.filter(pk=test.pk, workflow_id=None).update(workflow_id=workflow.pk):
            raise Conflict(_("The test was started: it cannot be changed any more."))
        numbers = [each.delivery_id for each in versions]
        Delivery.objects.filter(pk__in=numbers).update(workflow_id=workflow.pk)
        commands.post(actor, workflow.internal_name, Command.START)
    test.refresh_from_db()
    return workflow


def definition(test: AbTest, versions: list[AbVersion]) -> Definition:
    """Return the diagram: who is asked for, parts of them to the versions, the rest after the decision."""
    base = test.delivery
    said = targeting.read(base.targeting)
    sources = _sources(base, said)
    letters = [each.letter for each in versions]
    split = Activity(
        "extract",
        "split",
        _("Samples and the rest"),
        x=400,
        y=160,
        parameters={
            "extractOutput": [
                {"name": each.letter, "limiter": {"type": "percent", "percent": each.share, "random": True}}
                for each in versions
            ]
        },
        transitions=(
            *(Transition(each, f"version{each}", each, kind="extractOutput") for each in letters),
            Transition("remainder", "join", _("The rest"), kind="remainder"),
        ),
    )
    sent = [
        Activity(
            "delivery",
            f"version{each.letter}",
            each.delivery.label,
            x=600,
            y=40 + 120 * index,
            parameters={
                "source": "explicit",
                "delivery": each.delivery.internal_name,
                "recipients": "transition",
                "action": "start",
            },
            transitions=(Transition("transition", "join"),),
        )
        for index, each in enumerate(versions)
    ]
    return Definition(
        (
            *sources,
            split,
            *sent,
            Activity(
                "andjoin", "join", _("All are out"), x=800, y=160, parameters={"mainSet": "split"},
                transitions=(Transition("transition", "wait"),),
            ),
            Activity(
                "wait", "wait", _("Reactions come in"), x=1000, y=160,
                parameters={"duration_s": test.wait_seconds}, transitions=(Transition("transition", "best"),),
            ),
            Activity(
                "bestDelivery", "best", _("The best version"), x=1200, y=160,
                parameters={
                    "criterion": test.criterion, "least": test.least_messages, "tie": test.tie,
                    "automatic": test.automatic,
                },
                transitions=(Transition("transition", "final"),),
            ),
            Activity(
                "delivery", "final", _("To the rest"), x=1400, y=160,
                parameters={"source": "transition", "recipients": "transition", "action": "start"},
                transitions=(Transition("transition", "end"),),
            ),
            Activity("end", "end", x=1600, y=160),
        )
    )  # fmt: skip


def _sources(base: Delivery, said: targeting.Targeting) -> list[Activity]:
    """Return what finds the target: a query, its lists, all of them together when there are several."""
    found: list[Activity] = []
    parts: list[tuple[str, str, dict[str, Any]]] = []
    if said.where is not None:
        parameters = {"targetingDimension": base.mapping.schema, "filter": base.targeting["filter"]}
        parts.append(("query", _("Target"), parameters))
    parts += [("readList", each, {"list": each}) for each in said.lists]
    together = len(parts) > 1
    for index, (kind, label, parameters) in enumerate(parts):
        name = kind if index == 0 else f"{kind}{index + 1}"
        way = Transition("result", "union" if together else "split", kind="result")
        found.append(
            Activity(kind, name, label, x=0, y=160 + 120 * index, parameters=parameters, transitions=(way,))
        )
    if together:
        way = Transition("result", "split", kind="result")
        found.append(Activity("union", "union", x=200, y=160, transitions=(way,)))
    return found
