"""The pages of sending addresses: affinities, domains, warm-up."""

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from envoi.console import explorer
from envoi.console.access import administrators_only
from envoi.console.administration import trail_of
from envoi.console.navigation import Word, under
from envoi.kernel.errors import Conflict, Invalid, NotFound
from envoi.kernel.models import Folder
from envoi.packages.delivery.console.sending_pages import below, tabs
from envoi.packages.delivery.models import SendingIp
from envoi.packages.delivery.models.routing import STEPS
from envoi.packages.delivery.services import routing
from envoi.packages.delivery.services.routing import addresses, masks

FIELDS = (
    "address", "public_id", "host", "helo", "weight", "affinities", "include_domains", "exclude_domains",
    "warm_up_began", "warm_up_steps",
)  # fmt: skip


def first(request: HttpRequest) -> HttpResponse:
    """Send to the folder."""
    return explorer.first_of(request, addresses.ENTITY)


@under(Word.EXPLORER)
def folder_page(request: HttpRequest, folder: Folder) -> HttpResponse:
    """List the addresses with what they sent today."""
    administrators_only(request, to=_("see how mail is sent"))
    context = {
        "rows": [(each, masks.names(each.row.affinities), _share(each)) for each in addresses.standing()],
        "helo": routing.helo(settings.CONFIG),
        "tabs": tabs(addresses.ENTITY),
        **explorer.frame(request, folder),
    }
    return render(request, "delivery/routing/addresses.html", context)


@under(Word.EXPLORER)
@require_http_methods(["GET", "POST"])
def page(request: HttpRequest, number: int | None = None) -> HttpResponse:
    """Show one address, change it, or make one."""
    actor = administrators_only(request, to=_("change sending addresses"))
    row = SendingIp(warm_up_steps=STEPS)
    if number is not None:
        found = SendingIp.objects.filter(pk=number).first()
        if found is None:
            raise NotFound(_("This sending address is not there any more."))
        row = found
    problem = ""
    if request.method == "POST":
        try:
            if request.POST.get("do") == "delete" and number is not None:
                addresses.delete(number, actor=actor)
                messages.success(request, _("The address is deleted."))
            else:
                given = {name: request.POST[name] for name in FIELDS if request.POST.get(name) is not None}
                addresses.save(number, {**given, "active": "active" in request.POST}, actor=actor)
                messages.success(request, _("The address is kept. Senders know it within a minute."))
            return redirect("delivery:sending-addresses")
        except (Invalid, Conflict) as refusal:
            problem = str(refusal)
    values = {name: getattr(row, name) for name in FIELDS}
    if row.warm_up_began:
        values["warm_up_began"] = row.warm_up_began.isoformat()
    given_back = {name: request.POST.get(name, "") for name in FIELDS} if problem else values
    context = {
        "row": row if number is not None else None,
        "active": "active" in request.POST if problem else row.active,
        "values": {name: "" if value is None else value for name, value in given_back.items()},
        "helo": routing.helo(settings.CONFIG),
        "problem": problem,
        "trail": trail_of(actor, addresses.ENTITY, row.address or str(row.public_id)) if number else [],
        **below(request, actor, addresses.ENTITY),
    }
    return render(request, "delivery/routing/address.html", context, status=400 if problem else 200)


def _share(each: addresses.Standing) -> int | None:
    """Return the hundredths of today's quota that are spent."""
    return None if each.most is None else min(100, round(100 * each.sent / max(each.most, 1)))
