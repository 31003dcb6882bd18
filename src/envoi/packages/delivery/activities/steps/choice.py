"""Which delivery an activity is about, and what the workflow changes in it (engine.md §6.5, *Delivery*)."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from django.db import connection
from django.utils.translation import gettext_noop as _

from envoi.engine import population, scripts
from envoi.engine.activities.base import Failed, Misconfigured, TaskContext
from envoi.kernel import folders
from envoi.kernel.errors import Invalid, NotFound
from envoi.kernel.models import Folder
from envoi.packages.delivery.models import Delivery, Kind
from envoi.packages.delivery.services import deliveries, file_target

SOURCES = ("transition", "explicit", "script", "template")
RECIPIENTS = ("delivery", "transition")
MEMORY = "delivery"
"""Where a task keeps the number of the delivery that it is about: written in the transaction that has made
the delivery, so that a repetition after a crash finds it.
"""
_FIELDS: Mapping[str, str] = {
    "label": "label",
    "deliveryCode": "code",
    "description": "description",
    "mailParameters/subject": "subject",
    "mailParameters/senderName": "from_name",
    "mailParameters/senderAddress": "from_address",
    "mailParameters/replyAddress": "reply_to",
    "content/html/source": "html_source",
    "content/text/source": "text_source",
    "scheduling/contactDate": "contact_date",
}
"""What a script may set: its place in the script's `delivery`, and the property."""


def known(ctx: TaskContext) -> Delivery | None:
    """Return the delivery of this task, if an execution before has chosen or made it.

    Raises Failed when it was deleted meanwhile.
    """
    number = ctx.memory.get(MEMORY)
    if number is None:
        return None
    found = deliveries.visible(ctx.actor).filter(pk=number).first()
    if found is None:
        raise Failed(f"The delivery of activity {ctx.activity.name} is there no more.")
    return found


def keep(ctx: TaskContext, delivery: Delivery) -> Delivery:
    """Let the task remember its delivery."""
    ctx.memory[MEMORY] = delivery.pk
    return delivery


def named(ctx: TaskContext, source: str) -> Delivery:
    """Return the delivery that is there already: of the transition, named, or computed by a script.

    Raises Failed when there is none, Misconfigured when nothing is said.
    """
    match source:
        case "transition":
            said: Any = ctx.variables.get("deliveryId")
        case "explicit":
            said = ctx.parameters.get("delivery")
        case "script":
            said = _computed(ctx)
        case _:
            raise Misconfigured(f"Activity {ctx.activity.name} does not say which delivery it is about.")
    text = str(said if said is not None else "").strip()
    if not text:
        raise Failed(f"No delivery was given to activity {ctx.activity.name}.")
    seen = deliveries.visible(ctx.actor).filter(is_model=False)
    found = seen.filter(internal_name=text).first()
    if found is None and text.isdecimal():
        found = seen.filter(pk=int(text)).first()
    if found is None:
        raise Failed(f"There is no delivery {text} for activity {ctx.activity.name}, or it may not be seen.")
    return found


def template(ctx: TaskContext, default: str = "") -> Delivery:
    """Return the template that the activity names. Raises Misconfigured."""
    name = text(ctx, "template") or default
    found = deliveries.visible(ctx.actor).filter(internal_name=name, is_model=True).first()
    if found is None:
        raise Misconfigured(
            f"There is no template {name!r} for the delivery of activity {ctx.activity.name}."
        )
    return found


def made(ctx: TaskContext, of: Delivery, *, kind: Kind = Kind.SINGLE, label: str = "") -> Delivery:
    """Make a delivery of a template, marked as this workflow's. When a population without a dimension comes
    in as its target, such as a loaded file, it is one to an external file, whatever the template's mapping.
    """
    lines = _from_transition(ctx) and not population.inbound(ctx)[0].dimension
    more: dict[str, Any] = {"mapping": file_target.MAPPING} if lines and of.mapping.schema else {}
    found = deliveries.create(
        of,
        actor=ctx.actor,
        label=(label or text(ctx, "label") or ctx.activity.label or of.label)[:128],
        folder=_folder(ctx),
        kind=kind,
        workflow_id=ctx.workflow_id,
        parent_id=None if kind is Kind.SINGLE else of.pk,
        **more,
    )
    ctx.info(_("Delivery '%(delivery)s' (%(name)s) made"), delivery=found.label, name=found.internal_name)
    return found


def address(ctx: TaskContext, delivery: Delivery) -> Delivery:
    """Let a delivery have the population that came in as its target, if the activity says so."""
    if not _from_transition(ctx):
        return delivery
    source = population.inbound(ctx)[0]
    if source.dimension != delivery.mapping.schema:
        raise Misconfigured(
            f"The delivery {delivery.label} is for {delivery.mapping.schema or 'an external file'}, and"
            f" {ctx.activity.name} gets {source.dimension or 'data without a dimension'}."
        )
    kept = {name: value for name, value in delivery.targeting.items() if name not in ("filter", "lists")}
    return deliveries.change(delivery, {"targeting": {**kept, "table": source.table}}, actor=ctx.actor)


