"""The configuration of an instance: `HOME/envoi.toml`, each key also as an environment variable (architecture
§5.2).

Precedence: environment, then file, then the default below. `[web] port` is `ENVOI_WEB_PORT`; three keys have
well-known names of their own: `DATABASE_URL`, `SMTP_URL` and `ENVOI_HOME`. An unknown key is refused with the
nearest known one.
"""

import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, cast

from envoi.kernel.errors import Invalid

FILE_NAME = "envoi.toml"


@dataclass(frozen=True)
class InstanceConfig:
    """`[instance]`: what this instance is called and in which zone and language it speaks by default."""

    name: str = "envoi"
    label: str = ""
    timezone: str = "UTC"
    language: str = "en"
    test: bool = False
    """Marks a test instance: the console shows a hatched band under the top bar."""
    demo: bool = False


@dataclass(frozen=True)
class WebConfig:
    """`[web]`: where the console listens and by which names it may be addressed."""

    host: str = "127.0.0.1"
    port: int = 8080
    threads: int = 8
    allowed_hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "[::1]")
    public_url: str = ""
    https: bool = False
    """True behind a TLS proxy: cookies are secure and HSTS is sent."""
    session_hours: int = 12

    @property
    def address(self) -> str:
        """Return the absolute address of the console, without a slash at its end."""
        if self.public_url:
            return self.public_url.rstrip("/")
        # "Every address" is none that can be opened; this one the machine itself can always open.
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104  compared only
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


@dataclass(frozen=True)
class DatabaseConfig:
    """`[database]`: empty url means the embedded server."""

    url: str = ""
    shared_buffers_mb: int = 0
    """0: chosen from the machine's memory."""
    pool_size: int = 0


@dataclass(frozen=True)
class SmtpConfig:
    """`[smtp]`: the relay of system mail (`SMTP_URL`); empty means that system mail waits in the console."""

    url: str = ""
    sender: str = ""


@dataclass(frozen=True)
class WorkerConfig:
    """`[worker]`: the workers that `up` starts on this host."""

    processes: int = 1
    threads: int = 5
    affinity: str = ","
    """Names that this host accepts; a trailing comma also accepts work without an affinity (engine.md §2)."""
    recycle_hours: float = 24
    host: str = ""


@dataclass(frozen=True)
class SendingConfig:
    """`[sending]`: how deliveries leave: the senders that `up` starts here, and what they call themselves."""

    processes: int = 1
    """0: this host sends no deliveries."""
    relay: str = ""
    """A relay for deliveries, written as [smtp] url. Empty: that of [smtp] url; without one, or with "mx",
    straight to the servers of each domain."""
    bounce_domain: str = ""
    """Of return addresses: its mail must reach `inmail`. Empty: the domain of `sender`, else the host's."""
    helo: str = ""
    """The name by which this host greets mail servers. Empty: its own full name."""
    sender: str = ""
    """The From address of deliveries that name none."""
    bcc: str = ""
    """Where a copy of each message goes whose delivery asks for one."""
    sink: str = ""
    """A host:port that gets the mail to all domains in place of their servers: nothing leaves a test."""


@dataclass(frozen=True)
class TrackingConfig:
    """`[tracking]`: where readers reach us, and the process `track` that answers them here."""

    url: str = ""
    """The address of /r/ for readers, without the path. Empty: nothing is tracked."""
    host: str = "127.0.0.1"
    port: int = 8090
    processes: int = 1
    """0: this host answers no readers."""
    expiration_url: str = ""
    """Where links lead whose delivery's tracking is over and which says no other. Empty: a short page."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses and networks of proxies that are believed when they say who asks (X-Forwarded-For)."""
    segment_seconds: float = 5.0
    """After how long at the latest what readers did is handed over to the database."""
    cookies_elsewhere: bool = False
    """Whether cookies go along from pages of other sites too (SameSite=None); with https only."""


@dataclass(frozen=True)
class InboundConfig:
    """`[inbound]`: where mails that come back are taken from, and what becomes of those for people."""

    processes: int = 1
    """1 or 0: whether this host takes mail."""
    account: str = "defaultPopAccount"
    """The external account of the mailbox; one that is not there, or is disabled, is passed over."""
    poll_seconds: int = 300
    maildir: str = ""
    """A Maildir that a mail server of this host fills."""
    listen: str = ""
    """A host:port at which mail of the bounce domain is taken by SMTP and LMTP; empty: none."""
    certificate: str = ""
    """A PEM file with certificate and key, for STARTTLS there."""
    errors_to: str = ""
    """Address for errors: who gets replies, and mails that are about no message."""
    forward_to: str = ""
    """Who gets every mail, in place of the address for errors."""
    trust_addresses: bool = False
    """Whether a bounce is believed that names an address and no message of ours: anybody can make one up."""


@dataclass(frozen=True)
class LogConfig:
    """`[log]`: `format` is `console` or `json`."""

    level: str = "info"
    format: str = "console"


@dataclass(frozen=True)
class MetricsConfig:
    """`[metrics]`: who may read /metrics from elsewhere; empty means this host only."""

    token: str = ""


@dataclass(frozen=True)
class TelemetryConfig:
    """`[telemetry]`: where traces go by OTLP over HTTP; empty means nowhere. Needs the extra `telemetry`."""

    endpoint: str = ""


@dataclass(frozen=True)
class NetworkConfig:
    """`[network]`: what outgoing calls may reach besides the public internet."""

    allow_private: tuple[str, ...] = ()
    """Hosts and networks ("crm.internal", "10.1.0.0/16") that a typed address may lead to."""


