"""Who asks, by name and password: one way for the sign-in form and for the doors of machines.

A wrong try counts towards a pause of that name and of that address (django-axes), through whatever door.
"""

import base64
import binascii
from datetime import timedelta

from axes.helpers import get_cool_off
from axes.utils import reset
from django.contrib import auth
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django_otp import user_has_device

from envoi.kernel.models import Operator
from envoi.kernel.rights import Actor, actor_of

REALM = 'Basic realm="Envoi", charset="UTF-8"'


class NotSignedIn(Exception):  # noqa: N818 an error is named after what became of the request
    """The caller was not recognised. `status` is that of HTTP; `seconds` how long sign-in is paused."""

    def __init__(self, message: str, *, status: int = 401, seconds: int = 0) -> None:
        super().__init__(message)
        self.status = status
        self.seconds = seconds


def recognise(request: HttpRequest, name: str, password: str) -> Operator | None:
    """Return the operator with this name and password; None for none, and while sign-in is paused.

    Must be called outside of a transaction that a refusal rolls back: the count would be lost.
    """
    # Lower case: names differ by more than case, and a change of case must not win fresh tries.
    credentials = {Operator.USERNAME_FIELD: name.strip().lower()}
    return auth.authenticate(request, password=password, **credentials)  # pyright: ignore[reportReturnType]


def forgive(name: str) -> None:
    """Forget the wrong tries of a name that has signed in without a session."""
    reset(username=name.lower())


def by_basic(request: HttpRequest) -> Actor:
    """Return the actor of an HTTP Basic header. Cookies are not looked at: another site cannot forge a call.

    Raises NotSignedIn. An operator with a second factor is refused, since the header has no place for it.
    """
    name, password = _header(request)
    operator = recognise(request, name, password)
    if operator is None:
        if getattr(request, "axes_locked_out", False):
            # Told here, in the form of this door, and not by the middleware as a page.
            request.axes_locked_out = False  # pyright: ignore[reportAttributeAccessIssue]
            pause = get_cool_off(request) or timedelta()
            raise NotSignedIn(
                _("Too many tries. Sign-in is paused for this name and address."),
                status=429,
                seconds=round(pause.total_seconds()),
            )
        raise NotSignedIn(_("Name and password do not match."))
    if user_has_device(operator):
        raise NotSignedIn(
            _(
                "%(name)s signs in with a second factor, which HTTP Basic cannot ask for. Use the console, or"
                " call in the name of an operator without one."
            )
            % {"name": operator.name},
            status=403,
        )
    forgive(operator.name)
    return actor_of(operator)


def _header(request: HttpRequest) -> tuple[str, str]:
    scheme, _space, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        raise NotSignedIn(_("Give name and password of an operator by HTTP Basic."))
    try:
        name, colon, password = base64.b64decode(given, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        colon = name = password = ""
    if not colon or not name:
        raise NotSignedIn(_("The HTTP Basic header cannot be read."))
    return name, password
