"""Pages of enumerations: the lists, their values, the aliases that stand for them."""

from collections.abc import Callable
from dataclasses import dataclass

from django.contrib import messages
from django.db import transaction
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from envoi.console import explorer
from envoi.console.access import administrators_only
from envoi.console.administration import trail_of
from envoi.console.folder_kinds import FolderKind, own
from envoi.console.navigation import Word, under
from envoi.kernel import enumerations, folders
from envoi.kernel.errors import Conflict, Invalid, NotFound
from envoi.kernel.models import Enum, EnumValue, Folder
from envoi.kernel.models.enumeration import EnumMode, EnumType
from envoi.kernel.rights import Actor

SHOWN = 200
"""Values and aliases on one page; the filter finds the others."""


@dataclass(frozen=True)
class Row:
    """A value as its table shows it."""

    value: EnumValue
    sign: str
    """The character itself, of an emoticon."""
    aliases: int


def enumerations_page(request: HttpRequest, folder: Folder) -> HttpResponse:
    """List the enumerations; the filter looks at names and labels."""
    actor = administrators_only(request, to=_("see the enumerations"))
    query = request.GET.get("q", "").strip()
    found = [
        (enum, label)
        for enum in enumerations.list_all(actor=actor)
        if query.lower() in f"{enum.name} {(label := enumerations.label_of(enum))}".lower()
    ]
    found.sort(key=lambda pair: pair[1].casefold())
    context = {"found": found, "query": query, **explorer.frame(request, folder)}
    return render(request, "console/enumerations/list.html", context)


@under(Word.EXPLORER)
@require_http_methods(["GET", "POST"])
def new_enumeration(request: HttpRequest) -> HttpResponse:
    """Create a list."""
    actor = administrators_only(request, to=_("create an enumeration"))
    problem = ""
    if request.method == "POST":
        given = request.POST
        name = given.get("name", "").strip()
        try:
            enumerations.create(
                name,
                actor=actor,
                label=given.get("label", ""),
                type=given.get("type", ""),
                mode=given.get("mode", ""),
            )
            messages.success(request, _("%(name)s is created.") % {"name": name})
            return redirect("console:enumeration", name=name)
        except (Invalid, Conflict) as refusal:
            problem = str(refusal)
    context = {
        "problem": problem,
        "given": request.POST,
        "types": EnumType.choices,
        "modes": EnumMode.choices,
        **_frame(request, actor),
    }
    return render(request, "console/enumerations/new.html", context, status=400 if problem else 200)


@under(Word.EXPLORER)
@require_http_methods(["GET", "POST"])
def enumeration_page(request: HttpRequest, name: str) -> HttpResponse:
    """Show one list and change it; `do` names what is done."""
    actor = administrators_only(request, to=_("see the enumerations"))
    enum = enumerations.find(name, actor=actor)
    problem = ""
    if request.method == "POST":
        do = request.POST.get("do", "")
        try:
            if do not in DOINGS:
                raise Invalid(_("Nothing was chosen that could be done."))
            with transaction.atomic():
                text = DOINGS[do](request.POST, actor, name)
            messages.success(request, text)
            return (
                redirect("console:enumerations") if do == "delete" else redirect("console:enumeration", name)
            )
        except (Invalid, Conflict, NotFound) as refusal:
            problem = str(refusal)
            enum.refresh_from_db()
    context = {
        "enum": enum,
        "label": enumerations.label_of(enum),
        "problem": problem,
        "given": request.POST if problem else {},
        "types": EnumType.choices,
        "modes": EnumMode.choices,
        "bound": enumerations.fields(name),
        "trail": trail_of(actor, enumerations.ENTITY, name),
        **_contents(enum, actor, request.GET.get("q", "").strip()),
        **_frame(request, actor),
    }
    return render(request, "console/enumerations/page.html", context, status=400 if problem else 200)


def _contents(enum: Enum, actor: Actor, query: str) -> dict[str, object]:
    """Return values and aliases of a list, those that the filter finds."""
    counts = dict(
        enum.values.annotate(n=Count("aliases")).values_list("pk", "n")  # pyright: ignore[reportAttributeAccessIssue]
    )

    def rows(*, stored: bool) -> list[Row]:
        return [
            Row(value, _sign(value) if enum.kind is EnumType.EMOTICON else "", counts.get(value.pk, 0))
            for value in enumerations.values(enum.name, actor=actor, stored=stored)
        ]

    aliases = enumerations.aliases(enum.name, actor=actor)
    if query:
        aliases = aliases.filter(Q(alias__icontains=query) | Q(value__value__icontains=query))
    values = rows(stored=False)
    shown = [row for row in values if query.lower() in f"{row.value.value} {row.value.label}".lower()]
    return {
        "query": query,
        "emoticons": enum.kind is EnumType.EMOTICON,
        "takes_aliases": enum.cure is not EnumMode.SIMPLE,
        "values": shown[:SHOWN],
        "value_count": len(shown),
        "stored": rows(stored=True),
        "choices": [row.value for row in values],
        "aliases": aliases[:SHOWN],
        "alias_count": aliases.count(),
        "limit": SHOWN,
    }


