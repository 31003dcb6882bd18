"""What the editors of a content need to keep drafts: the version that is shown, and who has kept it."""

from collections.abc import Mapping

from django.utils.timezone import get_current_timezone_name
from django.utils.translation import gettext as _

from envoi.console import words
from envoi.kernel.errors import Conflict
from envoi.kernel.models import Operator
from envoi.kernel.rights import Actor
from envoi.packages.delivery.models import Delivery
from envoi.packages.delivery.services.content import versions
from envoi.packages.delivery.services.content.versions import Change


class Newer(Conflict):
    """Somebody has kept another version than the one that was seen."""


def require_seen(delivery: Delivery, given: Mapping[str, str], *, actor: Actor) -> None:
    """Raise Newer, with who and when, if somebody has kept another content since the form was made. A form
    that names no version asks for nothing.
    """
    seen = given.get("version", "")
    if not seen or (other := versions.newer(delivery, seen)) is None:
        return
    if other.operator_name == actor.name:
        raise Newer(
            _(
                "You have kept another version of this content at %(when)s, elsewhere than here. Nothing is "
                "kept now; keep it again to replace that version by this one."
            )
            % {"when": words.moment(other.at)}
        )
    raise Newer(
        _(
            "%(name)s has kept another version of this content at %(when)s, after it was opened here. "
            "Nothing is kept now; keep it again to replace that version by yours."
        )
        % {"name": _called(other), "when": words.moment(other.at)}
    )


def described(delivery: Delivery, actor: Actor, part: str, *, seen: str = "") -> dict[str, str]:
    """Return what the script of drafts needs: a key that is only this content's and this operator's, the
    version, and who has kept it when; `mine` is "1" for the operator's own, `typed` where the page shows what
    was typed, which began with the version `seen`.
    """
    made = int(delivery.created_at.timestamp())
    latest = versions.latest(delivery)
    return {
        "key": f"envoi.draft:{actor.operator_id}:{delivery.pk}:{made}:{delivery.variant}:{part}",
        "version": seen or versions.version(delivery),
        "typed": "1" if seen else "",
        "mine": "1" if latest.operator_name == actor.name else "",
        "by": _called(latest),
        "at": words.moment(latest.at),
        "zone": get_current_timezone_name(),
    }


def _called(change: Change) -> str:
    label = Operator.objects.filter(name=change.operator_name).values_list("label", flat=True).first()
    return label or change.operator_name or _("the instance")
