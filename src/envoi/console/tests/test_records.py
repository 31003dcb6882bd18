"""Lists and forms of any schema."""

import json
import re
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client

from envoi.kernel import enumerations, saved_views
from envoi.kernel.models import AuditEntry, Enum, Folder, SavedView
from envoi.kernel.testing import admin_actor, allow, make_folder, make_operator

pytestmark = pytest.mark.usefixtures("db", "clock")
BACKEND = "django.contrib.auth.backends.ModelBackend"


def client_of(operator: Any) -> Client:
    client = Client()
    client.force_login(operator, BACKEND)
    return client


@pytest.fixture
def admin() -> Client:
    return client_of(make_operator("mary", ("ADMINISTRATION",)))


def text(client: Client, address: str, status: int = 200) -> str:
    answer = client.get(address)
    body = b"".join(answer.streaming_content) if answer.streaming else answer.content
    assert answer.status_code == status, body.decode()[:3000]
    return body.decode()


def names(page: str) -> list[str]:
    """Return what the first column says, row by row."""
    return [re.sub(r"<[^>]+>", "", each) for each in re.findall(r'<th scope="row".*?</th>', page)]


def filter_of(expr: str) -> str:
    return json.dumps({"condition": [{"expr": expr}]})


@pytest.fixture
def lists() -> list[Enum]:
    return [
        enumerations.create(f"tList{number:03}", actor=admin_actor(), label=f"List {number:03}")
        for number in range(120)
    ]


def test_a_list_shows_searches_filters_and_sorts(admin, lists):
    page = text(admin, "/data/xtk/enum/?q=list+00")
    assert names(page) == [f"List {number:03}" for number in range(10)]
    assert "10 rows" in page
    page = text(admin, "/data/xtk/enum/?" + urlencode({"filter": filter_of("@name LIKE 'tList11%'")}))
    assert len(names(page)) == 10
    page = text(admin, "/data/xtk/enum/?q=list&sort=-@label&c=@label&c=@name")
    assert names(page)[:2] == ["List 119", "List 118"]
    assert 'aria-sort="descending"' in page
    assert "tList119" in page
    assert "Nothing matches" in text(admin, "/data/xtk/enum/?q=no%25such")


def test_pages_go_on_and_back_by_key(admin, lists):
    seen: list[str] = []
    address = "/data/xtk/enum/?q=list+&sort=@type"
    pages = []
    while address:
        page = text(admin, address)
        assert "120 rows" in page
        pages.append(names(page))
        seen += pages[-1]
        found = re.search(r'rel="next" href="([^"]+)"', page)
        address = found[1].replace("&amp;", "&") if found else ""
    assert (len(seen), len(set(seen)), [len(each) for each in pages]) == (120, 120, [50, 50, 20])
    for expected in (pages[1], pages[0]):
        found = re.search(r'rel="prev" href="([^"]+)"', page)
        page = text(admin, found[1].replace("&amp;", "&"))
        assert names(page) == expected
    assert 'rel="prev"' not in page


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/data/xtk/nothing/", 404), ("/data/xtk/enum/?after=[1", 400),
        ("/data/xtk/enum/?after=[1,2,3,4]", 400),
        ("/data/xtk/enum/?after=[%22x%22,%22y%22]", 400), ("/data/xtk/enum/?c=@nothing", 400),
        ("/data/xtk/enum/?c=[value/@label]", 400), ("/data/xtk/enum/?sort=@nothing", 400),
        ("/data/xtk/enum/?filter=@x%20%3D", 400), ("/data/xtk/enum/?view=99999", 404),
        ("/data/xtk/enum/?folder=99999", 404), ("/data/xtk/enum/999999", 404),
        ("/data/xtk/enum/bulk", 400), ("/data/xtk/enum/export.exe", 404),
    ],
)  # fmt: skip
def test_what_cannot_be_shown_is_refused(admin, address, status):
    text(admin, address, status)


def test_views_are_kept_offered_renamed_and_deleted(admin, lists):
    kept = {
        "name": "Elevens", "filter": filter_of("@name LIKE 'tList11%'"), "c": ["@name", "@label"],
        "sort": "-@name", "opens": "1", "shared": "1",
    }  # fmt: skip
    answer = admin.post("/data/xtk/enum/view", kept)
    assert answer.status_code == 302
    assert names(text(admin, answer.headers["Location"]))[0] == "tList119"
    assert len(names(text(admin, "/data/xtk/enum/"))) == 10
    assert len(names(text(admin, "/data/xtk/enum/?view=0"))) == 50
    other = client_of(make_operator("other", ("ADMINISTRATION",)))
    page = text(other, "/data/xtk/enum/")
    assert "Elevens" in page
    assert len(names(page)) == 50
    view = SavedView.objects.get()
    admin.post(f"/views/{view.pk}", {"name": "Eleven"})
    assert SavedView.objects.get().name == "Eleven"
    stranger = client_of(make_operator("stranger"))
    assert stranger.post(f"/views/{view.pk}", {"name": "Mine"}).status_code == 403
    admin.post(f"/views/{view.pk}", {"do": "delete"})
    assert not SavedView.objects.exists()
    assert admin.post("/data/xtk/enum/view", {"name": " "}).status_code == 400
    with pytest.raises(Exception, match="no such view"):
        saved_views.find(view.pk, actor=admin_actor())


