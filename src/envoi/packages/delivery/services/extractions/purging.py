"""Files for providers that nobody needs any more."""

import shutil
from pathlib import Path

from django.conf import settings
from django.utils.translation import gettext as _

from envoi.kernel.rights import Actor, Right
from envoi.packages.delivery.models import DeliveryRun, RunStep
from envoi.packages.delivery.services.extractions.making import FOLDER

_BATCH = 1000


def purge(*, actor: Actor) -> int:
    """Delete the files on this host of deliveries that are deleted and of analyses that were replaced;
    returns for how many analyses.

    Called by the nightly cleanup; safe to run at any time. Raises NotAllowed without ADMINISTRATION.
    """
    actor.require(Right.ADMINISTRATION, to=_("clean up deliveries"))
    place = Path(settings.ENVOI.home) / FOLDER
    found = sorted(int(each.name) for each in place.glob("[0-9]*") if each.name.isdecimal())
    gone = 0
    for first in range(0, len(found), _BATCH):
        numbers = found[first : first + _BATCH]
        # A file is only made for an analysis that is in the database already.
        kept = DeliveryRun.objects.filter(pk__in=numbers, delivery__delete_status=0)
        wanted = set(kept.exclude(step=RunStep.GONE).values_list("pk", flat=True))
        for number in numbers:
            if number not in wanted:
                shutil.rmtree(place / str(number), ignore_errors=True)
                gone += 1
    return gone
