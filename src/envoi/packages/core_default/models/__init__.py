"""Tables of core_default."""

from envoi.packages.core_default.models.heat_map import HeatMapTask

__all__ = ["HeatMapTask"]
