"""On the labelled mails: how often the error type, the reason and the failed address are right."""

import csv
from collections import Counter, defaultdict

import pytest

from envoi.packages.delivery.services.bounces import classify


@pytest.fixture(scope="module")
def corpus(pytestconfig):
    return pytestconfig.rootpath / "tests/data/bounces"


@pytest.fixture(scope="module")
def labels(corpus):
    """File -> the meanings that each of its recipients may have, as (reason code, error type)."""
    meanings = {row["reason"]: row for row in table(corpus / "reason_map.tsv")}
    found = defaultdict(list)
    for row in table(corpus / "labels.tsv"):
        if row["n_recipient_index"] == "0":
            found[row["file"]] = []
            continue
        meant = meanings.get(f"{row['reason']}/{row['feedback']}") or meanings[row["reason"]]
        accepted = {(meant["acc_code"], meant["error_type"])}
        if row["reason"] == "filtered":
            accepted.add(("1", "hard"))
        found[row["file"]].append(accepted)
    return found


@pytest.fixture(scope="module")
def verdicts(corpus, labels):
    return {name: classify((corpus / "mail" / name).read_bytes()) for name in labels}


def table(path):
    with path.open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


def meaning(one):
    return ("" if one.reason_code is None else str(one.reason_code), one.error_type)


def share(labels, verdicts, fits):
    """Count the rows for which a recipient of the mail fits; each recipient serves one row."""
    rows = right = 0
    for name, expected in labels.items():
        left = [meaning(one) for one in verdicts[name].recipients]
        for accepted in expected:
            rows += 1
            hit = next((one for one in left if fits(one, accepted)), None)
            if hit:
                left.remove(hit)
                right += 1
    assert rows > 360
    return right / rows


def test_the_error_type_is_right(labels, verdicts):
    assert share(labels, verdicts, lambda one, accepted: one[1] in {kind for _code, kind in accepted}) >= 0.97


def test_the_reason_is_right(labels, verdicts):
    assert share(labels, verdicts, lambda one, accepted: one in accepted) >= 0.92


def test_the_failed_address_is_found(corpus, verdicts):
    rows = table(corpus / "addresses.tsv")
    right = [
        {one.address.lower() for one in verdicts[row["file"]].recipients} == set(row["addresses"].split())
        for row in rows
    ]
    assert len(right) > 330
    assert sum(right) / len(right) >= 0.97


def test_ordinary_mail_is_no_bounce(labels, verdicts):
    ordinary = [name for name, expected in labels.items() if not expected]
    assert [verdicts[name].kind for name in ordinary] == ["other"] * len(ordinary)


def test_the_number_of_recipients_is_right(labels, verdicts):
    off = [name for name, rows in labels.items() if rows and len(verdicts[name].recipients) != len(rows)]
    assert len(off) / len(labels) <= 0.01


def test_complaints_and_answers_are_told_from_bounces(corpus, verdicts):
    kinds = defaultdict(Counter)
    for row in table(corpus / "labels.tsv"):
        kinds[row["feedback"] or row["reason"]][verdicts[row["file"]].kind] += 1
    assert set(kinds["abuse"]) == set(kinds["opt-out"]) == {"complaint"}
    assert set(kinds["vacation"]) == {"auto-reply"}
    assert set(kinds["auth-failure"]) == set(kinds["delivered"]) == {"other"}
    assert set(kinds["userunknown"]) == set(kinds["expired"]) == {"bounce"}


@pytest.mark.parametrize("ends", [b"\r\n", b"\r", b"\n"])
def test_line_ends_do_not_matter(corpus, verdicts, ends):
    for name in list(verdicts)[::4]:
        data = (corpus / "mail" / name).read_bytes().replace(b"\r\n", b"\n").replace(b"\n", ends)
        assert summary(classify(data)) == summary(verdicts[name]), name


def summary(verdict):
    return verdict.kind, [(one.address, one.status, *meaning(one)) for one in verdict.recipients]
