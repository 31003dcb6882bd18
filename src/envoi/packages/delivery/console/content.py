"""What the readers of a delivery get: the tab Content, and the message as one of them sees it."""

from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import get_language, ngettext, pgettext
from django.utils.translation import gettext as _
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_http_methods

from envoi.console.access import actor_of_request
from envoi.console.navigation import Word, under
from envoi.kernel import folders, registry
from envoi.kernel.errors import Conflict, Invalid, NotAllowed, NotFound, Refused
from envoi.kernel.folders import Access
from envoi.kernel.registry import Schema
from envoi.kernel.rights import Actor, Right
from envoi.packages.delivery.console import content_drafts, delivery_tabs
from envoi.packages.delivery.console.variants import tongues
from envoi.packages.delivery.models import Delivery, Format, IncludeView, TrackingUrl, UrlType
from envoi.packages.delivery.services import content, deliveries, variants
from envoi.packages.delivery.services.content import (
    attachments,
    checking,
    images,
    plain,
    preview,
    reading,
    settings,
    templates,
    translating,
    visual,
)
from envoi.packages.delivery.services.deliveries import states
from envoi.web.security import POLICY

_TEXTS = ("subject", "from_name", "from_address", "reply_to", "html_source", "text_source")
_VIEWS = ("phone", "desktop", "dark", "text")
OF_READER = "*"
"""In place of the language of a variant: that of the reader who is shown."""
_SHOWN = (
    "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src 'self' https: http: data:; "
    "font-src 'self' https: data:; frame-src 'self'; frame-ancestors 'self'; form-action 'none'; "
    "base-uri 'none'"
)
"""Policy of a page that shows a message: pictures and styles of it, nothing else."""


@under(Word.DELIVERIES)
@require_http_methods(["GET", "POST"])
def page(request: HttpRequest, number: int) -> HttpResponse:
    """Show and change the content of a delivery or template, or of its variant that the address names; `do`
    names what is done.
    """
    actor = actor_of_request(request)
    delivery = delivery_tabs.find(number, actor)
    variants.enter(delivery, request.GET.get("variant", ""))
    problem, seen = "", request.POST.get("version", "")
    draft = content_drafts.described(delivery, actor, "source", seen=seen)
    if request.method == "POST":
        try:
            if request.POST.get("do") == "text":
                _draft(delivery, request.POST)
                delivery.text_source = plain.of_html(delivery.html_source)
                messages.info(request, _("The text is made of the HTML. It is not kept yet."))
            else:
                with transaction.atomic():
                    text = _do(request, delivery, actor)
                messages.success(request, text)
                return redirect(request.get_full_path())
        except (Invalid, Conflict, NotAllowed, NotFound) as refusal:
            problem = str(refusal)
            delivery.refresh_from_db()
            variants.enter(delivery, delivery.variant)
            if isinstance(refusal, content_drafts.Newer):
                # Whoever was told of a newer version has seen it.
                newer = content_drafts.described(delivery, actor, "source")
                draft = newer | {"typed": "1"}
            _draft(delivery, request.POST)
    response = delivery_tabs.show(
        request,
        "delivery/delivery_content.html",
        delivery,
        actor,
        "content",
        _context(delivery, actor) | {"draft": draft},
        problem=problem,
    )
    response["Content-Security-Policy"] = f"{POLICY}; frame-src 'self'"
    return response


