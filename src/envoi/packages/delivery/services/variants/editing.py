"""Variants are added, taken away, and what decides between them is set."""

from collections.abc import Mapping

from django.utils.translation import gettext as _

from envoi.kernel.errors import Conflict, NotFound
from envoi.kernel.rights import Actor
from envoi.packages.delivery.models import Delivery
from envoi.packages.delivery.services.content import templates
from envoi.packages.delivery.services.deliveries import records
from envoi.packages.delivery.services.variants.definition import VARIED, Variants, known, read


def add(delivery: Delivery, language: str, *, actor: Actor, copied: bool = True) -> str:
    """Add a variant, which begins as a copy of the default or empty; returns its language.

    Raises Invalid, Conflict when there is one, NotAllowed.
    """
    code, said = known(language), read(delivery.variants)
    if code in said.of or code == said.language:
        raise Conflict(_("There is a content in %(name)s already.") % {"name": code})
    texts = {name: getattr(delivery, name) for name in VARIED} if copied else {}
    _keep(delivery, said, {**said.of, code: texts}, actor)
    return code


def remove(delivery: Delivery, language: str, *, actor: Actor) -> None:
    """Take a variant away with its content. Raises NotFound, Conflict, NotAllowed."""
    said = read(delivery.variants)
    if language not in said.of:
        raise NotFound(_("%(label)s has no variant %(name)s.") % {"label": delivery.label, "name": language})
    _keep(delivery, said, {code: texts for code, texts in said.of.items() if code != language}, actor)


def choose_by(delivery: Delivery, by: str, language: str, *, actor: Actor) -> None:
    """Set the template that gives the language of a reader, and the language of the default.

    Raises Invalid for a template that cannot be read, Conflict when a variant has that language, NotAllowed.
    """
    said = read({**delivery.variants, "by": by, "language": language})
    if said.language in said.of:
        raise Conflict(_("There is a content in %(name)s already.") % {"name": said.language})
    templates.fields({"by": said.by})
    records.change(delivery, {"variants": said.said()}, actor=actor)


def _keep(delivery: Delivery, said: Variants, of: Mapping[str, Mapping[str, str]], actor: Actor) -> None:
    records.change(delivery, {"variants": Variants(said.by, said.language, of).said()}, actor=actor)
