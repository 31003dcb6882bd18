"""Logs of a process: stdlib logging and structlog through one chain, to standard error and HOME/log.

Rooms write `logging.getLogger(__name__).info("what happened", extra={"rows": 12})`; structlog's loggers come
out alike. Fields that hold for a stretch of work (workflow, activity, task) are bound with
`structlog.contextvars`. Secrets and e-mail addresses never reach a log: `mask` is the last step before a
line is written.
"""

import logging
import logging.handlers
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from envoi.kernel.config import LogConfig
from envoi.kernel.errors import Invalid
from envoi.postgres.files import hand_over, make_folder

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

PROCESS_VARIABLE = "ENVOI_PROCESS"
"""Set by `envoi up` in its children: the process's name, which is also the name of its file in HOME/log."""
FILE_BYTES = 10 * 1024 * 1024
FILES_KEPT = 1
"""Beside the one being written: two files of 10 MB a process at most."""
MASKED = "…"

SECRET_KEY = re.compile(
    r"pass(word|wd|phrase)?$|secret|token|authorization|cookie|credential|(api|private|instance|secret)_?key"
    r"|dsn$|session_?id|otp|^pw$",
    re.IGNORECASE,
)
_EMAIL = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]+@[\w-]+(?:\.[\w-]+)+")
_URL_CREDENTIALS = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/@]+@", re.IGNORECASE)
_ASSIGNED = re.compile(
    r"\b(password|passwd|pwd|secret|token|api_?key|authorization)(\"?'?\s*[=:]\s*)"
    r"(\"[^\"]*\"|'[^']*'|(?:bearer |basic )?[^\s,;&]+)",
    re.IGNORECASE,
)


def configure(process: str, log: LogConfig, home: Path | None = None) -> None:
    """Send the logs of this process to standard error and, when `home` is given, to HOME/log/<process>.log
    too.

    The last call wins. Raises Invalid for an unknown level or format.
    """
    level = logging.getLevelNamesMapping().get(log.level.upper())
    if level is None:
        raise Invalid(f"log.level is {log.level!r}; use debug, info, warning, error or critical.")
    if log.format not in ("console", "json"):
        raise Invalid(f"log.format is {log.format!r}; use console or json.")

    import structlog

    def named(logger: "WrappedLogger", method: str, event: "EventDict") -> "EventDict":
        event.setdefault("process", process)
        return event

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        named,
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        mask,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    handlers[0].setFormatter(_formatter(shared, log.format, colors=sys.stderr.isatty()))
    if home is not None:
        folder = home / "log"
        make_folder(home, folder)
        file = SharedRotatingFile(
            folder / f"{process}.log", maxBytes=FILE_BYTES, backupCount=FILES_KEPT, encoding="utf-8"
        )
        hand_over(home, folder / f"{process}.log")
        file.setFormatter(_formatter(shared, log.format, colors=False))
        handlers.append(file)
    _replace_handlers(handlers, level)
    # Chatty libraries: their information is our debugging.
    for name in ("procrastinate", "asyncio", "urllib3", "axes"):
        logging.getLogger(name).setLevel(max(level, logging.WARNING) if level > logging.DEBUG else level)
    logging.captureWarnings(True)


def _replace_handlers(handlers: list[logging.Handler], level: int) -> None:
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
        old.close()
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level)


class QuietFormatter(logging.Formatter):
    """One masked line for a person at a terminal: `warning: what happened`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, with its trace if there is one."""
        return masked_text(f"{record.levelname.lower()}: {super().format(record)}")


class SharedRotatingFile(logging.handlers.RotatingFileHandler):
    """A rotating file that several processes may write: who finds that another has rotated it just follows.

    A reload has two of one name at a time, and `web` is two processes always.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, into the file that has the name now."""
        if self.stream is not None and not self._is_named(self.stream.fileno()):
            self.stream.close()
            self.stream = self._open()
        super().emit(record)

    def _open(self) -> Any:
        # What a log tells is for the owner of the instance alone.
        return open(
            self.baseFilename,
            self.mode,
            encoding=self.encoding,
            errors=self.errors,
            opener=lambda path, flags: os.open(path, flags, 0o600),
        )

    def _is_named(self, handle: int) -> bool:
        try:
            named = os.stat(self.baseFilename)
        except FileNotFoundError:
            return False
        mine = os.fstat(handle)
        return (named.st_dev, named.st_ino) == (mine.st_dev, mine.st_ino)


def configure_from_environment(log: LogConfig, home: Path, *, process: str = "") -> None:
    """Configure the logs of a command: a child of `up` writes its file too, any other only standard error.

    `process` is what the command calls itself when nobody supervises it; a command that does one thing and
    ends passes none and stays silent below warnings.
    """
    supervised = os.environ.get(PROCESS_VARIABLE, "")
    if supervised:
        configure(supervised, log, home)
    elif process:
        configure(process, log)
    elif log.level.lower() == "debug":
        configure("envoi", log)
    else:
        # Without structlog, whose import is a fifth of what a short command costs.
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(QuietFormatter())
        _replace_handlers([handler], logging.WARNING)
        logging.captureWarnings(True)


def mask(logger: "WrappedLogger", method: str, event: "EventDict") -> "EventDict":
    """Replace secrets and e-mail addresses by marks, at any depth, in the message and in traces too."""
    return {key: _masked(key, value) for key, value in event.items()}


def _masked(key: str, value: Any) -> Any:
    if key.startswith("_"):
        return value
    if SECRET_KEY.search(key) and value not in (None, ""):
        return MASKED
    if isinstance(value, str):
        return masked_text(value)
    if isinstance(value, Mapping):
        return {inner: _masked(str(inner), held) for inner, held in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_masked("", held) for held in cast("list[Any]", value)]
    if value is None or isinstance(value, int | float):
        return value
    return masked_text(str(value))


def masked_text(text: str) -> str:
    """Return a text without secrets and e-mail addresses, as far as they can be told by their form."""
    text = _URL_CREDENTIALS.sub(rf"\1{MASKED}@", text)
    text = _ASSIGNED.sub(rf"\1\2{MASKED}", text)
    return _EMAIL.sub("<e-mail>", text)


def _formatter(shared: "list[Processor]", form: str, *, colors: bool) -> logging.Formatter:
    import structlog

    renderer: Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=0)
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )
