"""Rule: what is translated is compiled too, so that the wheel needs no tools; French is complete."""

import gettext

import pytest
from babel.messages import mofile, pofile


def plain(message):
    """Return what a compiled catalogue holds for a message, plural forms and all."""
    return list(message.string) if isinstance(message.string, tuple) else [message.string]


def compiled_is_stale(file):
    """Return the texts whose compiled form differs from the written one."""
    compiled = file.with_suffix(".mo")
    if not compiled.exists():
        return [f"{compiled.name} is missing"]
    with file.open("rb") as written, compiled.open("rb") as machine:
        catalog, known = pofile.read_po(written), gettext.GNUTranslations(machine)
    stale = []
    for message in catalog:
        if not message.id or message.fuzzy or not any(plain(message)):
            continue
        single = message.id[0] if message.pluralizable else message.id
        keys = [f"{message.context}\x04{single}" if message.context else single]
        found = known._catalog.get(keys[0], known._catalog.get((keys[0], 0)))
        if found != plain(message)[0]:
            stale.append(str(single))
    return stale


def untranslated(file):
    with file.open("rb") as written:
        return [str(m.id) for m in pofile.read_po(written) if m.id and (m.fuzzy or not all(plain(m)))]


@pytest.fixture
def catalog(tmp_path):
    file = tmp_path / "django.po"
    file.write_text(
        'msgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\n"\n'
        '"Plural-Forms: nplurals=2; plural=(n > 1);\\n"\n\n'
        'msgid "Open"\nmsgstr "Ouvrir"\n\nmsgctxt "state"\nmsgid "Open"\nmsgstr "Ouvert"\n\n'
        'msgid "%d row"\nmsgid_plural "%d rows"\nmsgstr[0] "%d ligne"\nmsgstr[1] "%d lignes"\n'
    )
    with file.open("rb") as written, file.with_suffix(".mo").open("wb") as machine:
        mofile.write_mo(machine, pofile.read_po(written))
    return file


def test_a_stale_catalogue_is_found(catalog):
    assert compiled_is_stale(catalog) == []
    catalog.write_text(catalog.read_text().replace("Ouvert", "Ouverte").replace("%d ligne", "%d rang"))
    assert compiled_is_stale(catalog) == ["Open", "%d row"]
    assert untranslated(catalog) == []
    catalog.write_text(catalog.read_text().replace("Ouverte", ""))
    assert untranslated(catalog) == ["Open"]


def test_compiled_catalogues_are_current(pytestconfig):
    files = [*pytestconfig.rootpath.glob("src/**/locale/*/LC_MESSAGES/*.po")]
    assert [f"{file}: {text}" for file in files for text in compiled_is_stale(file)] == []


def test_french_is_complete(pytestconfig):
    files = [*pytestconfig.rootpath.glob("src/**/locale/fr/LC_MESSAGES/*.po")]
    assert [f"{file}: {text}" for file in files for text in untranslated(file)] == []
