"""Pages of profiles, lists, services and the suppression list."""

import re
from html import unescape

import pytest
from django.test import Client

from envoi.engine.worktable import Column
from envoi.kernel import clock
from envoi.kernel.models import Folder
from envoi.kernel.rights import Actor
from envoi.kernel.testing import admin_actor, allow, make_folder, make_operator
from envoi.packages.delivery.hookspecs import Event, timeline, timeline_kinds
from envoi.packages.delivery.models import Consent, Group, Recipient, SubHisto, Subscription, Suppression
from envoi.packages.delivery.services import chosen, consents, lists, subscriptions, suppression
from envoi.packages.delivery.testing import make_recipients, make_service

pytestmark = pytest.mark.usefixtures("db", "clock")
BACKEND = "django.contrib.auth.backends.ModelBackend"


def signed_in(name: str, *rights: str) -> Client:
    client = Client()
    client.force_login(make_operator(name, rights), BACKEND)
    return client


@pytest.fixture
def admin() -> Client:
    return signed_in("mary", "ADMINISTRATION")


@pytest.fixture
def ann() -> int:
    (number,) = make_recipients(
        1, first_name="Ann", last_name="Lee", email="ann@example.org", mobile_phone="+33612345678", phone="",
        city="Lyon", zip_code="69001", country_code="FR", black_list=0, black_list_email=0,
    )  # fmt: skip
    return number


def text(client: Client, address: str, code: int = 200) -> str:
    answer = client.get(address)
    assert answer.status_code == code
    return re.sub(r"\s+", " ", answer.content.decode())


def test_the_card_says_who_it_is_and_whether_we_may_write(admin: Client, ann: int) -> None:
    page = text(admin, f"/recipients/{ann}")
    for said in ("Ann Lee", "ann@example.org", "Lyon", "France", "Can be contacted", "+33612345678"):
        assert said in page
    assert re.findall(r'class="ava[^>]*>(\w+)<', page) == ["M", "AL"]
    suppression.add(["ann@example.org"], actor=admin_actor())
    assert "on the suppression list" in text(admin, f"/recipients/{ann}")
    Recipient.objects.filter(pk=ann).update(black_list=1)
    page = text(admin, f"/recipients/{ann}")
    assert "Wants no contact" in page
    assert "wants no contact at all" in page
    assert "/data/nms/recipient/" in page


def test_subscribing_and_leaving_from_the_page_is_kept_and_told(admin: Client, ann: int) -> None:
    service = make_service("news", label="News <b>")
    page = f"/recipients/{ann}?tab=subscriptions"
    assert "No subscription is running" in text(admin, page)
    assert admin.post(page, {"do": "subscribe", "service": "news"}).status_code == 302
    assert "News &lt;b&gt;" in text(admin, page)
    assert Subscription.objects.filter(recipient_id=ann, service=service).exists()
    assert admin.post(page, {"do": "unsubscribe", "service": "news"}).status_code == 302
    assert [line.action for line in SubHisto.objects.order_by("sub_histo_id")] == [1, 0]
    history = text(admin, f"/recipients/{ann}")
    assert "Subscribed to News" in history
    assert "Left News" in history
    assert "Mary" in history
    assert "Left News" not in text(admin, f"/recipients/{ann}?kind=consent")
    answer = admin.post(page, {"do": "subscribe", "service": "nothing"})
    assert answer.status_code == 400
    assert "There is no service" in answer.content.decode()


def test_other_packages_tell_their_events_too(admin: Client, ann: int) -> None:
    def mails(recipient_id: int, actor: Actor, most: int) -> list[Event]:
        return [Event(clock.now(), "message", "mail", "run", "Spring <offer>", f"to {recipient_id}")]

    with timeline.temporarily(mails), timeline_kinds.temporarily(lambda: [("message", "Messages")]):
        page = text(admin, f"/recipients/{ann}")
        assert "Spring &lt;offer&gt;" in page
        assert "Messages" in page
        assert "Spring" in text(admin, f"/recipients/{ann}?kind=message")
        assert "Spring" not in text(admin, f"/recipients/{ann}?kind=consent")


def test_a_profile_joins_and_leaves_a_list(admin: Client, ann: int) -> None:
    group = lists.create("Spring", actor=admin_actor(), folder=Folder.objects.get(name="lists"))
    page = f"/recipients/{ann}?tab=lists"
    admin.post(page, {"do": "join", "list": group.name})
    assert lists.count(group, actor=admin_actor()) == 1
    assert "Take off" in text(admin, page)
    admin.post(page, {"do": "leave", "list": group.name})
    assert "In no list" in text(admin, page)