@under(Word.DELIVERIES)
@require_http_methods(["GET", "POST"])
@xframe_options_sameorigin
def show(request: HttpRequest, number: int) -> HttpResponse:
    """Show the message as a reader gets it: what is kept, or with POST what stands in the form."""
    actor = actor_of_request(request)
    delivery = delivery_tabs.find(number, actor)
    given = request.POST if request.method == "POST" else request.GET
    if (variant := given.get("variant", "")) != OF_READER:
        variants.enter(delivery, variant)
    view = given.get("view", "phone")
    view = view if view in _VIEWS else "phone"
    shown: preview.Preview | None = None
    problem = ""
    try:
        if request.method == "POST":
            _draft(delivery, given)
        reader = preview.find(delivery, given.get("who", ""), actor=actor)
        if reader is None and given.get("who", "").strip():
            raise NotFound(
                _("Nobody whom you may see has the address %(who)s.") % {"who": given["who"].strip()}
            )
        most = 0 if request.method == "POST" else templates.UNASKED
        shown = preview.preview(delivery, actor=actor, reader=reader, most=most, chosen=variant == OF_READER)
    except Refused as refusal:
        problem = str(refusal)
    context = {
        "delivery": delivery,
        "shown": shown,
        "problem": problem,
        "view": view,
    }
    if shown is not None:
        as_text = view == "text" or not shown.parts["html"]
        dark = view == "dark"
        context |= {
            "size": max(1, shown.size // 1024),
            "as_text": as_text,
            "html": preview.in_scheme(
                # The console may be reached elsewhere than readers reach our pictures.
                shown.parts["html"].replace(images.own_address() + images.PATH[1:], images.PATH),
                dark=dark,
            ),
            "inverted": dark and not as_text and not preview.knows_dark(shown.parts["html"]),
        }
    response = render(request, "delivery/preview.html", context, status=400 if problem else 200)
    response["Content-Security-Policy"] = _SHOWN
    return response


def _do(request: HttpRequest, delivery: Delivery, actor: Actor) -> str:
    match request.POST.get("do", ""):
        case "attach":
            file = request.FILES.get("file")
            if file is None:
                raise Invalid(_("Choose a file first."))
            if (file.size or 0) > attachments.MOST:
                raise Invalid(_("%(name)s is empty or larger than 10 MB.") % {"name": file.name})
            made = attachments.add(delivery, file.name or "", file.read(), actor=actor)
            return _("%(name)s goes with every message.") % {"name": made.name}
        case "detach":
            number = request.POST.get("number", "")
            attachments.remove(delivery, int(number) if number.isdecimal() else 0, actor=actor)
            return _("The file is not attached any more.")
        case _:
            return _keep(request.POST, delivery, actor)


def _keep(given: Mapping[str, str], delivery: Delivery, actor: Actor) -> str:
    """Keep what stands in the form; returns what is said."""
    kept = [
        mark
        for name in ("subject", "html_source", "text_source")
        for mark in translating.translated(given.get(name, ""), html=name == "html_source").kept
    ]
    values: dict[str, Any] = {name: _lines(given[name]) for name in _TEXTS if name in given}
    if "content_format" in given:
        values["content_format"] = int(given["content_format"])
    if "settings" in given:
        values["content"] = _settings(given, delivery)
    content_drafts.require_seen(delivery, given, actor=actor)
    deliveries.change(delivery, values, actor=actor)
    if not kept:
        return _("The content is kept.")
    return ngettext(
        "The content is kept. %(n)d mark is not understood and must be written anew: %(first)s",
        "The content is kept. %(n)d marks are not understood and must be written anew: %(first)s",
        len(kept),
    ) % {"n": len(kept), "first": kept[0][:80]}


def _draft(delivery: Delivery, given: Mapping[str, str]) -> None:
    """Let a delivery, which is not saved, hold what stands in the form."""
    for name in _TEXTS:
        if name in given:
            text = translating.translated(_lines(given[name]), html=name == "html_source").source
            setattr(delivery, name, text)
    if "mjml_source" in given:
        delivery.html_source = visual.compiled(given["mjml_source"])
        delivery.text_source = plain.of_html(delivery.html_source)
    if "settings" in given:
        delivery.content = _settings(given, delivery)
        settings.read(delivery.content)


def _settings(given: Mapping[str, str], delivery: Delivery) -> dict[str, Any]:
    return {
        **delivery.content,
        "tracking": "tracking" in given,
        "opens": "opens" in given,
        **({"mirror": given["mirror"]} if "mirror" in given else {}),
        "language": given.get("language", "").strip(),
        "toName": given.get("to_name", "").strip(),
    }


def _mirrors() -> dict[str, str]:
    return {
        settings.LINK: _("for readers, where the message links to it"),
        settings.ALWAYS: _("for readers, always"),
        settings.BY_ID: _("for operators only, from the delivery log"),
        settings.NEVER: _("none"),
    }


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n")


def _context(delivery: Delivery, actor: Actor) -> dict[str, Any]:
    writes = actor.has(Right.PREPARE_DELIVERIES) and folders.may(actor, delivery.folder, Access.WRITE)
    try:
        said = settings.read(delivery.content)
    except Invalid:
        said = settings.ContentSettings()
    readers = preview.readers(delivery, actor=actor)
    found = checking.check(delivery, actor=actor, reader=next(iter(readers), None))
    return {
        "changes": writes and delivery.status in states.EDITABLE,
        "part": "source",
        "said": said,
        "formats": [
            (int(each), registry.translate(each.label[:1].upper() + each.label[1:])) for each in Format
        ],
        "fields": fields(delivery, actor),
        "blocks": [
            (each.name, each.labels.get(get_language() or "en") or each.label)
            for each in IncludeView.objects.all()
        ],
        "findings": found,
        "worst": max((each.weight for each in found), default=0),
        "readers": readers,
        "links": TrackingUrl.objects.filter(delivery=delivery, type=UrlType.CLICK).order_by("pk")[:50],
        "files": attachments.of(delivery),
        "can_track": content.trackable(),
        "mirrors": [(mode, label, mode == said.mirror) for mode, label in _mirrors().items()],
        "tongues": tongues(delivery),
        "phrases": phrases(),
        "kilobytes": max(1, len(delivery.html_source.encode()) // 1024) if delivery.html_source else 0,
    }


def phrases() -> dict[str, str]:
    """Return the words of the code editor, by those that it has in English."""
    return {
        "Search:": _("Search:"),
        "(Use /re/ syntax for regexp search)": _("(/…/ for a regular expression)"),
        "Replace:": _("Replace:"),
        "Replace with:": _("Replace with:"),
        "With:": _("With:"),
        "Replace?": _("Replace?"),
        "Yes": _("Yes"),
        "No": _("No"),
        "All": pgettext("replace", "All"),
        "Stop": pgettext("replace", "Stop"),
    }


def fields(delivery: Delivery, actor: Actor) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return what can be put into a content, in groups: (label of the group, [(mark, label)])."""
    rights = {right.value for right in actor.rights}

    def of(root: str, schema: Schema) -> list[tuple[str, str]]:
        return [
            (f"{{{{ {_path(root, each.name)} }}}}", registry.translate(each.label))
            for each in schema.attributes.values()
            if not each.right or each.right in rights or actor.is_administrator
        ]

    person = reading.person_schema(delivery.mapping)
    found: list[tuple[str, list[tuple[str, str]]]] = []
    if person is not None:
        found.append((registry.translate(person.singular), of("recipient", person)))
        dimension = registry.fresh()[delivery.mapping.schema]
        if dimension.name != person.name:
            found.append((registry.translate(dimension.singular), of(dimension.local_name, dimension)))
        if several := _collections(person):
            found.append((_("Collections, row by row"), several))
    data = preview.data(delivery, actor)
    if data is not None:
        marks = [
            (f"{{{{ targetData.{each.attribute} }}}}", each.label or each.attribute) for each in data.columns
        ]
        found.append((_("Data of the workflow"), marks))
    found.append(
        (
            _("Message and delivery"),
            [
                ("{{ message.address }}", _("Address of the reader")),
                ("{{ message.unsubscribeUrl }}", _("Address to unsubscribe")),
                ("{{ message.mirrorUrl }}", _("Address of the mirror page")),
                ("{{ message.preferencesUrl }}", _("Address of the preferences")),
                ("{{ message.forwardUrl }}", _("Address to pass it on to a friend")),
                ("{{ message.shareUrl }}", _("Address to share")),
                ("{{ message.registrationUrl }}", _("Address to subscribe")),
                ("{{ delivery.label }}", _("Label of the delivery")),
                ("{{ operator.label }}", _("Name of who made it")),
            ],
        )
    )
    return found


def _collections(person: Schema) -> list[tuple[str, str]]:
    """Return loops over what belongs to a reader: (mark, label)."""
    known = registry.fresh()
    return [
        (
            f"{{% for each in recipient.{name} %}}{{{{ each.{_shown(known[link.target])} }}}} {{% endfor %}}",
            registry.translate(known[link.target].label),
        )
        for name, link in sorted(person.links.items())
        if link.collection and link.target in known
    ]


def _shown(schema: Schema) -> str:
    return "label" if "label" in schema.attributes else next(iter(schema.attributes))


def _path(root: str, name: str) -> str:
    path = root
    for step in name.split("/"):
        path += f".{step}" if step.isidentifier() else f"['{step}']"
    return path
