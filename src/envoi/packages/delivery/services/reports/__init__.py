"""Figures of deliveries for reports: read set by set, of one delivery or of several together."""
