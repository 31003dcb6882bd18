"""The page of one row: its form, generated from the registry, and what belongs to it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from envoi.console import explorer, tree, words
from envoi.console.access import actor_of_request
from envoi.console.navigation import Word, under
from envoi.console.records import columns, inputs
from envoi.console.records.asked import is_numbered
from envoi.console.records.form import Form
from envoi.console.records.inputs import Input
from envoi.kernel import folders, query, registry, writing
from envoi.kernel.errors import NotAllowed, NotFound, Refused
from envoi.kernel.models import Folder
from envoi.kernel.query import Condition, Field, Operation, QueryDef
from envoi.kernel.registry import Attribute, Schema, Type, translate
from envoi.kernel.rights import Actor, Right
from envoi.kernel.writing import Changed

NAME = ""
"""No attribute is called so."""
SHOWN = 5
"""Rows of a collection on the page of the row that they belong to."""
GROUP = 3
"""Attributes with the same first word that make a section of their own."""
MAIN = 16
"""Attributes of the first section; the others come in one behind it."""


OWN = {"xtk:folder": Form(page=lambda key: reverse("console:folder-properties", args=[key]))}
"""Forms of the platform's own entities."""


NAMED = {
    "xtk:workflow": ("console:workflow", "internalName"),
    "xtk:operator": ("console:operator", "name"),
    "xtk:group": ("console:group", "name"),
    "xtk:enum": ("console:enumeration", "name"),
    "xtk:option": ("console:option", "name"),
    "nms:extAccount": ("console:external-account", "name"),
}
"""Entities of the platform with a page of their own: its address, and the attribute that it takes."""


@dataclass(frozen=True)
class Group:
    """A section with its inputs."""

    label: Any
    inputs: tuple[Input, ...]


@dataclass(frozen=True)
class Belonging:
    """Rows of another entity that belong to this one: the first of them, and where all are."""

    label: str
    rows: tuple[tuple[str, str], ...]
    """(address, text)."""
    more: bool
    address: str


def form_of(schema: Schema) -> Form:
    """Return what a package says about the form of a schema."""
    from envoi.console.hooks import pages

    for answer in pages.ask():
        if schema.name in answer.forms:
            return answer.forms[schema.name]
    return OWN.get(schema.name, Form())


def address_of(schema: Schema, key: int) -> str:
    """Return the address of a row's page: the entity's own, else the one drawn from the registry."""
    own = form_of(schema).page
    return own(key) if own else record_address(schema, key)


def record_address(schema: Schema, key: int, page: str = "page") -> str:
    """Return the address of the page that is drawn from the registry."""
    return reverse(f"console:record-{page}", args=[schema.namespace, schema.local_name, key])


def may_create(schema: Schema, *, actor: Actor) -> bool:
    """Return whether the actor may make rows by a form."""
    return writing.may_create(schema, actor=actor)


def edited_in_place(attribute: Attribute) -> bool:
    """Return whether a cell of this attribute can be edited in a list."""
    return attribute.type not in (Type.JSON, Type.UUID)


@under(Word.EXPLORER)
@require_http_methods(["GET", "POST"])
def record(request: HttpRequest, namespace: str, name: str, key: int) -> HttpResponse:
    """Show one row; keep what was changed in it."""
    schema, actor = registry.find(f"{namespace}:{name}"), actor_of_request(request)
    values = row(schema, key, actor)
    may = writing.writable(schema, actor=actor) if writing.may_write(schema, key, actor=actor) else {}
    problem, refusal = "", None
    if request.method == "POST":
        try:
            done = _keep(request.POST, schema, key, may, actor)
            if done.changed:
                messages.success(request, _("%(name)s is changed.") % {"name": text_of(values, key)})
            else:
                messages.info(request, _("Nothing was different."))
            return redirect(record_address(schema, key))
        except Refused as error:
            problem, refusal = str(error), error
    context = {
        **head(request, schema, key, values, actor, "page"),
        "groups": list(
            groups(schema, values, may, actor, given=request.POST if refusal else None, refusal=refusal)
        ),
        "seen": _seen(schema, values, may, refusal, request.POST if refusal else None),
        "problem": "" if isinstance(refusal, (writing.WrongValues, Changed)) else problem,
        "wrong": isinstance(refusal, writing.WrongValues),
        "changed": isinstance(refusal, Changed),
        "belongings": belongings(schema, key, actor),
        "writes": bool(may),
        "computed": _read_only(schema, values, may, actor),
    }
    status = 409 if isinstance(refusal, Changed) else 400 if refusal else 200
    return render(request, form_of(schema).template, context, status=status)


@under(Word.EXPLORER)
@require_http_methods(["GET", "POST"])
def new(request: HttpRequest, namespace: str, name: str) -> HttpResponse:
    """Make a row: empty, or with the values of another (`copy`)."""
    schema, actor = registry.find(f"{namespace}:{name}"), actor_of_request(request)
    may = writing.writable(schema, actor=actor, creating=True)
    if not may:
        raise NotAllowed(
            _("%(name)s may not make rows of %(schema)s here.") % {"name": actor.name, "schema": schema.name}
        )
    values = _first_values(request.GET, schema, may, actor)
    refusal: Refused | None = None
    if request.method == "POST":
        given = {each: inputs.given(request.POST.get(f"f-{each}", "")) for each in may}
        sent = {each: text for each, text in given.items() if text != ""}
        try:
            done = writing.write(
                schema.name,
                _normalised(schema, sent, actor),
                actor=actor,
                operation="insert",
                confirmed=_confirmed(request.POST),
                zone=words.zone_name(),
            )
            messages.success(request, _("It is created."))
            return redirect(address_of(schema, done.key))
        except Refused as error:
            refusal = error
    folder = _place(schema, values, actor)
    context = {
        **(explorer.frame(request, folder) if folder else {}),
        "crumbs": _crumbs(request, schema, folder),
        "schema": schema,
        "heading": _("New: %(schema)s") % {"schema": translate(schema.singular)},
        "groups": list(
            groups(
                schema, values, may, actor, given=request.POST if refusal else None, refusal=refusal, new=True
            )
        ),
        "problem": "" if isinstance(refusal, writing.WrongValues) else str(refusal or ""),
        "wrong": isinstance(refusal, writing.WrongValues),
        "list_address": reverse("console:records-list", args=[namespace, name]),
    }
    return render(request, "console/records/new.html", context, status=400 if refusal else 200)


@under(Word.EXPLORER)
@require_http_methods(["GET", "POST"])
def delete(request: HttpRequest, namespace: str, name: str, key: int) -> HttpResponse:
    """Ask whether a row shall go, with what depends on it (GET), and delete it (POST)."""
    schema, actor = registry.find(f"{namespace}:{name}"), actor_of_request(request)
    values = row(schema, key, actor)
    problem = ""
    back = _home_of(schema, values, actor)
    if request.method == "POST":
        text = text_of(values, key)
        try:
            writing.remove(schema.name, key, actor=actor)
            messages.success(request, _("%(name)s is deleted.") % {"name": text})
            return redirect(back)
        except Refused as error:
            problem = str(error)
    context = {
        **head(request, schema, key, values, actor, "delete"),
        "dependents": writing.dependents(schema.name, key, actor=actor),
        "problem": problem,
    }
    return render(request, "console/records/delete.html", context, status=409 if problem else 200)


