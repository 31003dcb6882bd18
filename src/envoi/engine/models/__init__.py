"""Tables of the engine; one file per aggregate. Hot paths write them with SQL (`engine.store`), the rest
with the ORM.
"""

from envoi.engine.models.approval import Approval
from envoi.engine.models.command import CommandState, QueuedCommand
from envoi.engine.models.event import Event, EventState
from envoi.engine.models.log import Level, LogLine
from envoi.engine.models.task import Task, TaskState
from envoi.engine.models.worker import Worker, WorkerState
from envoi.engine.models.workflow import (
    ErrorPolicy,
    Login,
    Severity,
    State,
    Workflow,
    WorkflowRun,
    WorkflowVersion,
)
from envoi.engine.models.worktable import History, WorkTable

__all__ = [
    "Approval",
    "CommandState",
    "ErrorPolicy",
    "Event",
    "EventState",
    "History",
    "Level",
    "LogLine",
    "Login",
    "QueuedCommand",
    "Severity",
    "State",
    "Task",
    "TaskState",
    "WorkTable",
    "Worker",
    "WorkerState",
    "Workflow",
    "WorkflowRun",
    "WorkflowVersion",
]
