"""Labels of shipped rows in the operator's language."""

from django.utils.translation import get_language

from envoi.packages.delivery.models import Country


def country_label(country: Country) -> str:
    """Return the name of a country."""
    language = get_language() or "en"
    return str(country.labels.get(language) or country.labels.get(language.split("-")[0]) or country.label)
