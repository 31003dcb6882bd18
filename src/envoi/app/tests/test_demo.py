"""`envoi demo` as a stranger runs it."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from envoi.app import supervisor

pytestmark = pytest.mark.timeout(240)


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def ignore_interrupts() -> None:
    """Start a process as a shell starts what it leaves in the background."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def test_a_folder_with_another_instance_or_other_things_is_left_alone(home, run_envoi):
    (home / "envoi.toml").write_text('[instance]\nname = "ours"\n')
    refused = run_envoi("demo", "--exit", home=home, code=3)
    assert f"{home} holds an instance that is no demonstration" in refused.err
    assert (home / "envoi.toml").read_text() == '[instance]\nname = "ours"\n'
    (home / "envoi.toml").rename(home / "letters.txt")
    refused = run_envoi("demo", "--exit", home=home, code=3)
    assert f"{home} is not empty and holds no demonstration" in refused.err
    assert [path.name for path in home.iterdir()] == ["letters.txt"]


def test_a_database_of_ones_own_is_never_replaced(home, run_envoi):
    refused = run_envoi(
        "demo", "--exit", home=home, env={"DATABASE_URL": "postgresql://db.example/x"}, code=3
    )
    assert "Unset DATABASE_URL" in refused.err
    (home / "envoi.toml").write_text(
        '[instance]\ndemo = true\n[database]\nurl = "postgresql://db.example/x"\n'
    )
    refused = run_envoi("demo", "--exit", home=home, code=3)
    assert "Unset DATABASE_URL" in refused.err
    assert "db.example" in (home / "envoi.toml").read_text()


def test_nonsense_is_wrong_usage(home, run_envoi):
    # Of fewer people there are no two samples.
    run_envoi("demo", "--profiles", "49", home=home, code=2)
    run_envoi("demo", "--port", "0", home=home, code=2)
    assert list(home.iterdir()) == []


def test_it_tells_its_story_leaves_nothing_and_serves_a_fresh_one_until_it_is_stopped(home, run_envoi):
    first = run_envoi("demo", "--exit", "--json", "--port", free_port(), home=home, code=0, timeout=120).json
    assert first["operator"] == "admin"
    assert {each["workflow"] for each in first["workflows"]} >= {
        "collectDataHeatMapService",
        "demoInstanceFigures",
    }
    for each in first["workflows"]:
        assert set(each) == {"workflow", "label", "state", "failed", "last_run", "duration_s"}
        assert each["failed"] is False
        assert each["last_run"] is not None
    assert supervisor.up_pid(home) is None
    sent = """SELECT sum(d.success)::int AS success, sum(d.error)::int AS error,
        sum(d.new_quarantine)::int AS new_quarantine,
        count(*) FILTER (WHERE d.success > 0)::int AS deliveries,
        (SELECT count(*) FROM nms_address a WHERE a.status = 4) AS quarantined,
        (SELECT count(*) FROM nms_inbound_mail) AS back,
        (SELECT count(*) FROM nms_coupon_value WHERE broad_log_id IS NOT NULL) AS codes,
        (SELECT w.subject FROM nms_ab_test t JOIN nms_delivery w ON w.delivery_id = t.winner_id
          JOIN nms_delivery f ON f.delivery_id = t.final_id AND f.subject = w.subject) AS better
        FROM nms_delivery d WHERE NOT d.is_model"""
    told = json.loads(run_envoi("sql", sent, home=home, code=0).out)
    assert told["success"] > 900
    assert 0 < told["new_quarantine"] <= told["error"] < 150
    assert told["quarantined"] > 0
    assert told["back"] > 0
    # Two versions to samples, the one that promises something to the rest; a code for each reader.
    assert told["deliveries"] == 3
    assert told["better"].startswith("€10")
    assert told["codes"] >= told["success"] + told["error"]
    reactions = first["reactions"]
    # What was put off goes on arriving until the processes stop.
    assert 0 < reactions["sent"] <= told["success"]
    assert reactions["sent"] > reactions["opened"] > reactions["clicked"] > reactions["transactions"] > 0
    assert reactions["clicks"] > reactions["clicked"]
    assert 0 < reactions["unsubscribed"] < 20
    assert reactions["automatic"] > 0
    waiting = "SELECT count(*) AS n FROM nms_tracking_inbox"
    assert json.loads(run_envoi("sql", waiting, home=home, code=0).out) == {"n": 0}
    status = run_envoi("status", "--json", home=home, code=0).json
    assert status["instance"] == "demo"
    assert [each["name"] for each in status["processes"]] == ["postgres"]
    # Nothing of the first is left in the second.
    run_envoi("option", "set", "XtkTraceOfTheFirst", "1", "--type", "long", home=home, code=0)
    fresh_one_is_served(home, run_envoi, password=first["password"])


def fresh_one_is_served(home, run_envoi, *, password: str) -> None:
    port = free_port()
    environment = os.environ | {"ENVOI_HOME": str(home)}
    environment.pop("DATABASE_URL", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "envoi.cli", "demo", "--profiles", "200", "--port", port],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=ignore_interrupts,
    )
    try:
        assert process.stderr is not None
        said = ""
        for line in process.stderr:
            said += line
            if "Ctrl-C" in line:
                break
        assert f"The console is at http://127.0.0.1:{port}/" in said
        (fresh,) = re.findall(r"Sign in as admin with the password (\S{16})\n", said)
        assert fresh != password
        query = "SELECT count(*) AS n FROM xtk_option WHERE name = 'XtkTraceOfTheFirst'"
        assert json.loads(run_envoi("sql", query, home=home, code=0).out) == {"n": 0}
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=10) as answer:
            assert answer.status == 200
        refused = run_envoi("demo", "--exit", home=home, code=3)
        assert "already up (process" in refused.err
        journal = run_envoi("workflow", "log", "demoInstanceFigures", "--json", home=home, code=0).json
        assert any("tasks done" in line["message"] for line in journal)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert process.stdout is not None
        assert "demoInstanceFigures" in process.stdout.read()
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
    assert supervisor.wait_until(lambda: supervisor.up_pid(home) is None, seconds=10)
