"""What all pages of readers share: confined answers, the reader's language, forms that are checked."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware
from django.shortcuts import render
from django.utils import translation
from django.utils.decorators import decorator_from_middleware
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt

from envoi.console.sign_in import client_address
from envoi.packages.delivery.services.landing import people, wording

POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; "
    "base-uri 'none'"
)
View = Callable[..., HttpResponse]


def target(request: HttpRequest) -> str:
    """Return path and query as they came: what a signature is over."""
    return f"{request.path}?{request.META.get('QUERY_STRING', '')}"


def source(request: HttpRequest) -> str:
    """Return the network address that asks."""
    return client_address(request)


def speaking(request: HttpRequest, language: str = "") -> str:
    """Let the request be answered in the reader's language, else the browser's; returns it."""
    asked = request.headers.get("Accept-Language", "")
    accepted = [each.partition(";")[0] for each in asked.split(",")]
    found = people.language(language, *accepted[:10])
    translation.activate(found)
    return found


def show(
    request: HttpRequest, template: str, context: Mapping[str, Any], *, status: int = 200
) -> HttpResponse:
    """Return a page. It is kept by nobody, found by nobody, and loads nothing of others."""
    whole = {"sender": wording.sender(), "language": translation.get_language(), **context}
    response = render(request, f"delivery/reader/{template}.html", whole, status=status)
    # Not `no-referrer`: the browser would send its forms with the origin "null", as those of other sites.
    response["Referrer-Policy"] = "same-origin"
    return confined(response, POLICY)


def confined(response: HttpResponse, policy: str) -> HttpResponse:
    """Return an answer with the headers of every page of readers."""
    response["Content-Security-Policy"] = policy
    response["Cache-Control"] = "no-store, private"
    response["X-Robots-Tag"] = "noindex, nofollow"
    response["Content-Language"] = translation.get_language()
    # Django would write the address of a page that is not there into the log, and who has it may act for its
    # reader.
    response._has_been_logged = True  # pyright: ignore[reportAttributeAccessIssue]
    return response


def lost(request: HttpRequest, title: str = "", text: str = "") -> HttpResponse:
    """Say that an address leads nowhere."""
    return tell(
        request,
        title or _("There is nothing here"),
        text or _("The link is not complete, or not one of ours. Open it again from the message itself."),
        status=404,
    )


def tell(request: HttpRequest, title: str, text: str, *, status: int = 200, **further: Any) -> HttpResponse:
    """Show a page with a title and a text."""
    return show(request, "told", {"title": title, "text": text, **further}, status=status)


class _Check(CsrfViewMiddleware):
    def _reject(self, request: HttpRequest, reason: str) -> HttpResponse:
        speaking(request)
        return tell(
            request,
            _("This could not be done"),
            _("The form is too old, or your browser sends no cookies. Open the link again, and repeat it."),
            status=403,
        )


_checked = decorator_from_middleware(_Check)


def door(view: View) -> View:
    """Make a view a page of readers: its forms are checked (CSRF), and the language is given back."""
    return spoken(_checked(view))


def spoken(view: View) -> View:
    """Let a view speak another language than the request began with; no form of it is checked."""

    @csrf_exempt  # where it is checked, the check is ours, with a page for readers
    @wraps(view)
    def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        before = translation.get_language()
        try:
            return view(request, *args, **kwargs)
        finally:
            translation.activate(before)

    return inner


def gone() -> str:
    """Return what is said of a message that cannot be shown."""
    return _("The message itself is still in your mailbox.")
