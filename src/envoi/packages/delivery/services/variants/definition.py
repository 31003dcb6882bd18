"""What is said about variants: JSON outside, checked values inside; and a delivery that holds one of them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from babel import Locale, UnknownLocaleError
from django.utils.translation import gettext as _

from envoi.kernel.errors import Invalid, NotFound
from envoi.packages.delivery.models import Delivery
from envoi.packages.delivery.services.content import translating

BY = "{{ recipient.language }}"
VARIED = ("subject", "from_name", "html_source", "text_source", "mjml_source")
"""Properties of a delivery that a variant has of its own."""
MOST = 40
_CODE = re.compile(r"^[a-z]{2,3}(-[a-z0-9]{2,8})*$")
_PARTS = {"subject": "subject", "from_name": "from_name", "html_source": "html", "text_source": "text"}


@dataclass(frozen=True)
class Variants:
    """All of it. `of`: language -> property -> text; `language` may be empty: nobody has said it."""

    by: str = BY
    language: str = ""
    of: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])

    def said(self) -> dict[str, Any]:
        """Return it as it is kept."""
        return {"by": self.by, "language": self.language, "of": {k: dict(v) for k, v in self.of.items()}}


def read(said: Mapping[str, Any]) -> Variants:
    """Return what is said. Raises Invalid, naming what is wrong."""
    if strange := sorted(set(said) - {"by", "language", "of"}):
        raise Invalid(_("Variants have no %(name)r.") % {"name": strange[0]})
    by, language = said.get("by", BY), said.get("language", "")
    if not isinstance(by, str) or not isinstance(language, str):
        raise Invalid(_("%(place)s must be a text.") % {"place": "by, language"})
    given: Any = said.get("of", {})
    if not isinstance(given, Mapping):
        raise Invalid(_("Variants are said by their language."))
    of: dict[str, Mapping[str, str]] = {}
    for code, texts in cast("Mapping[str, Any]", given).items():
        if not isinstance(texts, Mapping) or not all(
            name in VARIED and isinstance(text, str)
            for name, text in cast("Mapping[str, Any]", texts).items()
        ):
            raise Invalid(
                _("The variant %(name)s has texts only, of: %(known)s.")
                % {"name": code, "known": ", ".join(VARIED)}
            )
        texts = cast("Mapping[str, str]", texts)
        of[known(code)] = {
            name: translating.translated(text, html=name == "html_source").source
            if name in ("subject", "html_source", "text_source")
            else text
            for name, text in texts.items()
        }
    if len(of) > MOST:
        raise Invalid(_("A delivery has at most %(most)d variants.") % {"most": MOST})
    return Variants(by.strip() or BY, known(language) if language.strip() else "", of)


def known(language: str) -> str:
    """Return the code of a language as it is kept: `fr`, `fr-ca`. Raises Invalid for what is none."""
    code = language.strip().lower().replace("_", "-")
    try:
        if not _CODE.match(code):
            raise ValueError(code)
        Locale.parse(code.replace("-", "_"))
    except (ValueError, UnknownLocaleError) as error:
        raise Invalid(
            _("%(name)r is no language: write a code such as fr or fr-ca.") % {"name": language.strip()}
        ) from error
    return code


def enter(delivery: Delivery, language: str) -> None:
    """Let an object of a delivery hold the content of one of its variants, so that it is shown and changed in
    place of its own. Nothing is written. Raises NotFound.
    """
    if not language:
        return
    texts = read(delivery.variants).of.get(language)
    if texts is None:
        raise NotFound(_("%(label)s has no variant %(name)s.") % {"label": delivery.label, "name": language})
    if not delivery.variant:
        delivery.varied = {name: getattr(delivery, name) for name in VARIED}
    delivery.variant = language
    for name in VARIED:
        setattr(delivery, name, texts.get(name, ""))


def stored(delivery: Delivery, given: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """Return changes of a delivery as those of its columns: when the object holds a variant, what varies is
    written into that one of `before`, the variants as they are. Raises NotFound.
    """
    values = dict(given)
    texts = {name: values.pop(name) for name in VARIED if name in values and delivery.variant}
    if not texts:
        return values
    found = read(before)
    if delivery.variant not in found.of:
        raise NotFound(
            _("%(label)s has no variant %(name)s.") % {"label": delivery.label, "name": delivery.variant}
        )
    of = {**found.of, delivery.variant: {**found.of[delivery.variant], **texts}}
    return {**values, "variants": Variants(found.by, found.language, of).said()}


def whole(delivery: Delivery) -> dict[str, str]:
    """Return the texts that a delivery holds, those that a variant lacks from the default."""
    made = {name: getattr(delivery, name) for name in VARIED}
    if not delivery.variant:
        return made
    lacking = {name for name in ("subject", "from_name") if not made[name].strip()}
    if not (made["html_source"].strip() or made["text_source"].strip()):
        lacking |= {"html_source", "text_source"}
    return made | {name: delivery.varied.get(name, "") for name in lacking}


def parts(delivery: Delivery) -> dict[str, str]:
    """Return the templates of the variants by the names of `templates.PARTS`, the language before each:
    `fr/html`. HTML and text belong together: a variant with one of them has not the other of the default.
    """
    made: dict[str, str] = {}
    for language, texts in read(delivery.variants).of.items():
        given = {part: texts.get(name, "") for name, part in _PARTS.items()}
        wanted = [name for name in ("subject", "from_name") if given[name].strip()]
        if given["html"].strip() or given["text"].strip():
            wanted += ["html", "text"]
        made |= {f"{language}/{name}": given[name] for name in wanted}
    return made
