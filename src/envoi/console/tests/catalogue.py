"""Reads every translatable message of the project, and brings the French catalogues up to date.

Each package has a catalogue of its own in its `locale`; the console holds those of all other rooms. Run
by path, this file adds new messages without a text, drops those that no longer occur, writes the compiled
catalogues and tells what has no text yet. A test compares what it reads with what there is. The languages
that only readers are spoken to in have catalogues of what readers see.
"""

import io
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from babel.messages import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

SOURCE = Path(__file__).resolve().parents[2]
PACKAGES = SOURCE / "packages"
FOR_READERS = {"sv": "delivery", "ko": "delivery", "zh_Hant": "delivery"}
"""Language that only readers are spoken to in, and the package whose pages they see."""
_READERS_SEE = ("endpoints/", "services/landing/", "console/templates/delivery/reader/")
KEYWORDS = {
    "_": None,
    "lazy": None,
    "gettext": None,
    "gettext_lazy": None,
    "gettext_noop": None,
    "ngettext": (1, 2),
    "ngettext_lazy": (1, 2),
    "pgettext": ((1, "c"), 2),
    "pgettext_lazy": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
}


class Message(NamedTuple):
    """One message: its id (two for a plural), its context, where it stands first."""

    id: str | tuple[str, str]
    context: str | None
    place: str


def rooms() -> list[Path]:
    """Return the folders that have a catalogue: the console, for the platform's rooms, and each package."""
    return [SOURCE / "console", *sorted(path.parent for path in PACKAGES.glob("*/package.py"))]


def messages(room: Path) -> Iterator[Message]:
    """Yield the messages that belong into the catalogue of a room, tests left out."""
    top = SOURCE if room.parent == SOURCE else room
    for path in sorted(top.rglob("*")):
        parts = path.relative_to(SOURCE).parts
        if "tests" in parts or "static" in parts or (top == SOURCE and parts[0] == "packages"):
            continue
        if path.suffix == ".py":
            text = path.read_text(encoding="utf-8")
        elif path.suffix in (".html", ".txt") and "templates" in parts:
            text = _as_python(path)
        else:
            continue
        place = path.relative_to(SOURCE).as_posix()
        for line, found, _comments, context in extract("python", io.BytesIO(text.encode()), KEYWORDS):
            identity = tuple(found) if isinstance(found, (tuple, list)) else found
            if identity:
                yield Message(identity, context, f"{place}:{line}")  # pyright: ignore[reportArgumentType]


def wanted(room: Path, language: str) -> Iterator[Message]:
    """Yield the messages that have a text in a language: all of a room, or those that readers see."""
    places = tuple(f"packages/{FOR_READERS.get(language, '')}/{each}" for each in _READERS_SEE)
    for message in messages(room):
        if language not in FOR_READERS or message.place.startswith(places):
            yield message


def folder_of(room: Path, language: str) -> Path:
    """Return where a room's catalogue of a language lies."""
    return room / "locale" / language / "LC_MESSAGES"


def catalogue(room: Path, language: str) -> Catalog:
    """Return the stored catalogue of a language; an empty one when there is none."""
    path = folder_of(room, language) / "django.po"
    if not path.exists():
        return Catalog(locale=language)
    with path.open("rb") as file:
        return read_po(file, locale=language)


def has_text(message: Any) -> bool:
    """Return whether a message of a catalogue is translated, in each of its plural forms."""
    text = message.string
    return all(text) if isinstance(text, (list, tuple)) else bool(text)


def compiled(catalog: Catalog) -> bytes:
    """Return the compiled form of a catalogue."""
    out = io.BytesIO()
    # A date of its own would make each compilation another file.
    catalog.creation_date = catalog.revision_date = datetime(2026, 1, 1, tzinfo=UTC)
    write_mo(out, catalog)
    return out.getvalue()


def store(room: Path, language: str, catalog: Catalog) -> None:
    """Write a catalogue and its compiled form, without dates and names that would differ each time."""
    folder = folder_of(room, language)
    folder.mkdir(parents=True, exist_ok=True)
    catalog.header_comment = "# Messages of Envoi."
    out = io.BytesIO()
    write_po(out, catalog, width=110, sort_output=True)
    noise = r'^"(POT-Cr|PO-Rev|Generated-By|Last-Translator|Language-Team|Report-Msgid)[^\n]*\n'
    (folder / "django.po").write_text(
        re.sub(noise, "", out.getvalue().decode(), flags=re.M), encoding="utf-8"
    )
    (folder / "django.mo").write_bytes(compiled(catalogue(room, language)))


def update(room: Path, language: str) -> list[str]:
    """Bring the catalogue of a room up to date and return the messages that have no text yet."""
    old = catalogue(room, language)
    new = Catalog(locale=language, project="Envoi", version="1", fuzzy=False, charset="utf-8")
    for message in wanted(room, language):
        known = old.get(message.id, message.context)  # pyright: ignore[reportArgumentType]
        text = known.string if known else ""
        new.add(message.id, text, context=message.context)  # pyright: ignore[reportArgumentType]
    store(room, language, new)
    return [str(message.id) for message in catalogue(room, language) if message.id and not has_text(message)]


def _as_python(path: Path) -> str:
    """Turn a template into calls of gettext, one a line."""
    from django.utils.translation.template import templatize

    text = templatize(path.read_text(encoding="utf-8"), origin=str(path))
    calls = re.findall(
        r"\b(?:n?p?gettext|_)\((?:[^()'\"]|u?r?'(?:\\.|[^'\\])*'|u?r?\"(?:\\.|[^\"\\])*\")*\)", text
    )
    return "\n".join(calls)


if __name__ == "__main__":
    missing = [text for room in rooms() for text in update(room, "fr")]
    for code, package in FOR_READERS.items():
        missing += [f"{code}: {text}" for text in update(PACKAGES / package, code)]
    sys.exit("\n".join(missing) or 0)
