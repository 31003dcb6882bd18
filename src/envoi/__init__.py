"""Envoi: an open, self-hosted campaign platform on one PostgreSQL."""

__version__ = "0.1.0"