def test_a_row_is_made_changed_copied_and_deleted(admin):
    given = {"f-name": "tColor", "f-label": "Colors", "f-type": "closed", "f-mode": "simple"}
    answer = admin.post("/data/xtk/enum/new", given)
    enum = Enum.objects.get(name="tColor")
    place = f"/data/xtk/enum/{enum.pk}"
    assert answer.headers["Location"] == place
    page = text(admin, place)
    assert 'value="Colors"' in page
    assert "Values of enumerations" in page
    seen = re.search(r'name="seen" value="([^"]+)"', page)[1].replace("&quot;", '"')
    form = {"f-label": "Colours", "f-type": "closed", "f-mode": "simple", "seen": seen}
    assert admin.post(place, form).headers["Location"] == place
    assert Enum.objects.get(pk=enum.pk).label == "Colours"
    answer = admin.post(place, {**form, "f-label": "Colors of mine"})
    assert answer.status_code == 409
    body = answer.content.decode()
    assert "Colours" in body
    assert "Colors of mine" in body
    answer = admin.post(place, {**form, "f-label": "", "seen": seen})
    assert answer.status_code in (400, 409)
    page = text(admin, f"/data/xtk/enum/new?copy={enum.pk}")
    assert 'value="Colours"' in page
    assert 'value="tColor"' not in page
    assert "Nothing else leads to it." in text(admin, f"{place}/delete")
    assert admin.post(f"{place}/delete").status_code == 302
    assert not Enum.objects.filter(pk=enum.pk).exists()


def test_a_list_that_is_too_much_is_asked_in_one_way_only(admin, lists):
    page = text(admin, "/data/xtk/enum/count?q=list+")
    assert "Counting" in page
    run = re.search(r'hx-get="([^"]+)"', page)[1].replace("&amp;", "&")
    assert "120 rows" in text(admin, run)
    assert admin.post("/data/xtk/enum/count/stop", {"key": "abc"}).status_code == 204


def test_history_tells_from_what_to_what(admin, lists):
    enum = lists[0]
    enumerations.update(enum.name, label="Renamed", actor=admin_actor())
    page = text(admin, f"/data/xtk/enum/{enum.pk}/history")
    assert "Modified" in page
    assert "Created" in page


@pytest.fixture
def places() -> SimpleNamespace:
    """A branch that `keeper` may read and write, with a closed folder in it."""
    keeper = make_operator("keeper", ("INSERT FOLDERS", "EDIT FOLDERS", "DELETE FOLDER"))
    top = make_folder("tTop", model="xtk:folder")
    allow(top, keeper, write=True, delete=True)
    for number in range(3):
        make_folder(f"tOpen{number}", top, label=f"Open {number}")
    closed = make_folder("tShut", top, label="Shut")
    allow(closed, make_operator("owner"))
    return SimpleNamespace(keeper=keeper, top=top, closed=closed)


def test_a_folder_shows_its_rows_with_or_without_those_below(admin, places):
    make_folder("tDeep", "tOpen0", label="Deep")
    page = text(admin, "/explorer/tTop/?sort=@label")
    assert names(page) == ["Deep", "Open 0", "Open 1", "Open 2", "Shut"]
    page = text(admin, "/explorer/tTop/?sort=@label&below=0")
    assert names(page) == ["Open 0", "Open 1", "Open 2", "Shut"]
    page = text(client_of(places.keeper), "/explorer/tTop/?sort=@label")
    assert names(page) == ["Deep", "Open 0", "Open 1", "Open 2"]


def test_a_view_folder_shows_what_its_filter_says(admin, places):
    view = make_folder("tView", model="xtk:folder", is_view=True)
    Folder.objects.filter(pk=view.pk).update(view_filter=json.loads(filter_of("@label LIKE 'Open%'")))
    page = text(admin, "/explorer/tView/")
    assert names(page) == ["Open 0", "Open 1", "Open 2"]
    assert names(text(client_of(places.keeper), "/explorer/tView/?q=2")) == ["Open 2"]


def edit(client: Client, number: int, name: str, **more: str) -> Any:
    """Open a cell, then keep a value in it, as the script does."""
    page = text(client, f"/data/xtk/enum/{number}/cell/{name}?c=@label&c=@type")
    seen = re.search(r'data-seen="([^"]+)"', page)[1].replace("&quot;", '"')
    given = {"seen": seen, **more}
    return client.post(f"/data/xtk/enum/{number}/cell/{name}?c=@label&c=@type", given)


