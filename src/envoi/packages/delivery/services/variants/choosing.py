"""Which variant a reader gets: `fr-CA` that of `fr-ca`, else that of `fr`, else the default."""

from collections.abc import Collection, Mapping
from typing import Any

from envoi.packages.delivery.services.content.templates import Templates

_MOST = 1000
"""Languages as readers have them that are remembered."""


def chosen(value: object, languages: Collection[str]) -> str:
    """Return the variant for the language of a reader; empty: the default."""
    code = str(value).strip().lower().replace("_", "-")
    while code and code not in languages:
        code = code.rpartition("-")[0]
    return code


class Choice:
    """How a variant is chosen by the values of a message."""

    def __init__(self, by: Templates, languages: Collection[str]) -> None:
        """`by`: templates whose subject gives the language of a reader."""
        self._by, self._languages = by, languages
        self._found: dict[str, str] = {}

    def language(self, values: Mapping[str, Any]) -> str:
        """Return the variant for a reader; empty: the default. Raises CannotRender, TooLong."""
        said = self._by.render(values)["subject"]
        found = self._found.get(said)
        if found is None:
            if len(self._found) >= _MOST:
                self._found.clear()
            found = self._found[said] = chosen(said, self._languages)
        return found


def languages(sources: Mapping[str, str]) -> tuple[str, ...]:
    """Return the languages among the names of templates: those of `fr/html` and the like."""
    return tuple(dict.fromkeys(name.partition("/")[0] for name in sources if "/" in name))


def sources(of: Mapping[str, str], language: str) -> dict[str, str]:
    """Return the templates of a variant, or of the default, by the names of `templates.PARTS`."""
    own = {name: text for name, text in of.items() if "/" not in name}
    start = f"{language}/"
    return own | {name.removeprefix(start): text for name, text in of.items() if name.startswith(start)}
