"""Personalization blocks: put into templates before anything else is done with them (delivery.md §2.9)."""

import difflib
import re
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from envoi.kernel import clock, shipped
from envoi.kernel.errors import Invalid
from envoi.packages.delivery.models import IncludeView
from envoi.packages.delivery.services.content import plain

PACKAGE = "delivery"
_DEEPEST = 8
_INCLUDE = re.compile(
    r"\{%-?\s*include\s+([\"'])(?P<name>[^\"']+)\1\s*-?%\}"
    r"|\{\{-?\s*block\(\s*([\"'])(?P<called>[^\"']+)\3\s*\)\s*-?\}\}"
)
_LINK = '<a href="{{{{ message.{page} }}}}">{text}</a>'
_LINK_TO = '<a href="{address}{{{{ message.shareUrl|urlencode }}}}">{text}</a>'
_NETWORKS = (
    ("Facebook", "https://www.facebook.com/sharer/sharer.php?u="),
    ("X", "https://x.com/intent/post?url="),
    ("LinkedIn", "https://www.linkedin.com/sharing/share-offsite/?url="),
)


def _guarded(page: str, text: str) -> str:
    return f"{{% if message.{page} %}}" + _LINK.format(page=page, text=text) + "{% endif %}"


# name: (label, French label, HTML by language, text by language)
SHIPPED: Mapping[str, tuple[str, str, Mapping[str, str], Mapping[str, str]]] = {
    "greetings": (
        "Greetings",
        "Formule d’appel",
        {
            "en": "Hello{% if recipient.firstName %} {{ recipient.firstName }}{% endif %},",
            "fr": "Bonjour{% if recipient.firstName %} {{ recipient.firstName }}{% endif %},",
        },
        {},
    ),
    "unsubscriptionLink": (
        "Unsubscription link",
        "Lien de désinscription",
        {
            "en": _LINK.format(page="unsubscribeUrl", text="Unsubscribe"),
            "fr": _LINK.format(page="unsubscribeUrl", text="Se désinscrire"),
        },
        {
            "en": "Unsubscribe: {{ message.unsubscribeUrl }}",
            "fr": "Se désinscrire : {{ message.unsubscribeUrl }}",
        },
    ),
    "mirrorPageUrl": ("Mirror page URL", "URL de la page miroir", {"en": "{{ message.mirrorUrl }}"}, {}),
    "mirrorPageLink": (
        "Link to mirror page",
        "Lien vers la page miroir",
        {
            "en": "{% if message.mirrorUrl %}"
            + _LINK.format(page="mirrorUrl", text="View this message in your browser")
            + "{% endif %}",
            "fr": "{% if message.mirrorUrl %}"
            + _LINK.format(page="mirrorUrl", text="Voir ce message dans votre navigateur")
            + "{% endif %}",
        },
        {
            "en": "{% if message.mirrorUrl %}In your browser: {{ message.mirrorUrl }}{% endif %}",
            "fr": "{% if message.mirrorUrl %}Dans votre navigateur : {{ message.mirrorUrl }}{% endif %}",
        },
    ),
    "preferencesLink": (
        "Link to the preferences",
        "Lien vers les préférences",
        {
            "en": _guarded("preferencesUrl", "Choose what you get"),
            "fr": _guarded("preferencesUrl", "Choisir ce que vous recevez"),
        },
        {},
    ),
    "forwardLink": (
        "Forward to a friend",
        "Transférer à un ami",
        {
            "en": _guarded("forwardUrl", "Forward to a friend"),
            "fr": _guarded("forwardUrl", "Transférer à un ami"),
        },
        {},
    ),
    "socialSharingLinks": (
        "Social sharing links",
        "Liens de partage social",
        {
            language: '{% if message.shareUrl %}<p style="font-size:12px">'
            + f"{said} "
            + " · ".join(_LINK_TO.format(address=address, text=name) for name, address in _NETWORKS)
            + "</p>{% endif %}"
            for language, said in (("en", "Share:"), ("fr", "Partager :"))
        },
        {
            "en": "{% if message.shareUrl %}To share: {{ message.shareUrl }}{% endif %}",
            "fr": "{% if message.shareUrl %}À partager : {{ message.shareUrl }}{% endif %}",
        },
    ),
    "registrationPageUrl": (
        "Registration page URL",
        "URL de la page d’inscription",
        {"en": "{{ message.registrationUrl }}"},
        {},
    ),
    "registrationLink": (
        "Registration link",
        "Lien d’inscription",
        {
            "en": _guarded("registrationUrl", "Subscribe"),
            "fr": _guarded("registrationUrl", "S’inscrire"),
        },
        {},
    ),
    "registrationConfirmation": (
        "Registration confirmation",
        "Confirmation d’inscription",
        {
            "en": "<p>{% if variables.action == 0 %}You do not get {{ variables.serviceLabel }} any more."
            "{% else %}You get {{ variables.serviceLabel }} from now on.{% endif %} "
            '{% include "preferencesLink" %}</p>',
            "fr": "<p>{% if variables.action == 0 %}Vous ne recevez plus {{ variables.serviceLabel }}."
            "{% else %}Vous recevez désormais {{ variables.serviceLabel }}.{% endif %} "
            '{% include "preferencesLink" %}</p>',
        },
        {},
    ),
    "footer": (
        "Footer",
        "Pied de page",
        {
            "en": '<p style="font-size:12px;color:#666">You get this message at {{ message.address }}. '
            '{% include "unsubscriptionLink" %}</p>',
            "fr": '<p style="font-size:12px;color:#666">Vous recevez ce message à l’adresse '
            '{{ message.address }}. {% include "unsubscriptionLink" %}</p>',
        },
        {
            "en": 'You get this message at {{ message.address }}.\n{% include "unsubscriptionLink" %}',
            "fr": "Vous recevez ce message à l’adresse {{ message.address }}.\n"
            '{% include "unsubscriptionLink" %}',
        },
    ),
}
"""Those of the product. An instance gets them in its language; what an operator changes stays."""


