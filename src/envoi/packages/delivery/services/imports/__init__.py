"""Imports of files of profiles: proposed, checked, merged set by set, resumable and undoable (ADR 0017)."""

from envoi.packages.delivery.services.imports.jobs import (
    configure,
    create,
    drop,
    enqueue,
    find,
    purge,
    require,
    start,
    stop,
    undo,
    visible,
    work,
)
from envoi.packages.delivery.services.imports.plan import (
    Doubles,
    Error,
    Null,
    Operation,
    Plan,
    Target,
    sinks,
    targets_of,
)
from envoi.packages.delivery.services.imports.previewing import preview
from envoi.packages.delivery.services.imports.proposal import propose, propose_for
from envoi.packages.delivery.services.imports.rejects import write_rejects

__all__ = [
    "Doubles", "Error", "Null", "Operation", "Plan", "Target", "configure", "create", "drop", "enqueue",
    "find", "preview", "propose", "propose_for", "purge", "require", "sinks", "start", "stop", "targets_of",
    "undo", "visible", "work", "write_rejects",
]  # fmt: skip
