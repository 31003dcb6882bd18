"""From hits to logs, statistics and indicators (delivery.md §2.13, §4.4–4.6, ADR 0030)."""
