"""The visual editor of a delivery's content: started from a page that ships, drawn in the browser, compiled
on the server.
"""

from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.templatetags.static import static
from django.urls import reverse
from django.utils.translation import get_language, ngettext, pgettext
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from envoi.console.access import actor_of_request
from envoi.console.navigation import Word, under
from envoi.kernel import folders
from envoi.kernel.errors import Conflict, Invalid, NotAllowed, NotFound, Refused
from envoi.kernel.folders import Access
from envoi.kernel.rights import Actor, Right
from envoi.packages.delivery.console import content, content_drafts, delivery_tabs
from envoi.packages.delivery.console.variants import tongues
from envoi.packages.delivery.models import Delivery, IncludeView
from envoi.packages.delivery.services import deliveries, variants
from envoi.packages.delivery.services.content import images, preview, settings, starters, versions, visual
from envoi.packages.delivery.services.deliveries import states
from envoi.web.security import POLICY

EDITOR = (
    POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'").replace(
        "img-src 'self' data:", "img-src 'self' https: http: data:"
    )
    + "; frame-src 'self'"
)
"""The editor draws messages: their styles stand in attributes, their pictures anywhere. Scripts do not."""


@under(Word.DELIVERIES)
@require_http_methods(["GET", "POST"])
def page(request: HttpRequest, number: int) -> HttpResponse:
    """Show the editor, or what one may start from; `do` keeps what is drawn, starts, or ends it."""
    actor = actor_of_request(request)
    delivery = delivery_tabs.find(number, actor)
    variants.enter(delivery, request.GET.get("variant", ""))
    problem = ""
    if request.method == "POST":
        if "json" in request.headers.get("Accept", ""):
            match request.POST.get("do"):
                case "keep":
                    return _kept(request, delivery, actor)
                case "check":
                    return _checked(request, delivery)
                case _:
                    pass
        back, problem = delivery_tabs.carry_out(request, delivery, actor, _do)
        if back is not None:
            return back
    drawn = bool(delivery.mjml_source)
    response = delivery_tabs.show(
        request,
        "delivery/visual.html" if drawn else "delivery/visual_start.html",
        delivery,
        actor,
        "content",
        _context(delivery, actor) if drawn else _beginnings(request, delivery, actor),
        problem=problem,
    )
    response["Content-Security-Policy"] = EDITOR
    return response


def may_change(delivery: Delivery, actor: Actor) -> bool:
    """Return whether the actor may change the content now."""
    writes = actor.has(Right.PREPARE_DELIVERIES) and folders.may(actor, delivery.folder, Access.WRITE)
    return writes and delivery.status in states.EDITABLE


def _do(request: HttpRequest, delivery: Delivery, actor: Actor) -> str:
    given = request.POST
    match given.get("do", ""):
        case "start":
            source = starters.source(given.get("starter", ""), given.get("language", ""), actor=actor)
            deliveries.change(delivery, visual.values(delivery, source), actor=actor)
            return _("The message begins with this page. Change whatever you like.")
        case "end":
            deliveries.change(delivery, {"mjml_source": ""}, actor=actor)
            return _("The HTML is written by hand from now on.")
        case "keep":
            deliveries.change(delivery, visual.values(delivery, given.get("mjml_source", "")), actor=actor)
            return _("The message is kept.")
        case _:
            raise Invalid(_("Nothing was chosen that could be done."))


def _kept(request: HttpRequest, delivery: Delivery, actor: Actor) -> JsonResponse:
    """Keep what is drawn, and say so to the script."""
    try:
        source = request.POST.get("mjml_source", "")
        values = visual.values(delivery, source)
        with transaction.atomic():
            content_drafts.require_seen(delivery, request.POST, actor=actor)
            deliveries.change(delivery, values, actor=actor)
    except content_drafts.Newer as refusal:
        # Whoever was told of a newer version has seen it.
        delivery.refresh_from_db()
        variants.enter(delivery, delivery.variant)
        return JsonResponse({"problem": str(refusal), "version": versions.version(delivery)})
    except (Invalid, Conflict, NotAllowed, NotFound) as refusal:
        return JsonResponse({"problem": str(refusal)})
    said = _("The message is kept.")
    try:
        preview.preview(delivery, actor=actor, most=1)
    except Refused as refusal:
        said = _("The message is kept, but cannot be sent like this: %(problem)s") % {"problem": refusal}
    return JsonResponse({"said": said, "size": size(delivery), "version": versions.version(delivery)})


