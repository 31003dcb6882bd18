import pytest

from envoi.packages.delivery.models import Recipient
from envoi.packages.delivery.testing import make_recipients


@pytest.mark.django_db
def test_recipients_are_many_varied_and_the_same_again() -> None:
    ids = list(make_recipients(2500, text1="of a test"))
    found = Recipient.objects.in_bulk(ids)
    rows = [found[each] for each in ids]
    assert len(rows) == 2500
    assert rows[0].account == "C1"
    assert rows[-1].account == "C2500"
    assert {each.text1 for each in rows} == {"of a test"}
    assert len({each.last_name for each in rows}) > 30
    assert len({each.country_code for each in rows}) > 5
    assert {each.domain for each in rows if each.email} >= {"gmail.com", "free.fr"}
    assert all(each.email == each.email.lower() for each in rows)
    again = Recipient.objects.in_bulk(list(make_recipients(10)))
    same = ("first_name", "email", "city", "mobile_phone", "birth_date")
    assert [tuple(getattr(each, n) for n in same) for each in again.values()] == [
        tuple(getattr(each, n) for n in same) for each in rows[:10]
    ]
    more = list(make_recipients(10, start=3000))
    assert Recipient.objects.get(pk=more[0]).account == "C3000"
