"""The second factor: codes of an authenticator (TOTP, RFC 6238), and recovery codes for a lost phone."""

import io
import secrets
from dataclasses import dataclass

import segno
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST
from django_otp import login as otp_login
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from envoi.console import sign_in
from envoi.kernel.errors import Conflict, Invalid
from envoi.kernel.models import Operator

RECOVERY_CODES = 10
# Without letters and digits that are taken for one another when read from paper.
ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"


@dataclass(frozen=True)
class State:
    """Whether codes are asked at sign-in, and how many recovery codes are left."""

    on: bool
    recovery_left: int


def state(operator: Operator) -> State:
    """Return the second factor's state of an operator."""
    on = TOTPDevice.objects.filter(user=operator, confirmed=True).exists()
    left = StaticToken.objects.filter(device__user=operator, device__confirmed=True).count()
    return State(on, left)


def switch_off(operator: Operator) -> None:
    """Forget the authenticator and the recovery codes of an operator."""
    TOTPDevice.objects.filter(user=operator).delete()
    StaticDevice.objects.filter(user=operator).delete()


@never_cache
@require_http_methods(["GET", "POST"])
@sensitive_post_parameters("token")
@transaction.atomic
def enrol(request: HttpRequest) -> HttpResponse:
    """Show a key to scan; the factor is on only after a code made from it was typed in."""
    operator = Operator.objects.get(pk=request.user.pk)
    if state(operator).on:
        raise Conflict(_("Your authenticator is already set up. Switch it off first to enrol another one."))
    device, _made = TOTPDevice.objects.get_or_create(
        user=operator, confirmed=False, defaults={"name": "authenticator"}
    )
    if request.method == "POST":
        if device.verify_token(request.POST.get("token", "").replace(" ", "")):
            device.confirmed = True
            device.save()
            codes = _new_recovery_codes(operator)
            otp_login(request, device)
            return render(request, "console/account/recovery.html", {"codes": codes})
        return _enrol_page(request, device, wrong=True)
    return _enrol_page(request, device)


@require_POST
@sensitive_post_parameters("password")
def disable(request: HttpRequest) -> HttpResponse:
    """Switch the second factor off; the password is asked, so that an open screen is not enough."""
    operator = Operator.objects.get(pk=request.user.pk)
    if not sign_in.password_is_right(request, operator, request.POST.get("password", "")):
        raise Invalid(_("The password is not right. The authenticator stays on."))
    with transaction.atomic():
        switch_off(operator)
    messages.success(request, _("Codes are no longer asked when you sign in."))
    return redirect("console:account")


def _new_recovery_codes(operator: Operator) -> list[str]:
    StaticDevice.objects.filter(user=operator).delete()
    device = StaticDevice.objects.create(user=operator, name="recovery codes", confirmed=True)
    codes = ["".join(secrets.choice(ALPHABET) for _n in range(10)) for _m in range(RECOVERY_CODES)]
    for code in codes:
        StaticToken.objects.create(device=device, token=code)
    return codes


def _enrol_page(request: HttpRequest, device: TOTPDevice, *, wrong: bool = False) -> HttpResponse:
    secret = device.config_url.split("secret=")[1].split("&")[0]
    context = {
        "qr": _drawing(device.config_url),
        "secret": " ".join(secret[at : at + 4] for at in range(0, len(secret), 4)),
        "wrong": wrong,
    }
    return render(request, "console/account/enrol.html", context, status=400 if wrong else 200)


def _drawing(text: str) -> SafeString:
    out = io.BytesIO()
    segno.make(text, error="m").save(
        out,
        kind="svg",
        xmldecl=False,
        svgns=False,
        border=2,
        scale=4,
        dark="#000",
        light="#fff",
        omitsize=False,
    )
    return mark_safe(out.getvalue().decode())  # noqa: S308 - drawn by segno from our own address
