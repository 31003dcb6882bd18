"""Where the feed comes from, as operators say it."""

from django.db import transaction
from django.utils.translation import gettext as _

from envoi.kernel import options
from envoi.kernel.errors import Invalid
from envoi.kernel.rights import Actor, Right
from envoi.packages.delivery.services.deliverability import feed
from envoi.packages.delivery.services.deliverability.updating import KEY, SHARE, URL


def save(url: str, key: str, share: bool, *, actor: Actor) -> None:
    """Keep address and key of the feed, and whether texts are told to its owner; an empty address for none.

    Raises NotAllowed without ADMINISTRATION, Invalid for an address that is not https or a key that is none.
    """
    actor.require(Right.ADMINISTRATION, to=_("choose the feed of rules"))
    url, key = url.strip(), key.strip()
    if url and not url.startswith("https://"):
        raise Invalid(_("The address of the feed must begin with https://."))
    if url or key:
        feed.key(key)
    with transaction.atomic():
        for name, value in ((URL, url), (KEY, key), (SHARE, share)):
            options.set(name, value, actor=actor)
