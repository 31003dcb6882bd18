"""Rule: no file knows the machine on which it was written, nor where packages came from there."""

import re
import subprocess

# Put together here, so that this file does not offend against itself.
FOLDERS = re.compile(
    r"(?<![\w./-])/(" + "|".join(("work", "home/[a-z]+", "root", "Users", "mnt", "workspace")) + r")/"
)
INDEX = re.compile(
    r"^\s*(-i\b|--(extra-)?index-url|--find-links|-f\b|--trusted-host)|files\.pythonhosted", re.MULTILINE
)
FOREIGN = "tests/data/bounces/mail/"
BINARY = (".png", ".woff2", ".mo", ".gz", ".ico", ".jpg", ".zip")


def offences(name: str, text: str) -> list[str]:
    found = [f"{name}: {match[0].strip()}" for match in FOLDERS.finditer(text)]
    if name.endswith(".lock"):
        found += [f"{name}: {match[0].strip()}" for match in INDEX.finditer(text)]
    return found


def test_a_folder_of_a_machine_is_found():
    assert offences("a.py", "open('/" + "work/x')") == ["a.py: /" + "work/"]
    assert offences("a.py", "cd /" + "home/anna/envoi") == ["a.py: /" + "home/anna/"]
    assert offences("requirements.lock", "--index" + "-url https://x/simple\nclick==1\n")
    assert not offences("a.py", "https://example.com/work" + "/x a/root" + "/b")


def test_no_file_names_one(pytestconfig):
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z"],
        cwd=pytestconfig.rootpath, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    found = []
    for name in listed.split("\0"):
        path = pytestconfig.rootpath / name
        if name and not name.endswith(BINARY) and not name.startswith(FOREIGN) and path.is_file():
            found += offences(name, path.read_text(encoding="utf-8", errors="replace"))
    assert found == []
