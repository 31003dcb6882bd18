"""Providers by which reports group addresses: the values of the enumeration `domain` and the domains that
stand for each; everything else is *Others* (delivery.md §10.1).
"""

from collections.abc import Hashable
from dataclasses import dataclass

from envoi.kernel.models import Enum, EnumAlias, EnumValue

ENUMERATION = "domain"
OTHERS = ""
"""Stands for all domains that belong to no provider."""


@dataclass(frozen=True)
class Bins:
    """Domain by domain, the provider that it is counted with."""

    domains: tuple[str, ...]
    providers: tuple[str, ...]

    @property
    def version(self) -> Hashable:
        """What is another as soon as a domain is counted elsewhere."""
        return hash((self.domains, self.providers))


JOIN = """LEFT JOIN unnest(%(domains)s::text[], %(providers)s::text[]) AS bin (domain, provider)
          ON bin.domain = {domain}"""
"""Brings `bin.provider` to a statement; its parameters are those of `Bins`."""


def bins() -> Bins:
    """Return the providers as the enumeration has them now."""
    known: dict[str, str] = {}
    enum = Enum.objects.filter(name=ENUMERATION).first()
    if enum is not None:
        aliases = EnumAlias.objects.filter(enum=enum, value__isnull=False)
        for alias, value in aliases.values_list("alias", "value__value"):
            known[alias.lower()] = value
        for value in EnumValue.objects.filter(enum=enum).values_list("value", flat=True):
            known.setdefault(value.lower(), value)
    pairs = sorted(known.items())
    return Bins(tuple(each for each, _ in pairs), tuple(each for _, each in pairs))
