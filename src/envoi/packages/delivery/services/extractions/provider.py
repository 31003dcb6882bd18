"""The provider of a file: a routing account, and where it takes files."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.utils.translation import gettext as _

from envoi.engine.transfers import KINDS, remote
from envoi.kernel import accounts
from envoi.kernel.errors import Invalid
from envoi.kernel.rights import Actor, internal
from envoi.packages.delivery.models import Channel
from envoi.packages.delivery.services import channels
from envoi.packages.delivery.services.extractions.definition import Extraction

HERE = "files"
"""The folder of HOME below which files for providers without an account of their own lie."""
FOLDER = "providers"


@dataclass(frozen=True)
class Provider:
    """Where files go. `transfer`: the account by which they are moved; empty for a folder of this host."""

    name: str
    transfer: str
    folder: str


def of(said: Extraction, channel: Channel, *, actor: Actor) -> Provider:
    """Return the provider of a delivery; without one its file goes to HOME/files/providers.

    The actor must see the routing account; the one that it names for transfers belongs to it.

    Raises NotFound, Conflict for an account that is disabled, Invalid for one by which no files go.
    """
    if not said.provider:
        return Provider("", "", FOLDER)
    account = accounts.credentials(said.provider, actor=actor)
    if account.type != "routing" or account.text("mode") != "external":
        raise Invalid(_("%(name)s is no routing account for external deliveries.") % {"name": said.provider})
    if account.text("channel") != channels.of(channel).name:
        raise Invalid(_("The provider %(name)s is for another channel.") % {"name": said.provider})
    transfer = account.text("transfer")
    if transfer and accounts.credentials(transfer, actor=internal()).type not in KINDS:
        raise Invalid(_("By the account %(name)s no files are moved.") % {"name": transfer})
    return Provider(account.name, transfer, account.text("folder").strip("/") or ("" if transfer else FOLDER))


def give(to: Provider, path: Path) -> str:
    """Bring a file to a provider, and return where it is there. Done again, it replaces what it has brought.

    Raises Failed of the engine when the provider cannot be reached, Invalid for a folder outside of
    HOME/files.
    """
    name = f"{to.folder}/{path.name}" if to.folder else path.name
    if to.transfer:
        remote(accounts.credentials(to.transfer, actor=internal())).store(path, name)
        return name
    root = (Path(settings.ENVOI.home) / HERE).resolve()
    goal = (root / name).resolve()
    if not goal.is_relative_to(root):
        raise Invalid(_("%(path)s is not in the folder of files of the instance.") % {"path": name})
    goal.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = goal.with_name(f".{goal.name}.part")
    shutil.copyfile(path, part)
    part.replace(goal)
    return name
