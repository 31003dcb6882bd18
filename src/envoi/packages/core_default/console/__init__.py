"""Pages of core_default."""
