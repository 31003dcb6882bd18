import threading
from collections.abc import Callable

import pytest
from django.contrib.auth import authenticate
from django.db import connection, transaction

from envoi.kernel import operators
from envoi.kernel.errors import Conflict, Invalid, NotAllowed, NotFound
from envoi.kernel.models import AuditEntry, Group, NamedRight, Operator
from envoi.kernel.rights import Right, actor_named, actor_of, at_command_line, internal
from envoi.kernel.testing import PASSWORD, admin_actor, make_actor, make_folder, make_group, make_operator

db = pytest.mark.django_db


def signs_in(name: str, password: str) -> bool:
    from django.contrib.auth.backends import ModelBackend

    return ModelBackend().authenticate(None, username=name, password=password) is not None


@db
def test_a_new_operator_signs_in_whatever_the_case_of_its_name() -> None:
    made = operators.create(
        "Ann",
        actor=admin_actor(),
        email="ann@example.com",
        password=PASSWORD,
        rights=("workflow",),
        groups=("Campaign managers",),
        language="zh-hant",
        timezone="Europe/Paris",
        folder=make_folder("here"),
    )
    assert signs_in("ann", PASSWORD)
    assert signs_in("ANN@example.com", PASSWORD)
    assert not signs_in("ann", PASSWORD + ".")
    actor = actor_named("Ann")
    assert actor.rights == {Right.WORKFLOW, Right.INSERT_FOLDERS}
    assert actor.root_path == "/here/"
    assert made.password.startswith("argon2")
    entry = AuditEntry.objects.get(entity="xtk:operator", entity_key="Ann")
    assert (entry.action, entry.entity_id) == ("Created", made.operator_id)
    assert "ann@example.com" not in str(entry.detail)


@db
def test_an_address_that_two_share_signs_nobody_in() -> None:
    make_operator("ann", email="team@example.com", password=PASSWORD)
    assert signs_in("team@example.com", PASSWORD)
    make_operator("bob", email="team@example.com", password=PASSWORD)
    assert not signs_in("team@example.com", PASSWORD)
    assert not signs_in("", PASSWORD)


@db
@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"name": "a b"}, "cannot name"),
        ({"name": "x" * 65}, "cannot name"),
        ({"name": "-x"}, "cannot name"),
        ({"password": "short"}, "too short"),
        ({"password": "password1234"}, "too common"),
        ({"password": "annamarie-annamarie", "name": "annamarie-annamarie"}, "too similar"),
        ({"email": "nobody"}, "not an e-mail"),
        ({"email": "a@example.com\nBcc: b@example.com"}, "not an e-mail"),
        ({"language": "klingon"}, "not a language"),
        ({"timezone": "Mars/Base"}, "not a time zone"),
        ({"timezone": "../../etc/passwd"}, "not a time zone"),
        ({"rights": ("EVERYTHING",)}, "not a named right"),
        ({"label": "x" * 129}, "129 characters"),
    ],
)
def test_wrong_values_are_refused_and_nothing_written(change: dict, match: str) -> None:
    values = {"name": "ann", "password": PASSWORD} | change
    with pytest.raises(Invalid, match=match):
        operators.create(values.pop("name"), actor=admin_actor(), **values)
    assert not Operator.objects.filter(built_in=False).exists()


@db
def test_unknown_group_and_taken_name_are_refused() -> None:
    make_operator("Ann")
    with pytest.raises(Conflict, match="already"):
        operators.create("ann", actor=admin_actor())
    with pytest.raises(NotFound, match="There is no group Nobodies"):
        operators.create("bob", actor=admin_actor(), groups=("Nobodies",))
    assert not Operator.objects.filter(name="bob").exists()


@db
def test_only_administrators_change_others_and_anyone_changes_itself() -> None:
    ann = make_actor("ann", rights=("WORKFLOW",))
    make_operator("bob")
    for change in (
        lambda: operators.create("eve", actor=ann),
        lambda: operators.set_password("bob", PASSWORD, actor=ann),
        lambda: operators.update("bob", label="x", actor=ann),
        lambda: operators.set_rights("ann", ("ADMINISTRATION",), actor=ann),
        lambda: operators.set_groups("ann", ("Administrator",), actor=ann),
        lambda: operators.set_disabled("bob", True, actor=ann),
    ):
        with pytest.raises(NotAllowed):
            change()
    operators.set_password("ann", PASSWORD, actor=ann)
    operators.update("ann", theme="dark", language="fr", actor=ann)
    assert signs_in("ann", PASSWORD)
    assert Operator.objects.get(name="ann").theme == "dark"


@db
def test_a_new_password_ends_the_sessions() -> None:
    ann = make_operator("ann", password=PASSWORD)
    before = ann.get_session_auth_hash()
    operators.set_password("ann", PASSWORD + "!", actor=admin_actor())
    assert Operator.objects.get(name="ann").get_session_auth_hash() != before


@db
@pytest.mark.parametrize("name", ["internal", "monitoring", "billing", "webapp"])
def test_nobody_signs_in_as_a_technical_operator(name: str) -> None:
    with pytest.raises(Conflict, match="Nobody signs in"):
        operators.set_password(name, PASSWORD, actor=admin_actor())
    operator = Operator.objects.get(name=name)
    operator.set_password(PASSWORD)
    operator.save()
    assert not signs_in(name, PASSWORD)
    with pytest.raises(Conflict):
        operators.set_disabled(name, True, actor=admin_actor())


