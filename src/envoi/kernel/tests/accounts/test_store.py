"""Who makes and changes accounts, what is checked, and that secrets stay secret."""

import json
from typing import Any

import pytest
from django.core import serializers

from envoi.kernel import accounts
from envoi.kernel.accounts import TYPES, Kind
from envoi.kernel.accounts.store import opened
from envoi.kernel.errors import Broken, Conflict, Invalid, NotAllowed, NotFound
from envoi.kernel.models import AuditEntry, ExternalAccount
from envoi.kernel.testing import admin_actor, allow, make_actor, make_folder, make_operator

pytestmark = pytest.mark.usefixtures("db", "clock")
SECRET = "correct horse battery"


def make(name: str = "relay", type: str = "smtp", **values: Any) -> ExternalAccount:
    given = {"server": "mail.example.com", "account": "sofia", "password": SECRET, **values}
    return accounts.create(name, actor=admin_actor(), type=type, values=given)


def test_an_account_keeps_what_its_type_asks_for_with_defaults() -> None:
    made = make(port="587")
    found = accounts.credentials("relay", actor=admin_actor())
    assert made.port == 587
    assert found.values == {
        "server": "mail.example.com",
        "port": 587,
        "security": "starttls",
        "verify": True,
        "account": "sofia",
    }
    assert found.secret("password") == SECRET


def test_a_secret_is_nowhere_to_be_seen() -> None:
    made = make()
    row = serializers.serialize("json", ExternalAccount.objects.all())
    trail = json.dumps(list(AuditEntry.objects.values_list("detail", flat=True)))
    found = accounts.credentials("relay", actor=admin_actor())
    for text in (row, trail, repr(made), repr(found), str(found), str(accounts.values_of(made))):
        assert SECRET not in text
    assert found.concealed(f"535 {SECRET} is wrong") == "535 ••• is wrong"


def test_an_empty_secret_keeps_the_old_one_and_none_forgets_it() -> None:
    make()
    accounts.update("relay", actor=admin_actor(), values={"password": "", "server": "other.example.com"})
    assert accounts.credentials("relay", actor=admin_actor()).secret("password") == SECRET
    accounts.update("relay", actor=admin_actor(), values={"password": None})
    assert accounts.credentials("relay", actor=admin_actor()).secret("password") == ""
    changed = (
        AuditEntry.objects.filter(entity="nms:extAccount", action="Modified")
        .order_by("audit_id")
        .values_list("detail", flat=True)
    )
    assert list(changed) == [{"changed": ["server"]}, {"changed": ["password"]}]


def test_a_sealed_secret_fits_its_own_row_only() -> None:
    one, two = make("one"), make("two")
    two.secrets = one.secrets
    with pytest.raises(Broken, match="enter the secret again"):
        opened(two)


