"""The description of `/api/v1/` that programs read (OpenAPI 3.1)."""

from typing import Any

from django.http import HttpRequest, JsonResponse

from envoi import __version__

_TEXT = {"type": "string"}
_TIME = {"type": "string", "format": "date-time"}
_NUMBER = {"name": "number", "in": "path", "required": True, "schema": {"type": "integer"}}


def _or_none(schema: dict[str, Any]) -> dict[str, Any]:
    return {**schema, "type": [schema["type"], "null"]}


def _object(properties: dict[str, Any], *, required: tuple[str, ...] | None = None) -> dict[str, Any]:
    wanted = list(properties if required is None else required)
    return {"type": "object", "properties": properties, "required": wanted}


def _answers(schema: str, *refusals: int) -> dict[str, Any]:
    def content(name: str) -> dict[str, Any]:
        return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}

    meaning = {
        400: "A value is wrong.",
        401: "The caller is not signed in.",
        403: "The caller may not do this, or signs in with a second factor.",
        404: "There is no such thing for the caller.",
        409: "The state forbids it.",
        429: "Too many wrong passwords: sign-in is paused, see Retry-After.",
    }
    return {"200": {"description": "Done.", "content": content(schema)}} | {
        str(code): {"description": meaning[code], "content": content("Problem")}
        for code in sorted({401, 403, 429, *refusals})
    }


DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Envoi", "version": __version__},
    "servers": [{"url": "/api/v1"}],
    "security": [{"operator": []}],
    "paths": {
        "/approvals": {
            "get": {
                "operationId": "pendingApprovals",
                "summary": "Open questions put to the caller, oldest first",
                "responses": _answers("Approvals"),
            }
        },
        "/approvals/{number}": {
            "get": {
                "operationId": "approval",
                "summary": "One question put to the caller, answered or not",
                "parameters": [_NUMBER],
                "responses": _answers("Approval", 404),
            }
        },
        "/approvals/{number}/answer": {
            "post": {
                "operationId": "answerApproval",
                "summary": "Answer a question; an answer cannot be changed",
                "parameters": [_NUMBER],
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Answer"}}},
                },
                "responses": _answers("Approval", 400, 404, 409),
            }
        },
    },
    "components": {
        "securitySchemes": {
            "operator": {
                "type": "http",
                "scheme": "basic",
                "description": "Name and password of an operator without a second factor.",
            }
        },
        "schemas": {
            "Problem": _object({"error": _TEXT}),
            "Answer": _object(
                {"choice": {**_TEXT, "description": "Name of one of the choices."}, "comment": _TEXT},
                required=("choice",),
            ),
            "Approvals": _object(
                {"approvals": {"type": "array", "items": {"$ref": "#/components/schemas/Approval"}}}
            ),
            "Approval": _object(
                {
                    "number": {"type": "integer"},
                    "workflow": _object({"name": _TEXT, "label": _TEXT}),
                    "activity": _TEXT,
                    "operator": _TEXT,
                    "title": _TEXT,
                    "message": _TEXT,
                    "choices": {"type": "array", "items": _object({"name": _TEXT, "label": _TEXT})},
                    "asked_at": _TIME,
                    "expires_at": _or_none(_TIME),
                    "answer": _or_none(_TEXT),
                    "answered_by": _or_none(_TEXT),
                    "open": {"type": "boolean"},
                }
            ),
        },
    },
}


def openapi(request: HttpRequest) -> JsonResponse:
    """Give the description; it tells nothing of the instance, so everybody may read it."""
    return JsonResponse(DOCUMENT)
