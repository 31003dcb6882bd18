"""What a list is asked for: everything about it stands in its address, or in the view that it opens with."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, QueryDict
from django.utils.translation import gettext as _

from envoi.console import conditions, words
from envoi.console.access import actor_of_request
from envoi.console.records import columns
from envoi.console.records.columns import Column
from envoi.kernel import folders, saved_views
from envoi.kernel.big_tables import BIG_TABLES
from envoi.kernel.errors import Invalid, NotFound
from envoi.kernel.expression import Call, Like, Literal, Path
from envoi.kernel.models import Folder, SavedView
from envoi.kernel.query import Condition, Field, QueryDef
from envoi.kernel.registry import Schema, Type
from envoi.kernel.rights import Actor

SEARCHED = ("label", "name", "internalName", "email", "firstName", "lastName", "title", "value")
MOST_SEARCHED = 8
LONGEST_QUERY = 200


@dataclass(frozen=True)
class Asked:
    """One list: of which schema, where, which rows in which order, which columns, from where on."""

    schema: Schema
    actor: Actor
    zone: str
    folder: Folder | None
    below: bool
    """Rows of folders below are in it too."""
    query: str
    filter: str
    """The text of the filter's conditions."""
    conditions: tuple[Condition, ...]
    columns: tuple[Column, ...]
    sort: str
    after: tuple[Any, ...] | None
    back: bool
    """The page ends before `after` instead of beginning behind it."""
    view: SavedView | None
    given: QueryDict
    keys: tuple[int, ...] = ()
    """Only these rows: those that were ticked."""

    @property
    def key(self) -> str:
        """The expression of the primary key."""
        attribute = self.schema.attribute_of(self.schema.key[0]) if self.schema.key else None
        return attribute.xpath if attribute else "@id"

    @property
    def numbered(self) -> bool:
        """Whether rows are told apart by a number: only such have pages, and are changed here."""
        return is_numbered(self.schema)

    @property
    def order(self) -> list[tuple[str, bool]]:
        """Expressions to sort by, and whether the greatest comes first; the key is the last one."""
        expr, descending = self.sort.removeprefix("-"), self.sort.startswith("-")
        own = [] if not expr or expr == self.key else [(expr, descending)]
        return [*own, (self.key, descending if expr == self.key else False)]

    def where(self) -> tuple[Condition, ...]:
        """Return all conditions of the list: place, filter, search, ticks."""
        found = [*_in_place(self), *_grouped(self.conditions), *_search(self)]
        if self.keys:
            found.append(Condition(f"{self.key} IN ({', '.join(map(str, self.keys))})"))
        return tuple(found)

    def definition(self, *more: str) -> QueryDef:
        """Return the query: the key, the columns, then `more`, in the order of the list."""
        exprs = (self.key, *(each.expr for each in self.columns), *more)
        return QueryDef(
            self.schema.name,
            select=tuple(Field(each) for each in exprs),
            where=self.where(),
            order_by=tuple(Field(expr, descending=descending) for expr, descending in self.order),
        )

    def address(self, **changes: Any) -> str:
        """Return `?…` of the same list with changes; None takes a part out. A page is never carried over."""
        kept: dict[str, Any] = {**dict(self.kept()), **changes}
        # An empty filter stands for itself where the view would bring its own.
        empty = {"filter": ""} if self.view and kept.get("filter") == [""] else {}
        found = {name: value for name, value in kept.items() if value not in (None, "", [], [""])}
        return "?" + (urlencode({**found, **empty}, doseq=True) or "view=0")

    def kept(self) -> list[tuple[str, list[str]]]:
        """Return the parameters that say what the list is, without its page."""
        names = ("view", "q", "filter", "c", "sort", "below", "folder")
        found = [(name, self.given.getlist(name)) for name in names if name in self.given]
        if self.view and "view" not in self.given:
            found.append(("view", [str(self.view.pk)]))
        return found

    def state(self) -> str:
        """Return `?…` of these rows and columns for another page: export, count, changes of all rows."""
        place = {"folder": self.folder.folder_id} if self.folder else {}
        return self.address(**place)


def read(request: HttpRequest, schema: Schema, *, folder: Folder | None = None) -> Asked:
    """Return the list that an address asks for.

    Raises Invalid for what it cannot mean, NotFound for a folder or a view that the operator does not see.
    """
    given = request.GET if request.method == "GET" else request.POST
    return of(given, schema, actor_of_request(request), folder=folder)


def of(given: QueryDict, schema: Schema, actor: Actor, *, folder: Folder | None = None) -> Asked:
    """Return the list that parameters ask for; see `read`."""
    view = _view(given, schema, actor)
    if "filter" in given or view is None:
        text = given.get("filter", "")
        found = conditions.read(text)
    else:
        text = json.dumps({"condition": view.filter}, ensure_ascii=False) if view.filter else ""
        found = conditions.read(text)
    exprs: Sequence[str] = given.getlist("c") or (view.columns if view is not None else [])
    exprs = [each for each in exprs if each.strip()] or usual_columns(schema, actor)
    sort = given.get("sort", view.sort if view is not None else "") or _usual_sort(schema)
    return Asked(
        schema=schema,
        actor=actor,
        zone=words.zone_name(),
        folder=folder or _folder(given, actor),
        below=given.get("below", "1") != "0",
        query=given.get("q", "").strip()[:LONGEST_QUERY],
        filter=text,
        conditions=found,
        columns=tuple(columns.chosen(exprs, schema)),
        sort=sort,
        after=_after(given.get("after", "")),
        back=given.get("back") == "1",
        view=view,
        given=given,
        keys=tuple(int(each) for each in given.getlist("key") if _is_key(each)),
    )


