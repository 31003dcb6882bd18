"""Mails that come in: what they are about, and what that does (delivery.md §3.5)."""
