from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps
from django.utils import translation

from envoi.kernel import registry
from envoi.kernel.registry.labels import FILE, read

LANGUAGES = ("fr", "sv", "ko", "zh-hant")
FILES = [Path(config.path) / FILE for config in apps.get_app_configs() if (Path(config.path) / FILE).exists()]


def labels(*rooms: str) -> Iterator[str]:
    for schema in registry.current():
        if schema.package in rooms:
            yield from (schema.label, schema.singular)
            yield from (each.label for each in schema.attributes.values())
            yield from (value.label for each in schema.enumerations.values() for value in each.values)
            yield from (each.label for each in schema.links.values())


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_entities_of_the_engine_speak_every_language(language: str) -> None:
    known = {label for file in FILES for label, texts in read(file).items() if texts.get(language)}
    assert set(labels("engine")) - known == set()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.parts[-3])
def test_a_label_stands_once_with_all_its_texts(file: Path) -> None:
    lines = file.read_text(encoding="utf-8").splitlines()
    assert lines[0].split("\t") == ["en", *LANGUAGES]
    rows = [line.split("\t") for line in lines[1:]]
    assert [row[0] for row in rows if len(row) != 5 or not all(row)] == []
    assert len({row[0] for row in rows}) == len(rows)


def test_a_label_follows_the_language() -> None:
    assert registry.translate("Internal name", "fr") == "Nom interne"
    assert registry.translate("Internal name", "fr-ca") == "Nom interne"
    assert registry.translate("Internal name", "zh-hant") == "內部名稱"
    assert registry.translate("Internal name", "de") == "Internal name"
    assert registry.translate("Never heard of", "fr") == "Never heard of"
    with translation.override("sv"):
        assert registry.translate("Workflows") == "Arbetsflöden"
