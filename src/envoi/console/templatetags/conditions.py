"""The tag by which a template draws the editor of conditions."""

from typing import Any

from django import template
from django.utils import timezone

from envoi.console.access import actor_of_request
from envoi.console.conditions import drawing
from envoi.console.conditions.drawing import Editor

register = template.Library()


@register.simple_tag(takes_context=True)
def condition_editor(context: template.Context, conditions: dict[str, Any]) -> Editor:
    """Return the editor that `conditions` describes: schema, name, value; zone, within, live."""
    return drawing.editor(
        conditions["schema"],
        conditions.get("name") or "where",
        conditions.get("value") or "",
        actor=actor_of_request(context["request"]),
        zone=conditions.get("zone") or timezone.get_current_timezone_name(),
        within=conditions.get("within"),
        live=conditions.get("live", True),
    )
