"""`envoi init`: makes an instance, brings one up to date, joins one, and survives being killed."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from envoi.app.creation import make_folder
from envoi.kernel import config
from envoi.kernel.testing import PASSWORD
from envoi.postgres import server

COUNTED = (
    "xtk_folder",
    "xtk_group",
    "xtk_operator",
    "xtk_right",
    "xtk_option",
    "xtk_package",
    "xtk_shipped",
    "xtk_audit",
)


def contents(home: Path) -> dict[str, Any]:
    """What an instance holds, without what differs from one to the next: ids, times, passwords, key."""
    queries = {
        "folders": "SELECT path, label, labels::text FROM xtk_folder ORDER BY 1",
        "operators": "SELECT name, technical, password LIKE 'argon2%' AS signs_in FROM xtk_operator"
        " ORDER BY 1",
        "rights": "SELECT r.name, o.name AS holder, g.name AS group_name FROM xtk_right r"
        " LEFT JOIN xtk_operator o USING (operator_id) LEFT JOIN xtk_group g USING (group_id)"
        " ORDER BY 1, 2, 3",
        "options": "SELECT name, data_type, long_value FROM xtk_option ORDER BY 1",
        "packages": "SELECT name, version, installed_at IS NOT NULL AS done FROM xtk_package ORDER BY 1",
        "migrations": "SELECT app, name FROM django_migrations ORDER BY 1, 2",
        "tables": "SELECT table_name, column_name, data_type FROM information_schema.columns"
        " WHERE table_schema = 'public' ORDER BY 1, 2",
        "constraints": "SELECT conrelid::regclass::text AS owner, pg_get_constraintdef(oid) AS text"
        " FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2",
        "audit": "SELECT entity, entity_key, action, count(*) FROM xtk_audit GROUP BY 1, 2, 3"
        " ORDER BY 1, 2, 3",
    }
    with closing(server.acquire(home)) as lease, psycopg.connect(lease.dsn()) as connection:
        return {name: connection.execute(query).fetchall() for name, query in queries.items()}


@pytest.mark.smoke
def test_a_new_instance_is_private_and_says_its_password_once(home: Path, run_envoi: Any) -> None:
    made = run_envoi("init", "--json", "--name", "shop", home=home, code=0)
    assert made.json["instance"] == "shop"
    assert made.json["home"] == str(home)
    assert made.json["packages"][0] == "core_default"
    password = made.json["admin_password"]
    assert len(password) == 20
    assert password not in made.err
    for path in (home / "envoi.toml", home / "secrets" / "instance.key"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((home / "secrets").stat().st_mode) == 0o700
    kept = [
        path
        for path in home.rglob("*")
        if path.is_file() and "postgres" not in path.parts and password.encode() in path.read_bytes()
    ]
    assert kept == []
    with closing(server.acquire(home)) as lease, psycopg.connect(lease.dsn()) as connection:
        row = connection.execute("SELECT password FROM xtk_operator WHERE name = 'admin'").fetchone()
    assert row is not None
    assert row[0].startswith("argon2$argon2id$")

    again = run_envoi("init", home=home, code=0)
    assert (again.out, "nothing to do" in again.err, "password" in again.err) == ("", True, False)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can work in the folder of another user")
def test_the_file_that_root_writes_for_another_user_belongs_to_that_user(home: Path) -> None:
    os.chown(home, 12345, 12346)
    make_folder(home, "shop")
    file = (home / "envoi.toml").stat()
    assert (file.st_uid, file.st_gid, stat.S_IMODE(file.st_mode)) == (12345, 12346, 0o600)


def test_without_json_the_password_is_told_on_standard_error(home: Path, run_envoi: Any) -> None:
    made = run_envoi("init", home=home, code=0)
    assert made.out == ""
    assert "Sign in as admin with the password" in made.err


def test_a_folder_of_somebody_else_is_left_alone(home: Path, run_envoi: Any) -> None:
    (home / "thesis.txt").write_text("years of work")
    refused = run_envoi("init", home=home, code=3)
    assert "thesis.txt" in refused.err
    assert [path.name for path in home.iterdir()] == ["thesis.txt"]


def test_a_misspelt_package_is_refused_before_anything_is_made(home: Path, run_envoi: Any) -> None:
    refused = run_envoi("init", "--packages", "core_defalt", home=home / "new", code=3)
    assert "did you mean core_default?" in refused.err
    assert not (home / "new").exists()


@pytest.mark.parametrize("name", ["", "a b", "x" * 41, 'x"\n[web]'])
def test_a_name_that_would_break_the_file_is_refused(home: Path, run_envoi: Any, name: str) -> None:
    run_envoi("init", "--name", name, home=home, code=3)
    assert list(home.iterdir()) == []


def test_the_name_of_an_instance_is_not_changed_by_accident(home: Path, run_envoi: Any) -> None:
    (home / "envoi.toml").write_text('[instance]\nname = "shop"\n')
    refused = run_envoi("init", "--name", "other", home=home, code=3)
    assert "another instance" in refused.err


def test_a_given_password_is_checked_and_not_shown(home: Path, tmp_path: Path, run_envoi: Any) -> None:
    file = tmp_path / "password"
    file.write_text("short\n")
    refused = run_envoi("init", "--json", "--admin-password-file", str(file), home=home, code=3)
    assert "too short" in refused.err
    file.write_text(f"{PASSWORD}\n")
    made = run_envoi("init", "--json", "--admin-password-file", str(file), home=home, code=0)
    assert made.json["admin_password"] is None
    assert PASSWORD not in made.err
    rows = run_envoi("operator", "list", "--json", home=home, code=0).json
    assert next(row for row in rows if row["name"] == "admin")["groups"] == ["Administrator"]


def test_a_database_of_another_key_is_refused_before_anything_is_made(
    committed_db: Any, tmp_path: Path, run_envoi: Any
) -> None:
    run_envoi("init", code=0)
    other = tmp_path / "other"
    url = {"DATABASE_URL": committed_db.url}
    assert "lacks its key" in run_envoi("init", home=other, env=url, code=3).err
    assert not other.exists()
    (other / "secrets").mkdir(parents=True)
    (other / "envoi.toml").write_text("")
    (other / "secrets" / "instance.key").write_bytes(os.urandom(32))
    assert "not the key of this database" in run_envoi("init", home=other, env=url, code=3).err


def test_two_at_once_make_one_instance_with_one_password(home: Path, run_envoi: Any) -> None:
    made = home / "made"
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(run_envoi, "init", "--json", home=made, code=0) for _ in range(2)]
    passwords = [done.result().json["admin_password"] for done in both]
    assert sorted(password is None for password in passwords) == [False, True]
    assert not [path for path in made.iterdir() if path.name.startswith(".")]


def test_another_host_joins_with_url_and_key(committed_db: Any, tmp_path: Path, run_envoi: Any) -> None:
    run_envoi("init", code=0)
    key = committed_db.home / "secrets" / "instance.key"
    wrong = tmp_path / "wrong.key"
    wrong.write_bytes(os.urandom(32))
    there = tmp_path / "host2"
    url = committed_db.url
    assert "--key-file" in run_envoi("init", "--join", url, home=there, code=3).err
    refused = run_envoi("init", "--join", url, "--key-file", str(wrong), home=there, code=3)
    assert "not the key of the instance" in refused.err
    assert not there.exists()
    joined = run_envoi("init", "--join", url, "--key-file", str(key), "--json", home=there, code=0)
    assert joined.json["home"] == str(there)
    assert stat.S_IMODE((there / "envoi.toml").stat().st_mode) == 0o600
    assert run_envoi("option", "get", "XtkCleanup_NoStats", home=there, code=0).out == "0\n"
    assert (
        "holds an instance"
        in run_envoi("init", "--join", url, "--key-file", str(key), home=there, code=3).err
    )


def kill_when(home: Path, reached: Callable[[], bool]) -> bool:
    """Run `init` and kill it as soon as `reached` is true; return whether it was still at work then."""
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    process = subprocess.Popen(
        [sys.executable, "-m", "envoi.cli", "init"],
        env={**environment, "ENVOI_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    while process.poll() is None and not reached():
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    _, told = process.communicate()
    assert process.returncode in (0, -signal.SIGKILL), told
    return process.returncode == -signal.SIGKILL


@pytest.mark.chaos
def test_killed_at_any_moment_and_run_again_it_ends_the_same(home: Path, run_envoi: Any) -> None:
    """Kills `init` in its folder, its server, its migrations, its seed rows and its packages in turn."""
    undisturbed, killed = home / "undisturbed", home / "killed"
    run_envoi("init", home=undisturbed, code=0)
    expected = contents(undisturbed)
    hits = [
        kill_when(killed, killed.exists),
        kill_when(killed, (killed / "envoi.toml").exists),
        kill_when(killed, (killed / "secrets" / "postgres.json").exists),
        kill_when(killed, (killed / "postgres" / "place.json").exists),
    ]
    with (
        closing(server.acquire(killed)) as lease,
        psycopg.connect(lease.dsn(), autocommit=True) as connection,
    ):

        def found(query: str) -> Callable[[], bool]:
            def ask() -> bool:
                try:
                    row = connection.execute(query).fetchone()
                except psycopg.errors.UndefinedTable:
                    return False
                return bool(row and row[0])

            return ask

        total = len(expected["migrations"])
        for share in (0, 0.1, 0.3, 0.5, 0.7, 0.9):
            query = f"SELECT count(*) >= {1 + int(share * total)} FROM django_migrations"
            hits.append(kill_when(killed, found(query)))
        hits.append(kill_when(killed, found(f"SELECT count(*) = {total} FROM django_migrations")))
        hits.append(kill_when(killed, found("SELECT count(*) > 0 FROM xtk_package")))
        done = "SELECT count(*) > 0 FROM xtk_package WHERE installed_at IS NOT NULL"
        hits.append(kill_when(killed, found(done)))
    assert sum(hits) >= 10, hits
    run_envoi("init", home=killed, code=0)
    assert contents(killed) == expected


def test_the_file_that_init_writes_can_be_read_back_with_every_example_in_use(
    home: Path, run_envoi: Any
) -> None:
    made = home / "made"
    make_folder(made, "shop")
    file = made / "envoi.toml"
    text = file.read_text(encoding="utf-8")
    lines = [line.removeprefix("# ") if " = " in line else line for line in text.splitlines()]
    lines = [line for line in lines if not line.startswith("#")]
    file.write_text("\n".join(lines), encoding="utf-8")
    loaded = config.load(made, {})
    assert loaded.instance.name == "shop"
    assert loaded.smtp.url.startswith("smtp://")
    assert json.dumps(loaded.database.url).startswith('"postgresql://')
