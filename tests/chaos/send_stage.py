"""Run as a process on an instance: `send_stage.py COUNT` makes a delivery to COUNT people and confirms it.

Addresses are spread over twenty domains; servers are waited for shortly, and what was refused for now is
tried again soon.
"""

import sys

from envoi.app import boot

boot.setup()

from django.db import connection  # noqa: E402

from envoi.kernel import clock  # noqa: E402
from envoi.kernel.testing import admin_actor  # noqa: E402
from envoi.packages.delivery.models import Delivery, MxRule  # noqa: E402
from envoi.packages.delivery.services import analysis, deliveries  # noqa: E402
from envoi.packages.delivery.testing import make_recipients  # noqa: E402

CONTENT = {
    "subject": "Hello {{ recipient.firstName }}",
    "html_source": '<p>Dear {{ recipient.firstName }}</p><a href="https://shop.example/unsubscribe">leave</a>',
    "text_source": "Dear {{ recipient.firstName }}\nhttps://shop.example/unsubscribe\n",
    "from_name": "Shop",
    "from_address": "news@shop.example",
    "sending": {"retry": {"count": 1000, "period": "1s"}},
}


def main(count: int) -> None:
    actor = admin_actor()
    make_recipients(count, black_list=0, black_list_email=0)
    with connection.cursor() as cursor:
        cursor.execute(
            """UPDATE nms_recipient r SET email = 'm' || n || '@d' || n %% 20 || '.example'
               FROM (SELECT recipient_id, row_number() OVER (ORDER BY recipient_id) AS n FROM nms_recipient) o
               WHERE o.recipient_id = r.recipient_id""".replace("%%", "%")
        )
    MxRule.objects.all().delete()
    MxRule.objects.create(
        mask="*", position=1, connections=4, per_connection=40, command_timeout=6, data_timeout=6,
        modified_at=clock.now(),
    )  # fmt: skip
    made = deliveries.create(
        deliveries.find("mail", actor=actor), actor=actor, targeting={"filter": "@id > 0"}, name="storm"
    )
    Delivery.objects.filter(pk=made.pk).update(**CONTENT)
    made.refresh_from_db()
    analysis.work(analysis.start(made, actor=actor, queue=False).pk, actor=actor)
    made.refresh_from_db()
    deliveries.confirm(made, actor=actor)


main(int(sys.argv[1]))
