"""The operator's own page: language, zone, look, password, sessions, second factor."""

import zoneinfo
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import password_validation, update_session_auth_hash
from django.contrib.sessions.models import Session
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_POST

from envoi.console import second_factor, sign_in
from envoi.kernel import clock
from envoi.kernel.models import Operator

THEMES = ("", "light", "dark")
YEAR = 365 * 24 * 3600


class PasswordForm(forms.Form):
    """The old password, and the new one once: it can be shown, so it need not be typed twice."""

    old = forms.CharField(max_length=256, strip=False)
    new = forms.CharField(max_length=256, strip=False)

    def __init__(self, operator: Operator, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.operator = operator

    def clean_old(self) -> str:
        """Refuse unless the old password is right."""
        old = self.cleaned_data["old"]
        if not self.operator.check_password(old):
            raise forms.ValidationError(gettext_lazy("This is not your present password."))
        return old

    def clean_new(self) -> str:
        """Refuse a password that is too short, too common or too like the name."""
        new = self.cleaned_data["new"]
        password_validation.validate_password(new, self.operator)
        return new


@require_GET
def account(request: HttpRequest) -> HttpResponse:
    """Show what the operator has set."""
    return _page(request, PasswordForm(_operator(request)))


@require_POST
@transaction.atomic
def preferences(request: HttpRequest) -> HttpResponse:
    """Keep language, zone and theme with the operator; density and keys with the browser."""
    operator = _operator(request)
    language = request.POST.get("language", "")
    zone = request.POST.get("timezone", "")
    theme = request.POST.get("theme", "")
    if language and language not in dict(settings.LANGUAGES):
        language = operator.language
    if zone and zone not in zoneinfo.available_timezones():
        zone = operator.timezone
    if theme not in THEMES:
        theme = operator.theme
    operator.language, operator.timezone, operator.theme = language, zone, theme
    operator.modified_at = clock.now()
    operator.save(update_fields=["language", "timezone", "theme", "modified_at"])
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
@transaction.atomic
def password(request: HttpRequest) -> HttpResponse:
    """Change the password; other sessions of the operator end, this one goes on."""
    operator = _operator(request)
    form = PasswordForm(operator, request.POST)
    if not form.is_valid():
        return _page(request, form, status=400)
    operator.set_password(form.cleaned_data["new"])
    operator.modified_at = clock.now()
    operator.save(update_fields=["password", "modified_at"])
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


def _page(request: HttpRequest, form: PasswordForm, *, status: int = 200) -> HttpResponse:
    operator = _operator(request)
    context = {
        "operator": operator,
        "form": form,
        "zones": sorted(zone for zone in zoneinfo.available_timezones() if "/" in zone or zone == "UTC"),
        "sessions": len(_sessions(request)),
        "factor": second_factor.state(operator),
    }
    return render(request, "console/account/account.html", context, status=status)