def test_a_cell_is_edited_in_its_row(admin, lists):
    number = lists[0].pk
    answer = edit(admin, number, "label", value="Renamed")
    assert names(answer.content.decode()) == ["Renamed"]
    assert "Open: a new value" in answer.content.decode()
    answer = edit(admin, number, "label", value="x" * 200)
    assert answer["HX-Retarget"] == "[data-editing]"
    assert "200 characters are too many" in answer.content.decode()
    answer = admin.post(
        f"/data/xtk/enum/{number}/cell/label", {"value": "Late", "seen": '{"label":["0","0"]}'}
    )
    assert "Changed by somebody else" in answer.content.decode()
    assert Enum.objects.get(pk=number).label == "Renamed"
    assert admin.get(f"/data/xtk/enum/{number}/cell/name").status_code == 403


def test_ticked_rows_and_all_rows_change_at_once(admin, lists):
    ticked = [lists[0].pk, lists[1].pk]
    where = urlencode({"key": ticked, "do": "change", "attribute": "type"}, doseq=True)
    page = text(admin, f"/data/xtk/enum/bulk?{where}")
    assert "Change 2 rows" in page
    given = {"key": ticked, "do": "change", "attribute": "type", "f-type": "closed"}
    assert admin.post("/data/xtk/enum/bulk", given).status_code == 302
    assert Enum.objects.filter(name__startswith="tList", type="closed").count() == 2
    every = {"all": "1", "filter": "@name LIKE 'tList11%'", "do": "change", "attribute": "mode"}
    assert "Change 10 rows" in text(admin, f"/data/xtk/enum/bulk?{urlencode(every)}")
    admin.post("/data/xtk/enum/bulk", {**every, "f-mode": "alias"})
    assert Enum.objects.filter(name__startswith="tList", mode="alias").count() == 10
    answer = admin.post("/data/xtk/enum/bulk", {**every, "attribute": "label", "f-label": ""})
    assert answer.status_code == 400
    assert "A value is needed here" in answer.content.decode() or "label" in answer.content.decode()
    admin.post("/data/xtk/enum/bulk", {"all": "1", "filter": "@name LIKE 'tList11%'", "do": "delete"})
    assert Enum.objects.filter(name__startswith="tList").count() == 110
    assert admin.post("/data/xtk/enum/bulk", {"do": "delete"}).status_code == 400


def test_an_export_streams_harmless_text_and_is_audited(admin, lists):
    for enum, label in zip(lists[:5], ("=1+1", "+44 7", "@x", "-5", '"a", b'), strict=True):
        Enum.objects.filter(pk=enum.pk).update(label=label)
    where = "?" + urlencode(
        {"filter": "@name LIKE 'tList00%'", "c": ["@name", "@label", "@type"], "sort": "@name"}, True
    )
    answer = admin.get(f"/data/xtk/enum/export.csv{where}")
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="enum-')
    lines = b"".join(answer.streaming_content).decode("utf-8-sig").splitlines()
    assert lines[0] == "Name,Label,Type"
    assert lines[1] == "tList000,'=1+1,Open: a new value joins when it is confirmed"
    assert [line.split(",")[1] for line in lines[2:5]] == ["'+44 7", "'@x", "-5"]
    assert '"""a"", b"' in lines[5]
    assert len(lines) == 11
    raw = text(admin, f"/data/xtk/enum/export.csv{where}&raw=1")
    assert "tList000,'=1+1,open" in raw
    entry = AuditEntry.objects.filter(action="Export").first()
    assert entry.entity == "xtk:enum"
    assert entry.detail["columns"] == ["@name", "@label", "@type"]
    without = client_of(make_operator("plain"))
    assert without.get(f"/data/xtk/enum/export.csv{where}").status_code == 403


def test_a_spreadsheet_holds_texts_as_texts(admin, lists):
    import io

    from openpyxl import load_workbook

    Enum.objects.filter(pk=lists[0].pk).update(label="=1+1")
    answer = admin.get("/data/xtk/enum/export.xlsx?q=tlist00&c=@label&c=@modifiedAt&sort=@name")
    book = load_workbook(io.BytesIO(b"".join(answer.streaming_content)))
    rows = list(book.active.iter_rows())
    assert [cell.value for cell in rows[0]] == ["Label", "Modified"]
    assert (rows[1][0].value, rows[1][0].data_type) == ("=1+1", "s")
    assert rows[1][1].data_type == "d"
    assert len(rows) == 11


