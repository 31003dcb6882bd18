"""The page that takes a message in from a file, and says what became of it."""

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from envoi.console.access import actor_of_request
from envoi.console.navigation import Word, under
from envoi.kernel.errors import Conflict, Invalid, NotAllowed, NotFound
from envoi.packages.delivery.console import delivery_tabs, visual_editor
from envoi.packages.delivery.services import variants
from envoi.packages.delivery.services.content import importing


@under(Word.DELIVERIES)
@require_http_methods(["GET", "POST"])
def page(request: HttpRequest, number: int) -> HttpResponse:
    """Ask for a file; with POST import it and show the report."""
    actor = actor_of_request(request)
    delivery = delivery_tabs.find(number, actor)
    variants.enter(delivery, request.GET.get("variant", ""))
    report: importing.Report | None = None
    problem = ""
    if request.method == "POST":
        try:
            file = request.FILES.get("file")
            if file is None:
                raise Invalid(_("Choose a file first."))
            if (file.size or 0) > importing.MOST:
                raise Invalid(_("%(name)s is empty or larger than 20 MB.") % {"name": file.name})
            report = importing.imported(
                delivery, file.name or "", file.read(), actor=actor, as_text="as_text" in request.POST
            )
        except (Invalid, Conflict, NotAllowed, NotFound) as refusal:
            delivery.refresh_from_db()
            variants.enter(delivery, delivery.variant)
            problem = str(refusal)
    context = {
        "part": "import",
        "report": report,
        "changes": visual_editor.may_change(delivery, actor),
        "written": bool(delivery.html_source.strip()) and report is None,
    }
    return delivery_tabs.show(
        request, "delivery/content_import.html", delivery, actor, "content", context, problem=problem
    )
