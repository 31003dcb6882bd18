"""The page of web tracking: the tag for pages of a site, the privacy banner, and which visits are logged."""

from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.html import escape
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from envoi.console.access import administrators_only
from envoi.console.navigation import Word, under
from envoi.kernel import options
from envoi.kernel.errors import Invalid
from envoi.kernel.rights import Actor
from envoi.packages.delivery.models import Delivery
from envoi.packages.delivery.services.tracking import visits

SCRIPT = "/static/delivery/web_tag.js"
"""Without the hash of its content: sites keep this address for years."""
MODES = ("session", "permanent", "anonymous")


@under(Word.PROFILES)
@require_http_methods(["GET", "POST"])
def page(request: HttpRequest) -> HttpResponse:
    """Show what is pasted into a site, and change how its visits are logged."""
    actor = administrators_only(request, to=_("see how visits are logged"))
    problem = ""
    if request.method == "POST":
        try:
            _save(request, actor)
            messages.success(request, _("Kept. It holds from the next visit on."))
            return redirect(request.path)
        except Invalid as refusal:
            problem = str(refusal)
    posted = request.POST if problem else None
    config = settings.ENVOI.config
    context = {
        "problem": problem,
        "tracked": bool(config.tracking.url),
        "tags": _tags(config.tracking.url.rstrip("/"), config.web.address + SCRIPT),
        "mode": posted.get("mode") if posted else options.get(visits.MODE, actor=actor, default="session"),
        "delivery": posted.get("delivery")
        if posted
        else options.get(visits.DELIVERY, actor=actor, default=""),
        "forced": posted.get("forced") if posted else options.get(visits.FORCED, actor=actor, default=False),
        "visitors": posted.get("visitors")
        if posted
        else options.get(visits.VISITORS, actor=actor, default=False),
    }
    return render(request, "delivery/web_tracking.html", context, status=400 if problem else 200)


def _tags(track: str, script: str) -> list[tuple[str, str, str]]:
    """Return what can be pasted: a name, what it is for, and the text."""
    begin = f'<script src="{escape(script)}" defer data-tracking="{escape(track)}"{_domain(track)}'
    pixel = f'<img src="{escape(track)}/r/1?tagid='
    return [
        (
            _("Page, with the privacy banner"),
            _("Asks visitors once, and tells of nobody who refuses."),
            f'{begin} data-page="home"></script>',
        ),
        (
            _("Purchase"),
            _("On the page that confirms an order, with its amount and the number of articles."),
            f'{begin} data-page="order|t" data-amount="49.90" data-article="2"></script>',
        ),
        (
            _("Page without a script"),
            _("Nobody is asked: only where your site has asked already."),
            f'{pixel}home" width="1" height="1" alt="">',
        ),
        (
            _("Purchase without a script"),
            _("jobid names the delivery in hexadecimal, rcpid the reader by a field; both may be left out."),
            f'{pixel}order%7Ct&amp;jobid=1a2b&amp;rcpid=@email%3Dann@example.org&amp;amount=49.90&amp;article=2"'
            ' width="1" height="1" alt="">',
        ),
    ]


def _domain(track: str) -> str:
    """Return the attribute that lets the process `track` read a refusal too: the domain above its host, which
    is the site's when it answers below that. Nothing where there is none.
    """
    host = urlsplit(track).hostname or ""
    above = host.partition(".")[2]
    return f' data-domain="{escape(above)}"' if "." in above and not above.replace(".", "").isdigit() else ""


def _save(request: HttpRequest, actor: Actor) -> None:
    """Keep the modes. Raises Invalid for a mode or a delivery that does not exist."""
    mode, delivery = request.POST.get("mode", ""), request.POST.get("delivery", "").strip()
    if mode not in MODES:
        raise Invalid(_("Choose one of the modes."))
    if delivery and not Delivery.objects.filter(internal_name=delivery).exists():
        raise Invalid(_("No delivery has the internal name {name}.").format(name=delivery))
    with transaction.atomic():
        options.set(visits.MODE, mode, actor=actor)
        options.set(visits.DELIVERY, delivery, actor=actor)
        options.set(visits.FORCED, request.POST.get("forced") == "on", actor=actor)
        options.set(visits.VISITORS, request.POST.get("visitors") == "on", actor=actor)
