"""Run as a process on an instance: makes a delivery with three links; prints its number and theirs."""

import json
import sys

from envoi.app import boot

boot.setup()

from envoi.kernel import clock  # noqa: E402
from envoi.kernel.testing import admin_actor  # noqa: E402
from envoi.packages.delivery.models import TrackingUrl  # noqa: E402
from envoi.packages.delivery.services import deliveries  # noqa: E402

actor = admin_actor()
made = deliveries.create(
    deliveries.find("mail", actor=actor), actor=actor, targeting={"filter": "@id > 0"}, name="storm"
)
links = [
    TrackingUrl.objects.create(
        delivery=made,
        type=1,
        url=f"https://shop.example/{number}",
        digest=str(number),
        created_at=clock.now(),
    ).pk
    for number in range(3)
]
json.dump({"delivery": made.pk, "links": links}, sys.stdout)