@db
def test_a_disabled_operator_neither_signs_in_nor_acts() -> None:
    make_operator("ann", password=PASSWORD)
    operators.set_disabled("ann", True, actor=admin_actor())
    assert not signs_in("ann", PASSWORD)
    with pytest.raises(NotAllowed, match="no active operator"):
        actor_named("ann")
    operators.set_disabled("ann", False, actor=admin_actor())
    assert signs_in("ann", PASSWORD)


def last_administrator() -> Operator:
    """Leave one who administers through a group."""
    NamedRight.objects.filter(operator__name="admin").delete()
    Operator.objects.filter(name="admin").delete()
    return make_operator("boss", groups=("Administrator",), password=PASSWORD)


@db
@pytest.mark.parametrize(
    "change",
    [
        lambda actor: operators.set_disabled("boss", True, actor=actor),
        lambda actor: operators.set_groups("boss", (), actor=actor),
    ],
)
def test_the_last_administrator_stays(change: Callable) -> None:
    boss = last_administrator()
    make_operator("nopassword", rights=("ADMINISTRATION",))
    make_operator("shut", rights=("ADMINISTRATION",), password=PASSWORD, disabled=True)
    with pytest.raises(Conflict, match="last administrator"):
        change(actor_of(boss))
    boss.refresh_from_db()
    assert not boss.disabled
    assert actor_of(boss).is_administrator
    make_operator("second", rights=("ADMINISTRATION",), password=PASSWORD)
    change(actor_of(boss))
    assert operators.administrators().get().name == "second"


@db
def test_the_last_administrator_keeps_its_own_right() -> None:
    last_administrator().delete()
    boss = make_operator("boss", rights=("ADMINISTRATION", "WORKFLOW"), password=PASSWORD)
    with pytest.raises(Conflict, match="last administrator"):
        operators.set_rights("boss", ("WORKFLOW",), actor=actor_of(boss))
    assert actor_of(boss).is_administrator
    operators.set_rights("boss", ("ADMINISTRATION",), actor=actor_of(boss))
    assert actor_of(boss).rights == {Right.ADMINISTRATION}


def test_two_administrators_cannot_shut_each_other_out_at_once(committed_db: object) -> None:
    last_administrator().delete()
    for name in ("one", "two"):
        make_operator(name, rights=("ADMINISTRATION",), password=PASSWORD)
    actors = {name: actor_named(name) for name in ("one", "two")}
    inside, refused = threading.Barrier(2, timeout=20), []

    def shut_out(mine: str, other: str) -> None:
        try:
            inside.wait()
            with transaction.atomic():
                operators.set_disabled(other, True, actor=actors[mine])
        except Conflict:
            refused.append(mine)
        finally:
            connection.close()

    threads = [threading.Thread(target=shut_out, args=pair) for pair in (("one", "two"), ("two", "one"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 1
    assert operators.administrators().count() == 1


@db
def test_rights_and_groups_are_replaced_and_noted() -> None:
    make_group("Writers", rights=("EXPORT",))
    make_operator("ann", rights=("IMPORT", "WORKFLOW"), groups=("Writers",))
    operators.set_rights("ann", (Right.WORKFLOW, "merge"), actor=admin_actor())
    operators.set_groups("ann", ("Workflow supervisors",), actor=admin_actor())
    assert actor_named("ann").rights == {Right.WORKFLOW, Right.MERGE}
    notes = list(
        AuditEntry.objects.filter(entity_key="ann").order_by("audit_id").values_list("detail", flat=True)
    )
    assert notes == [
        {"added": ["MERGE"], "removed": ["IMPORT"]},
        {"joined": ["Workflow supervisors"], "left": ["Writers"]},
    ]


@db
def test_internal_keeps_administration() -> None:
    with pytest.raises(Conflict, match="internal needs"):
        operators.set_rights("internal", (), actor=admin_actor())
    assert internal().is_administrator


@db
def test_who_works_at_the_command_line_is_named_in_the_trail() -> None:
    operators.create("ann", actor=at_command_line())
    entry = AuditEntry.objects.get(entity_key="ann")
    assert entry.operator_name == "internal"
    assert entry.detail["origin"].startswith("command line, user ")


@db
@pytest.mark.parametrize(
    ("group", "rights"),
    [
        ("Administrator", {"ADMINISTRATION"}),
        ("Delivery operators", {"PREPARE DELIVERIES", "START DELIVERIES"}),
        ("Campaign managers", {"INSERT FOLDERS", "WORKFLOW"}),
        ("Content contributors", set()),
        ("Access to reports", set()),
        ("Workflow execution", {"WORKFLOW"}),
        ("Workflow supervisors", set()),
    ],
)
def test_default_groups_have_their_rights(group: str, rights: set[str]) -> None:
    found = Group.objects.get(name=group, built_in=True)
    assert set(NamedRight.objects.filter(group=found).values_list("name", flat=True)) == rights


@db
def test_axes_and_django_agree_on_who_may_sign_in(rf: object) -> None:
    make_operator("ann", password=PASSWORD, disabled=True)
    assert authenticate(rf.post("/"), username="ann", password=PASSWORD) is None  # type: ignore[attr-defined]
