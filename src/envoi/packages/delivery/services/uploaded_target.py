"""A file that somebody uploads becomes the target of a delivery to an external file: a small workflow loads
it and gives it to the delivery, and shows what was read and what was rejected (delivery.md §1.1).
"""

import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from envoi.engine import commands, editing, files
from envoi.engine.commands import Command
from envoi.engine.definition import Activity, Definition, Transition
from envoi.engine.models import Workflow
from envoi.engine.scripts import FILES
from envoi.kernel import clock, folders
from envoi.kernel.errors import Conflict, Invalid
from envoi.kernel.folders import Access
from envoi.kernel.rights import Actor, Right
from envoi.packages.delivery.models import Delivery
from envoi.packages.delivery.services import file_target
from envoi.packages.delivery.services.deliveries import states

FOLDER = "targetingWorkflows"
PLACE = "deliveries"
"""Folder of uploaded files, below HOME/files, where workflows may read."""
_PREFIX = "fileOf"
_READ_WITHIN = timedelta(days=1)


def upload(delivery: Delivery, name: str, pieces: Iterable[bytes], *, actor: Actor) -> Workflow:
    """Keep an uploaded file, and start the workflow that makes it the target.

    A file that cannot be read leaves nothing. Raises NotAllowed without PREPARE DELIVERIES or WORKFLOW,
    Conflict for a delivery that is analysed, or for rows of a table, Refused for what is no file of lines.
    """
    actor.require(Right.PREPARE_DELIVERIES, to=_("prepare deliveries"))
    folders.require(actor, delivery.folder, Access.WRITE)
    if not file_target.concerns(delivery.mapping):
        raise Conflict(_("%(label)s is for rows of a table, not for a file.") % {"label": delivery.label})
    if delivery.status not in states.EDITABLE or states.has_begun(delivery):
        raise Conflict(_("%(label)s cannot get another target any more.") % {"label": delivery.label})
    path = _kept(name, pieces)
    try:
        if not files.detect(files.Source.of(path)).columns:
            raise Invalid(_("%(name)s has no columns.") % {"name": name[:128]})
        with transaction.atomic():
            number = Workflow.objects.filter(internal_name__startswith=_named(delivery)).count() + 1
            made = editing.create(
                actor,
                f"{_named(delivery)}{number}",
                (_("File of %(label)s") % {"label": delivery.label})[:128],
                _definition(delivery, path),
                FOLDER,
                keep_results=True,
            )
            commands.post(actor, made.internal_name, Command.START)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return made


def loading(delivery: Delivery) -> Workflow | None:
    """Return the workflow of the file that was uploaded last."""
    found = Workflow.objects.filter(internal_name__startswith=_named(delivery))
    return found.order_by("-workflow_id").first()


def purge() -> int:
    """Delete uploaded files older than a day: what they hold is in work tables since. Returns how many.

    Each upload does so, and the nightly cleanup may.
    """
    old = clock.now().timestamp() - _READ_WITHIN.total_seconds()
    gone = 0
    for path in _place().iterdir():
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < old:
                path.unlink()
                gone += 1
    return gone


def _named(delivery: Delivery) -> str:
    return f"{_PREFIX}{delivery.pk}_"


def _place() -> Path:
    folder = Path(settings.ENVOI.home) / FILES / PLACE
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _kept(name: str, pieces: Iterable[bytes]) -> Path:
    purge()
    ending = Path(name).suffix[:8]
    path = _place() / f"{secrets.token_hex(8)}{ending if ending.isascii() and ending[1:].isalnum() else ''}"
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            for piece in pieces:
                file.write(piece)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def _definition(delivery: Delivery, path: Path) -> Definition:
    given = {
        "source": "explicit",
        "delivery": delivery.internal_name,
        "recipients": "transition",
        "action": "save",
    }
    return Definition(
        (
            Activity(
                "loadfile", "load", _("The file"), x=0, y=40, parameters={"file": f"{PLACE}/{path.name}"},
                transitions=(Transition("transition", "target"),),
            ),
            Activity(
                "delivery", "target", delivery.label, x=200, y=40, parameters=given,
                transitions=(Transition("transition", "end"),),
            ),
            Activity("end", "end", x=400, y=40),
        )
    )  # fmt: skip
