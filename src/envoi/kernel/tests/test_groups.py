import pytest

from envoi.kernel import groups, operators
from envoi.kernel.errors import Conflict, Invalid, NotAllowed, NotFound
from envoi.kernel.models import AuditEntry, Group, NamedRight, Operator
from envoi.kernel.rights import Right, actor_named
from envoi.kernel.testing import PASSWORD, admin_actor, make_actor, make_folder, make_operator

pytestmark = pytest.mark.django_db


def test_members_have_the_rights_of_their_group_as_long_as_it_has_them() -> None:
    groups.create("Writers", actor=admin_actor(), rights=("export", Right.MERGE))
    make_operator("ann", groups=("Writers",))
    assert actor_named("ann").rights == {Right.EXPORT, Right.MERGE}
    groups.set_rights("Writers", ("IMPORT",), actor=admin_actor())
    assert actor_named("ann").rights == {Right.IMPORT}
    groups.delete("Writers", actor=admin_actor())
    assert actor_named("ann").rights == set()
    actions = AuditEntry.objects.filter(entity="xtk:opGroup").order_by("audit_id")
    assert list(actions.values_list("action", flat=True)) == ["Created", "Modified", "Deleted"]


def test_the_group_of_the_last_administrator_keeps_its_right() -> None:
    Operator.objects.filter(name="admin").delete()
    groups.create("Chiefs", actor=admin_actor(), rights=("ADMINISTRATION",))
    NamedRight.objects.filter(operator__name="admin").delete()
    make_operator("boss", groups=("Chiefs",), password=PASSWORD)
    boss = actor_named("boss")
    with pytest.raises(Conflict, match="last administrator"):
        groups.set_rights("Chiefs", (), actor=boss)
    with pytest.raises(Conflict, match="last administrator"):
        groups.delete("Chiefs", actor=boss)
    assert actor_named("boss").is_administrator


def test_refusals() -> None:
    with pytest.raises(NotAllowed):
        groups.create("Writers", actor=make_actor("ann", rights=("WORKFLOW",)))
    with pytest.raises(Conflict, match="already"):
        groups.create("administrator", actor=admin_actor())
    with pytest.raises(Invalid):
        groups.create(" ", actor=admin_actor())
    with pytest.raises(Invalid, match="not a named right"):
        groups.create("Writers", actor=admin_actor(), rights=("FLY",))
    with pytest.raises(Conflict, match="belongs to the product"):
        groups.delete("Administrator", actor=admin_actor())
    with pytest.raises(NotFound):
        groups.set_rights("Nobodies", (), actor=admin_actor())
    assert not Group.objects.filter(name="Writers").exists()


def test_an_operator_can_be_confined_and_set_free() -> None:
    make_operator("mid")
    operators.set_root("mid", make_folder("t1"), actor=admin_actor())
    assert actor_named("mid").root_path == "/t1/"
    operators.set_root("mid", None, actor=admin_actor())
    assert actor_named("mid").root_path == "/"
