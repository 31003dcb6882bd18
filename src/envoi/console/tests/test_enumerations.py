"""Pages of enumerations."""

import re

import pytest
from django.test import Client

from envoi.kernel import enumerations
from envoi.kernel.models import Enum, EnumAlias
from envoi.kernel.testing import admin_actor, make_operator

pytestmark = pytest.mark.usefixtures("db", "clock")
BACKEND = "django.contrib.auth.backends.ModelBackend"
PLACE = "/explorer/administration/platform/enumerations/"


@pytest.fixture
def admin() -> Client:
    client = Client()
    client.force_login(make_operator("mary", ("ADMINISTRATION",)), BACKEND)
    return client


@pytest.fixture
def company() -> Enum:
    made = enumerations.create("company", actor=admin_actor(), mode="alias")
    for value in ("NIELSEN Ltd", "Acme <Ltd>"):
        enumerations.add_value("company", value, actor=admin_actor())
    return made


def text(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def do(client: Client, doing: str, name: str = "company", **given: str):
    return client.post(f"/enumerations/{name}", {"do": doing, **given})


def values(name: str = "company") -> list[str]:
    return [value.value for value in enumerations.values(name, actor=admin_actor())]


def test_the_lists_are_listed_and_filtered(admin, company):
    page = text(admin, PLACE)
    assert "E-mail domains by provider" in page
    assert "company" in page
    page = text(admin, f"{PLACE}?q=DOMAIN")
    assert "E-mail domains" in page
    assert ">company<" not in page
    assert admin.get("/enumerations").headers["Location"] == PLACE


@pytest.mark.parametrize("address", [PLACE, "/enumerations/domain", "/new-enumeration"])
def test_others_are_refused_with_the_right_named(address):
    client = Client()
    client.force_login(make_operator("ann", ("WORKFLOW",)), BACKEND)
    answer = client.get(address)
    assert answer.status_code == 403
    assert "ADMINISTRATION" in answer.content.decode()


def test_a_list_is_created_changed_and_deleted(admin):
    given = {"name": "color", "label": "Colors", "type": "closed", "mode": "simple"}
    assert admin.post("/new-enumeration", given).headers["Location"] == "/enumerations/color"
    assert "There is no value yet." in text(admin, "/enumerations/color")
    do(admin, "settings", "color", label="Colours", type="open", mode="alias")
    found = Enum.objects.get(name="color")
    assert (found.label, found.type, found.mode) == ("Colours", "open", "alias")
    answer = admin.post("/new-enumeration", {**given, "label": "Kept"})
    assert answer.status_code == 400
    assert 'value="Kept"' in answer.content.decode()
    do(admin, "delete", "color")
    assert not Enum.objects.filter(name="color").exists()


def test_values_are_added_changed_and_removed(admin, company):
    do(admin, "add-value", value="Beta", label="Beta GmbH", position="1")
    assert values()[0] == "Beta"
    do(admin, "change-value", value="Beta", to="Gamma", label="Gamma GmbH", position="3")
    page = text(admin, "/enumerations/company")
    assert "Gamma GmbH" in page
    assert "Beta" not in page.split("Audit</h2>")[0]
    do(admin, "remove-value", value="Gamma")
    assert "Gamma" not in values()


def test_a_refusal_stands_on_the_page_and_changes_nothing(admin, company):
    for given in ({"value": ""}, {"value": "x", "position": "first"}, {"value": "NIELSEN Ltd"}):
        answer = do(admin, "add-value", **given)
        assert answer.status_code == 400
        assert "Nothing was changed." in answer.content.decode()
    assert do(admin, "explode").status_code == 400
    assert len(values()) == 2


def test_aliases_are_mapped_converted_and_removed(admin, company):
    do(admin, "set-alias", alias="NEILSEN", target="NIELSEN Ltd")
    do(admin, "set-alias", alias="ACMEE", target="")
    page = text(admin, "/enumerations/company")
    assert "without a value" in page
    assert re.search(r'<option value="NIELSEN Ltd" selected>', page)
    do(admin, "set-alias", alias="ACMEE", target="Acme <Ltd>")
    do(admin, "value-to-alias", value="Acme <Ltd>", target="NIELSEN Ltd")
    assert values() == ["NIELSEN Ltd"]
    assert set(EnumAlias.objects.filter(enum=company).values_list("alias", "value__value")) == {
        ("NEILSEN", "NIELSEN Ltd"),
        ("ACMEE", "NIELSEN Ltd"),
        ("Acme <Ltd>", "NIELSEN Ltd"),
    }
    do(admin, "alias-to-value", alias="ACMEE")
    do(admin, "remove-alias", alias="NEILSEN")
    assert values() == ["ACMEE", "NIELSEN Ltd"]
    do(admin, "cleanse")
    assert Enum.objects.get(name="company").cleansed_at is not None


def test_what_was_typed_is_shown_as_text(admin, company):
    page = text(admin, "/enumerations/company")
    assert "Acme &lt;Ltd&gt;" in page
    assert "Acme <Ltd>" not in page


def test_a_long_list_is_filtered(admin):
    page = text(admin, "/enumerations/domain?q=aol")
    assert "aol.fr" in page
    assert "yahoo.fr" not in page


def test_emoticons_show_their_sign_and_the_store(admin):
    page = text(admin, "/enumerations/emoticon")
    assert "😀" in page
    do(admin, "add-value", "emoticon", value="U+1F601", label="Beaming", position="1")
    page = text(admin, "/enumerations/emoticon")
    assert page.index("😁") < page.index(">Store</h2>") < page.rindex("😀")


def test_the_pages_are_written_in_french_too():
    client = Client()
    client.force_login(make_operator("marie", ("ADMINISTRATION",), language="fr"), BACKEND)
    assert "Domaines e-mail par fournisseur" in text(client, PLACE)
    assert "Valeurs" in text(client, "/enumerations/domain")
