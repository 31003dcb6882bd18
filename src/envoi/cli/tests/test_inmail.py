"""`envoi inmail`."""

from pathlib import Path
from typing import Any

import pytest

MAILS = "tests/data/bounces/mail"


def test_classify_needs_no_instance(pytestconfig: Any, home: Path, run_envoi: Any) -> None:
    file = pytestconfig.rootpath / MAILS / "lhost-postfix-63.eml"
    done = run_envoi("inmail", "classify", str(file), "--json", home=home, code=0)
    (entry,) = done.json
    assert (entry["file"], entry["kind"]) == ("lhost-postfix-63.eml", "bounce")
    (one,) = entry["recipients"]
    expected = {"status": "5.2.2", "error_type": "soft", "reason_code": 5, "reason": "Mailbox full"}
    assert expected.items() <= one.items()
    assert one["rule"] == "Mailbox_full"
    assert "@" in one["address"]
    assert not any(home.iterdir())


@pytest.mark.smoke
def test_classify_reads_folders_and_says_what_it_found(
    tmp_path: Path, pytestconfig: Any, home: Path, run_envoi: Any
) -> None:
    for name in ("lhost-qmail-02.eml", "rfc3834-04.eml", "is-not-bounce-01.eml"):
        (tmp_path / name).write_bytes((pytestconfig.rootpath / MAILS / name).read_bytes())
    said = run_envoi("inmail", "classify", str(tmp_path), home=home, code=0).out
    assert "lhost-qmail-02.eml: bounce" in said
    assert "userunknown@example.jp  5.1.1  hard  User unknown (1)  by User_unknown" in said
    assert "rfc3834-04.eml: auto-reply" in said
    assert "is-not-bounce-01.eml: other" in said
    assert "There is no file or folder" in run_envoi("inmail", "classify", "nowhere", home=home, code=3).err
