from pathlib import Path
from typing import Any

import pytest

from envoi.kernel import seeds, shipped
from envoi.kernel.errors import Broken
from envoi.kernel.models import (
    Enum,
    ExternalAccount,
    Folder,
    Group,
    NamedRight,
    Operator,
    Option,
    ShippedRow,
)
from envoi.kernel.shipped import Outcome, settle

pytestmark = pytest.mark.django_db

V1 = """
[[folder]]
name = "tTop"
label = { en = "Top", fr = "Haut" }
position = 3

[[folder]]
name = "tBelow"
parent = "tTop"
label = { en = "Below" }
model = "xtk:workflow"

[[group]]
name = "Testers"
label = "Testers"
rights = ["EXPORT", "WORKFLOW"]

[[operator]]
name = "robot"
label = "Robot"
technical = true
groups = ["Testers"]

[[option]]
name = "Test_PurgeDelay"
type = "timespan"
value = "30 d"
description = "How long."
"""


def plant(room: Path, text: str) -> list[str]:
    (room / "all.toml").write_text(text, encoding="utf-8")
    return seeds.plant("testing", room)


def rights_of_testers() -> set[str]:
    return set(NamedRight.objects.filter(group__name="Testers").values_list("name", flat=True))


def delay() -> Any:
    return Option.objects.get(name="Test_PurgeDelay").value


def test_every_kind_is_planted_once(tmp_path: Path) -> None:
    for _ in range(2):
        assert plant(tmp_path, V1) == []
    below = Folder.objects.get(name="tBelow")
    assert (below.path, below.model, below.built_in, below.package) == (
        "/tTop/tBelow/",
        "xtk:workflow",
        True,
        "testing",
    )
    assert Folder.objects.get(name="tTop").labels == {"fr": "Haut"}
    assert rights_of_testers() == {
        "EXPORT",
        "WORKFLOW",
    }
    robot = Operator.objects.get(name="robot")
    assert (robot.technical, robot.has_usable_password(), robot.operator_groups.get().name) == (
        True,
        False,
        "Testers",
    )
    assert delay() == 30 * 86400


def test_what_nobody_touched_follows_the_new_version(tmp_path: Path) -> None:
    plant(tmp_path, V1)
    changed = (
        V1.replace("30 d", "60 d")
        .replace('"EXPORT", ', "")
        .replace('parent = "tTop"', "")
        .replace("Below", "Under")
    )
    assert plant(tmp_path, changed.replace("tUnder", "tBelow")) == []
    assert delay() == 60 * 86400
    assert rights_of_testers() == {"WORKFLOW"}
    moved = Folder.objects.get(name="tBelow")
    assert (moved.label, moved.path, moved.parent) == ("Under", "/tBelow/", None)


def test_what_an_operator_changed_stays_and_is_reported(tmp_path: Path) -> None:
    plant(tmp_path, V1)
    Option.objects.filter(name="Test_PurgeDelay").update(long_value=5)
    NamedRight.objects.filter(group__name="Testers", name="EXPORT").delete()
    assert plant(tmp_path, V1) == [], "nothing new is shipped, so there is nothing to report"
    newer = V1.replace("30 d", "60 d").replace('"EXPORT", "WORKFLOW"', '"EXPORT", "IMPORT"')
    for _ in range(2):
        assert plant(tmp_path, newer) == ["xtk:opGroup Testers", "xtk:option Test_PurgeDelay"]
    assert delay() == 5
    row = ShippedRow.objects.get(entity="xtk:option", key="Test_PurgeDelay")
    assert (row.values["value"], row.offered["value"]) == (30 * 86400, 60 * 86400)
    assert ("xtk:option", "Test_PurgeDelay") in shipped.open_offers()


def test_an_operator_who_did_the_same_has_accepted(tmp_path: Path) -> None:
    plant(tmp_path, V1)
    Option.objects.filter(name="Test_PurgeDelay").update(long_value=60 * 86400)
    assert plant(tmp_path, V1.replace("30 d", "60 d")) == []
    assert plant(tmp_path, V1.replace("30 d", "90 d")) == []
    assert delay() == 90 * 86400


