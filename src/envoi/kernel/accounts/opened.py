"""An account with its secrets opened, as only those see it that connect."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from django.conf import settings


class Failed(Exception):  # noqa: N818 it names what became of a trial
    """A server could not be used; the message is a sentence for the operator, without secrets."""


class Untried(Exception):  # noqa: N818
    """No trial is known for an account as it is set."""


@dataclass(frozen=True)
class Credentials:
    """How to reach a server and what to say there. The secrets are never part of a printed form."""

    name: str
    type: str
    values: Mapping[str, str | int | bool | None]
    """Server, port, account and parameters, each with its default."""
    secrets: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)

    def text(self, name: str) -> str:
        """Return a text; empty when it was not given."""
        value = self.values.get(name)
        return "" if value is None else str(value)

    def number(self, name: str) -> int:
        """Return a number; 0 when it was not given."""
        value = self.values.get(name)
        return value if isinstance(value, int) else 0

    def on(self, name: str) -> bool:
        """Return a switch."""
        return self.values.get(name) is True

    def secret(self, name: str) -> str:
        """Return a secret; empty when there is none."""
        return self.secrets.get(name, "")

    def concealed(self, text: str) -> str:
        """Return a text in which no secret of the account can be read."""
        for secret in sorted(self.secrets.values(), key=len, reverse=True):
            if len(secret) >= 3:
                text = text.replace(secret, "•••")
        return text


def allowed() -> tuple[str, ...]:
    """Return the private hosts and networks that accounts may lead to."""
    return settings.CONFIG.network.allow_private
