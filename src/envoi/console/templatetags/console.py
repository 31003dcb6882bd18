"""Tags that draw what pages share: icons, states, times, durations, numbers."""

from datetime import datetime
from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from envoi.console import icons, words

register = template.Library()


@register.simple_tag(takes_context=True)
def icon(context: template.Context, name: str, css: str = "") -> SafeString:
    """Draw one icon; its symbol is sent by `symbols` at the foot of the page."""
    request = context.get("request")
    if request is None:
        # A page without a frame (the server's own failure): the drawing stands in place.
        return mark_safe(  # noqa: S308 - our own drawing
            f'<svg class="i" viewBox="0 0 16 16" aria-hidden="true">{icons.SYMBOLS[name]}</svg>'
        )
    _used(request).add(name)
    return format_html(
        '<svg class="i{}" aria-hidden="true"><use href="#i-{}"/></svg>', f" {css}" if css else "", name
    )


@register.simple_tag(takes_context=True)
def symbols(context: template.Context, *more: str) -> SafeString:
    """Send the symbols of the icons that the page has used so far, and `more` that may come later."""
    names = sorted(_used(context["request"]) | set(more))
    return mark_safe(  # noqa: S308 - our own drawings
        '<svg width="0" height="0" class="vh" aria-hidden="true"><defs>'
        + "".join(icons.symbol(name) for name in names)
        + "</defs></svg>"
    )


@register.simple_tag(takes_context=True)
def needs_icons(context: template.Context, names: str) -> str:
    """Announce icons, by their names with spaces between, that live parts of the page may show later."""
    _used(context["request"]).update(names.split())
    return ""


@register.filter
def when(moment: datetime | None) -> SafeString:
    """Show a moment in the operator's zone: today as time only, this year without year."""
    return words.time_tag(moment)


@register.filter
def when_exact(moment: datetime | None) -> SafeString:
    """Show a moment to the second, as journals do."""
    return words.time_tag(moment, seconds=True)


@register.filter
def lasting(seconds: float | None) -> str:
    """Show a duration in at most two units."""
    return words.duration(seconds)


@register.filter
def number(value: Any) -> str:
    """Show a whole number grouped by the locale; `—` when it does not apply."""
    return words.number(value)


@register.filter
def option_value(value: Any) -> str:
    """Show the value of an option: switches as words, moments in the operator's zone."""
    if value is None or value == "":
        return words.NONE
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return words.moment(value) if isinstance(value, datetime) else str(value)


def use(request: Any, names: set[str]) -> None:
    """Announce icons that a drawing made elsewhere refers to."""
    _used(request).update(names)


def _used(request: Any) -> set[str]:
    if not hasattr(request, "icons_used"):
        request.icons_used = set()
    return request.icons_used
