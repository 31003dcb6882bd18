"""Coupons: made, filled with values, followed; how many are free."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_naive, make_aware
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from envoi.console import words
from envoi.console.access import actor_of_request
from envoi.console.navigation import Word, under
from envoi.kernel import clock
from envoi.kernel.errors import Conflict, Invalid, NotAllowed, NotFound
from envoi.kernel.models import Folder
from envoi.kernel.rights import Actor, Right
from envoi.packages.delivery.models import Coupon, CouponType
from envoi.packages.delivery.services import coupons
from envoi.packages.delivery.services.deliveries.records import FOLDER

SHOWN = 200
LARGEST = 64 * 1024 * 1024
"""Bytes of a file of values."""


@dataclass(frozen=True)
class Line:
    """A coupon as the list shows it."""

    coupon: Coupon
    individual: bool
    every: str
    free: str
    ended: bool
    until: str


@under(Word.DELIVERIES)
@require_http_methods(["GET", "POST"])
def page(request: HttpRequest) -> HttpResponse:
    """List coupons; `do` names what is done."""
    actor = actor_of_request(request)
    problem = ""
    if request.method == "POST":
        try:
            with transaction.atomic():
                text = _do(request, actor)
            messages.success(request, text)
            return redirect(request.path)
        except (Invalid, Conflict, NotAllowed, NotFound) as refusal:
            problem = str(refusal)
    context = {
        "lines": [_line(each) for each in coupons.visible(actor)[:SHOWN]],
        "changes": actor.has(Right.PREPARE_DELIVERIES),
        "problem": problem,
        "given": request.POST,
        "zone": words.zone_name(),
    }
    return render(request, "delivery/coupons.html", context, status=400 if problem else 200)


def _do(request: HttpRequest, actor: Actor) -> str:
    given = request.POST
    if given.get("do") == "make":
        made = coupons.create(
            given.get("name", "").strip(),
            actor=actor,
            folder=Folder.objects.get(name=FOLDER),
            label=given.get("label", ""),
            type=CouponType.INDIVIDUAL if given.get("type") == "1" else CouponType.ANONYMOUS,
            value=given.get("value", ""),
            start=_moment(given.get("start", "")),
            end=_moment(given.get("end", "")),
        )
        return _("The coupon %(label)s is made.") % {"label": made.label}
    number = given.get("number", "")
    coupon = coupons.find(int(number) if number.isdecimal() else 0, actor=actor)
    match given.get("do", ""):
        case "add":
            return _add(request, coupon, actor)
        case "generate":
            count = given.get("count", "").strip()
            if not count.isdecimal() or len(count) > 9:
                raise Invalid(_("%(text)r is no whole number.") % {"text": count})
            new = coupons.generate(coupon, int(count), actor=actor)
            return ngettext("%(n)s value is new.", "%(n)s values are new.", new) % {"n": words.number(new)}
        case "delete":
            coupons.delete(coupon, actor=actor)
            return _("The coupon %(label)s is gone.") % {"label": coupon.label}
        case _:
            raise Invalid(_("Nothing was chosen that could be done."))


def _add(request: HttpRequest, coupon: Coupon, actor: Actor) -> str:
    file = request.FILES.get("file")
    if file is None:
        raise Invalid(_("Choose a file first."))
    if (file.size or 0) > LARGEST:
        raise Invalid(_("%(name)s is larger than 64 MB.") % {"name": file.name})
    lines = (bytes(line).decode("utf-8-sig", "replace") for line in cast("Iterable[bytes]", file))
    new, doubles = coupons.add(coupon, lines, actor=actor)
    return _("New values: %(new)s; there already, or twice: %(doubles)s.") % {
        "new": words.number(new),
        "doubles": words.number(doubles),
    }


def _line(coupon: Coupon) -> Line:
    individual = CouponType(coupon.type) is CouponType.INDIVIDUAL
    found = coupons.counts(coupon) if individual else coupons.Counts(0, 0)
    ended = coupon.end_date is not None and coupon.end_date <= clock.now()
    until = words.moment(coupon.end_date) if coupon.end_date else ""
    return Line(coupon, individual, words.number(found.every), words.number(found.free), ended, until)


def _moment(text: str) -> datetime | None:
    if not text.strip():
        return None
    found = parse_datetime(text.strip())
    if found is None:
        raise Invalid(_("%(text)r is no date.") % {"text": text})
    return make_aware(found) if is_naive(found) else found