@dataclass(frozen=True)
class Config:
    """The whole configuration; `home` is absolute."""

    home: Path
    instance: InstanceConfig = field(default_factory=InstanceConfig)
    web: WebConfig = field(default_factory=WebConfig)
    database: DatabaseConfig = field(default_factory=DatabaseConfig)
    smtp: SmtpConfig = field(default_factory=SmtpConfig)
    worker: WorkerConfig = field(default_factory=WorkerConfig)
    sending: SendingConfig = field(default_factory=SendingConfig)
    inbound: InboundConfig = field(default_factory=InboundConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    log: LogConfig = field(default_factory=LogConfig)
    metrics: MetricsConfig = field(default_factory=MetricsConfig)
    telemetry: TelemetryConfig = field(default_factory=TelemetryConfig)

    @property
    def file(self) -> Path:
        """Where the file is, whether it exists or not."""
        return self.home / FILE_NAME


SECTIONS: dict[str, type[Any]] = {
    "instance": InstanceConfig,
    "web": WebConfig,
    "database": DatabaseConfig,
    "smtp": SmtpConfig,
    "worker": WorkerConfig,
    "sending": SendingConfig,
    "inbound": InboundConfig,
    "tracking": TrackingConfig,
    "network": NetworkConfig,
    "log": LogConfig,
    "metrics": MetricsConfig,
    "telemetry": TelemetryConfig,
}
WELL_KNOWN = {"DATABASE_URL": ("database", "url"), "SMTP_URL": ("smtp", "url")}
# Variables that steer a process, not the instance: no key of the file answers to them.
PROCESS_VARIABLES = (
    "ENVOI_HOME",
    "ENVOI_PROCESS",
    "ENVOI_STATE_DIR",
    "ENVOI_CLOCK_FILE",
    "ENVOI_PG_",
    "ENVOI_TEST_",
    "ENVOI_BENCH_",
    "ENVOI_CHAOS_",
)


def load(home: Path, environ: Mapping[str, str] = os.environ) -> Config:
    """Read the configuration of the instance in `home`.

    Raises Invalid for an unknown key, a value of a wrong type or a file that is not TOML; the message names
    the place.
    """
    home = home.absolute()
    written = _read_file(home / FILE_NAME)
    values: dict[str, dict[str, Any]] = {name: dict(section) for name, section in written.items()}
    for variable, (section, key) in _variables().items():
        if variable in environ:
            values.setdefault(section, {})[key] = _convert(environ[variable], section, key, variable)
    _refuse_unknown_variables(environ)
    return Config(home=home, **{name: kind(**values.get(name, {})) for name, kind in SECTIONS.items()})


def keys() -> list[tuple[str, str, str, Any]]:
    """Return (section, key, environment variable, default) of every key, for the reference page."""
    names = {place: variable for variable, place in _variables().items()}
    return [
        (section, f.name, names[section, f.name], f.default)
        for section, kind in SECTIONS.items()
        for f in fields(kind)
    ]


def _variables() -> dict[str, tuple[str, str]]:
    own = {
        f"ENVOI_{section}_{f.name}".upper(): (section, f.name)
        for section, kind in SECTIONS.items()
        for f in fields(kind)
    }
    for name, place in WELL_KNOWN.items():
        own = {variable: where for variable, where in own.items() if where != place} | {name: place}
    return own


def _read_file(path: Path) -> dict[str, dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    try:
        written = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Invalid(f"{path} is not valid TOML: {error}. Mend that line.") from error
    sections: dict[str, dict[str, Any]] = {}
    for section, content in written.items():
        if section not in SECTIONS:
            raise Invalid(f"Unknown section [{section}] in {path}{_nearest(section, SECTIONS)}.")
        if not isinstance(content, dict):
            raise Invalid(f"[{section}] in {path} must be a section with keys, not a single value.")
        known = {f.name for f in fields(SECTIONS[section])}
        sections[section] = {}
        for key, value in cast("dict[str, Any]", content).items():
            if key not in known:
                raise Invalid(f"Unknown key {section}.{key} in {path}{_nearest(key, known)}.")
            sections[section][key] = _convert(value, section, key, f"{section}.{key} in {path}")
    return sections


def _refuse_unknown_variables(environ: Mapping[str, str]) -> None:
    known = _variables()
    for variable in environ:
        if (
            variable.startswith("ENVOI_")
            and variable not in known
            and not variable.startswith(PROCESS_VARIABLES)
        ):
            raise Invalid(f"Unknown environment variable {variable}{_nearest(variable, known)}.")


def _nearest(word: str, known: Any) -> str:
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else f"; known are {', '.join(sorted(known))}"


def _convert(value: Any, section: str, key: str, place: str) -> Any:
    default = next(f.default for f in fields(SECTIONS[section]) if f.name == key)
    wanted = cast("type[Any]", type(default))
    text = str(value).strip()
    if wanted is bool:
        if isinstance(value, bool):
            return value
        if text.lower() in {"1", "true", "yes", "on"}:
            return True
        if text.lower() in {"0", "false", "no", "off", ""}:
            return False
    elif wanted is tuple:
        parts = cast("list[Any]", value) if isinstance(value, list) else text.split(",")
        return tuple(str(part).strip() for part in parts if str(part).strip())
    elif wanted in (int, float):
        try:
            if not isinstance(value, bool):
                return wanted(text)
        except ValueError:
            pass
    elif isinstance(value, str):
        return value
    raise Invalid(f"{place} must be {_KIND[wanted]}, not {value!r}.")


_KIND: dict[type[Any], str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    tuple: "a list of texts",
}
