"""Dimensions, measures, aggregates and reports."""
