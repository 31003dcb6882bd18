"""States as people see them: word, colour and icon together (any two suffice)."""

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True)
class Face:
    """How a state shows: class of its colour, icon, word."""

    css: str
    icon: str
    word: Any


WORKFLOW = {
    "editing": Face("draft", "draft", _("Being edited")),
    "never": Face("draft", "draft", _("Never started")),
    "starting": Face("draft", "req", _("Starting…")),
    "resuming": Face("draft", "req", _("Resuming…")),
    "pausing": Face("warn", "req", _("Pausing…")),
    "stopping": Face("draft", "req", _("Stopping…")),
    "restarting": Face("draft", "req", _("Restarting…")),
    "waiting": Face("wait", "wait", _("Waiting")),
    "signal": Face("wait", "sig", _("Waiting for a signal")),
    "working": Face("run", "run", _("Working")),
    "approval": Face("ask", "ask", _("Waiting for approval")),
    "late": Face("warn", "late", _("Late")),
    "long": Face("warn", "late", _("Long")),
    "paused": Face("warn", "paused", _("Paused")),
    "failed": Face("bad", "bad", _("Failed")),
    "stopped": Face("draft", "stopped", _("Stopped")),
    "finished": Face("ok", "ok", _("Finished")),
}
UNKNOWN = Face("draft", "info", _("Unknown"))
EVERY_ICON = " ".join(sorted({face.icon for face in WORKFLOW.values()}))


def workflow(key: str) -> Face:
    """Return the face of a workflow's state by its word key."""
    return WORKFLOW.get(key, UNKNOWN)
