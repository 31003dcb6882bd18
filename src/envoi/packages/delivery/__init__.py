"""delivery: profiles, deliveries and what watches over them.

Today it brings the workflow that looks after workflows paused for too long; recipients, lists, deliveries, quarantine
and tracking join it later.
"""
