"""Hits of readers come into the database: segments are loaded, each exactly once (ADR 0029)."""
