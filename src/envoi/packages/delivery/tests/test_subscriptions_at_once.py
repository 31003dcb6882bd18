from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connection, connections, transaction

from envoi.kernel.models import Folder
from envoi.kernel.testing import admin_actor
from envoi.packages.delivery.models import RcpGrpRel, SubHisto, Subscription
from envoi.packages.delivery.services import chosen, lists, subscriptions
from envoi.packages.delivery.testing import make_recipients, make_service


def test_the_same_people_subscribe_and_join_once_however_many_do_it_at_once(committed_db: Any) -> None:
    actor, service = admin_actor(), make_service("news")
    group = lists.create("L", actor=actor, folder=Folder.objects.get(name="lists"))
    ids = list(make_recipients(1200))

    def change(_number: int) -> None:
        try:
            with transaction.atomic():
                subscriptions.subscribe(service, chosen.ids(ids), actor=actor)
                lists.add(group, chosen.ids(ids), actor=actor)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(change, range(4)))
    assert Subscription.objects.filter(service=service).count() == 1200
    assert SubHisto.objects.count() == 1200
    assert RcpGrpRel.objects.count() == 1200
    group.refresh_from_db()
    assert group.member_count == 1200
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(DISTINCT subscription_id) FROM nms_subscription")
        assert cursor.fetchone() == (1200,)
