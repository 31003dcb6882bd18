"""Content of deliveries: templates, the data they read, links, blocks."""

from envoi.packages.delivery.services.content.freezing import freeze
from envoi.packages.delivery.services.content.frozen import Content, Rendered, Row, load
from envoi.packages.delivery.services.content.templates import CannotRender, TooLong

__all__ = ["CannotRender", "Content", "Rendered", "Row", "TooLong", "freeze", "load"]
