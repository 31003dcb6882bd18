"""delivery: profiles, deliveries and what watches over them.

Today it brings the workflow cleanupPausedWorkflows, which looks after workflows paused for too long (table
nms_paused_workflow); recipients, lists, deliveries, quarantine and tracking join it later.
"""
