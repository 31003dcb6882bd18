"""Pages of the data schemas."""

import pytest
from django.test import Client

from envoi.kernel import extensions, registry
from envoi.kernel.extensions import NewField, NewLink
from envoi.kernel.models import SavedView
from envoi.kernel.testing import admin_actor, make_operator

pytestmark = pytest.mark.usefixtures("db", "clock")
BACKEND = "django.contrib.auth.backends.ModelBackend"
PLACE = "/explorer/administration/configuration/dataSchemas/"
ACCOUNT = "/schemas/nms:extAccount"
DOCUMENT = """<srcSchema extendedSchema="nms:extAccount"><element name="extAccount">
<attribute name="region" type="string" length="32" label="Sales region"/></element></srcSchema>"""


@pytest.fixture(autouse=True)
def forgotten():
    registry.reset()
    yield
    registry.reset()


@pytest.fixture
def admin() -> Client:
    client = Client()
    client.force_login(make_operator("mary", ("ADMINISTRATION",)), BACKEND)
    return client


def text(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_schemas_are_listed_and_filtered(admin):
    page = text(admin, PLACE)
    assert "nms:extAccount" in page
    assert "xtk:workflow" in page
    page = text(admin, f"{PLACE}?q=extern")
    assert "nms:extAccount" in page
    assert "xtk:workflowTask" not in page
    assert admin.get("/schemas").headers["Location"] == PLACE


@pytest.mark.parametrize("name", sorted(registry.current().schemas)[::6])
def test_a_schema_has_a_page(admin, name):
    page = text(admin, f"/schemas/{name}")
    for attribute in registry.find(name).attributes:
        assert f"@{attribute}" in page


@pytest.mark.parametrize(
    "address",
    [PLACE, ACCOUNT, f"{ACCOUNT}/document", f"{ACCOUNT}/new-field", "/new-table", "/import-schema"],
)
def test_others_are_refused_with_the_right_named(address):
    client = Client()
    client.force_login(make_operator("ann", ("WORKFLOW",)), BACKEND)
    answer = client.get(address)
    assert answer.status_code == 403
    assert "ADMINISTRATION" in answer.content.decode()


def test_a_field_is_added_shown_and_taken_away(admin):
    given = {"name": "region", "label": "Sales region", "type": "string", "length": "32", "default": "north"}
    assert admin.post(f"{ACCOUNT}/new-field", given).headers["Location"] == ACCOUNT
    page = text(admin, ACCOUNT)
    assert "Sales region" in page
    assert "string(32)" in page
    assert "added: region (string)" in " ".join(page.split())
    changed = {"label": "Region of sales", "length": "40"}
    assert admin.post(f"{ACCOUNT}/change/region", changed).headers["Location"] == ACCOUNT
    page = text(admin, ACCOUNT)
    assert "Region of sales" in page
    assert "string(40)" in page
    assert admin.post(f"{ACCOUNT}/change/region", {"label": "x", "length": "4"}).status_code == 400
    assert admin.get(f"{ACCOUNT}/change/label").status_code == 404
    assert "No row has a value in it." in text(admin, f"{ACCOUNT}/remove/region")
    assert admin.post(f"{ACCOUNT}/remove/region").headers["Location"] == ACCOUNT
    assert "@region" not in text(admin, ACCOUNT).split("Audit</h2>")[0]
    assert admin.get(f"{ACCOUNT}/remove/region").status_code == 404


def test_a_link_asks_for_its_target(admin):
    page = text(admin, f"{ACCOUNT}/new-field?type=link")
    assert "Leads to" in page
    assert "Longest text" not in page
    given = {"name": "keeper", "type": "link", "target": "xtk:operator", "indexed": "1"}
    admin.post(f"{ACCOUNT}/new-field", given)
    page = text(admin, ACCOUNT)
    assert "its index is being made" in page
    assert 'href="/schemas/xtk:operator"' in page


def test_a_refusal_keeps_what_was_typed(admin):
    for given in (
        {"name": "1st", "label": "Kept"},
        {"name": "a", "label": "Kept", "length": "long"},
        {"name": "a", "label": "Kept", "type": "blob"},
        {"name": "a", "label": "Kept", "type": "link", "target": "nms:none"},
    ):
        answer = admin.post(f"{ACCOUNT}/new-field", {"type": "string"} | given)
        assert answer.status_code == 400
        page = answer.content.decode()
        assert "Nothing was added." in page
        assert 'value="Kept"' in page
    assert admin.get("/schemas/xtk:operator/new-field").status_code == 200
    assert admin.post("/schemas/xtk:operator/new-field", {"name": "a", "type": "string"}).status_code == 400


def test_a_table_is_added_and_taken_away(admin):
    given = {"name": "cus:store", "label": "Stores", "code": "code", "target": "nms:extAccount"}
    assert admin.post("/new-table", given).headers["Location"] == "/schemas/cus:store"
    page = text(admin, "/schemas/cus:store")
    assert "rows lie in folders by extAccount / folder" in page
    assert "extAccount-id" in page
    assert admin.post("/new-table", given).status_code == 400
    extensions.add_field("nms:extAccount", NewLink("shop", "cus:store"), actor=admin_actor())
    page = text(admin, "/schemas/cus:store/remove")
    assert "These links go with it:" in page
    assert admin.post("/schemas/cus:store/remove").status_code == 400
    assert admin.post("/schemas/cus:store/remove", {"force": "1"}).headers["Location"] == "/schemas"
    assert "cus:store" not in registry.fresh()


def test_what_uses_a_field_is_shown_before_it_goes(admin):
    extensions.add_field("nms:extAccount", NewField("region"), actor=admin_actor())
    from envoi.kernel import clock

    SavedView.objects.create(
        schema="nms:extAccount",
        name="North <b>",
        owner_id=admin_actor().operator_id,
        columns=["@region"],
        modified_at=clock.now(),
    )
    page = text(admin, f"{ACCOUNT}/remove/region")
    assert "North &lt;b&gt;" in page
    refused = admin.post(f"{ACCOUNT}/remove/region")
    assert refused.status_code == 400
    assert "is used in 1 place" in refused.content.decode()
    admin.post(f"{ACCOUNT}/remove/region", {"force": "1"})
    assert "region" not in registry.fresh()["nms:extAccount"].attributes


def test_a_document_is_shown_before_it_is_applied(admin):
    page = admin.post("/import-schema", {"do": "show", "text": DOCUMENT}).content.decode()
    assert "What is added to nms:extAccount" in page
    assert "string(32)" in page
    assert "region" not in registry.fresh()["nms:extAccount"].attributes
    answer = admin.post("/import-schema", {"do": "apply", "text": DOCUMENT})
    assert answer.headers["Location"] == ACCOUNT
    assert "Sales region" in text(admin, ACCOUNT)
    page = admin.post("/import-schema", {"do": "show", "text": DOCUMENT}).content.decode()
    assert "Nothing: all of it is there already." in page
    answer = admin.post("/import-schema", {"do": "show", "text": "<!DOCTYPE x []><srcSchema/>"})
    assert answer.status_code == 400


def test_the_document_of_a_schema_is_shown_and_is_a_file(admin):
    assert "&lt;schema namespace=&quot;nms&quot;" in text(admin, f"{ACCOUNT}/document")
    answer = admin.get(f"{ACCOUNT}/document?file=1")
    assert answer.headers["Content-Type"].startswith("application/xml")
    assert "nms_extAccount.xml" in answer.headers["Content-Disposition"]


def test_a_table_without_a_parent(admin):
    admin.post("/new-table", {"name": "cus:code", "code": "", "target": ""})
    assert registry.fresh()["cus:code"].folder is None