def head(
    request: HttpRequest, schema: Schema, key: int, values: Mapping[str, Any], actor: Actor, current: str
) -> dict[str, Any]:
    """Return what the head of a row's pages shows: place, name, tabs, commands."""
    form, folder = form_of(schema), _place(schema, values, actor)
    tabs = [
        (_("Properties"), record_address(schema, key), current == "page"),
        *((each.label, reverse(each.view, args=[key]), False) for each in form.tabs),
        (_("History"), record_address(schema, key, "history"), current == "history"),
    ]
    return {
        **(explorer.frame(request, folder) if folder else {}),
        "crumbs": _crumbs(request, schema, folder),
        "schema": schema,
        "singular": translate(schema.singular),
        "key": key,
        "heading": text_of(values, key),
        "tabs": tabs,
        "own_page": form.page(key) if form.page else _named_page(schema, values),
        "record_address": record_address(schema, key),
        "delete_address": record_address(schema, key, "delete")
        if writing.may_remove(schema, key, actor=actor)
        else "",
        "copy_address": reverse("console:records-new", args=[schema.namespace, schema.local_name])
        + f"?copy={key}"
        if may_create(schema, actor=actor)
        else "",
    }


def row(schema: Schema, key: int, actor: Actor) -> dict[str, Any]:
    """Return attribute name -> value of one row, as far as the actor may read, and under `NAME` what a person
    calls it. Raises NotFound.
    """
    found = columns.readable(schema, actor)
    own = schema.attribute_of(schema.key[0]) if schema.key else None
    asked = QueryDef(
        schema.name,
        Operation.GET_IF_EXISTS,
        select=(*(Field(each.xpath) for each in found), Field(schema.text)),
        where=(Condition(f"{own.xpath if own else '@id'} = {key}"),),
    )
    rows = query.run(asked, actor=actor, zone=words.zone_name()).rows
    if not rows:
        raise NotFound(
            _("There is no %(schema)s with the number %(key)s, or you have no right to see it.")
            % {"schema": translate(schema.singular), "key": key}
        )
    values = {each.name: value for each, value in zip(found, rows[0], strict=False)}
    return {**values, NAME: rows[0][-1]}


def groups(
    schema: Schema,
    values: Mapping[str, Any],
    may: Mapping[str, Attribute],
    actor: Actor,
    *,
    given: QueryDict | None = None,
    refusal: Refused | None = None,
    new: bool = False,
) -> Iterator[Group]:
    """Yield the sections of a form with their inputs; `given` is what was typed before a refusal."""
    for label, names in sections(schema, may):
        found = tuple(input_of(schema, may[name], values.get(name), actor, given, refusal) for name in names)
        if found:
            yield Group(label, found)


def sections(schema: Schema, may: Mapping[str, Attribute]) -> Iterator[tuple[Any, list[str]]]:
    """Yield (heading, attribute names): those that the package names, then the others by rule.

    Attributes inside of an element, or with the same first word, stand together; links and long texts have
    sections of their own.
    """
    form = form_of(schema)
    left = [name for name in may if name not in form.hidden]
    for section in form.sections:
        names = [name for name in section.names if name in left]
        left = [name for name in left if name not in names]
        yield section.label, names
    links = [name for name in left if columns.link_over(schema, may[name]) is not None]
    memos = [name for name in left if may[name].type in (Type.MEMO, Type.JSON)]
    plain = [name for name in left if name not in links and name not in memos]
    together: dict[str, list[str]] = {}
    for name in plain:
        together.setdefault(_first_word(name), []).append(name)
    grouped = {word: names for word, names in together.items() if len(names) >= GROUP and len(together) > 1}
    main = [name for name in plain if not any(name in names for names in grouped.values())]
    text = schema.text.removeprefix("@")
    main.sort(key=lambda name: name != text)
    yield _("Main"), main[:MAIN]
    yield _("More"), main[MAIN:]
    for word, names in grouped.items():
        yield word[:1].upper() + word[1:], names
    yield _("Links"), links
    yield _("Texts"), memos