def expanded(sources: Mapping[str, str]) -> dict[str, str]:
    """Return templates with their blocks put in, in HTML those of HTML, elsewhere those of text; in
    those of a variant (`fr/html`) blocks of the product that nobody has changed speak its language.

    Raises Invalid for a block that is not there, with the nearest name, or that holds itself.
    """
    known = {each.name.lower(): each for each in IncludeView.objects.all()}
    made: dict[str, str] = {}
    for name, source in sources.items():
        language, _slash, part = name.rpartition("/")
        made[name] = _expanded(source, part == "html", known, language, 0)
    return made


def plant() -> list[str]:
    """Plant the blocks that are not there; returns a line for each that an operator's change kept."""
    kept: list[str] = []
    language = settings.ENVOI.config.instance.language
    for name, (label, french, html, text) in SHIPPED.items():
        values: dict[str, Any] = {
            "label": label,
            "labels": {"fr": french},
            "html_source": html.get(language, html["en"]),
            "text_source": text.get(language, text.get("en", "")),
        }
        row = IncludeView.objects.filter(name=name).first()
        present = None if row is None else {field: getattr(row, field) for field in values}
        outcome = shipped.settle("nms:includeView", name, package=PACKAGE, values=values, present=present)
        if outcome in (shipped.Outcome.CREATE, shipped.Outcome.UPDATE):
            fields = {**values, "built_in": True, "package": PACKAGE, "modified_at": clock.now()}
            IncludeView.objects.update_or_create(name=name, defaults=fields)
        elif outcome is shipped.Outcome.KEPT:
            kept.append(f"nms:includeView {name}")
    return kept


def _expanded(source: str, html: bool, known: Mapping[str, IncludeView], language: str, depth: int) -> str:
    def one(found: re.Match[str]) -> str:
        name = found["name"] or found["called"]
        block = known.get(name.lower())
        if block is None:
            close = difflib.get_close_matches(name, [each.name for each in known.values()], n=1)
            hint = _("Did you mean %(name)s?") % {"name": close[0]} if close else ""
            said = _("There is no personalization block %(name)r.") % {"name": name}
            raise Invalid(f"{said} {hint}".strip())
        if depth == _DEEPEST:
            raise Invalid(_("The personalization block %(name)s holds itself.") % {"name": block.name})
        in_html, in_text = _spoken(block, language)
        inner = in_html if html else in_text or plain.of_html(in_html)
        return _expanded(inner, html, known, language, depth + 1)

    return _INCLUDE.sub(one, source)


def _spoken(block: IncludeView, language: str) -> tuple[str, str]:
    """Return HTML and text of a block, in a language where the product has it and nobody has changed it."""
    present = block.html_source, block.text_source
    shipped_as = SHIPPED.get(block.name)
    if not language or shipped_as is None:
        return present
    _label, _french, html, text = shipped_as
    own = settings.ENVOI.config.instance.language
    if present != (html.get(own, html["en"]), text.get(own, text.get("en", ""))):
        return present
    for code in (language, language.partition("-")[0]):
        if code in html:
            return html[code], text.get(code, text.get("en", ""))
    return present
