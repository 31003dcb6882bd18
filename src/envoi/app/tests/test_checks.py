"""What `envoi check` finds: each question on an instance in which exactly one thing is wrong."""

import socket
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from envoi.app import boot, checks
from envoi.kernel.config import Config, InstanceConfig, SmtpConfig, TelemetryConfig, TrackingConfig, WebConfig


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """An instance in good order."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "secrets").mkdir(mode=0o700)
    for name, content in (("envoi.toml", b""), ("secrets/instance.key", b"k" * 32)):
        (home / name).write_bytes(content)
        (home / name).chmod(0o600)
    return Config(home=home, smtp=SmtpConfig(url="", sender="envoi@example.com"))


def found(question, config: Config) -> list[tuple[str, str, str]]:
    return [(each.level, each.thing, each.remedy) for each in question(config)]


def test_an_instance_in_good_order_has_nothing_but_hints_about_readers_and_mail(config):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    config = replace(config, web=WebConfig(port=free))
    findings = [each for question in checks.OUTSIDE for each in question(config)]
    assert [(each.level, each.thing) for each in findings] == [("hint", "tracking"), ("hint", "mail")]


@pytest.mark.parametrize(
    ("tracking", "level"),
    [
        (TrackingConfig("https://t.example.org/", trusted_proxies=("10.0.0.0/8",)), []),
        (TrackingConfig("https://t.example.org/r/"), ["problem"]),
        (TrackingConfig("t.example.org"), ["problem"]),
        (TrackingConfig("https://t.example.org", trusted_proxies=("proxy",)), ["problem"]),
        (TrackingConfig("http://t.example.org", cookies_elsewhere=True), ["hint"]),
    ],
)
def test_what_keeps_readers_away_is_found(config, tracking, level):
    config = replace(config, tracking=tracking, web=WebConfig(public_url="https://console.example.org"))
    assert [each.level for each in checks.readers(config)] == level
    hidden = replace(config, web=WebConfig(), tracking=TrackingConfig("https://t.example.org"))
    assert [each.level for each in checks.readers(hidden)] == ["problem"]


@pytest.mark.parametrize("mode", [0o750, 0o705, 0o770, 0o777])
def test_a_folder_open_to_others_is_found(config, mode):
    config.home.chmod(mode)
    assert found(checks.folder, config) == [("problem", "folder", f"chmod go-rw {config.home}")]


@pytest.mark.parametrize("mode", [0o700, 0o711])
def test_a_folder_that_others_may_only_pass_is_well(config, mode):
    config.home.chmod(mode)
    assert found(checks.folder, config) == []


@pytest.mark.parametrize("name", ["envoi.toml", "secrets/instance.key"])
def test_a_secret_that_others_can_read_is_found(config, name):
    path = config.home / name
    path.chmod(0o640)
    assert found(checks.secret_files, config) == [("problem", "secrets", f"chmod 600 {path}")]


def test_a_missing_or_damaged_key_is_found(config):
    key = config.home / "secrets/instance.key"
    key.write_bytes(b"short")
    assert [each.message for each in checks.instance_key(config)] == ["It holds 5 bytes instead of 32."]
    key.unlink()
    assert "missing" in next(checks.instance_key(config)).message
    assert not key.exists()


def test_a_full_disk_is_found(config, monkeypatch):
    config = replace(config, database=replace(config.database, url="postgresql://elsewhere/x"))
    monkeypatch.setattr(
        checks.shutil, "disk_usage", lambda path: checks.shutil._ntuple_diskusage(100 * 2**30, 0, 2**29)
    )
    (finding,) = checks.disk(config)
    assert (finding.level, finding.place) == ("problem", str(config.home))
    assert "512 MB" in finding.message


@pytest.mark.parametrize(
    ("web", "expected"),
    [
        (WebConfig(), []),
        (WebConfig(allowed_hosts=("*",)), [("problem", "allowed_hosts")]),
        (WebConfig(public_url="ftp://x"), [("problem", "public_url")]),
        (WebConfig(public_url="http://crm.example.com"), [("problem", "public_url")]),
        (WebConfig(public_url="http://crm.example.com", allowed_hosts=("crm.example.com",)), []),
        (WebConfig(public_url="http://crm.example.com", allowed_hosts=(".example.com",)), []),
        (
            WebConfig(public_url="http://crm.example.com", allowed_hosts=(".example.com",), https=True),
            [("problem", "https")],
        ),
        (
            WebConfig(public_url="https://crm.example.com", allowed_hosts=("crm.example.com",)),
            [("hint", "https")],
        ),
        (WebConfig(public_url="https://crm.example.com", allowed_hosts=("crm.example.com",), https=True), []),
        (WebConfig(host="0.0.0.0"), [("hint", "https")]),  # noqa: S104
    ],
)
def test_addresses_that_do_not_fit_together_are_found(config, web, expected):
    assert [each[:2] for each in found(checks.addresses, replace(config, web=web))] == expected


def test_an_unknown_zone_or_language_is_found(config):
    wrong = replace(config, instance=InstanceConfig(timezone="Europe/Pariss", language="xx"))
    assert [each[:2] for each in found(checks.zone_and_language, wrong)] == [
        ("problem", "timezone"),
        ("problem", "language"),
    ]
    assert found(checks.zone_and_language, config) == []


@pytest.mark.parametrize(
    ("greeting", "expected"),
    [(b"220 mail.example.com ESMTP\r\n", []), (b"HTTP/1.1 400 Bad\r\n", [("problem", "mail")])],
)
def test_a_relay_is_spoken_to(config, greeting, expected):
    with socket.create_server(("127.0.0.1", 0)) as relay:

        def serve() -> None:
            connection, _ = relay.accept()
            connection.sendall(greeting)
            connection.close()

        answering = threading.Thread(target=serve)
        answering.start()
        url = f"smtp://user:hunter2@127.0.0.1:{relay.getsockname()[1]}"
        config = replace(config, smtp=SmtpConfig(url=url, sender="envoi@example.com"))
        findings = list(checks.mail(config))
        answering.join()
    assert [(each.level, each.thing) for each in findings] == expected
    assert all("hunter2" not in str(each) for each in findings)


def test_a_relay_that_does_not_answer_is_found(config):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        closed = probe.getsockname()[1]
    config = replace(config, smtp=SmtpConfig(url=f"smtp://127.0.0.1:{closed}", sender="a@example.com"))
    (finding,) = checks.mail(config)
    assert (finding.level, finding.place) == ("problem", f"127.0.0.1:{closed}")


def test_traces_without_the_extra_are_found(config, monkeypatch):
    wanted = replace(config, telemetry=TelemetryConfig(endpoint="http://127.0.0.1:4318"))
    monkeypatch.setattr(checks.telemetry, "_is_installed", lambda: False)
    assert [each[:2] for each in found(checks.traces, wanted)] == [("problem", "telemetry")]
    assert found(checks.traces, config) == []


def test_a_wrong_configuration_is_the_only_finding(tmp_path):
    (tmp_path / "envoi.toml").write_text("[web]\nprt = 80\n")
    result = checks.check(tmp_path)
    assert (result["ok"], result["asked"]) == (False, [])
    assert [each["thing"] for each in result["findings"]] == ["configuration"]
    assert "did you mean port?" in result["findings"][0]["message"]


@pytest.mark.django_db
def test_the_database_of_an_instance_is_in_good_order_but_for_what_tests_do_without():
    messages = [each.message for question in checks.INSIDE for each in question(boot.current())]
    assert messages == ["fsync is off: a power cut spoils the data."]


@pytest.mark.django_db
def test_a_clock_that_goes_wrong_is_found(monkeypatch):
    from datetime import timedelta

    from envoi.kernel import clock

    right = clock.now
    monkeypatch.setattr(clock, "now", lambda: right() - timedelta(seconds=90))
    (finding,) = checks.clocks(boot.current())
    assert (finding.level, finding.thing) == ("problem", "clock")
    assert "differ by 90 s" in finding.message


@pytest.mark.django_db
def test_missing_migrations_and_packages_are_found(monkeypatch):
    from envoi.kernel import migrate

    monkeypatch.setattr(migrate, "unapplied", lambda: ["kernel.0007_x", "kernel.0008_y"])
    instance = replace(boot.current(), packages=("core_default", "weather"))
    findings = list(checks.tables(instance))
    assert [each.thing for each in findings] == ["packages", "migrations"]
    assert "weather" in findings[0].message
    assert "2 are not applied (kernel.0007_x, …)" in findings[1].message


@pytest.mark.django_db
def test_who_cannot_be_told_and_what_nobody_watches_is_found():
    from envoi.engine.models import Severity, Workflow
    from envoi.kernel import clock
    from envoi.kernel.models import Folder, Operator
    from envoi.kernel.models.outbox import OutboxItem, OutboxState

    instance = boot.current()
    assert [each.message for each in checks.operators(instance)] == ["No e-mail address is known of admin."]
    Operator.objects.filter(name="admin").update(email="admin@example.com")
    assert list(checks.operators(instance)) == []

    about = {
        "label": "x", "definition": {}, "folder": Folder.objects.get(name="nmsTechnicalWorkflow"),
        "created_at": clock.now(), "modified_at": clock.now(), "production": Severity.PRODUCTION,
    }  # fmt: skip
    Workflow.objects.create(internal_name="alone", **about)
    Workflow.objects.create(internal_name="model", is_model=True, **about)
    Workflow.objects.create(
        internal_name="watched", supervisor_operator=Operator.objects.get(name="admin"), **about
    )
    assert [each.place for each in checks.supervisors(instance)] == ["workflow alone"]

    assert list(checks.outgoing(instance)) == []
    OutboxItem.objects.create(
        kind="mail", key="k", payload={}, state=OutboxState.FAILED, due_at=clock.now(), created_at=clock.now()
    )
    assert [each.message for each in checks.outgoing(instance)] == [
        "1 outgoing effects have failed for good."
    ]
