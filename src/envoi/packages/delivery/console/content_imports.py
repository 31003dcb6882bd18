"""The page that takes a message in from a file or an address, and says what became of it."""

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from envoi.console.access import actor_of_request
from envoi.console.navigation import Word, under
from envoi.kernel.errors import Conflict, Invalid, NotAllowed, NotFound
from envoi.kernel.rights import Actor
from envoi.packages.delivery.console import delivery_tabs, visual_editor
from envoi.packages.delivery.models import Delivery
from envoi.packages.delivery.services import variants
from envoi.packages.delivery.services.content import importing


@under(Word.DELIVERIES)
@require_http_methods(["GET", "POST"])
def page(request: HttpRequest, number: int) -> HttpResponse:
    """Ask for a file or an address; with POST import it and show the report."""
    actor = actor_of_request(request)
    delivery = delivery_tabs.find(number, actor)
    variants.enter(delivery, request.GET.get("variant", ""))
    report: importing.Report | None = None
    problem = ""
    if request.method == "POST":
        try:
            report = _imported(request, delivery, actor)
        except (Invalid, Conflict, NotAllowed, NotFound) as refusal:
            delivery.refresh_from_db()
            variants.enter(delivery, delivery.variant)
            problem = str(refusal)
    context = {
        "part": "import",
        "report": report,
        "changes": visual_editor.may_change(delivery, actor),
        "address": request.POST.get("address", "") if report is None else "",
        "written": bool(delivery.html_source.strip()) and report is None,
    }
    return delivery_tabs.show(
        request, "delivery/content_import.html", delivery, actor, "content", context, problem=problem
    )


def _imported(request: HttpRequest, delivery: Delivery, actor: Actor) -> importing.Report:
    as_text = "as_text" in request.POST
    if address := request.POST.get("address", "").strip():
        return importing.imported_from(
            delivery, address, actor=actor, pictures="pictures" in request.POST, as_text=as_text
        )
    file = request.FILES.get("file")
    if file is None:
        raise Invalid(_("Choose a file first."))
    if (file.size or 0) > importing.MOST:
        raise Invalid(_("%(name)s is empty or larger than 20 MB.") % {"name": file.name})
    return importing.imported(delivery, file.name or "", file.read(), actor=actor, as_text=as_text)
