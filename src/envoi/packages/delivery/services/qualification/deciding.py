"""What operators decide about texts of servers (delivery.md §3.3). In the caller's transaction."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from envoi.kernel import audit, clock
from envoi.kernel.errors import Invalid, NotFound
from envoi.kernel.rights import Actor, Right
from envoi.packages.delivery.models import BroadLogMsg, FailureReason, FailureType, Qualification

ENTITY = "nms:broadLogMsg"


@dataclass(frozen=True)
class Asked:
    """Which texts: those that fulfil everything that is given; `text` is a part, in any case."""

    qualification: int | None = None
    failure_type: int | None = None
    failure_reason: int | None = None
    text: str = ""


def find(asked: Asked) -> QuerySet[BroadLogMsg]:
    """Return the texts asked for, the most frequent first."""
    found = Q()
    for name in ("qualification", "failure_type", "failure_reason"):
        value = getattr(asked, name)
        if value is not None:
            found &= Q(**{name: value})
    if asked.text:
        found &= Q(text__icontains=asked.text) | Q(first_text__icontains=asked.text)
    return BroadLogMsg.objects.filter(found).order_by("-occurrences", "-pk")


def decide(
    ids: Sequence[int],
    qualification: Qualification,
    *,
    actor: Actor,
    failure_type: FailureType = FailureType.UNDEFINED,
    failure_reason: FailureReason = FailureReason.NONE,
) -> int:
    """Say what texts mean from now on; return how many were changed. What has happened stays as it is.

    A text that is kept has a type, and a soft or hard one a reason. Raises NotAllowed without PREPARE
    DELIVERIES, Invalid, NotFound when none of them is there.
    """
    actor.require(Right.PREPARE_DELIVERIES, to=_("qualify texts of servers"))
    values: dict[str, object] = {"qualification": qualification, "rule": "", "modified_at": clock.now()}
    if qualification is Qualification.KEEP:
        if failure_type is FailureType.UNDEFINED:
            raise Invalid(_("Say what the text means: ignored, soft or hard."))
        if failure_type is not FailureType.IGNORED and failure_reason is FailureReason.NONE:
            raise Invalid(_("A soft or hard error needs a reason."))
        values |= {"failure_type": failure_type, "failure_reason": failure_reason}
    elif qualification is Qualification.TO_QUALIFY:
        values |= {"failure_type": FailureType.UNDEFINED, "failure_reason": FailureReason.NONE}
    count = BroadLogMsg.objects.filter(pk__in=list(ids)).update(**values)
    if not count:
        raise NotFound(_("These texts are not kept any more."))
    detail = {
        "rows": count,
        "qualification": int(qualification),
        "type": int(failure_type),
        "reason": int(failure_reason),
    }
    key = ids[0] if len(ids) == 1 else None
    audit.record(actor, ENTITY, "" if key is None else str(key), audit.MODIFIED, key, detail)
    return count