def input_of(
    schema: Schema,
    attribute: Attribute,
    value: Any,
    actor: Actor,
    given: QueryDict | None = None,
    refusal: Exception | None = None,
) -> Input:
    """Return the input of an attribute; what was typed stays in it when it was refused."""
    name = attribute.name
    text = inputs.written(attribute, value)
    if given is not None and f"f-{name}" in given:
        text = inputs.given(given[f"f-{name}"])
    kind, options = inputs.options_of(schema, attribute, actor, text, words.zone_name())
    link = columns.link_over(schema, attribute)
    target = registry.find(link.target) if link is not None else None
    address = address_of(target, int(value)) if target is not None and value and is_numbered(target) else ""
    theirs = None
    if isinstance(refusal, Changed) and name in refusal.theirs:
        theirs = columns.shown(attribute, refusal.theirs[name], cut=False)
    problem = inputs.problems_of(refusal).get(name, "") if refusal else ""
    return Input(
        name=name,
        label=translate(attribute.label),
        xpath=attribute.xpath,
        kind=kind,
        value=text,
        options=options,
        required=attribute.required,
        longest=attribute.length,
        problem=problem,
        theirs=theirs,
        address=address,
        confirm=bool(problem and kind == "open"),
    )


def belongings(schema: Schema, key: int, actor: Actor) -> list[Belonging]:
    """Return the collections of a row that the actor may read: the first rows of each."""
    schemas, found = registry.current(), list[Belonging]()
    for link in schema.links.values():
        target = schemas[link.target]
        back = target.attribute_of(link.join[0][1])
        if not link.collection or back is None or (target.reading and not actor.has(Right(target.reading))):
            continue
        if back.right and not actor.has(Right(back.right)):
            continue
        condition = f"{back.xpath} = {key}"
        own = target.attribute_of(target.key[0]) if is_numbered(target) else None
        if own is None:
            continue
        asked = QueryDef(
            target.name,
            select=(Field(own.xpath), Field(target.text)),
            where=(Condition(condition),),
            order_by=(Field(own.xpath, descending=True),),
            line_count=SHOWN + 1,
        )
        rows = query.run(asked, actor=actor, zone=words.zone_name()).rows
        address = reverse("console:records-list", args=[target.namespace, target.local_name])
        filter = json.dumps({"condition": [{"expr": condition}]})
        found.append(
            Belonging(
                translate(link.label),
                tuple(
                    (address_of(target, each), str(text if text not in (None, "") else f"#{each}"))
                    for each, text in rows[:SHOWN]
                ),
                len(rows) > SHOWN,
                f"{address}?{urlencode({'filter': filter})}",
            )
        )
    return found


def _keep(
    post: QueryDict, schema: Schema, key: int, may: Mapping[str, Attribute], actor: Actor
) -> writing.Written:
    """Write what was changed in the form, against what its reader has seen."""
    marks = _marks(post)
    values: dict[str, Any] = {}
    for name in may:
        text = inputs.given(post.get(f"f-{name}", ""))
        if name in marks and f"f-{name}" in post and writing.digest(text) != marks[name][1]:
            values[name] = text
    return writing.write(
        schema.name,
        _normalised(schema, values, actor),
        actor=actor,
        operation="update",
        key=key,
        seen={name: stored for name, (stored, _) in marks.items()},
        confirmed=_confirmed(post),
        zone=words.zone_name(),
    )


def _marks(post: QueryDict) -> dict[str, tuple[str, str]]:
    try:
        document = json.loads(post.get("seen", "{}"))
        return {str(name): (str(mark[0]), str(mark[1])) for name, mark in document.items()}
    except (ValueError, AttributeError, TypeError, IndexError, KeyError):
        return {}


def _seen(
    schema: Schema,
    values: Mapping[str, Any],
    may: Mapping[str, Attribute],
    refusal: Refused | None,
    post: QueryDict | None,
) -> str:
    """Return what the form remembers of the values that it was made from."""
    marks = {
        name: inputs.mark(each, values.get(name), inputs.written(each, values.get(name)))
        for name, each in may.items()
    }
    if post is not None:
        # What was seen first still counts, but for what the reader is now shown beside the field.
        before = _marks(post)
        theirs = refusal.theirs if isinstance(refusal, Changed) else {}
        for name in marks:
            if name in before and name not in theirs:
                marks[name] = list(before[name])
    return json.dumps(marks)


