"""Links and coupon of a content: how links are called and tracked, and which coupon is shown."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from envoi.console.access import actor_of_request
from envoi.console.navigation import Word, under
from envoi.kernel.errors import Invalid, Refused
from envoi.kernel.rights import Actor
from envoi.packages.delivery.console import delivery_tabs, visual_editor
from envoi.packages.delivery.models import Delivery, TrackingUrl
from envoi.packages.delivery.services import coupons, deliveries, variants
from envoi.packages.delivery.services.content import blocks, freezing, link_settings, settings, tracking
from envoi.packages.delivery.services.content.link_settings import Said


@dataclass(frozen=True)
class Line:
    """A link as the page shows it."""

    url: str
    label: str
    said: Said
    remembered: bool


@under(Word.DELIVERIES)
@require_http_methods(["GET", "POST"])
def page(request: HttpRequest, number: int) -> HttpResponse:
    """Show and set them."""
    actor = actor_of_request(request)
    delivery = delivery_tabs.find(number, actor)
    problem = ""
    if request.method == "POST":
        back, problem = delivery_tabs.carry_out(request, delivery, actor, _keep)
        if back is not None:
            return back
    said = settings.read(delivery.content)
    context = {
        "part": "links",
        "changes": visual_editor.may_change(delivery, actor),
        "lines": _lines(delivery, said),
        "said": said,
        "coupons": coupons.visible(actor)[:200],
        "categories": TrackingUrl.objects.exclude(category="")
        .values_list("category", flat=True)
        .distinct()[:50],
    }
    return delivery_tabs.show(
        request, "delivery/content_links.html", delivery, actor, "content", context, problem=problem
    )


def _keep(request: HttpRequest, delivery: Delivery, actor: Actor) -> str:
    given = request.POST
    kept: dict[str, dict[str, Any]] = {}
    for number, url in enumerate(given.getlist("url")):
        said = Said(
            f"tracked{number}" in given,
            given.get(f"label{number}", "").strip(),
            given.get(f"category{number}", "").strip(),
        )
        if said != Said():
            kept[url] = {"tracked": said.tracked, "label": said.label, "category": said.category}
        if f"remembered{number}" in given:
            link_settings.remember(url, said)
        else:
            link_settings.forget(url)
    coupon = given.get("coupon", "0")
    if not coupon.isdecimal():
        raise Invalid(_("This coupon is not there any more, or you have no right to see it."))
    if int(coupon):
        coupons.find(int(coupon), actor=actor)
    content = {**delivery.content, "links": kept, "params": given.get("params", ""), "coupon": int(coupon)}
    content["params"] = link_settings.parameters(str(content["params"]))
    deliveries.change(delivery, {"content": content}, actor=actor)
    return _("Links and coupon are set.")


def _lines(delivery: Delivery, said: settings.ContentSettings) -> list[Line]:
    try:
        sources = blocks.expanded(freezing.parts(delivery, said) | variants.parts(delivery))
    except Refused:
        return []
    found = tracking.written(sources)
    addresses = [each.url for each in found]
    wishes, remembered = link_settings.of(addresses, said.links), link_settings.of(addresses, {})
    return [
        Line(each.url, each.label, wishes.get(each.url, Said()), each.url in remembered) for each in found
    ]
