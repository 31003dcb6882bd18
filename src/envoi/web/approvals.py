"""Approvals through the API: what waits for the caller, and answering it (engine.md §7.3)."""

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest

from envoi.engine import approvals
from envoi.engine.approvals import Question
from envoi.kernel.rights import Actor
from envoi.web.api import body, operation


@operation("GET")
def pending(actor: Actor, request: HttpRequest) -> Mapping[str, Any]:
    """List the open questions put to the caller, oldest first."""
    return {"approvals": [document(each) for each in approvals.pending(actor)]}


@operation("GET")
def one(actor: Actor, request: HttpRequest, number: int) -> Mapping[str, Any]:
    """Return one question put to the caller, answered or not."""
    return document(approvals.question(actor, number))


@operation("POST")
def answer(actor: Actor, request: HttpRequest, number: int) -> Mapping[str, Any]:
    """Answer a question. An answer cannot be changed."""
    given = body(request, {"choice": str, "comment": str})
    approvals.answer(actor, number, given.get("choice", ""), given.get("comment", "").strip())
    return document(approvals.question(actor, number))


def document(question: Question) -> dict[str, Any]:
    """Return a question as the API and the command line show it."""
    return {
        "number": question.approval_id,
        "workflow": {"name": question.workflow_name, "label": question.workflow_label},
        "activity": question.activity,
        "operator": question.operator,
        "title": question.title,
        "message": question.message,
        "choices": [{"name": each.name, "label": each.label} for each in question.choices],
        "asked_at": question.asked_at.isoformat(),
        "expires_at": question.expires_at.isoformat() if question.expires_at else None,
        "answer": question.answer or None,
        "answered_by": question.answered_by or None,
        "open": not question.closed,
    }
