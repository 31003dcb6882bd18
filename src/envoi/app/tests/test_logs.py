"""What a log line says, where it goes, and what never gets into it."""

import json
import logging
import warnings

import pytest
import structlog

from envoi.app import logs
from envoi.kernel.config import LogConfig
from envoi.kernel.errors import Invalid


class Written:
    """What has been written to standard error so far."""

    def __init__(self, capsys) -> None:
        self.capsys = capsys
        self.text = ""

    def getvalue(self) -> str:
        self.text += self.capsys.readouterr().err
        return self.text


@pytest.fixture
def err(capsys):
    """Standard error of a freshly configured process; everything is as before afterwards."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    for handler in handlers:
        root.removeHandler(handler)
    yield Written(capsys)
    for handler in list(root.handlers):
        root.removeHandler(handler)
        handler.close()
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def line(err: Written) -> dict[str, object]:
    return json.loads(err.getvalue().splitlines()[-1])


def test_both_ways_of_logging_carry_process_and_context(err):
    logs.configure("worker-1", LogConfig(format="json"))
    with structlog.contextvars.bound_contextvars(workflow="cleanup", activity="purge", task=7):
        structlog.get_logger("envoi.engine").info("rows deleted", rows=12)
        ours = line(err)
        logging.getLogger("some.library").warning("slow: %d ms", 250, extra={"rows": 12, "password": "x1"})
        theirs = line(err)
    assert ours["event"] == "rows deleted"
    assert (ours["rows"], theirs["rows"]) == (12, 12)
    assert theirs["password"] == logs.MASKED
    assert theirs["event"] == "slow: 250 ms"
    assert theirs["logger"] == "some.library"
    for found in (ours, theirs):
        assert {key: found[key] for key in ("process", "workflow", "activity", "task")} == {
            "process": "worker-1",
            "workflow": "cleanup",
            "activity": "purge",
            "task": 7,
        }
        assert str(found["timestamp"]).endswith("Z")


SECRETS = (
    "password admin_password smtp_password token lease_token Authorization cookie secret api_key instance_key"
    " dsn passphrase session_id credentials"
)


@pytest.mark.parametrize("key", SECRETS.split())
def test_a_field_that_names_a_secret_is_masked(err, key):
    logs.configure("web", LogConfig(format="json"))
    structlog.get_logger().info("connected", **{key: "hunter2"}, nested={"deep": [{key: "hunter2"}]})
    assert "hunter2" not in err.getvalue()
    assert line(err)[key] == logs.MASKED


@pytest.mark.parametrize(
    "text",
    [
        "cannot reach postgresql://envoi:hunter2@db.example.com/envoi",
        "connection failed: host=x password=hunter2 dbname=y",
        "connection failed: password='hunter2 with space'",
        "header Authorization: Bearer hunter2",
        'sent {"token": "hunter2"}',
        "smtp://relay:hunter2@mail.example.com:587 refused us",
    ],
)
def test_a_secret_inside_of_a_text_is_masked_in_messages_arguments_and_traces(err, text):
    logs.configure("web", LogConfig(format="json"))
    structlog.get_logger().error(text)
    logging.getLogger("library").error("failed: %s", text)
    try:
        raise RuntimeError(text)
    except RuntimeError:
        structlog.get_logger().exception("failed")
        logging.getLogger("library").exception("failed")
    assert len(err.getvalue().splitlines()) == 4
    assert err.getvalue().count("RuntimeError") >= 2
    assert "hunter2" not in err.getvalue()


def test_e_mail_addresses_are_masked_wherever_they_stand(err):
    logs.configure("web", LogConfig())
    structlog.get_logger().info(
        "refused jane.doe+x@mail.example.org",
        recipient="jane@example.org",
        all=["a@b.example", {"k": "c@d.example"}],
    )
    logging.getLogger("library").warning("to %s", "jane@example.org")
    assert "@" not in err.getvalue()
    assert err.getvalue().count("<e-mail>") == 5


def test_what_is_no_secret_stays_readable(err):
    logs.configure("web", LogConfig(format="json"))
    structlog.get_logger().info(
        "task done", key="wkf12_3", monkey="yes", keys=3, passed=True, author="x", none=None
    )
    found = line(err)
    assert {key: found[key] for key in ("key", "monkey", "keys", "passed", "author", "none")} == {
        "key": "wkf12_3",
        "monkey": "yes",
        "keys": 3,
        "passed": True,
        "author": "x",
        "none": None,
    }


def test_a_child_of_up_writes_its_own_file_that_rotates(err, tmp_path, monkeypatch):
    monkeypatch.setenv(logs.PROCESS_VARIABLE, "worker-2")
    monkeypatch.setattr(logs, "FILE_BYTES", 2000)
    logs.configure_from_environment(LogConfig(format="json"), tmp_path, process="worker")
    for number in range(100):
        structlog.get_logger().info("a line of some length", number=number)
    files = sorted(path.name for path in (tmp_path / "log").iterdir())
    assert files == ["worker-2.log", "worker-2.log.1"]
    found = [path.stat() for path in (tmp_path / "log").iterdir()]
    assert all(each.st_size <= 2000 and each.st_mode & 0o777 == 0o600 for each in found)
    last = json.loads((tmp_path / "log/worker-2.log").read_text().splitlines()[-1])
    assert (last["number"], last["process"]) == (99, "worker-2")


def test_two_processes_of_one_name_share_a_file_without_losing_lines_to_each_other(tmp_path):
    path = tmp_path / "web.log"
    ours, theirs = (logs.SharedRotatingFile(path, maxBytes=1000, backupCount=1) for _ in range(2))

    def write(handler: logging.Handler, number: int) -> None:
        handler.handle(logging.makeLogRecord({"msg": f"line {number:04d} {'x' * 30}"}))

    for number in range(60):
        write(ours if number % 2 else theirs, number)
    for handler in (ours, theirs):
        handler.close()
    old, new = ((tmp_path / name).read_text().split("\n")[:-1] for name in ("web.log.1", "web.log"))
    numbers = [int(line.split()[1]) for line in old + new]
    # The last lines without a gap, and no more than two files.
    assert numbers == list(range(numbers[0], 60))
    assert len(old) == 24
    assert sorted(found.name for found in tmp_path.iterdir()) == ["web.log", "web.log.1"]


def test_a_command_that_ends_is_silent_below_warnings_and_writes_no_file(err, tmp_path):
    logs.configure_from_environment(LogConfig(level="info"), tmp_path)
    logging.getLogger("library").info("nothing to see")
    assert err.getvalue() == ""
    logging.getLogger("library").warning("look here, %s", "jane@example.org")
    assert err.getvalue() == "warning: look here, <e-mail>\n"
    assert list(tmp_path.iterdir()) == []


def test_warnings_of_python_arrive_too(err):
    logs.configure("web", LogConfig(format="json"))
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old way", DeprecationWarning, stacklevel=1)
    assert "old way" in str(line(err)["event"])


@pytest.mark.parametrize("wrong", [LogConfig(level="loud"), LogConfig(format="xml")])
def test_an_unknown_level_or_format_is_refused_with_the_known_ones(err, wrong):
    with pytest.raises(Invalid, match=r"log\.(level|format) is '(loud|xml)'; use "):
        logs.configure("web", wrong)
