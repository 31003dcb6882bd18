"""The content of a delivery in several languages: said, edited, chosen for each reader (docs/adr/0033).

A delivery keeps them as JSON beside its own content, which is the variant of everybody for whom there is no
other:

    {"by": "{{ recipient.language }}", "language": "en",
     "of": {"fr": {"subject": "…", "from_name": "…", "html_source": "…", "text_source": "…"}}}

`by` is a template that gives the language of a reader, `language` that of the delivery's own content. What a
variant does not say is taken from there: subject, name of the sender, or HTML and text together.
"""

from envoi.packages.delivery.services.variants.choosing import Choice, chosen, languages, sources
from envoi.packages.delivery.services.variants.definition import (
    BY,
    VARIED,
    Variants,
    enter,
    parts,
    read,
    stored,
    whole,
)

__all__ = [
    "BY",
    "VARIED",
    "Choice",
    "Variants",
    "chosen",
    "enter",
    "languages",
    "parts",
    "read",
    "sources",
    "stored",
    "whole",
]
