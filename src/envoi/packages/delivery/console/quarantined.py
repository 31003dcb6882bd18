"""What quarantine knows of the addresses of a profile, in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from envoi.console import words
from envoi.packages.delivery.console import timeline
from envoi.packages.delivery.models import Address, AddressStatus


@dataclass(frozen=True)
class Trouble:
    """What is known of one address."""

    text: str
    since: datetime | None
    blocks: bool
    """Nothing is sent to it."""


def of(addresses: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Trouble]:
    """Return what there is to say of addresses, each with its channel; nothing of those that are fine."""
    asked = {(address.lower(), int(channel)): (address, channel) for address, channel in addresses}
    wanted = Q()
    for address, channel in asked:
        wanted |= Q(address=address, type=channel)
    if not asked:
        return {}
    found: dict[tuple[str, int], Trouble] = {}
    for each in Address.objects.filter(wanted):
        trouble = _trouble(each)
        if trouble is not None:
            found[asked[each.address, each.type]] = trouble
    return found


def _trouble(each: Address) -> Trouble | None:
    why = ""
    if each.error_reason:
        label = timeline.spoken("nms:address", "errorReason", each.error_reason)
        why = f": {label[:1].lower()}{label[1:]}"
    match AddressStatus(each.status):
        case AddressStatus.QUARANTINE:
            return Trouble(_("in quarantine") + why, each.last_error or each.modified_at, True)
        case AddressStatus.DENYLISTED:
            return Trouble(_("on the denylist") + why, each.last_error or each.modified_at, True)
        case AddressStatus.ERRORS:
            text = ngettext("%(n)s error", "%(n)s errors", each.error_count)
            return Trouble(text % {"n": words.number(each.error_count)} + why, each.last_error, False)
        case _:
            return None