def _sign(value: EnumValue) -> str:
    return "".join(chr(int(point.removeprefix("U+"), 16)) for point in value.value.split())


def _settings(given: QueryDict, actor: Actor, name: str) -> str:
    enumerations.update(
        name, actor=actor, label=given.get("label"), type=given.get("type"), mode=given.get("mode")
    )
    return _("%(name)s is changed.") % {"name": name}


def _add_value(given: QueryDict, actor: Actor, name: str) -> str:
    added = enumerations.add_value(
        name,
        given.get("value", ""),
        actor=actor,
        label=given.get("label", ""),
        position=_position(given),
    )
    return _("%(value)s is in the list.") % {"value": added}


def _change_value(given: QueryDict, actor: Actor, name: str) -> str:
    changed = enumerations.change_value(
        name, given.get("value", ""), actor=actor, to=given.get("to"), label=given.get("label") or None
    )
    if changed.position != (position := _position(given)):
        enumerations.move_value(name, changed.value, position, actor=actor)
    return _("%(value)s is changed.") % {"value": changed}


def _remove_value(given: QueryDict, actor: Actor, name: str) -> str:
    enumerations.remove_value(name, given.get("value", ""), actor=actor)
    return _("%(value)s is off the list.") % {"value": given.get("value", "")}


def _value_to_alias(given: QueryDict, actor: Actor, name: str) -> str:
    value, target = given.get("value", ""), given.get("target", "")
    rows = enumerations.value_to_alias(name, value, target, actor=actor)
    return _("%(alias)s stands for %(value)s now; rows rewritten: %(n)d.") % {
        "alias": value,
        "value": target,
        "n": rows,
    }


def _set_alias(given: QueryDict, actor: Actor, name: str) -> str:
    alias, value = given.get("alias", ""), given.get("target") or None
    enumerations.set_alias(name, alias, value, actor=actor)
    if value is None:
        return _("%(alias)s stands for no value yet.") % {"alias": alias}
    return _("%(alias)s stands for %(value)s.") % {"alias": alias, "value": value}


def _alias_to_value(given: QueryDict, actor: Actor, name: str) -> str:
    added = enumerations.alias_to_value(name, given.get("alias", ""), actor=actor)
    return _("%(value)s is in the list.") % {"value": added}


def _remove_alias(given: QueryDict, actor: Actor, name: str) -> str:
    enumerations.remove_alias(name, given.get("alias", ""), actor=actor)
    return _("%(value)s is off the list.") % {"value": given.get("alias", "")}


def _cleanse(given: QueryDict, actor: Actor, name: str) -> str:
    done = enumerations.cleanse(name, actor=actor)
    return _("Rows replaced: %(replaced)d. New texts without a value: %(noted)d.") % {
        "replaced": done.replaced,
        "noted": done.noted,
    }


def _delete(given: QueryDict, actor: Actor, name: str) -> str:
    enumerations.delete(name, actor=actor)
    return _("%(name)s is deleted.") % {"name": name}


DOINGS: dict[str, Callable[[QueryDict, Actor, str], str]] = {
    "settings": _settings,
    "add-value": _add_value,
    "change-value": _change_value,
    "remove-value": _remove_value,
    "value-to-alias": _value_to_alias,
    "set-alias": _set_alias,
    "alias-to-value": _alias_to_value,
    "remove-alias": _remove_alias,
    "cleanse": _cleanse,
    "delete": _delete,
}


def _position(given: QueryDict) -> int | None:
    text = given.get("position", "").strip()
    try:
        return int(text) if text else None
    except ValueError as error:
        raise Invalid(_("The order is a whole number, not %(text)s.") % {"text": text}) from error


def _frame(request: HttpRequest, actor: Actor) -> dict[str, object]:
    folder = folders.readable_folders(actor).filter(model=enumerations.ENTITY).order_by("path").first()
    if folder is None:
        raise NotFound(_("There is nothing here."))
    return {**explorer.frame(request, folder), "crumbs": explorer.crumbs(request, folder, whole=True)}


own("xtk:enum", FolderKind(enumerations_page, "tag"))
