"""Content of deliveries: templates, the data they read, links, blocks."""

from django.conf import settings as django_settings

from envoi.kernel import clock
from envoi.packages.delivery.services.content import blocks, tracking
from envoi.packages.delivery.services.content.attachments import purge_attachments
from envoi.packages.delivery.services.content.freezing import forget, freeze, written
from envoi.packages.delivery.services.content.frozen import Content, Rendered, Row, load
from envoi.packages.delivery.services.content.templates import CannotRender, TooLong

__all__ = [
    "CannotRender",
    "Content",
    "Rendered",
    "Row",
    "TooLong",
    "forget",
    "freeze",
    "load",
    "plant",
    "purge_attachments",
    "trackable",
    "written",
]


def plant() -> list[str]:
    """Plant the blocks of the product and the link that stands for opens; returns what was kept as it was."""
    tracking.plant(clock.now())
    return blocks.plant()


def trackable() -> bool:
    """Return whether the instance has an address under which readers reach it."""
    return bool(django_settings.ENVOI.config.tracking.url)
