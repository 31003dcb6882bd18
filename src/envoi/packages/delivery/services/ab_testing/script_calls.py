"""What scripts of workflows call to copy a delivery, as the product's *Duplicate* and *save* in one."""

from collections.abc import Mapping, Sequence
from typing import cast

from django.utils.translation import gettext as _

from envoi.engine.scripting import Value
from envoi.engine.scripts import Function, TaskHost, script_functions
from envoi.kernel.errors import Invalid, NotFound
from envoi.packages.delivery.models import ValidationMode
from envoi.packages.delivery.services.deliveries import records


def _duplicate(host: TaskHost, given: Sequence[Value]) -> Value:
    """`nms.delivery.Duplicate(id, {label: "…"})`: copy a delivery for this workflow; returns its number."""
    number = str(given[0]).rpartition("|")[2]
    said: Value = given[1] if len(given) > 1 else {}
    if not isinstance(said, Mapping):
        raise Invalid("nms.delivery.Duplicate takes an object such as {label: 'Spring final'}.")
    values = cast("Mapping[str, Value]", said)
    if strange := sorted(set(values) - {"label"}):
        raise Invalid(f"nms.delivery.Duplicate sets the label, not {strange[0]}.")
    actor = host.ctx.actor
    source = records.visible(actor).filter(pk=int(number)).first() if number.isdecimal() else None
    if source is None:
        raise NotFound(_("This delivery is not there any more."))
    made = records.create(
        source,
        actor=actor,
        label=str(values.get("label") or source.label)[:128],
        folder=source.folder,
        validation_mode=ValidationMode.MANUAL,
        workflow_id=host.ctx.workflow_id,
        operation_id=source.operation_id,
    )
    return made.pk


@script_functions.answer
def functions() -> Mapping[str, Function]:
    """Return what scripts may do with deliveries."""
    return {"nms.delivery.Duplicate": Function(_duplicate)}
