"""Pages of external accounts."""

import re
import socket
from dataclasses import replace

import pytest
from django.test import Client

from envoi.kernel import accounts
from envoi.kernel.accounts import TYPES
from envoi.kernel.config import NetworkConfig
from envoi.kernel.models import ExternalAccount
from envoi.kernel.testing import admin_actor, make_operator

pytestmark = pytest.mark.usefixtures("db", "clock")
BACKEND = "django.contrib.auth.backends.ModelBackend"
PLACE = "/explorer/administration/platform/externalAccounts/"
SECRET = "s3cret & <safe>"
GIVEN = {
    "type": "smtp",
    "name": "relay",
    "label": "Our relay",
    "active": "1",
    "f-server": "127.0.0.1",
    "f-port": "2525",
    "f-security": "none",
    "f-verify": "1",
    "f-account": "sofia",
    "f-password": SECRET,
}


@pytest.fixture
def admin() -> Client:
    client = Client()
    client.force_login(make_operator("mary", ("ADMINISTRATION",)), BACKEND)
    return client


def text(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def secret() -> str:
    return accounts.credentials("relay", actor=admin_actor()).secret("password")


def test_an_account_is_made_changed_and_deleted(admin):
    assert "SMTP server" in text(admin, "/new-external-account")
    assert 'name="f-security"' in text(admin, "/new-external-account?type=smtp")
    answer = admin.post("/new-external-account", GIVEN)
    assert answer.headers["Location"] == "/external-accounts/relay"
    admin.post("/external-accounts/relay", {**GIVEN, "f-password": "", "f-port": "26", "label": "Relay"})
    made = ExternalAccount.objects.get()
    assert (made.label, made.port, made.active, secret()) == ("Relay", 26, True, SECRET)
    del (changed := dict(GIVEN))["active"], changed["f-verify"]
    admin.post("/external-accounts/relay", {**changed, "forget-password": "1"})
    made.refresh_from_db()
    assert (made.active, made.parameters["verify"], made.secrets) == (False, False, {})
    assert admin.get("/external-accounts").headers["Location"] == PLACE
    admin.post("/external-accounts/relay/delete")
    assert not ExternalAccount.objects.exists()


def test_no_page_holds_the_secret(admin):
    admin.post("/new-external-account", GIVEN)
    refused = admin.post("/external-accounts/relay", {**GIVEN, "f-port": "many"})
    assert refused.status_code == 400
    pages = [refused.content.decode(), text(admin, "/external-accounts/relay"), text(admin, PLACE)]
    pages.append(admin.post("/new-external-account", {**GIVEN, "f-server": ""}).content.decode())
    for page in pages:
        assert "s3cret" not in page
    assert re.search(
        r'name="f-password" type="password" autocomplete="new-password" maxlength="\d+">', pages[1]
    )
    assert "empty: it stays" in pages[1]
    assert 'value="many"' in pages[0]


def test_a_wrong_value_is_refused_and_what_was_typed_stays(admin):
    answer = admin.post("/new-external-account", {**GIVEN, "f-port": "99999"})
    assert answer.status_code == 400
    page = answer.content.decode()
    assert "must lie between 1 and 65535" in page
    assert 'value="relay"' in page
    assert not ExternalAccount.objects.exists()


def test_accounts_are_listed_by_type(admin):
    admin.post("/new-external-account", GIVEN)
    assert "Our relay" in text(admin, PLACE)
    assert "Our relay" in text(admin, f"{PLACE}?type=smtp")
    assert "There is no account of this type." in text(admin, f"{PLACE}?type=imap")
    assert "Our relay" in text(admin, f"{PLACE}?type=nonsense")


@pytest.mark.parametrize("kind", TYPES.values(), ids=lambda kind: kind.name)
def test_every_type_has_a_form_with_a_label_for_each_field(admin, kind):
    page = text(admin, f"/new-external-account?type={kind.name}")
    for field in kind.fields:
        assert f'name="f-{field.name}"' in page
        assert field.kind == "switch" or f'<label for="f-{field.name}"' in page
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_the_outcome_of_a_test_is_shown(admin, settings):
    settings.CONFIG = replace(settings.CONFIG, network=NetworkConfig(allow_private=("127.0.0.1",)))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    admin.post("/new-external-account", {**GIVEN, "f-port": str(port)})
    assert "Test the connection" in text(admin, "/external-accounts/relay")
    answer = admin.post("/external-accounts/relay/test", follow=True)
    assert f"127.0.0.1:{port} refuses the connection" in answer.content.decode()
    assert admin.get("/external-accounts/relay/test").status_code == 405


def test_a_type_without_a_test_offers_none(admin):
    admin.post("/new-external-account", {"type": "line", "name": "line", "f-alias": "a", "f-account": "1"})
    page = text(admin, "/external-accounts/line")
    assert "No test is known" in page
    assert "Test the connection" not in page


@pytest.mark.parametrize("address", [PLACE, "/external-accounts/relay", "/new-external-account"])
def test_others_are_refused_with_the_right_named(admin, address):
    admin.post("/new-external-account", GIVEN)
    client = Client()
    client.force_login(make_operator("ann", ("WORKFLOW",)), BACKEND)
    answer = client.get(address)
    assert answer.status_code == 403
    assert "ADMINISTRATION" in answer.content.decode()
    for doing in ("", "/test", "/delete"):
        assert client.post(f"/external-accounts/relay{doing}", GIVEN).status_code == 403
    assert ExternalAccount.objects.filter(name="relay").exists()