def _view(given: Mapping[str, Any], schema: Schema, actor: Actor) -> SavedView | None:
    number = str(given.get("view", ""))
    if number == "0":
        return None
    if number:
        if not _is_key(number):
            raise NotFound(_("There is no such view, or it is not shared with you."))
        found = saved_views.find(int(number), actor=actor)
        if found.schema != schema.name:
            raise NotFound(_("There is no such view, or it is not shared with you."))
        return found
    said = ("c", "filter", "sort", "q")
    return None if any(name in given for name in said) else saved_views.default(schema.name, actor=actor)


def _folder(given: Mapping[str, Any], actor: Actor) -> Folder | None:
    number = str(given.get("folder", ""))
    if not number:
        return None
    found = folders.readable_folders(actor).filter(pk=int(number)).first() if _is_key(number) else None
    if found is None:
        raise NotFound(_("There is no such folder, or you have no right to see it."))
    return found


def _in_place(asked: Asked) -> list[Condition]:
    """Return the condition of the folder: that rows lie in it, or what a view folder shows."""
    folder, schema = asked.folder, asked.schema
    if folder is None:
        return []
    if folder.is_view:
        return _grouped(conditions.read(json.dumps(folder.view_filter or {})) if folder.view_filter else ())
    if schema.folder is None:
        return []
    inside = folders.readable_folders(asked.actor)
    inside = inside.filter(path__startswith=folder.path) if asked.below else inside.filter(pk=folder.pk)
    numbers = ", ".join(map(str, inside.values_list("pk", flat=True)))
    if not schema.folder:
        return [Condition(f"[@parent-id] IN ({numbers if asked.below else folder.pk})")]
    first = schema.links[schema.folder[0]]
    attribute = schema.attribute_of(first.join[0][0])
    if len(schema.folder) == 1 and attribute is not None:
        return [Condition(f"{attribute.xpath} IN ({numbers})")]
    return [Condition(f"[{'/'.join(schema.folder)}/@id] IN ({numbers})")]


def _grouped(found: Sequence[Condition]) -> list[Condition]:
    """Return conditions as one, so that an OR among them takes in nothing beside."""
    return [Condition(conditions=tuple(found))] if found else []


def searched(asked: Asked) -> list[str]:
    """Return the names of the attributes in which the search looks: one-line texts, the named ones first."""
    schema = asked.schema
    texts = {
        each.name
        for each in columns.readable(schema, asked.actor)
        if each.type is Type.STRING and each.enumeration is None and (each.column or each.expr)
    }
    named = [schema.text.removeprefix("@"), *SEARCHED]
    shown = [each.name for each in asked.columns if each.name]
    return [name for name in dict.fromkeys([*named, *shown]) if name in texts][:MOST_SEARCHED]


def _search(asked: Asked) -> list[Condition]:
    if not asked.query:
        return []
    text = asked.query.lower().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    found = [
        Condition(str(Like(Call("Lower", (Path((), name),)), Literal(f"%{text}%"))), operator="OR")
        for name in searched(asked)
        if "/" not in name
    ]
    if asked.numbered and _is_key(asked.query):
        found.append(Condition(f"{asked.key} = {int(asked.query)}", operator="OR"))
    return _grouped(found or [Condition("1 = 0")])


def _usual_sort(schema: Schema) -> str:
    """Lists of big tables begin with the newest row: only the key is always indexed."""
    from envoi.console.records.forms import form_of  # which needs this module

    if said := form_of(schema).sort:
        return said
    if schema.table in BIG_TABLES or schema.text == "@id":
        attribute = schema.attribute_of(schema.key[0]) if schema.key else None
        return f"-{attribute.xpath if attribute else '@id'}"
    return schema.text


def _after(text: str) -> tuple[Any, ...] | None:
    if not text:
        return None
    try:
        found = json.loads(text[:4000])
    except ValueError:
        found = None
    if not isinstance(found, list) or not all(
        each is None or isinstance(each, (str, int, float, bool)) for each in found
    ):
        raise Invalid(_("This page of the list cannot be found. Begin at its start."))
    return tuple(found)


def _is_key(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) < 19


def usual_columns(schema: Schema, actor: Actor) -> Sequence[str]:
    """Return the columns of a list for which nobody has chosen any: the package's, else those by rule."""
    from envoi.console.records.forms import form_of  # which needs this module

    return form_of(schema).columns or columns.usual(schema, actor)


def is_numbered(schema: Schema) -> bool:
    """Return whether the key of a schema is one whole number."""
    attribute = schema.attribute_of(schema.key[0]) if len(schema.key) == 1 else None
    return attribute is not None and attribute.type in columns.NUMBERS[:4]
