"""Migrations of delivery's tables."""
