"""Libraries of the editor are those that the list names."""

import hashlib
import re
from pathlib import Path

VENDOR = Path(__file__).parents[2] / "console" / "static" / "delivery" / "vendor"


def test_vendored_files_are_those_that_the_list_names() -> None:
    listed = dict(re.findall(r"\| `([\w.-]+)` .*`(\w{64})`", (VENDOR / "VENDORED.md").read_text()))
    files = [*VENDOR.glob("*.js"), *VENDOR.glob("*.css")]
    assert listed == {each.name: hashlib.sha256(each.read_bytes()).hexdigest() for each in files}
    assert len(list(VENDOR.glob("*.LICENSE"))) == 4
