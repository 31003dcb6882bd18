"""The errors of the platform, and what each means to the one who sees it.

    PlatformError
    ├── Refused          the request cannot be done as it stands; shown to the operator, alarms nobody
    │   ├── NotAllowed   … because the actor lacks a right
    │   ├── NotFound     … because the thing named does not exist (or is not visible to the actor)
    │   ├── Invalid      … because a value or a definition is wrong
    │   └── Conflict     … because of the state that the thing is in
    ├── Retry            could not be done now, will be tried again after a delay
    └── Broken           a fault of ours or of the environment; reported with its trace

A message names the thing, the place and the remedy. HTTP statuses and exit codes are given by `web` and
`cli`.
"""


class PlatformError(Exception):
    """Base of every error that Envoi raises on purpose."""


class Refused(PlatformError):  # noqa: N818 an error is named after what became of the request
    """The request cannot be done as it stands."""


class NotAllowed(Refused):
    """The actor lacks a right. The message names the right and who can give it."""


class NotFound(Refused):
    """What was named does not exist, or is not visible to the actor."""


class Invalid(Refused):
    """A value or a definition is wrong. The message names the place."""


class Conflict(Refused):
    """The thing's present state forbids it."""


class Retry(PlatformError):  # noqa: N818
    """Could not be done now; worth trying again after `seconds`."""

    def __init__(self, message: str, *, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class Broken(PlatformError):  # noqa: N818
    """A fault of ours or of the environment."""
