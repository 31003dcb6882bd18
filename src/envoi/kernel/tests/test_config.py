from pathlib import Path
from typing import Any

import pytest

from envoi.kernel import config
from envoi.kernel.config import WebConfig
from envoi.kernel.errors import Invalid


def written(home: Path, text: str) -> Path:
    (home / "envoi.toml").write_text(text, encoding="utf-8")
    return home


def test_the_environment_wins_over_the_file_and_the_file_over_defaults(tmp_path: Path) -> None:
    home = written(tmp_path, '[web]\nport = 1234\nhost = "0.0.0.0"\n[smtp]\nurl = "smtp://file"\n')
    loaded = config.load(home, {"ENVOI_WEB_PORT": "99", "SMTP_URL": "smtp://environment"})
    assert (loaded.web.port, loaded.web.host, loaded.web.threads) == (99, "0.0.0.0", 8)  # noqa: S104
    assert loaded.smtp.url == "smtp://environment"
    assert config.load(home, {}).smtp.url == "smtp://file"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[wbe]\n", r"Unknown section \[wbe\].*did you mean web\?"),
        ("[web]\nprot = 1\n", r"Unknown key web\.prot.*did you mean port\?"),
        ("web = 1\n", "must be a section"),
        ("[web]\nport = 'x'\n", r"web\.port .* must be a whole number"),
        ("[web]\nport = true\n", "must be a whole number"),
        ("[web]\nhttps = 'maybe'\n", "must be true or false"),
        ("[web]\nhost = 1\n", "must be a text"),
        ("[web\n", "is not valid TOML"),
    ],
)
def test_what_is_wrong_in_the_file_is_named(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(Invalid, match=told):
        config.load(written(tmp_path, text), {})


def test_a_misspelt_variable_is_named_and_those_of_processes_are_not(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"ENVOI_WEB_PROT; did you mean ENVOI_WEB_PORT\?"):
        config.load(tmp_path, {"ENVOI_WEB_PROT": "1"})
    config.load(tmp_path, {"ENVOI_HOME": "x", "ENVOI_PG_PROVIDER": "system", "ENVOI_TEST_SESSION": "x"})


def test_lists_come_from_both_places(tmp_path: Path) -> None:
    home = written(tmp_path, '[network]\nallow_private = ["10.1.0.0/16", "crm.internal"]\n')
    assert config.load(home, {}).network.allow_private == ("10.1.0.0/16", "crm.internal")
    assert config.load(home, {"ENVOI_NETWORK_ALLOW_PRIVATE": "a, b"}).network.allow_private == ("a", "b")


def test_every_key_has_one_variable_that_reaches_it(tmp_path: Path) -> None:
    known = config.keys()
    seen = set()
    for section, key, variable, default in known:
        kind = type(default)
        text = {bool: "true", int: "7", float: "7.5", str: "x", tuple: "x,y"}[kind]
        loaded = config.load(tmp_path, {variable: text})
        value = getattr(getattr(loaded, section), key)
        assert value == {bool: True, int: 7, float: 7.5, str: "x", tuple: ("x", "y")}[kind]
        seen.add(variable)
    assert len(seen) == len(known)
    assert {"DATABASE_URL", "SMTP_URL", "ENVOI_WEB_PORT"} <= seen


@pytest.mark.parametrize(
    ("web", "address"),
    [
        ({}, "http://127.0.0.1:8080"),
        ({"host": "0.0.0.0", "port": 81}, "http://127.0.0.1:81"),  # noqa: S104
        ({"host": "::"}, "http://[::1]:8080"),
        ({"public_url": "https://crm.example.com/"}, "https://crm.example.com"),
    ],
)
def test_the_console_always_has_an_absolute_address(web: dict[str, Any], address: str) -> None:
    assert WebConfig(**web).address == address