def test_folders_are_made_renamed_moved_given_rights_and_deleted(admin, places):
    top = f"/folders/{places.top.pk}"
    keeper = client_of(places.keeper)
    assert "/folders/" in text(keeper, "/explorer/tTop/")
    answer = keeper.post(top, {"do": "create", "name": "tNew", "label": "New one"})
    assert answer.headers["Location"] == "/explorer/tTop/tNew/"
    made = Folder.objects.get(name="tNew")
    here = f"/folders/{made.pk}"
    keeper.post(here, {"do": "rename", "label": "Newer"})
    keeper.post(here, {"do": "move", "parent": "tOpen0"})
    made.refresh_from_db()
    assert (made.label, made.path) == ("Newer", "/tTop/tOpen0/tNew/")
    assert "below itself" in keeper.post(top, {"do": "move", "parent": "tNew"}).content.decode()
    holder = f"o{places.keeper.pk}"
    assert keeper.post(here, {"do": "rights", "holder": holder, "read": "1"}).status_code in (400, 403)
    admin.post(here, {"do": "rights", "holder": holder, "read": "1"})
    assert "keeper" in text(admin, here).lower()
    assert keeper.post(here, {"do": "rename", "label": "Mine"}).status_code == 400
    admin.post(here, {"do": "delete"})
    assert not Folder.objects.filter(name="tNew").exists()
    assert client_of(make_operator("nobody")).get(f"/folders/{places.closed.pk}").status_code == 404


def test_a_folder_becomes_a_view_and_its_filter_is_edited(admin, places):
    view = make_folder("tView", model="xtk:folder")
    here = f"/folders/{view.pk}"
    answer = admin.post(here, {"do": "view", "view": "1", "filter": "@label LIKE 'Open%'"})
    assert answer.status_code == 302
    assert names(text(admin, "/explorer/tView/")) == ["Open 0", "Open 1", "Open 2"]
    assert admin.post(here, {"do": "view", "view": "1", "filter": "@nothing = 1"}).status_code == 400
    admin.post(here, {"do": "view"})
    assert Folder.objects.get(pk=view.pk).is_view is False
    assert "Nothing is here yet" in text(admin, "/explorer/tView/")


def test_people_are_listed_filled_in_and_their_history_told():
    from envoi.packages.delivery.testing import make_recipients

    folder = Folder.objects.filter(model="nms:recipient").order_by("path").first()
    make_recipients(120)
    client = client_of(make_operator("mary", ("ADMINISTRATION",)))
    page = text(client, "/data/nms/recipient/")
    assert len(names(page)) == 50
    assert folder is not None
    answer = client.post(
        "/data/nms/recipient/new",
        {"f-lastName": "Petit", "f-email": "Anna@Example.com", "f-folder-id": folder.pk},
    )
    assert answer.status_code == 302, re.findall(r'class="(?:err|two)"[^>]*>[^<]+', answer.content.decode())
    page = text(client, "/data/nms/recipient/?q=petit&c=@lastName")
    number = re.search(r'<tr id="r(\d+)"', page)[1]
    page = text(client, f"/data/nms/recipient/{number}")
    seen = re.search(r'name="seen" value="([^"]+)"', page)[1].replace("&quot;", '"')
    inputs = dict(re.findall(r'name="(f-[^"]+)" value="([^"]*)"', page))
    kept = {"seen": seen, **inputs, "f-lastName": "Durand"}
    client.post(f"/data/nms/recipient/{number}", kept)
    history = text(client, f"/data/nms/recipient/{number}/history")
    assert "Petit" in history
    assert "Durand" in history


def test_a_row_leads_to_the_page_of_its_own(admin, lists):
    assert 'href="/enumerations/tList000"' in text(admin, f"/data/xtk/enum/{lists[0].pk}")
    workflow = re.search(r'<tr id="r(\d+)"', text(admin, "/data/xtk/workflow/?c=@internalName"))[1]
    page = text(admin, f"/data/xtk/workflow/{workflow}")
    assert re.search(r'href="/workflows/[^"]+">Its own page', page)
    assert "Keep the changes" not in page


def test_a_list_that_takes_too_long_is_given_up(admin, lists, monkeypatch):
    from django.db import connection

    from envoi.console.records import lists as pages

    with connection.cursor() as cursor:
        # Any look at the table waits for as long as this says.
        cursor.execute("CREATE VIEW tst_slow AS SELECT * FROM xtk_enum WHERE pg_sleep(0.05)::text = ''")
    from dataclasses import replace

    from envoi.kernel import registry

    slow = replace(registry.find("xtk:enum"), table="tst_slow")
    registry.reset(to=registry.Registry({**registry.current().schemas, "xtk:enum": slow}))
    monkeypatch.setattr(pages, "SECONDS", 1)
    try:
        assert "takes longer than 1 seconds" in text(admin, "/data/xtk/enum/?q=list", 409)
    finally:
        registry.reset()