def test_nothing_is_changed_when_nothing_is_given() -> None:
    make()
    before = ExternalAccount.objects.get().modified_at
    accounts.update("relay", actor=admin_actor(), label="relay", values={"port": "25"})
    assert ExternalAccount.objects.get().modified_at == before
    assert not AuditEntry.objects.filter(entity="nms:extAccount", action="Modified").exists()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"server": ""}, "Server is missing"),
        ({"port": "0"}, "between 1 and 65535"),
        ({"port": "many"}, "whole number"),
        ({"security": "ssl"}, "none, starttls, tls"),
        ({"server": "a\r\nb"}, "printable"),
        ({"password": "a\nb"}, "printable"),
        ({"verify": "perhaps"}, "yes or no"),
        ({"colour": "red"}, "It has server, port, security"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_written(values: dict[str, object], said: str) -> None:
    with pytest.raises(Invalid, match=said):
        make(**values)
    assert not ExternalAccount.objects.exists()


@pytest.mark.parametrize(
    "url", ["ftp://a.example", "https://user:pw@a.example", "a.example", "http://a:b/", "https://"]
)
def test_an_address_is_one_of_the_web_without_a_password(url: str) -> None:
    with pytest.raises(Invalid, match="https://host/path"):
        make(type="http", server=url)


def test_a_field_may_be_needed_by_one_choice_only() -> None:
    admin = admin_actor()
    accounts.create("bulk", actor=admin, type="routing", values={"channel": "email", "mode": "bulk"})
    with pytest.raises(Invalid, match="mid-sourcing server is missing"):
        accounts.create("mid", actor=admin, type="routing", values={"mode": "mid"})
    values = {"mode": "mid", "server": "https://mid.example.com", "account": "mid", "method": "fda"}
    with pytest.raises(Invalid, match="Account of its database is missing"):
        accounts.create("mid", actor=admin, type="routing", values=values)
    with pytest.raises(Invalid, match="no other external account 'base'"):
        accounts.create("mid", actor=admin, type="routing", values={**values, "fda_account": "base"})
    accounts.create(
        "base",
        actor=admin,
        type="database",
        values={"server": "db.example.com", "database": "mid", "account": "reader"},
    )
    accounts.create("mid", actor=admin, type="routing", values={**values, "fda_account": "base"})
    with pytest.raises(Conflict, match="used by mid"):
        accounts.delete("base", actor=admin)
    accounts.delete("mid", actor=admin)
    accounts.delete("base", actor=admin)


def test_only_administrators_make_change_test_and_delete() -> None:
    make()
    ann = make_actor("ann", rights=("WORKFLOW",))
    for change in (
        lambda: accounts.create("x", actor=ann, type="smtp"),
        lambda: accounts.update("relay", actor=ann, label="x"),
        lambda: accounts.delete("relay", actor=ann),
        lambda: accounts.test("relay", actor=ann),
    ):
        with pytest.raises(NotAllowed, match="ADMINISTRATION"):
            change()
    assert accounts.find("relay", actor=ann).label == "relay"


def test_an_account_in_a_folder_that_one_may_not_read_is_not_there() -> None:
    hidden = make_folder("hidden", "platform", model="nms:extAccount")
    allow(hidden, make_operator("other"))
    accounts.create("secret", actor=admin_actor(), type="smtp", folder=hidden, values={"server": "a.example"})
    ann = make_actor("ann")
    assert not accounts.list_all(actor=ann).exists()
    with pytest.raises(NotFound):
        accounts.credentials("secret", actor=ann)


def test_a_disabled_account_opens_for_nobody_and_an_unknown_one_names_the_nearest() -> None:
    make()
    accounts.update("relay", actor=admin_actor(), active=False)
    with pytest.raises(Conflict, match="disabled"):
        accounts.credentials("relay", actor=admin_actor())
    with pytest.raises(NotFound, match=r"Did you mean relay\?"):
        accounts.find("relais", actor=admin_actor())
    with pytest.raises(NotFound, match=r"Did you mean smtp\?"):
        make("other", "smpt")
    with pytest.raises(Conflict, match="already"):
        make()
    with pytest.raises(Invalid, match="cannot name"):
        make("a b")


def test_accounts_are_listed_by_type() -> None:
    make("a")
    make("b", "imap")
    assert [found.name for found in accounts.list_all(actor=admin_actor(), type="imap")] == ["b"]


# --- the declarations


def test_codes_that_clients_know_are_theirs() -> None:
    assert accounts.by_name("routing").code == 3
    assert accounts.by_name("execution_instance").code == 11
    assert len({kind.name for kind in TYPES.values()}) == len(TYPES)


@pytest.mark.parametrize("kind", TYPES.values(), ids=lambda kind: kind.name)
def test_a_declaration_is_whole(kind: accounts.AccountType) -> None:
    names = [field.name for field in kind.fields]
    assert len(set(names)) == len(names)
    for field in kind.fields:
        assert str(field.label)
        assert (field.kind is Kind.CHOICE) == bool(field.choices)
        assert not (field.secret and field.required), "an empty secret keeps the old one"
        assert field.clean(field.empty) == field.empty
        if field.only:
            assert field.only[1] in kind.field(field.only[0]).choices


@pytest.mark.parametrize("kind", TYPES.values(), ids=lambda kind: kind.name)
def test_an_account_of_every_type_can_be_made(kind: accounts.AccountType) -> None:
    samples = {Kind.URL: "https://a.example.com/x", Kind.NUMBER: 7, Kind.DATE: "2026-11-24"}
    values = {
        field.name: "sealed" if field.secret else field.default or samples.get(field.kind, "a.example")
        for field in kind.fields
        if field.kind not in (Kind.SWITCH, Kind.ACCOUNT)
    }
    accounts.create("it", actor=admin_actor(), type=kind.name, values=values)
    found = accounts.credentials("it", actor=admin_actor())
    assert {name: found.values[name] for name in values if name in found.values} == {
        name: value for name, value in values.items() if name in found.values
    }
    assert set(found.secrets) == {field.name for field in kind.fields if field.secret}
