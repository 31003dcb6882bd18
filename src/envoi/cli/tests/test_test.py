"""`envoi test` runs where the tests are."""

import pytest

from envoi.cli import test as command
from envoi.kernel.errors import Refused


def test_it_hands_its_arguments_to_pytest(run_envoi):
    done = run_envoi("test", "--collect-only", "-q", "src/envoi/cli/tests/test_test.py", code=0)
    assert "test_it_hands_its_arguments_to_pytest" in done.out


def test_installed_from_a_wheel_it_says_where_the_tests_are(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "ROOT", tmp_path)
    with pytest.raises(Refused, match="not in the installed package"):
        command.test.callback(install_peers=False, arguments=())