def _normalised(schema: Schema, values: Mapping[str, Any], actor: Actor) -> Mapping[str, Any]:
    normalise = form_of(schema).normalise
    return normalise(values, actor) if normalise else values


def _confirmed(post: QueryDict) -> frozenset[str]:
    return frozenset(name.removeprefix("confirm-") for name in post if name.startswith("confirm-"))


def _first_values(
    given: QueryDict, schema: Schema, may: Mapping[str, Attribute], actor: Actor
) -> dict[str, Any]:
    """Return what a new row begins with: defaults, the values of the copied row, the folder of the list."""
    values = {name: each.default for name, each in may.items() if not isinstance(each.default, (dict, list))}
    copied = given.get("copy", "")
    if copied.isascii() and copied.isdigit() and len(copied) < 19:
        before = row(schema, int(copied), actor)
        unique = {name for names in schema.keys.values() if len(names) == 1 for name in names}
        values |= {name: value for name, value in before.items() if name in may and name not in unique}
    if schema.folder and len(schema.folder) == 1 and given.get("folder", "").isdigit():
        attribute = schema.attribute_of(schema.links[schema.folder[0]].join[0][0])
        if attribute is not None:
            values[attribute.name] = int(given["folder"])
    elif schema.folder == () and given.get("folder", "").isdigit():
        values["parent-id"] = int(given["folder"])
    return values


def _read_only(
    schema: Schema, values: Mapping[str, Any], may: Mapping[str, Attribute], actor: Actor
) -> list[tuple[str, str, Any]]:
    """Return (label, xpath, value) of what the form does not let change; documents are left out."""
    return [
        (translate(each.label), each.xpath, columns.shown(each, values.get(each.name), cut=False))
        for each in columns.readable(schema, actor)
        if each.name not in may
    ]


def text_of(values: Mapping[str, Any], key: int) -> str:
    """Return what a person calls a row that `row` gave."""
    value = values.get(NAME)
    return str(value) if value not in (None, "") else f"#{key}"


def _named_page(schema: Schema, values: Mapping[str, Any]) -> str:
    view, attribute = NAMED.get(schema.name, ("", ""))
    return reverse(view, args=[values[attribute]]) if view and values.get(attribute) else ""


def _place(schema: Schema, values: Mapping[str, Any], actor: Actor) -> Folder | None:
    """Return the folder in whose frame a row is shown: its own, when it lies in one directly."""
    if schema.folder is None or len(schema.folder) != 1:
        return None
    attribute = schema.attribute_of(schema.links[schema.folder[0]].join[0][0])
    number = values.get(attribute.name) if attribute is not None else None
    return folders.readable_folders(actor).filter(pk=number).first() if number else None


def _crumbs(request: HttpRequest, schema: Schema, folder: Folder | None) -> list[tuple[str, str]]:
    if folder is not None:
        return explorer.crumbs(request, folder, whole=True)
    return [
        (
            translate(schema.label),
            reverse("console:records-list", args=[schema.namespace, schema.local_name]),
        )
    ]


def _home_of(schema: Schema, values: Mapping[str, Any], actor: Actor) -> str:
    folder = _place(schema, values, actor)
    if folder is not None and folder.model == schema.name:
        return tree.address_of(folder)
    return reverse("console:records-list", args=[schema.namespace, schema.local_name])


def _first_word(name: str) -> str:
    """Return the element of `location/city`, or the first word of `addressLine1`."""
    if "/" in name:
        return name.partition("/")[0]
    word = ""
    for character in name:
        if word and (character.isupper() or character.isdigit()):
            break
        word += character
    return word