def test_what_an_operator_deleted_does_not_come_back(tmp_path: Path) -> None:
    plant(tmp_path, V1)
    Option.objects.filter(name="Test_PurgeDelay").delete()
    plant(tmp_path, V1)
    plant(tmp_path, V1.replace("30 d", "60 d"))
    assert not Option.objects.filter(name="Test_PurgeDelay").exists()


def test_a_row_that_was_there_before_is_not_overwritten(tmp_path: Path) -> None:
    Group.objects.create(name="Testers", label="Ours")
    assert plant(tmp_path, V1) == ["xtk:opGroup Testers"]
    assert Group.objects.get(name="Testers").label == "Ours"


def test_going_back_to_the_shipped_value_closes_the_offer(tmp_path: Path) -> None:
    plant(tmp_path, V1)
    Option.objects.filter(name="Test_PurgeDelay").update(long_value=5)
    plant(tmp_path, V1.replace("30 d", "60 d"))
    Option.objects.filter(name="Test_PurgeDelay").update(long_value=60 * 86400)
    assert plant(tmp_path, V1.replace("30 d", "60 d")) == []
    assert ShippedRow.objects.get(entity="xtk:option", key="Test_PurgeDelay").offered is None


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("[[folder]]\nname = 'x'\n", "label"),
        ("[[animal]]\nname = 'x'\n", "no kind of seed row"),
        ("option = 3\n", "no kind of seed row"),
        ("[[group]]\nname = 'x'\nlabel = 'x'\nrights = ['FLY']\n", "FLY"),
        ("[[folder]]\nname = 'x'\nparent = 'nowhere'\nlabel = {en = 'x'}\n", "nowhere"),
        ("[[option]\n", "not valid TOML"),
    ],
)
def test_a_wrong_file_is_told_by_name(tmp_path: Path, text: str, match: str) -> None:
    with pytest.raises(Broken, match=match):
        plant(tmp_path, text)


def test_settle_walks_every_case() -> None:
    def step(values: dict[str, int], present: dict[str, int] | None) -> Outcome:
        return settle("test:row", "r", package="p", values=values, present=present)

    one, two, mine = {"a": 1}, {"a": 2}, {"a": 9}
    assert step(one, None) is Outcome.CREATE
    assert step(one, one) is Outcome.SAME
    assert step(one, mine) is Outcome.SAME
    assert step(two, one) is Outcome.UPDATE
    assert step(one, mine) is Outcome.KEPT
    assert step(one, None) is Outcome.KEPT
    assert step(one, one) is Outcome.SAME
    assert step(two, one) is Outcome.UPDATE


LISTS = """
[[enumeration]]
name = "tColor"
label = { en = "Colors", fr = "Couleurs" }
type = "open"
mode = "alias"
values = ["red", { value = "blue", label = "Blue", aliases = ["azure"] }]

[[account]]
name = "tBounces"
label = "Bounces"
type = "pop3"
values = { port = 995, security = "tls" }
"""


def test_lists_and_accounts_are_planted_and_follow_until_somebody_changes_them(tmp_path: Path) -> None:
    for _ in range(2):
        assert plant(tmp_path, LISTS) == []
    listed = Enum.objects.get(name="tColor")
    assert [(v.value, v.label) for v in listed.values.all()] == [("red", "red"), ("blue", "Blue")]
    assert listed.aliases.get().value.value == "blue"
    account = ExternalAccount.objects.get(name="tBounces")
    assert (account.port, account.active, account.parameters["security"]) == (995, False, "tls")
    # what cleansing notes is no change of an operator
    listed.aliases.create(alias="rde", modified_at=listed.modified_at)
    newer = LISTS.replace('"red"', '"green"').replace("995", "996")
    assert plant(tmp_path, newer) == []
    assert set(listed.values.values_list("value", flat=True)) == {"green", "blue"}
    assert listed.aliases.filter(alias="rde").exists()
    ExternalAccount.objects.update(server="mail.example.com")
    assert plant(tmp_path, newer.replace("996", "997")) == ["nms:extAccount tBounces"]
    assert ExternalAccount.objects.get(name="tBounces").port == 996


def test_a_secret_is_never_shipped(tmp_path: Path) -> None:
    with pytest.raises(Broken, match="is a secret"):
        plant(tmp_path, LISTS.replace('security = "tls"', 'password = "x"'))
