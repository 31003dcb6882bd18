"""The operator's own page: language, zone, look, password, sessions, second factor."""

import zoneinfo

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.sessions.models import Session
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import translation
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_POST

from envoi.console import second_factor, sign_in
from envoi.console.access import actor_of_request
from envoi.kernel import clock, operators
from envoi.kernel.errors import Invalid
from envoi.kernel.models import Operator

YEAR = 365 * 24 * 3600


@require_GET
def account(request: HttpRequest) -> HttpResponse:
    """Show what the operator has set."""
    return _page(request)


@require_POST
def preferences(request: HttpRequest) -> HttpResponse:
    """Keep language, zone and theme with the operator; density and keys with the browser."""
    language = request.POST.get("language", "")
    operators.update(
        _operator(request).name,
        actor=actor_of_request(request),
        language=language if language in dict(settings.LANGUAGES) else "",
        timezone=request.POST.get("timezone", ""),
        theme=request.POST.get("theme", ""),
    )
    response = redirect("console:account")
    if language:
        sign_in.keep_language(response, language)
    else:
        response.delete_cookie(settings.LANGUAGE_COOKIE_NAME)
        translation.activate(settings.LANGUAGE_CODE)
    for cookie, value in (
        ("envoi_density", "compact" if request.POST.get("density") == "compact" else "normal"),
        ("envoi_keys", "on" if request.POST.get("keys") == "on" else "off"),
    ):
        response.set_cookie(
            cookie, value, max_age=YEAR, samesite="Lax", httponly=True, secure=settings.SESSION_COOKIE_SECURE
        )
    messages.success(request, _("Your settings are kept."))
    return response


@require_POST
@sensitive_post_parameters("old", "new")
def password(request: HttpRequest) -> HttpResponse:
    """Change the password; other sessions of the operator end, this one goes on."""
    operator = _operator(request)
    if not sign_in.password_is_right(request, operator, request.POST.get("old", "")):
        return _page(request, old_error=_("This is not your present password."))
    try:
        operators.set_password(operator.name, request.POST.get("new", ""), actor=actor_of_request(request))
    except Invalid as refusal:
        return _page(request, new_error=str(refusal))
    operator.refresh_from_db()
    update_session_auth_hash(request, operator)
    messages.success(request, _("Your password is changed. Your other sessions have ended."))
    return redirect("console:account")


@require_POST
@transaction.atomic
def end_sessions(request: HttpRequest) -> HttpResponse:
    """End every session of the operator, this one too."""
    for session in _sessions(request):
        session.delete()
    request.session.flush()
    return redirect("console:sign-in")


def _operator(request: HttpRequest) -> Operator:
    return Operator.objects.get(pk=request.user.pk)


def _sessions(request: HttpRequest) -> list[Session]:
    mine = str(request.user.pk)
    alive = Session.objects.filter(expire_date__gt=clock.now())
    return [session for session in alive.iterator() if session.get_decoded().get("_auth_user_id") == mine]


def _page(request: HttpRequest, **errors: str) -> HttpResponse:
    operator = _operator(request)
    context = {
        "operator": operator,
        "zones": sorted(zone for zone in zoneinfo.available_timezones() if "/" in zone or zone == "UTC"),
        "sessions": len(_sessions(request)),
        "factor": second_factor.state(operator),
        **errors,
    }
    return render(request, "console/account/account.html", context, status=400 if errors else 200)
