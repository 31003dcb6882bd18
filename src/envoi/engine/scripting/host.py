"""The other side of a script: what it may ask for, answered by whoever runs it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import NoReturn, Protocol

from envoi.engine.scripting.values import Scalar, Value
from envoi.kernel.errors import Refused


class Level(StrEnum):
    """Levels of logInfo, logWarning and logError."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Host(Protocol):
    """Answers the calls of one script, in the thread and the transaction of the caller.

    A Refused that a method raises becomes an error inside the script, which the script may catch: so raise it
    before anything is written. Any other exception ends the script at once and leaves `run_script` as it is,
    since a transaction may be broken by it.
    """

    @property
    def functions(self) -> frozenset[str]:
        """Names of further functions (dotted: "xtk.session.Write"), which `call` answers."""
        ...

    def log(self, level: Level, message: str) -> None:
        """Write to the journal. After an ERROR the script is stopped; do not raise for it."""
        ...

    def get_option(self, name: str) -> Value:
        """Return the value of an option."""
        ...

    def set_option(self, name: str, value: Scalar) -> None:
        """Set an option."""
        ...

    def load_file(self, path: str) -> str:
        """Return the text of a file of the instance."""
        ...

    def set_completed(self) -> None:
        """Note that the task is finished with this execution."""
        ...

    def post_event(self, transition: str, variables: Mapping[str, Scalar]) -> None:
        """Fire a transition (empty: the first valid one) with the event variables as they are now."""
        ...

    def set_next_processing_date(self, moment: datetime) -> None:
        """Note when the task is to be executed again."""
        ...

    def call(self, name: str, arguments: Sequence[Value]) -> Value:
        """Answer one of `functions`."""
        ...


class Closed:
    """A host that answers nothing: for conditions and texts, and as a base for hosts that answer a little."""

    def __init__(self, place: str = "here") -> None:
        self._place = place

    @property
    def functions(self) -> frozenset[str]:
        """No further functions."""
        return frozenset()

    def log(self, level: Level, message: str) -> None:
        """Let the line go: a condition has no journal of its own."""

    def get_option(self, name: str) -> Value:
        """Refuse."""
        self._refuse("getOption")

    def set_option(self, name: str, value: Scalar) -> None:
        """Refuse."""
        self._refuse("setOption")

    def load_file(self, path: str) -> str:
        """Refuse."""
        self._refuse("loadFile")

    def set_completed(self) -> None:
        """Refuse."""
        self._refuse("task.setCompleted")

    def post_event(self, transition: str, variables: Mapping[str, Scalar]) -> None:
        """Refuse."""
        self._refuse("task.postEvent")

    def set_next_processing_date(self, moment: datetime) -> None:
        """Refuse."""
        self._refuse("task.setNextProcessingDate")

    def call(self, name: str, arguments: Sequence[Value]) -> Value:
        """Refuse."""
        self._refuse(name)

    def _refuse(self, name: str) -> NoReturn:
        raise Refused(f"{name} cannot be used {self._place}.")
