"""French is whole, and what readers see is in each of their languages: every message has a text, its places
are kept, the compiled form is the written one.
"""

import gettext
import importlib.util
import io
import re
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location("catalogue", Path(__file__).with_name("catalogue.py"))
assert _spec
assert _spec.loader
catalogue = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(catalogue)

PLACE = re.compile(r"%\(\w+\)\d*[a-z]|\{\w+\}")
ROOMS = catalogue.rooms()
CATALOGUES = [(room, "fr") for room in ROOMS] + [
    (catalogue.PACKAGES / package, code) for code, package in catalogue.FOR_READERS.items()
]
of_each = pytest.mark.parametrize(
    ("room", "language"), CATALOGUES, ids=[f"{room.name}-{language}" for room, language in CATALOGUES]
)


def both(message):
    """Pairs of (original, translation) of a message and its plural."""
    if isinstance(message.id, (tuple, list)):
        return [(message.id[min(at, 1)], text) for at, text in enumerate(message.string)]
    return [(message.id, message.string)]


def texts(compiled: bytes) -> dict[object, str]:
    """Return what a compiled catalogue holds, but for its header."""
    found = dict(gettext.GNUTranslations(io.BytesIO(compiled))._catalog)
    del found[""]
    return found


@of_each
def test_every_message_has_a_text(room, language):
    stored = catalogue.catalogue(room, language)
    without = {
        f"{message.id!r} ({message.place})"
        for message in catalogue.wanted(room, language)
        if (known := stored.get(message.id, message.context)) is None or not catalogue.has_text(known)
    }
    assert without == set(), "run src/envoi/console/tests/catalogue.py, then write the texts in the .po file"


@of_each
def test_a_translation_keeps_the_places_of_its_message(room, language):
    for message in catalogue.catalogue(room, language):
        for original, text in both(message) if message.id and catalogue.has_text(message) else ():
            assert sorted(PLACE.findall(text)) == sorted(PLACE.findall(original)), text


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_french_sets_no_break_spaces_where_they_are_due(room):
    for message in catalogue.catalogue(room, "fr"):
        for _original, text in both(message) if message.id else ():
            assert not re.search(
                r"[^\s\u202f\u00a0][;!?»]|« |«\w| [;!?»]| :(?![\d%])", text.replace("\n", "")
            ), text


@of_each
def test_the_compiled_catalogue_is_the_written_one(room, language):
    folder = catalogue.folder_of(room, language)
    written = catalogue.compiled(catalogue.catalogue(room, language))
    assert texts((folder / "django.mo").read_bytes()) == texts(written)


def test_the_reader_sees_templates_and_code():
    found = {message.id for message in catalogue.messages(ROOMS[0])}
    assert "Skip to content" in found
    assert ("%(n)s result", "%(n)s results") in found
    assert (
        "%(n)d try left before a pause of %(minutes)d minutes.",
        "%(n)d tries left before a pause of %(minutes)d minutes.",
    ) in found
