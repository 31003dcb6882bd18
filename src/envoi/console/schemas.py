"""Pages of the data schemas: what entities are made of, and what administrators add to them."""

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods

from envoi.console import explorer
from envoi.console.access import administrators_only
from envoi.console.administration import trail_of
from envoi.console.folder_kinds import FolderKind, own
from envoi.console.navigation import Word, under
from envoi.kernel import enumerations, extensions, folders, registry
from envoi.kernel.errors import Conflict, Invalid, NotFound
from envoi.kernel.extensions import Additions, NewField, NewLink, NewTable, documents, uses
from envoi.kernel.extensions.documents import Reading
from envoi.kernel.models import AddedField, Folder
from envoi.kernel.models.extension import IndexState
from envoi.kernel.registry import Attribute, Schema, Type, translate
from envoi.kernel.registry.documents import document, text_of
from envoi.kernel.rights import Actor

LINK = "link"
KINDS = {
    Type.STRING.value: gettext_lazy("Text"),
    Type.MEMO.value: gettext_lazy("Long text"),
    Type.LONG.value: gettext_lazy("Whole number"),
    Type.INT64.value: gettext_lazy("Large whole number"),
    Type.DOUBLE.value: gettext_lazy("Decimal number"),
    Type.BOOLEAN.value: gettext_lazy("Yes or no"),
    Type.DATE.value: gettext_lazy("Date"),
    Type.DATETIME.value: gettext_lazy("Date and time"),
    LINK: gettext_lazy("Link to another schema"),
}


@dataclass(frozen=True)
class Row:
    """A schema as the list shows it."""

    schema: Schema
    label: str
    added: int
    """Fields and links that were added here."""


@dataclass(frozen=True)
class Line:
    """An attribute as its table shows it."""

    attribute: Attribute
    label: str
    kind: str
    default: str
    removable: str
    """Name by which it is taken away; empty for what a package brings."""
    making: bool = False
    """Its index is being made."""


def schemas_page(request: HttpRequest, folder: Folder) -> HttpResponse:
    """List the schemas; the filter looks at names and labels."""
    administrators_only(request, to=_("see the data schemas"))
    query = request.GET.get("q", "").strip()
    found = [
        Row(each, translate(each.label), sum(a.runtime for a in each.attributes.values()) - each.runtime)
        for each in registry.current()
    ]
    shown = [each for each in found if query.lower() in f"{each.schema.name} {each.label}".lower()]
    context = {"found": shown, "query": query, **explorer.frame(request, folder)}
    return render(request, "console/schemas/list.html", context)


@under(Word.EXPLORER)
@require_GET
def schema_page(request: HttpRequest, name: str) -> HttpResponse:
    """Show one schema: attributes, links, keys, enumerations, and what was done to it."""
    actor = administrators_only(request, to=_("see the data schemas"))
    schema = registry.find(name)
    making = set(
        AddedField.objects.filter(schema=name, index_state=IndexState.MAKING).values_list("name", flat=True)
    )
    context = {
        "schema": schema,
        "label": translate(schema.label),
        "lines": [_line(each, making) for each in schema.attributes.values()],
        "links": [
            (each, translate(each.label), each.runtime and not each.collection)
            for each in schema.links.values()
        ],
        "keys": [("id", schema.key), *schema.keys.items()],
        "lists": [
            (each, [(value, translate(value.label)) for value in each.values])
            for each in schema.enumerations.values()
        ],
        "folder_path": None if schema.folder is None else " / ".join(schema.folder),
        "trail": trail_of(actor, extensions.ENTITY, name),
        **_frame(request, actor),
    }
    return render(request, "console/schemas/page.html", context)


@under(Word.EXPLORER)
@require_GET
def document_page(request: HttpRequest, name: str) -> HttpResponse:
    """Show the XML document of a schema; `?file=1` gives it as a file."""
    actor = administrators_only(request, to=_("see the data schemas"))
    schema, known = registry.find(name), registry.current()
    text = text_of(document(schema, known))
    if request.GET.get("file"):
        file = f"{schema.namespace}_{schema.local_name}.xml"
        headers = {"Content-Disposition": f'attachment; filename="{file}"'}
        return HttpResponse(text, content_type="application/xml; charset=utf-8", headers=headers)
    context = {"schema": schema, "label": translate(schema.label), "text": text, **_frame(request, actor)}
    return render(request, "console/schemas/document.html", context)