def _from_transition(ctx: TaskContext) -> bool:
    return str(ctx.parameters.get("recipients") or "delivery") == "transition"


def scripted(ctx: TaskContext, delivery: Delivery) -> Delivery:
    """Run the script of the activity, which finds the delivery as `delivery` and may set what `_FIELDS`
    names, and `variables._var[n].stringValue`.
    """
    source = str(ctx.parameters.get("script") or "").strip()
    if not source:
        return delivery
    before = _document(delivery)
    # On the first line of the script, so that a line of an error is one of the script.
    result, _host = scripts.run(
        ctx, f"var delivery = {json.dumps(before)}; {source}\n;JSON.stringify(delivery)"
    )
    try:
        after = json.loads(str(result.returned))
    except ValueError as error:
        raise Failed(f"The script of {ctx.activity.name} has left no delivery.") from error
    given = {
        field: _value(field, _at(after, path)) for path, field in _FIELDS.items()
        if _at(after, path) != _at(before, path)
    }  # fmt: skip
    if given:
        delivery = deliveries.change(delivery, given, actor=ctx.actor)
    entries = _at(after, "variables/_var")
    if entries != before["variables"]["_var"]:
        return _set_variables(ctx, delivery, entries)
    return delivery


def text(ctx: TaskContext, name: str) -> str:
    """Return a parameter with its `<%= … %>` carried out."""
    value = str(ctx.parameters.get(name) or "")
    return scripts.text(ctx, value).strip() if "<%" in value else value.strip()


def _computed(ctx: TaskContext) -> Any:
    source = str(ctx.parameters.get("deliveryScript") or "").strip()
    if not source:
        raise Misconfigured(
            f"Activity {ctx.activity.name} has no script that says which delivery it is about."
        )
    result, _host = scripts.run(ctx, source)
    return result.returned if result.returned is not None else ctx.variables.get("deliveryId")


def _folder(ctx: TaskContext) -> Folder | None:
    name = text(ctx, "folder")
    if not name:
        return None
    found = folders.readable_folders(ctx.actor).filter(name=name).first()
    if not isinstance(found, Folder):
        raise Misconfigured(f"There is no folder {name!r} for the delivery of activity {ctx.activity.name}.")
    return found


def _document(delivery: Delivery) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": delivery.pk,
        "internalName": delivery.internal_name,
        "variables": {
            "_var": [{"name": name, "stringValue": value} for name, value in delivery.variables.items()]
        },
    }
    for path, field in _FIELDS.items():
        value = getattr(delivery, field)
        place = found
        *way, last = path.split("/")
        for step in way:
            place = place.setdefault(step, {})
        place[last] = value.isoformat() if isinstance(value, datetime) else value
    return found


def _at(document: Any, path: str) -> Any:
    for step in path.split("/"):
        document = cast("Mapping[str, Any]", document).get(step) if isinstance(document, Mapping) else None
    return document


def _value(field: str, said: Any) -> Any:
    if field == "contact_date":
        if said in (None, ""):
            return None
        try:
            return datetime.fromisoformat(str(said))
        except ValueError as error:
            raise Invalid(f"{said!r} is no date for the contact of a delivery.") from error
    return "" if said is None else str(said)


def _set_variables(ctx: TaskContext, delivery: Delivery, entries: Any) -> Delivery:
    found: dict[str, str] = {}
    for number, each in enumerate(cast("list[Any]", entries) if isinstance(entries, list) else []):
        entry = cast("Mapping[str, Any]", each) if isinstance(each, Mapping) else {}
        found[str(entry.get("name") or f"var{number + 1}")] = str(entry.get("stringValue") or "")
    return deliveries.change(delivery, {"variables": found}, actor=ctx.actor)


def found_by(ctx: TaskContext, of: Delivery, label: str) -> Delivery:
    """Return the continuous delivery of a template with this label, made if there is none. Of two tasks that
    look for it at once, one waits for the other.
    """
    _lock(label, of.pk)
    found = (
        Delivery.objects.select_related("folder", "mapping")
        .filter(parent=of, kind=Kind.CONTINUOUS, label=label, delete_status=0, is_model=False)
        .order_by("-pk")
        .first()
    )
    if found is None:
        return made(ctx, of, kind=Kind.CONTINUOUS, label=label)
    if not deliveries.visible(ctx.actor).filter(pk=found.pk).exists():
        raise NotFound(f"There is a delivery {label!r} already, and it may not be seen.")
    return found


def lock(delivery: Delivery) -> None:
    """Let other tasks that add to a continuous delivery wait until this transaction ends."""
    _lock("envoi.continuous", delivery.pk)
    delivery.refresh_from_db()


def _lock(text: str, number: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, %s))", [text, number])
