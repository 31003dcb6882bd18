"""Sign-in, sign-out, and the language of those who have not signed in.

The answer to a wrong name, a wrong password and a wrong code is the same, so that names cannot be found out.
Failures are counted by django-axes for each name and address; after its limit comes a pause, told before and
during.
"""

import ipaddress
from datetime import timedelta
from typing import Any

from axes.handlers.proxy import AxesProxyHandler
from axes.helpers import get_client_username, get_cool_off, get_failure_limit
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib import auth
from django.contrib.auth.signals import user_login_failed
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import translation
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST
from django_otp import match_token, user_has_device

from envoi.console import words
from envoi.console.access import public
from envoi.kernel import clock
from envoi.kernel.models import Operator
from envoi.web.credentials import forgive, recognise


@public
@sensitive_post_parameters("password", "token")
@require_http_methods(["GET", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    """Show the form; let in who knows name, password and, where one is enrolled, an authenticator's code."""
    if request.user.is_authenticated:
        return redirect(safe_next(request))
    if request.method == "GET":
        return _form(request)
    name = request.POST.get("username", "").strip().lower()
    credentials = {Operator.USERNAME_FIELD: name}
    user = recognise(request, name, request.POST.get("password", ""))
    if user is not None and user_has_device(user):
        device = match_token(user, request.POST.get("token", "").replace(" ", ""))
        if device is None:
            user_login_failed.send(sender=__name__, credentials=credentials, request=request)
            user = None
        else:
            user.otp_device = device  # pyright: ignore[reportAttributeAccessIssue]
    if user is None:
        return _form(request, _mismatch(request, credentials), status=401)
    auth.login(request, user)
    return redirect(safe_next(request))


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """End this session."""
    auth.logout(request)
    return redirect("console:sign-in")


@public
@require_POST
def language(request: HttpRequest) -> HttpResponse:
    """Keep the language in a cookie, for those who have not signed in."""
    code = request.POST.get("language", "")
    response = redirect(safe_next(request))
    if code in dict(settings.LANGUAGES):
        keep_language(response, code)
    return response


def keep_language(response: HttpResponse, code: str) -> None:
    """Set the language cookie for a year."""
    response.set_cookie(
        settings.LANGUAGE_COOKIE_NAME,
        code,
        max_age=365 * 24 * 3600,
        httponly=True,
        secure=settings.SESSION_COOKIE_SECURE,
        samesite=settings.LANGUAGE_COOKIE_SAMESITE,
    )
    translation.activate(code)


def locked_out(
    request: HttpRequest, response: HttpResponse | None, credentials: dict[str, Any] | None = None
) -> HttpResponse:
    """Answer while a name or an address is paused; django-axes calls this."""
    pause = get_cool_off(request) or timedelta()
    # The attempts that count are those of this name or of this address; the later of them rules the pause.
    mine = Q(ip_address=request.axes_ip_address) | Q(username=get_client_username(request, credentials))  # pyright: ignore[reportAttributeAccessIssue]
    last = AccessAttempt.objects.filter(mine).order_by("-attempt_time").first()
    ends = (last.attempt_time if last else clock.now()) + pause
    if request.user.is_authenticated:
        context = {
            "title": _("Too many tries."),
            "text": _("Passwords are looked at again from %(time)s on.") % {"time": words.time_of_day(ends)},
            "remedy": _("Nothing was changed."),
        }
        return render(request, "console/refusal.html", context, status=429)
    problem = {
        "tone": "bad",
        "icon": "lock",
        "title": _("Too many tries."),
        "text": _("Sign-in is paused until %(time)s. Nothing is wrong with your account.")
        % {"time": words.time_of_day(ends)},
    }
    return _form(request, problem, status=429)


def password_is_right(request: HttpRequest, operator: Operator, password: str) -> bool:
    """Check the password of who is signed in. Wrong ones count, and pause, as wrong tries to sign in do.

    Must be called outside of a transaction that a refusal rolls back: the count would be lost.
    """
    if recognise(request, operator.name, password) is None:
        return False
    forgive(operator.name)
    return True


def client_address(request: HttpRequest) -> str:
    """Return the address that asks: behind a proxy (`[web] https`) the one that the proxy saw.

    Only the last of the forwarded addresses counts. The proxy has written it; those before it came with the
    request, and could be anything.
    """
    seen = request.META.get("REMOTE_ADDR", "")
    if settings.CONFIG.web.https:
        last = request.META.get("HTTP_X_FORWARDED_FOR", "").rpartition(",")[2].strip()
        try:
            return str(ipaddress.ip_address(last.strip("[]")))
        except ValueError:
            return seen
    return seen


def safe_next(request: HttpRequest) -> str:
    """Return the address to go on to; only one of this instance, never another site's."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    if url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure()):
        return wanted
    return settings.LOGIN_REDIRECT_URL


def _mismatch(request: HttpRequest, credentials: dict[str, str]) -> dict[str, str]:
    left = get_failure_limit(request, credentials) - AxesProxyHandler.get_failures(request, credentials)
    minutes = round((get_cool_off(request) or timedelta()).total_seconds() / 60)
    return {
        "tone": "bad",
        "icon": "bad",
        "title": _("Name, password or code do not match."),
        "text": ngettext(
            "%(n)d try left before a pause of %(minutes)d minutes.",
            "%(n)d tries left before a pause of %(minutes)d minutes.",
            max(left, 0),
        )
        % {"n": max(left, 0), "minutes": minutes},
    }


def _form(request: HttpRequest, problem: dict[str, str] | None = None, *, status: int = 200) -> HttpResponse:
    context = {
        "problem": problem,
        "username": request.POST.get("username", ""),
        "next": request.POST.get("next") or request.GET.get("next") or "",
        "retype": problem is not None,
    }
    return render(request, "console/sign_in.html", context, status=status)
