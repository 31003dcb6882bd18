"""core_default: what every instance has; it owns the heat map."""
