"""Migrations of core_default's tables."""
