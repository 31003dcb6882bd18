"""The audit fails on a finding, and says so when it could not ask."""

import importlib.util
import json
import subprocess

import pytest


@pytest.fixture
def audit(pytestconfig, monkeypatch):
    """The script, with services that answer what a test wants: name -> packages, or None for no answer."""
    spec = importlib.util.spec_from_file_location("audit", pytestconfig.rootpath / ".ci/audit.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.answers = {}

    def run(command, **_):
        said = module.answers[command[command.index("--vulnerability-service") + 1]]
        out = "" if said is None else json.dumps({"dependencies": said, "fixes": []})
        return subprocess.CompletedProcess(command, 1 if said is None else 0, out, "no route to host")

    monkeypatch.setattr(module.subprocess, "run", run)
    return module


GOOD = {"name": "click", "version": "8.0", "vulns": []}
BAD = {"name": "django", "version": "5.2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["5.2.1"]}]}
UNKNOWN = {"name": "envoi", "skip_reason": "not found"}


def test_a_finding_fails(audit, capsys):
    audit.answers = {"pypi": [GOOD, BAD, UNKNOWN]}
    assert audit.main(["a.lock"]) == 1
    assert "django 5.2 has PYSEC-1; mended in 5.2.1" in capsys.readouterr().out


def test_the_second_service_is_asked_when_the_first_knows_nothing(audit):
    audit.answers = {"pypi": [UNKNOWN], "osv": [BAD]}
    assert audit.main(["a.lock"]) == 1
    audit.answers = {"pypi": None, "osv": [GOOD]}
    assert audit.main(["a.lock"]) == 0


def test_no_answer_is_said(audit, capsys):
    audit.answers = {"pypi": [UNKNOWN], "osv": None}
    assert audit.main(["a.lock"]) == 0
    assert "a.lock was NOT audited" in capsys.readouterr().out
