"""What the pages of sending have in common: their tabs, states of looks at DNS, numbers from a form."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy

from envoi.console import explorer
from envoi.kernel import folders
from envoi.kernel.errors import Invalid, NotFound
from envoi.kernel.models import Folder
from envoi.kernel.rights import Actor
from envoi.packages.delivery.models import CheckState

TABS = (
    ("nms:sendingDomain", lazy("Domains and keys"), "delivery:sending-domains"),
    ("nms:ip", lazy("Sending addresses"), "delivery:sending-addresses"),
    ("nms:mxRule", lazy("MX rules"), "delivery:mx-rules"),
    ("nms:deliverabilityUpdate", lazy("Updates of rules"), "delivery:deliverability"),
)
FACES: dict[int, tuple[str, str, Any]] = {
    CheckState.UNKNOWN: ("draft", "req", lazy("Not known")),
    CheckState.GOOD: ("ok", "ok", lazy("Good")),
    CheckState.WARNING: ("warn", "warn", lazy("Look at it")),
    CheckState.BAD: ("bad", "bad", lazy("Bad")),
}


def tabs(current: str) -> list[tuple[Any, str, bool]]:
    """Return (label, address, is this one) of the pages of sending."""
    return [(label, reverse(name), schema == current) for schema, label, name in TABS]


def folder_of(actor: Actor, schema: str) -> Folder:
    """Return the folder of a page below one. Raises NotFound."""
    found = folders.readable_folders(actor).filter(model=schema).order_by("path").first()
    if found is None:
        raise NotFound(_("There is nothing here."))
    return found


def below(request: HttpRequest, actor: Actor, schema: str) -> dict[str, object]:
    """Return the frame of a page below the folder of a schema."""
    folder = folder_of(actor, schema)
    return {
        **explorer.frame(request, folder),
        "crumbs": explorer.crumbs(request, folder, whole=True),
        "tabs": tabs(schema),
    }


def number(text: str) -> int:
    """Return the number of a row that a form names. Raises Invalid."""
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise Invalid(_("Nothing was chosen that could be done."))
    return int(text)
