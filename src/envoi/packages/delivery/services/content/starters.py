"""Pages that a message can begin with: MJML of ours, with texts in English and French.

@title@          a text of `texts.tsv`
@head@           another file: what all pages share
@image:sea.png@  the address of a picture, which is taken into the public resources
"""

import csv
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path

from django.templatetags.static import static
from django.utils.translation import gettext as _

from envoi.kernel.errors import NotFound
from envoi.kernel.rights import Actor
from envoi.packages.delivery.services.content import images, preview, visual

DATA = Path(__file__).parents[2] / "data" / "starters"
PICTURES = Path(__file__).parents[2] / "console" / "static" / "delivery" / "starters"
LANGUAGES = ("en", "fr")
EMPTY = "empty"
NAMES = ("newsletter", "promotion", "invitation", "receipt", "letter")
_SAMPLE = {
    "recipient.firstName": "Camille",
    "recipient.lastName": "Martin",
    "recipient.location.zipCode": "69002",
    "recipient.location.city": "Lyon",
    "message.address": "camille@example.org",
}
_MARK = re.compile(r"\{%.*?%\}|\{\{\s*([\w.]*).*?\}\}")
_PLACE = re.compile(r"@(image:)?([\w.-]+)@")


@dataclass(frozen=True)
class Starter:
    """One of them, as it is offered; `html` shows it, and is empty for the empty page."""

    name: str
    label: str
    text: str
    html: str = ""


def shown(language: str) -> list[Starter]:
    """Return what there is to begin with, in a language."""
    said = {
        "newsletter": (_("Newsletter"), _("An opening picture, a lead story, two more, a last word.")),
        "promotion": (_("Promotion"), _("One offer in large letters, three products, one button.")),
        "invitation": (_("Invitation"), _("An event with its date, its place and its programme.")),
        "receipt": (_("Service message"), _("An order, a booking, a receipt: facts in a table.")),
        "letter": (_("Letter"), _("Words from one person to another, without decoration.")),
    }
    return [
        Starter(EMPTY, _("Empty page"), _("One section, ready for blocks.")),
        *(
            Starter(name, *said[name], html=_sample(visual.compiled(_filled(name, language, _shipped))))
            for name in NAMES
        ),
    ]


def source(name: str, language: str, *, actor: Actor) -> str:
    """Return the MJML of a page, its pictures taken into the public resources.

    Raises NotFound for a name that is none; NotAllowed.
    """
    if name not in (EMPTY, *NAMES):
        raise NotFound(_("There is no page %(name)r to begin with.") % {"name": name})

    def taken(picture: str) -> str:
        image, _new = images.add(picture, (PICTURES / picture).read_bytes(), actor=actor)
        return images.address(image)

    return _filled(name, language if language in LANGUAGES else LANGUAGES[0], taken)


def _filled(name: str, language: str, address: Callable[[str], str]) -> str:
    texts = _texts()[language]

    def one(found: re.Match[str]) -> str:
        if found[1]:
            return escape(address(found[2]))
        if found[2] in texts:
            return texts[found[2]]
        return _PLACE.sub(one, (DATA / f"{found[2]}.mjml").read_text(encoding="utf-8"))

    return _PLACE.sub(one, (DATA / f"{name}.mjml").read_text(encoding="utf-8"))


def _sample(html: str) -> str:
    """Return a page as somebody would get it."""
    return preview.in_scheme(_MARK.sub(lambda mark: _SAMPLE.get(mark[1] or "", ""), html), dark=False)


def _shipped(picture: str) -> str:
    return static(f"delivery/starters/{picture}")


@cache
def _texts() -> dict[str, dict[str, str]]:
    with (DATA / "texts.tsv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    return {language: {row["key"]: row[language] for row in rows} for language in LANGUAGES}