def test_consent_is_written_down_with_its_proof(admin: Client, ann: int) -> None:
    page = f"/recipients/{ann}?tab=privacy"
    given = {"do": "consent", "purpose": "marketing", "channel": "0", "action": "1", "source": "fair"}
    refused = admin.post(page, given)
    assert refused.status_code == 400
    assert "needs its proof" in refused.content.decode()
    assert 'value="fair"' in refused.content.decode()
    assert admin.post(page, given | {"proof": "I agree."}).status_code == 302
    assert Consent.objects.get().proof == "I agree."
    shown = text(admin, page)
    assert "“I agree.”" in shown
    assert "written down by Mary" in shown
    admin.post(page, given | {"action": "0", "source": "call"})
    assert "consent withdrawn: marketing" in text(admin, page)


def test_two_profiles_are_compared_before_they_are_merged(admin: Client, ann: int) -> None:
    (other,) = make_recipients(
        1, first_name="Anna", last_name="Lee", email="a@example.org", black_list=0, start=9
    )
    page = text(admin, f"/recipients/{ann}/merge?with={other}")
    assert "Make one profile of two?" in page
    assert "a@example.org" in page
    assert Recipient.objects.count() == 2
    assert admin.post(f"/recipients/{ann}/merge", {"with": other}).status_code == 302
    assert list(Recipient.objects.values_list("pk", flat=True)) == [ann]
    assert "Profile merged" in text(admin, f"/recipients/{ann}")
    assert admin.get(f"/recipients/{ann}/merge?with=x").status_code == 400


def test_who_may_not_see_a_profile_is_told_that_there_is_none(ann: int) -> None:
    allow(Folder.objects.get(name="recipients"), make_operator("other"))
    client = signed_in("bob")
    assert client.get(f"/recipients/{ann}").status_code == 404
    assert client.post(f"/recipients/{ann}", {"do": "subscribe", "service": "news"}).status_code == 404


def test_who_may_only_read_gets_no_buttons_and_is_refused(ann: int) -> None:
    make_service("news")
    reader = make_operator("reader")
    allow(Folder.objects.get(name="recipients"), reader)
    client = Client()
    client.force_login(reader, BACKEND)
    page = text(client, f"/recipients/{ann}?tab=subscriptions")
    assert 'value="subscribe"' not in page
    assert client.post(f"/recipients/{ann}", {"do": "subscribe", "service": "news"}).status_code == 400
    assert not Subscription.objects.exists()


def test_a_list_shows_its_members_and_how_long_it_is_kept(admin: Client, ann: int) -> None:
    group = lists.create("Spring", actor=admin_actor(), folder=Folder.objects.get(name="lists"))
    lists.add(group, chosen.ids([ann]), actor=admin_actor())
    page = text(admin, f"/lists/{group.pk}")
    assert f"/recipients/{ann}" in page
    assert "Ann Lee" in page
    assert "Without end" in page
    admin.post(f"/lists/{group.pk}", {"do": "expire", "until": "2099-12-31"})
    assert "2099" in text(admin, f"/lists/{group.pk}")
    assert admin.post(f"/lists/{group.pk}", {"do": "expire", "until": "1999-12-31"}).status_code == 400
    gone = admin.post(f"/lists/{group.pk}", {"do": "delete"})
    assert gone.headers["Location"] == "/explorer/profilesAndTargets/lists/"
    assert not Group.objects.exists()
    assert Recipient.objects.filter(pk=ann).exists()


def test_a_list_is_made_and_changed_by_its_form(admin: Client) -> None:
    folder = Folder.objects.get(name="lists").folder_id
    answer = admin.post("/data/nms/group/new", {"f-label": "Winter", "f-folder-id": folder})
    assert answer.status_code == 302, answer.content.decode()[-2000:]
    group = Group.objects.get(label="Winter")
    assert answer.headers["Location"] == f"/lists/{group.pk}"
    form = f"/data/nms/group/{group.pk}"
    seen = re.search(r'name="seen" value="([^"]*)"', text(admin, form))
    assert seen is not None
    given = {
        "seen": unescape(seen[1]),
        "f-label": "Winter 2027",
        "f-description": "Cold",
        "f-expirationDate": "2099-01-01T00:00",
    }
    changed = admin.post(form, given | {"f-folder-id": folder})
    assert changed.status_code == 302, changed.content.decode()[-2000:]
    group.refresh_from_db()
    assert (group.label, group.description) == ("Winter 2027", "Cold")
    assert group.expiration_date is not None


