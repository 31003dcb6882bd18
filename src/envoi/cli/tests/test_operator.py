"""`envoi operator`."""

from typing import Any

from envoi.kernel.testing import PASSWORD


def test_create_rights_disable_and_list(committed_db: Any, run_envoi: Any) -> None:
    made = run_envoi(
        "operator", "create", "ann", "--email", "ann@example.com", "--right", "workflow", "--group",
        "Workflow supervisors", "--password-file", "-", "--json", input=PASSWORD + "\n", code=0,
    )  # fmt: skip
    assert (made.json["name"], made.json["rights"], made.json["groups"]) == (
        "ann",
        ["WORKFLOW"],
        ["Workflow supervisors"],
    )
    changed = run_envoi(
        "operator", "rights", "ann", "--right", "export", "--without", "WORKFLOW", "--leave",
        "Workflow supervisors", "--group", "Campaign managers", "--json", code=0,
    )  # fmt: skip
    assert (changed.json["rights"], changed.json["groups"]) == (["EXPORT"], ["Campaign managers"])
    assert run_envoi("operator", "disable", "ann", "--json", code=0).json["disabled"] is True
    listed = run_envoi("operator", "list", "--json", code=0).json
    assert {row["name"] for row in listed} >= {"admin", "ann", "internal"}
    assert run_envoi("operator", "disable", "ann", "--enable", "--json", code=0).json["disabled"] is False
    assert "password" not in str(listed).lower()


def test_refusals_exit_with_3_and_change_nothing(committed_db: Any, run_envoi: Any) -> None:
    refused = run_envoi("operator", "create", "ann", "--password-file", "-", input="short\n", code=3)
    assert "too short" in refused.err
    assert "There is no operator 'ann'" in run_envoi("operator", "rights", "ann", code=3).err
    half = run_envoi("operator", "rights", "admin", "--leave", "Administrator", "--right", "EXPORT", code=3)
    assert "last administrator" in half.err
    assert run_envoi("operator", "rights", "admin", "--json", code=0).json["rights"] == []
    assert (
        "Nobody signs in"
        in run_envoi("operator", "password", "internal", "--password-file", "-", input=PASSWORD, code=3).err
    )


def test_the_trail_names_the_user_of_the_host(committed_db: Any, run_envoi: Any) -> None:
    run_envoi("operator", "create", "ann", "--no-password", code=0)
    row = run_envoi(
        "sql", "SELECT operator_name, detail FROM xtk_audit WHERE entity_key = 'ann'", code=0
    ).json
    assert row["operator_name"] == "internal"
    assert row["detail"]["origin"].startswith("command line, user ")
