"""Pictures of messages: the page and the picker of a delivery's content, and where readers get them."""

from collections.abc import Sequence

from django.conf import settings
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound, HttpResponseNotModified
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_safe

from envoi.console.access import actor_of_request, public
from envoi.console.navigation import Word, under
from envoi.kernel import folders
from envoi.kernel.errors import Invalid, Refused
from envoi.kernel.folders import Access
from envoi.kernel.models import Folder
from envoi.kernel.rights import Actor
from envoi.packages.delivery.console import delivery_tabs, visual_editor
from envoi.packages.delivery.models import Delivery, Image
from envoi.packages.delivery.services.content import images

_PAGE = 24
_AT_ONCE = 20


@under(Word.DELIVERIES)
@require_http_methods(["GET", "POST"])
def page(request: HttpRequest, number: int) -> HttpResponse:
    """Show the pictures, take new ones in; with `pick` only the list, for the dialog of the editor.

    `folder` shows those of one folder, and is where new ones go.
    """
    actor = actor_of_request(request)
    delivery = delivery_tabs.find(number, actor)
    picks = "pick" in request.GET
    problem = ""
    if request.method == "POST":
        if picks:
            try:
                _do(request, delivery, actor)
            except Refused as refusal:
                problem = str(refusal)
        else:
            back, problem = delivery_tabs.carry_out(request, delivery, actor, _do)
            if back is not None:
                return back
    sought = request.GET.get("q", "").strip()
    found = images.visible(actor).select_related("folder")
    chosen = _folder(request.GET.get("folder", ""), actor, Access.READ)
    if chosen is not None:
        found = found.filter(folder=chosen)
    if sought:
        found = found.filter(label__icontains=sought) | found.filter(alt__icontains=sought)
    shown = Paginator(found, _PAGE).get_page(request.GET.get("page"))
    context = {
        "delivery": delivery,
        "part": "images",
        "pictures": [_seen(each, delivery) for each in shown],
        "shown": shown,
        "sought": sought,
        "folder": chosen,
        "folders": _labelled(images.places(actor)),
        "into": _labelled(images.places(actor, Access.WRITE)),
        "problem": problem,
        "local": "" if settings.ENVOI.config.web.public_url else settings.ENVOI.config.web.address,
        "changes": visual_editor.may_change(delivery, actor),
    }
    if picks:
        return render(request, "delivery/picker.html", context)
    if "users" in request.GET and request.GET["users"].isdecimal():
        image = images.find(int(request.GET["users"]), actor=actor)
        context |= {"asked": image, "users": images.used_by(image)}
    return delivery_tabs.show(
        request, "delivery/pictures.html", delivery, actor, "content", context, problem=problem
    )


@public
@require_safe
def serve(request: HttpRequest, name: str) -> HttpResponse:
    """Answer with a picture: to readers, for ever the same."""
    tag = f'"{name}"'
    if request.headers.get("If-None-Match") == tag:
        response: HttpResponse = HttpResponseNotModified()
    else:
        found = images.served(name)
        if found is None:
            return HttpResponseNotFound(content_type="text/plain")
        response = HttpResponse(found[1], content_type=found[0])
        response["Content-Security-Policy"] = "default-src 'none'; sandbox"
        # Pages of others may show it: a copy of the message in an archive, a web mail.
        response["Cross-Origin-Resource-Policy"] = "cross-origin"
    response["Cache-Control"] = "public, max-age=31536000, immutable"
    response["ETag"] = tag
    return response


def _do(request: HttpRequest, delivery: Delivery, actor: Actor) -> str:
    given = request.POST
    number = int(given["number"]) if given.get("number", "").isdecimal() else 0
    match given.get("do", ""):
        case "upload":
            files = request.FILES.getlist("file")
            if not files:
                raise Invalid(_("Choose a file first."))
            if len(files) > _AT_ONCE:
                raise Invalid(_("At most %(n)d pictures at once.") % {"n": _AT_ONCE})
            where = _folder(given.get("folder", ""), actor, Access.WRITE)
            new = 0
            for file in files:
                if (file.size or 0) > images.MOST:
                    raise Invalid(_("%(name)s is empty or larger than 5 MB.") % {"name": file.name})
                _image, made = images.add(
                    file.name or "", file.read(), actor=actor, alt=given.get("alt", ""), folder=where
                )
                new += made
            if not new:
                return _("These pictures are there already.")
            return ngettext("%(n)d picture is there.", "%(n)d pictures are there.", new) % {"n": new}
        case "describe":
            images.describe(images.find(number, actor=actor), given.get("alt", ""), actor=actor)
            return _("The text in place of the picture is kept.")
        case "remove":
            image = images.find(number, actor=actor)
            images.remove(image, actor=actor)
            return _("%(name)s is deleted.") % {"name": image.label}
        case _:
            raise Invalid(_("Nothing was chosen that could be done."))


def _folder(number: str, actor: Actor, access: Access) -> Folder | None:
    """Return the folder that was chosen; None for no choice."""
    return images.place(int(number), actor=actor, access=access) if number.isdecimal() else None


def _labelled(found: Sequence[Folder]) -> list[tuple[int, str]]:
    """Return folders with their labels, those inside another one further in."""
    outermost = min((each.path.count("/") for each in found), default=0)
    return [
        (each.pk, "\u2003" * (each.path.count("/") - outermost) + folders.label_of(each)) for each in found
    ]


def _seen(image: Image, delivery: Delivery) -> dict[str, object]:
    return {
        "image": image,
        "address": images.address(image),
        "path": images.path(image),
        "folder": folders.label_of(image.folder),
        "kilobytes": max(1, image.size // 1024),
        "heavy": image.size > images.HEAVY,
        "here": image.digest in delivery.html_source,
    }
