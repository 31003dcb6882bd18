"""The tab Versions: made, set, started, followed, decided by somebody."""

import re
from html import unescape
from typing import Any

import pytest
from django.test import Client

from envoi.kernel.testing import make_operator
from envoi.packages.delivery.models import AbTest, Delivery
from envoi.packages.delivery.testing import make_delivery, make_recipients

pytestmark = pytest.mark.usefixtures("db", "clock")


def signed_in(name: str, *rights: str) -> Client:
    client = Client()
    client.force_login(make_operator(name, rights), "django.contrib.auth.backends.ModelBackend")
    return client


def words(answer: Any) -> str:
    text = re.sub(r"<(script|style)[^>]*>.*?</\1>", " ", answer.content.decode(), flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())


def test_a_test_is_made_set_and_started() -> None:
    make_recipients(20, black_list=0)
    delivery = make_delivery(label="Spring")
    client = signed_in("sofia", "PREPARE DELIVERIES", "START DELIVERIES", "WORKFLOW", "ADMINISTRATION")
    page = f"/deliveries/{delivery.pk}/versions"
    assert "Two to four versions" in words(client.get(page))
    answer = client.post(page, {"do": "make", "count": "2"}, follow=True)
    assert "Spring – A" in words(answer)
    form = {
        "do": "set", "shareA": "20", "shareB": "30", "criterion": "recipientClickRatio", "wait": "4",
        "unit": "h", "least": "5", "tie": "ask", "automatic": "1",
    }  # fmt: skip
    assert "The rest 50 %" in words(client.post(page, form, follow=True))
    wrong = client.post(page, {**form, "shareA": "90"})
    assert (wrong.status_code, "99 %" in words(wrong)) == (400, True)
    assert client.post(page, {**form, "wait": "x"}).status_code == 400
    client.post(page, {"do": "add"})
    test = AbTest.objects.get(delivery=delivery)
    assert [(each.letter, each.share) for each in test.versions.all()] == [("A", 20), ("B", 30), ("C", 10)]
    answer = client.post(page, {"do": "start"}, follow=True)
    assert "The test is under way" in words(answer)
    assert "Undecided: there are too few messages to compare." in words(answer)
    assert client.post(page, form).status_code == 400
    # Whoever looks at a version finds the way to the test.
    version = test.versions.all()[0].delivery_id
    assert "This is a version of Spring" in words(client.get(f"/deliveries/{version}/versions"))
    # It waits for somebody: the figures were equal.
    AbTest.objects.update(
        decided_at=delivery.modified_at,
        decision={
            "criterion": "recipientClickRatio",
            "verdict": "equal",
            "chance": 1.0,
            "tie": "ask",
            "figures": [],
        },
    )
    assert "Which version goes to the rest?" in words(client.get(page))
    client.post(page, {"do": "choose", "number": str(version)})
    assert AbTest.objects.get().winner_id == version
    assert Delivery.objects.get(pk=version).workflow_id == AbTest.objects.get().workflow_id
