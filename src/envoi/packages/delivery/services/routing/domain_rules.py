"""Domain rules: which domains' mail a server of ours takes, instead of their own servers."""

from functools import lru_cache
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from envoi.kernel import audit, clock
from envoi.kernel.config import Config
from envoi.kernel.errors import Invalid, NotFound
from envoi.kernel.rights import Actor, Right
from envoi.packages.delivery.models import DomainRule
from envoi.packages.delivery.services.routing import masks
from envoi.packages.delivery.services.routing import routes as configured
from envoi.packages.delivery.services.sending.mx import Relay, RelayRoutes, Route
from envoi.packages.delivery.services.sending.sender import Routes
from envoi.packages.delivery.services.sending.throttle import Rule

ENTITY = "nms:domainRule"


class RuledRoutes:
    """Routes of which some lead to servers of ours."""

    def __init__(self, rules: tuple[tuple[Rule, Routes], ...], otherwise: Routes) -> None:
        self._rules = rules
        self._otherwise = otherwise

    def known(self, domain: str) -> Route | None:
        """Return the route when it needs no look-up."""
        return self._for(domain).known(domain)

    async def of(self, domain: str) -> Route:
        """Return the route. Raises NoRouteError."""
        return await self._for(domain).of(domain)

    def _for(self, domain: str) -> Routes:
        return next((routes for rule, routes in self._rules if rule.fits(domain)), self._otherwise)


def routes(config: Config) -> Routes:
    """Return where mail goes, by the rules and the configuration; a sink gets all of it. Raises Invalid."""
    otherwise = configured.routes(config)
    if config.sending.sink:
        return otherwise
    rules = tuple(
        (Rule(row.mask), _relayed(row.relay_host, row.relay_port)) for row in DomainRule.objects.all()
    )
    return RuledRoutes(rules, otherwise) if rules else otherwise


@lru_cache(maxsize=64)
def _relayed(host: str, port: int) -> RelayRoutes:
    return RelayRoutes(Relay(host, port))


def add(mask: str, host: str, port: Any = 25, *, actor: Actor) -> DomainRule:
    """Let a server take the mail to the domains that a mask covers; a mask that has a rule gets this one.

    Raises Invalid, NotAllowed without ADMINISTRATION.
    """
    actor.require(Right.ADMINISTRATION, to=_("change domain rules"))
    text = str(port).strip()
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65536:
        raise Invalid(_("%(text)r is no port.") % {"text": text})
    values = {"relay_host": masks.domain(host), "relay_port": int(text), "modified_at": clock.now()}
    with transaction.atomic():
        last = DomainRule.objects.order_by("-position").values_list("position", flat=True).first()
        row, _made = DomainRule.objects.update_or_create(
            mask=masks.mask(mask),
            defaults=values,
            create_defaults={**values, "position": (last or 0) + 10},
        )
        audit.record(actor, ENTITY, row.mask, audit.MODIFIED, row.domain_rule_id)
    return row


def delete(number: int, *, actor: Actor) -> None:
    """Take a rule away. Raises NotFound, NotAllowed without ADMINISTRATION."""
    actor.require(Right.ADMINISTRATION, to=_("delete a domain rule"))
    with transaction.atomic():
        row = DomainRule.objects.filter(pk=number).first()
        if row is None:
            raise NotFound(_("This domain rule is not there any more."))
        row.delete()
        audit.record(actor, ENTITY, row.mask, audit.DELETED, number)
