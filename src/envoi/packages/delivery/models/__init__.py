"""Tables of delivery."""

from envoi.packages.delivery.models.paused_workflow import PausedWorkflow

__all__ = ["PausedWorkflow"]