@under(Word.EXPLORER)
@require_http_methods(["GET", "POST"])
def new_field(request: HttpRequest, name: str) -> HttpResponse:
    """Add a field or a link to a schema; the chosen type decides what else is asked."""
    actor = administrators_only(request, to=_("extend a schema"))
    schema, given, problem = registry.find(name), request.POST or request.GET, ""
    if request.method == "POST":
        try:
            with transaction.atomic():
                member = _member(given)
                extensions.add_field(name, member, actor=actor)
            messages.success(request, _("%(name)s is there now.") % {"name": member.name})
            return redirect("console:schema", name)
        except (Invalid, Conflict, NotFound) as refusal:
            problem = str(refusal)
    kind = given.get("type", Type.STRING.value)
    context = {
        "schema": schema,
        "label": translate(schema.label),
        "given": given,
        "kind": kind if kind in KINDS else Type.STRING.value,
        "kinds": KINDS.items(),
        "targets": _targets(),
        "itemized": [(each.name, enumerations.label_of(each)) for each in enumerations.list_all(actor=actor)],
        "problem": problem,
        **_frame(request, actor),
    }
    return render(request, "console/schemas/field.html", context, status=400 if problem else 200)


@under(Word.EXPLORER)
@require_http_methods(["GET", "POST"])
def change_field(request: HttpRequest, name: str, member: str) -> HttpResponse:
    """Give an added field another label, and let a text be longer."""
    actor = administrators_only(request, to=_("extend a schema"))
    schema, problem = registry.find(name), ""
    field = AddedField.objects.filter(schema=name, name=member).first()
    if field is None:
        raise NotFound(_("There is nothing here."))
    if request.method == "POST":
        given = request.POST
        try:
            with transaction.atomic():
                extensions.change_field(
                    name, member, actor=actor, label=given.get("label", "").strip(), length=_length(given)
                )
            messages.success(request, _("%(name)s is changed.") % {"name": member})
            return redirect("console:schema", name)
        except (Invalid, Conflict) as refusal:
            problem = str(refusal)
    context = {
        "schema": schema,
        "label": translate(schema.label),
        "field": field,
        "given": request.POST or {"label": field.label, "length": field.length},
        "problem": problem,
        **_frame(request, actor),
    }
    return render(request, "console/schemas/change.html", context, status=400 if problem else 200)


@under(Word.EXPLORER)
@require_http_methods(["GET", "POST"])
def new_table(request: HttpRequest) -> HttpResponse:
    """Add a table, linked to a schema or not."""
    actor = administrators_only(request, to=_("extend a schema"))
    given, problem = request.POST or request.GET, ""
    if request.method == "POST":
        try:
            with transaction.atomic():
                table = _table(given)
                extensions.add_table(table, actor=actor)
            messages.success(request, _("%(name)s is there now. Add its fields.") % {"name": table.name})
            return redirect("console:schema", table.name)
        except (Invalid, Conflict, NotFound) as refusal:
            problem = str(refusal)
    context = {
        "given": given,
        "targets": _targets(),
        "problem": problem,
        **_frame(request, actor),
    }
    return render(request, "console/schemas/table.html", context, status=400 if problem else 200)


@under(Word.EXPLORER)
@require_http_methods(["GET", "POST"])
def import_page(request: HttpRequest) -> HttpResponse:
    """Read a schema document, show what it adds, and add it when that is confirmed."""
    actor = administrators_only(request, to=_("extend a schema"))
    text, problem, reading = "", "", None
    if request.method == "POST":
        try:
            text = _document(request)
            reading = documents.read(text, registry.current())
            if reading.adds:
                extensions.plan(reading.additions, actor=actor)
            if request.POST.get("do") == "apply":
                with transaction.atomic():
                    extensions.add(reading.additions, actor=actor)
                messages.success(request, _("%(name)s is extended.") % {"name": reading.name})
                return redirect("console:schema", reading.name)
        except (Invalid, Conflict, NotFound) as refusal:
            problem, reading = str(refusal), None
    context = {
        "text": text,
        "problem": problem,
        "reading": reading,
        "planned": [] if reading is None else _planned(reading),
        **_frame(request, actor),
    }
    return render(request, "console/schemas/import.html", context, status=400 if problem else 200)


