"""Content of deliveries: templates, the data they read, links, blocks."""

from envoi.kernel import clock
from envoi.packages.delivery.services.content import blocks, tracking
from envoi.packages.delivery.services.content.freezing import freeze
from envoi.packages.delivery.services.content.frozen import Content, Rendered, Row, load
from envoi.packages.delivery.services.content.templates import CannotRender, TooLong

__all__ = ["CannotRender", "Content", "Rendered", "Row", "TooLong", "freeze", "load", "plant"]


def plant() -> list[str]:
    """Plant the blocks of the product and the link that stands for opens; returns what was kept as it was."""
    tracking.plant(clock.now())
    return blocks.plant()
