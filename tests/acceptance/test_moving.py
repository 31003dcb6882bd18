"""A back-up brings an instance to another folder, as docs/guide/backup.md says it."""

import re
import shutil
from pathlib import Path

import pytest

GUIDE = Path(__file__).resolve().parents[2] / "docs/guide/backup.md"
OPTION = "NmsServer_PausedWorkflowPeriod"


def test_an_instance_moves_into_another_folder(run_envoi, home):
    old, new, kept = home / "old", home / "new", home / "kept"
    kept.mkdir()
    run_envoi("init", home=old, code=0)
    run_envoi("option", "set", OPTION, "9", home=old, code=0)
    run_envoi("db", "backup", str(kept / "it.dump"), home=old, code=0)
    for file in ("envoi.toml", "secrets/instance.key"):
        shutil.copy2(old / file, kept)

    (new / "secrets").mkdir(parents=True)
    new.chmod(0o711)
    shutil.copy2(kept / "envoi.toml", new)
    shutil.copy2(kept / "instance.key", new / "secrets")
    run_envoi("init", home=new, code=0)
    run_envoi("db", "restore", str(kept / "it.dump"), home=new, code=0)
    assert "nothing to do" in run_envoi("init", home=new, code=0).err
    assert run_envoi("option", "get", OPTION, home=new, code=0).out.split()[-1] == "9"


def test_without_the_key_the_database_is_refused(run_envoi, home):
    old, new = home / "old", home / "new"
    run_envoi("init", home=old, code=0)
    run_envoi("db", "backup", str(home / "it.dump"), home=old, code=0)
    run_envoi("init", home=new, code=0)
    run_envoi("db", "restore", str(home / "it.dump"), home=new, code=0)
    refused = run_envoi("init", home=new, code=3)
    assert "instance.key is not the key of this database" in refused.err


@pytest.mark.parametrize("page", sorted(GUIDE.parent.glob("*.md")), ids=lambda page: page.stem)
def test_every_command_of_the_guide_exists(run_envoi, page):
    text = page.read_text(encoding="utf-8")
    lines = re.findall(r"(?m)^(?:\S*/)?envoi ((?:--home \S+ )?[a-z].*)$|`envoi ([a-z][^`]*)`", text)
    for words in {line.replace("--home ", "--home=") for pair in lines for line in pair if line}:
        names = [word for word in words.split() if not word.startswith("-")]
        group = names[:2] if names[0] in ("workflow", "operator", "option", "db") else names[:1]
        assert run_envoi(*group, "--help", home=page.parent).code == 0, words