@under(Word.EXPLORER)
@require_http_methods(["GET", "POST"])
def remove(request: HttpRequest, name: str, member: str = "") -> HttpResponse:
    """Show what uses a field, a link or a whole table, and take it away when that is confirmed."""
    actor = administrators_only(request, to=_("take away from a schema"))
    found, problem = extensions.removal(name, member, actor=actor), ""
    if request.method == "POST":
        force = request.POST.get("force") == "1"
        try:
            with transaction.atomic():
                if member:
                    extensions.remove_field(name, member, actor=actor, force=force)
                else:
                    extensions.remove_table(name, actor=actor, force=force)
            messages.success(request, _("%(name)s is taken away.") % {"name": member or name})
            return redirect("console:schema", name) if member else redirect("console:schemas")
        except Conflict as refusal:
            problem = str(refusal)
    schema = registry.find(name)
    context = {
        "schema": schema,
        "label": translate(schema.label),
        "member": member,
        "what": member or name,
        "removal": found,
        "many": found.rows >= uses.COUNTED,
        "problem": problem,
        **_frame(request, actor),
    }
    return render(request, "console/schemas/remove.html", context, status=400 if problem else 200)


# --- what was typed


def _member(given: QueryDict) -> NewField | NewLink:
    kind = given.get("type", "")
    name, label = given.get("name", "").strip(), given.get("label", "").strip()
    if kind not in KINDS:
        raise Invalid(_("Choose a type."))
    if kind == LINK:
        return NewLink(
            name,
            given.get("target", ""),
            label,
            given.get("reverse", "").strip(),
            indexed=given.get("indexed") == "1",
        )
    return NewField(
        name,
        label,
        Type(kind),
        _length(given) if kind == Type.STRING.value else None,
        given.get("default", "").strip() or None,
        given.get("list", "") if kind == Type.STRING.value else "",
    )


def _length(given: QueryDict) -> int | None:
    text = given.get("length", "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Invalid(_("The length is a whole number, not %(text)s.") % {"text": text[:40]})
    return int(text)


def _table(given: QueryDict) -> NewTable:
    """Return the table: its key field if one is named, and the link to its parent if there is one."""
    members: list[NewField | NewLink] = []
    keys: dict[str, tuple[str, ...]] = {}
    if code := given.get("code", "").strip():
        members.append(NewField(code))
        keys[code] = (code,)
    target, parent = given.get("target", ""), ""
    if target:
        link = given.get("link", "").strip() or target.partition(":")[2]
        members.append(NewLink(link, target))
        found = registry.current().schemas.get(target)
        parent = link if found is not None and found.bounded else ""
    label = given.get("label", "").strip()
    singular = given.get("singular", "").strip()
    return NewTable(given.get("name", "").strip(), label, singular, tuple(members), keys, parent)


def _document(request: HttpRequest) -> str:
    file = request.FILES.get("file")
    if file is None:
        return request.POST.get("text", "")
    if file.size is None or file.size > documents.LARGEST:
        raise Invalid(_("The file is larger than %(most)d bytes.") % {"most": documents.LARGEST})
    try:
        return file.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Invalid(_("The file is not written in UTF-8.")) from error


def _planned(reading: Reading) -> list[tuple[str, str, str, str]]:
    """Return (schema, name, type, label) of all that a document adds."""
    additions: Additions = reading.additions
    inside = [(table.name, each) for table in additions.tables for each in table.members]
    found: list[tuple[str, str, str, str]] = [
        (each.name, "", _("Table"), each.label) for each in additions.tables
    ]
    for schema, each in (*inside, *additions.members):
        if isinstance(each, NewLink):
            kind = f"→ {each.target}"
        else:
            kind = f"{each.type.value}({each.length})" if each.length else each.type.value
        found.append((schema, each.name, kind, each.label))
    return found


# --- what is shown


def _line(each: Attribute, making: set[str]) -> Line:
    name = each.name.removesuffix("-id")
    kind = each.type.value + (f"({each.length})" if each.length else "")
    default: Any = "" if each.default is None else each.default
    if isinstance(default, bool):
        default = str(default).lower()
    removable = name if each.runtime and each.name != "id" else ""
    return Line(each, translate(each.label), kind, str(default), removable, name in making)


def _targets() -> list[tuple[str, str]]:
    """Return (name, label) of the schemas that a link can lead to."""
    found = [(each.name, translate(each.label)) for each in registry.current() if len(each.key) == 1]
    return sorted(found, key=lambda pair: pair[1].casefold())


def _frame(request: HttpRequest, actor: Actor) -> dict[str, object]:
    folder = folders.readable_folders(actor).filter(model=extensions.ENTITY).order_by("path").first()
    if folder is None:
        raise NotFound(_("There is nothing here."))
    return {**explorer.frame(request, folder), "crumbs": explorer.crumbs(request, folder, whole=True)}


own(extensions.ENTITY, FolderKind(schemas_page, "db"))
