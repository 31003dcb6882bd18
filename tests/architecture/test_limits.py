"""Rule: what benchmarks are compared with is pinned; a change of it is a decision, and shows in two files."""

import hashlib

SUMS = "bench/limits/SHA256SUMS"


def test_pinned_statements_are_as_they_were(pytestconfig):
    sums = pytestconfig.rootpath / SUMS
    written = dict(reversed(line.split("  ", 1)) for line in sums.read_text(encoding="ascii").splitlines())
    found = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sums.parent.glob("*.sql")}
    assert found == written
