"""Versioned messages between instances, as frozen dataclasses."""
