"""Rules of bounces and of mail servers that follow what senders elsewhere have learned (delivery.md §3.6)."""
