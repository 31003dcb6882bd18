"""Names the plugin that holds the fixtures of every room (src/envoi/app/testing.py)."""

pytest_plugins = ["envoi.app.testing"]
