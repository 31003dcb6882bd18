"""Rule: the documents are true: pages are current, links lead somewhere, nothing is left undescribed."""

import re
import subprocess
import sys

from envoi.cli.main import COMMANDS

LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")


def documents(root):
    return [*sorted(root.glob("*.md")), *sorted((root / "docs").rglob("*.md"))]


def dead_links(file):
    for target in LINK.findall(file.read_text(encoding="utf-8")):
        if "://" not in target and not target.startswith("mailto:") and not (file.parent / target).exists():
            yield f"{file.name} -> {target}"


def test_generated_pages_are_current(pytestconfig):
    done = subprocess.run(
        [sys.executable, "-P", "docs/generate.py", "--check"],
        cwd=pytestconfig.rootpath, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_a_dead_link_is_found(tmp_path):
    (tmp_path / "a.md").write_text("[here](a.md) [there](b.md#x) [away](https://example.com)")
    assert list(dead_links(tmp_path / "a.md")) == ["a.md -> b.md"]


def test_links_lead_somewhere(pytestconfig):
    assert [link for file in documents(pytestconfig.rootpath) for link in dead_links(file)] == []


def test_everything_that_an_operator_names_is_described(pytestconfig):
    reference = pytestconfig.rootpath / "docs/reference"
    for page, column in (("options.md", 4), ("hooks.md", 3), ("packages.md", 5), ("workflows.md", 2)):
        rows = [
            line.split(" | ") for line in (reference / page).read_text().splitlines() if line[:3] == "| `"
        ]
        assert rows, page
        assert [row[0] for row in rows if not row[column - 1].strip(" |")] == [], page


def test_every_command_has_its_section(pytestconfig):
    text = (pytestconfig.rootpath / "docs/reference/commands.md").read_text(encoding="utf-8")
    assert [name for name in COMMANDS if f"## envoi {name}\n" not in text] == []
    # a section is a heading, the call, and then words
    bare = re.findall(r"## (envoi [^\n]+)\n\n`[^\n]+`\n\n(?=\n|#|\|)", text)
    assert bare == []