def _checked(request: HttpRequest, delivery: Delivery) -> JsonResponse:
    """Answer with what a source is when it is kept, and with its HTML, or with what is wrong in which line.
    Nothing is kept.
    """
    try:
        source = visual.kept(request.POST.get("mjml_source", ""))
        html = visual.values(delivery, source)["html_source"]
    except Invalid as refusal:
        line = refusal.line if isinstance(refusal, visual.Mistake) else 0
        return JsonResponse({"problem": str(refusal), "line": line})
    return JsonResponse({"mjml": source, "html": html})


def size(delivery: Delivery) -> str:
    """Return how large the HTML is, of what Gmail shows without cutting it off."""
    kilobytes = max(1, len(delivery.html_source.encode()) // 1024) if delivery.html_source else 0
    return _("%(n)d KB of 102") % {"n": kilobytes}


def _context(delivery: Delivery, actor: Actor) -> dict[str, Any]:
    changes = may_change(delivery, actor)
    return {
        "changes": changes,
        "size": size(delivery),
        "readers": preview.readers(delivery, actor=actor),
        "part": "visual",
        "tongues": tongues(delivery),
        "draft": content_drafts.described(delivery, actor, "visual"),
        "phrases": content.phrases(),
        "config": {
            "mjml": delivery.mjml_source,
            "changes": changes,
            "language": "fr" if (get_language() or "en").startswith("fr") else "en",
            "lang": settings.read(delivery.content).language,
            "fields": content.fields(delivery, actor),
            "blocks": [
                (each.name, each.labels.get(get_language() or "en") or each.label)
                for each in IncludeView.objects.all()
            ],
            "placeholder": images.picture_address("placeholder.png"),
            "own": images.own_address(),
            "social": static("delivery/social/"),
            "urls": {"pictures": reverse("delivery:delivery-images", args=[delivery.pk]) + "?pick=1"},
            "texts": _texts(),
            "names": _names(),
        },
    }


def _beginnings(request: HttpRequest, delivery: Delivery, actor: Actor) -> dict[str, Any]:
    language = request.GET.get("language", "") or settings.read(delivery.content).language
    chosen = language if language in starters.LANGUAGES else (get_language() or "en")[:2]
    return {
        "changes": may_change(delivery, actor),
        "part": "visual",
        "starters": starters.shown(chosen),
        "languages": [
            (each, label, each == chosen) for each, label in (("en", _("English")), ("fr", _("French")))
        ],
        "language": chosen,
        "replaces": bool(delivery.html_source.strip()),
        "kilobytes": max(1, len(delivery.html_source.encode()) // 1024),
    }


def _names() -> dict[str, str]:
    """Return what the elements of a message are called, by their names in the editor."""
    return {
        "body": _("Message"),
        "button": _("Button"),
        "column": _("Column"),
        "divider": _("Divider"),
        "group": _("Group"),
        "hero": _("Opening picture"),
        "image": _("Picture"),
        "navBar": _("Menu"),
        "navLink": _("Link of a menu"),
        "section": _("Section"),
        "socialGroup": _("Social networks"),
        "socialElement": _("Social network"),
        "spacer": _("Space"),
        "text": _("Text"),
        "wrapper": _("Frame"),
        "raw": _("As it is written"),
    }


def _texts() -> dict[str, str]:
    """Return the texts of the editor, by the names that its script uses."""
    return {
        "keeping": _("Keeping…"),
        "atLine": _("Go to line %(n)s") % {"n": "%n%"},
        "rte_0": _("Bold"),
        "rte_1": _("Italic"),
        "rte_2": _("Underlined"),
        "rte_3": _("Struck through"),
        "rte_4": _("Link"),
        "canvas": _("The message while it is drawn"),
        "lost": _("The server did not answer: nothing is kept. Try again."),
        "lostSource": _("The server did not answer: the source is not looked at. Try again."),
        "applied": _("The message follows the source."),
        "sourceKept": _("The source has a mistake: it stays as it is, and nothing is kept."),
        "sourceChanged": _("The source is not applied yet."),
        "sourceBoth": _("The message was changed as well: applying the source replaces that."),
        "choose": _("Choose something in the message to change it."),
        "noProperties": _("Nothing can be set here: write in the message itself."),
        "standard": pgettext("value", "as usual"),
        "choosePicture": _("Choose a picture…"),
        "addNetwork": _("Add a network"),
        "compose": _("Put it together"),
        "conditionField": _("Field"),
        "conditionHow": _("Comparison"),
        "conditionValue": _("Value"),
        "how_filled": _("is filled"),
        "how_empty": _("is empty"),
        "how_equals": _("is"),
        "how_differs": _("is not"),
        "how_above": _("is above"),
        "how_below": _("is below"),
        "act_up": _("Move up (Alt+↑)"),
        "act_down": _("Move down (Alt+↓)"),
        "act_copy": pgettext("command", "Duplicate"),
        "act_remove": _("Remove (Del)"),
        "sampleText": _("Write your text here."),
        "sampleTitle": _("A title"),
        "sampleButton": _("Find out more"),
        "sampleHello": _("Hello"),
        "sampleConditional": _("Only those see this for whom the condition is true."),
        "sampleFooter": _("You get this message at %(address)s.") % {"address": "%address%"},
        "unsubscribe": _("Unsubscribe"),
        "mirror": _("View in the browser"),
        "block_one": ngettext("%(n)d column", "%(n)d columns", 1) % {"n": 1},
        "block_two": ngettext("%(n)d column", "%(n)d columns", 2) % {"n": 2},
        "block_three": ngettext("%(n)d column", "%(n)d columns", 3) % {"n": 3},
        "block_pictureText": _("Picture and text"),
        "block_hero": _("Opening picture"),
        "block_text": _("Text"),
        "block_heading": _("Title"),
        "block_image": _("Picture"),
        "block_button": _("Button"),
        "block_divider": _("Divider"),
        "block_spacer": _("Space"),
        "block_social": _("Social networks"),
        "block_greeting": _("Greeting"),
        "block_conditional": _("Only for some"),
        "block_footer": _("Footer to unsubscribe"),
        "prop_preview": _("Preview text"),
        "hint_preview": _("What mail programs show beside the subject."),
        "prop_background-color": _("Background"),
        "prop_background-url": _("Background picture"),
        "prop_color": _("Colour"),
        "prop_border-color": _("Colour"),
        "prop_border-width": _("Thickness"),
        "prop_border-style": _("Line"),
        "prop_width": _("Width"),
        "prop_height": _("Height"),
        "prop_align": _("Alignment"),
        "prop_vertical-align": _("Vertical alignment"),
        "prop_font-size": _("Size of the text"),
        "prop_font-weight": _("Weight of the text"),
        "prop_font-family": _("Typeface"),
        "prop_line-height": _("Line height"),
        "prop_border-radius": _("Round corners"),
        "prop_padding-top": _("Space above"),
        "prop_padding-bottom": _("Space below"),
        "prop_padding-left": _("Space at the left"),
        "prop_padding-right": _("Space at the right"),
        "prop_full-width": _("Over the whole width"),
        "prop_href": _("Address of the link"),
        "prop_src": _("Picture"),
        "prop_alt": _("Text in its place"),
        "prop_title": _("Name of the link in reports"),
        "prop_icon-size": _("Size of the icons"),
        "prop_mode": _("Direction"),
        "prop_network": _("Network"),
        "prop_envoi-if": _("Shown only if"),
        "prop_envoi-each": _("Repeated for each"),
        "hint_alt": _("Read by those who see no pictures; leave it empty for mere decoration."),
        "hint_envoi-if": _("A condition, for instance recipient.age > 18"),
        "hint_envoi-each": _("For instance: purchase in recipient.purchases"),
        "choice_left": _("left"),
        "choice_center": _("centre"),
        "choice_right": _("right"),
        "choice_top": _("top"),
        "choice_middle": _("middle"),
        "choice_bottom": _("bottom"),
        "choice_solid": _("solid"),
        "choice_dashed": _("dashed"),
        "choice_dotted": _("dotted"),
        "choice_400": _("normal"),
        "choice_600": _("strong"),
        "choice_700": _("bold"),
        "choice_horizontal": _("side by side"),
        "choice_vertical": _("one below the other"),
        "choice_full-width": _("yes"),
        "choice_web": _("Web site"),
    }
