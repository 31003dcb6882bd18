"""Labels of schemas, attributes, links and enumeration values in the languages of the product.

Beside its models a package has `labels.tsv`: the English label, then one column a language. A label without
an entry is shown in English.
"""

import csv
from functools import cache
from pathlib import Path

from django.apps import apps
from django.utils.translation import get_language

FILE = Path("models", "labels.tsv")


def translate(label: str, language: str | None = None) -> str:
    """Return an English label of the registry in a language ("fr", "zh-hant"; default: the active one)."""
    wanted = (language or get_language() or "en").lower()
    known = _all().get(label, {})
    return known.get(wanted) or known.get(wanted.partition("-")[0]) or label


@cache
def _all() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for config in apps.get_app_configs():
        file = Path(config.path) / FILE
        if file.exists():
            for label, texts in read(file).items():
                found.setdefault(label, texts)
    return found


def read(file: Path) -> dict[str, dict[str, str]]:
    """Return English label -> language -> text of one file; languages in lower case."""
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    return {
        row["en"]: {language.lower(): text for language, text in row.items() if language != "en" and text}
        for row in rows
    }