@pytest.mark.parametrize(
    ("schema", "values"),
    [
        ("nms/service", {"f-name": "weekly", "f-label": "Weekly"}),
        ("nms/visitor", {"f-lastName": "Lee", "f-email": "Ann@Example.org"}),
        ("nms/seedMember", {"f-label": "Seed", "f-email": "Seed@Example.org"}),
    ],
)
def test_services_visitors_and_seeds_are_made_by_their_forms(
    admin: Client, schema: str, values: dict[str, str]
) -> None:
    place = {"nms/service": "services", "nms/visitor": "visitors", "nms/seedMember": "seedAddresses"}[schema]
    folder = Folder.objects.get(name=place).folder_id
    answer = admin.post(f"/data/{schema}/new", values | {"f-folder-id": folder})
    assert answer.status_code == 302, answer.content.decode()[-3000:]
    page = text(admin, answer.headers["Location"])
    assert values.get("f-label", "Lee") in page
    assert "Example.org" not in page


def test_a_list_with_its_own_table_shows_its_columns(admin: Client, ann: int) -> None:
    group = lists.create(
        "Scores", actor=admin_actor(), folder=Folder.objects.get(name="lists"), own_table=True,
        columns=[Column("score", "integer")], labels={"score": "The score"},
    )  # fmt: skip
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE wkf9_9 (id bigint PRIMARY KEY, s integer)")
        cursor.execute("INSERT INTO wkf9_9 VALUES (%s, 4711)", [ann])
    lists.fill(group, "wkf9_9", {"score": "s"}, actor=admin_actor())
    page = text(admin, f"/lists/{group.pk}")
    assert "The score" in page
    assert "4711" in page


def test_a_service_shows_its_figures(admin: Client, ann: int) -> None:
    service = make_service("news", validity_length=3, validity_unit="m")
    subscriptions.subscribe(service, chosen.ids([ann]), actor=admin_actor())
    page = text(admin, f"/services/{service.pk}")
    assert "3 months" in page
    assert "Ann Lee" in page
    assert "<svg" in page
    assert "/data/nms/service/" in page


def test_the_suppression_list_is_looked_up_filled_and_emptied(admin: Client) -> None:
    place = "/explorer/administration/campaignAdministration/suppressionList/"
    assert admin.get("/suppression-list").headers["Location"] == place
    assert "The list is empty" in text(admin, place)
    given = {"do": "add", "channel": "0", "reason": "asked by phone"}
    answer = admin.post(place, given | {"addresses": "Ann@Example.org\nspam.example"}, follow=True)
    assert "2 addresses joined the list." in answer.content.decode()
    page = text(admin, f"{place}?q=ANN@example.org")
    assert "a…@example.org" in page
    assert "asked by phone" in page
    assert "It is not on the list" in text(admin, f"{place}?q=bob@example.org")
    assert "@spam.example" in text(admin, f"{place}?q=bob@spam.example")
    mixed = admin.post(place, given | {"addresses": "good@example.com\nbad@"})
    assert "Some lines are no addresses" in mixed.content.decode()
    assert Suppression.objects.count() == 3
    entry = Suppression.objects.get(hint="@spam.example")
    admin.post(place, {"do": "remove", "entry": entry.pk})
    assert Suppression.objects.count() == 2


def test_rows_lead_to_the_entitys_own_page_and_the_words_to_its_folder(admin: Client, ann: int) -> None:
    make_folder("branch", "profilesAndTargets", model="nms:recipient")
    assert f"/recipients/{ann}" in text(admin, "/explorer/profilesAndTargets/recipients/")
    for word, place in {"recipients": "recipients", "lists": "lists", "services": "services"}.items():
        location = admin.get(f"/{word}").headers["Location"]
        assert location.startswith("/explorer/profilesAndTargets/")
        assert place in location or "branch" in location
    page = text(admin, f"/data/nms/recipient/{ann}")
    assert "Postal address" in page
    assert f"/recipients/{ann}" in page


def test_a_recipient_is_made_and_changed_by_its_form(admin: Client) -> None:
    folder = Folder.objects.get(name="recipients").folder_id
    given = {"f-lastName": "New", "f-email": " New@Example.ORG ", "f-folder-id": folder}
    answer = admin.post("/data/nms/recipient/new", given)
    assert answer.status_code == 302, answer.content.decode()[-2000:]
    person = Recipient.objects.get(last_name="New")
    assert answer.headers["Location"] == f"/recipients/{person.pk}"
    assert person.email == "new@example.org"
    assert "Profile created" in text(admin, f"/recipients/{person.pk}")
    refused = admin.post("/data/nms/recipient/new", given | {"f-email": "nonsense"})
    assert refused.status_code == 400
    assert "is no e-mail address" in refused.content.decode()
    assert consents.of_recipient(person.pk) == []
