"""Doors of delivery that need no sign-in."""
