"""The list of any schema: at its own address, and in the folders that hold its rows."""

import json
import secrets
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from django.db import OperationalError, connection, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST
from psycopg import errors

from envoi.console import conditions, explorer, folder_kinds
from envoi.console.access import actor_of_request
from envoi.console.conditions import asking
from envoi.console.conditions.asking import Asker
from envoi.console.faces import Face
from envoi.console.folder_kinds import FolderKind
from envoi.console.navigation import Word, under
from envoi.console.records import asked as asking_for
from envoi.console.records import columns, forms
from envoi.console.records import folders as folder_pages
from envoi.console.records.asked import Asked
from envoi.console.records.columns import Column
from envoi.console.templatetags.console import use as use_icons
from envoi.kernel import query, registry, saved_views, writing
from envoi.kernel.errors import Conflict
from envoi.kernel.models import Folder
from envoi.kernel.registry import Schema, translate
from envoi.kernel.rights import Right

PAGE = 50
COUNTED = 10_000
"""Up to here a list tells exactly how many rows it has."""
SECONDS = 20
"""The longest that a page of a list may take."""
CHEAP = 50_000
"""Rows that may be read to tell it."""


@dataclass(frozen=True)
class Cell:
    """One value as it is shown. `name` is its attribute's when it may be edited in place."""

    column: Column
    shown: Any
    name: str = ""
    text: str = ""
    icon: str = ""
    """The icon that it refers to."""


@dataclass(frozen=True)
class Line:
    """One row."""

    key: int | str
    address: str
    cells: tuple[Cell, ...]
    name: str
    """What a person calls it, for the labels of its tick."""


@dataclass(frozen=True)
class Total:
    """How many rows a list has: exactly, or about."""

    count: int
    exact: bool


@under(Word.EXPLORER)
@require_GET
def schema_list(request: HttpRequest, namespace: str, name: str) -> HttpResponse:
    """Show the rows of a schema, wherever they lie."""
    schema = registry.find(f"{namespace}:{name}")
    asked = asking_for.read(request, schema)
    context = {"heading": translate(schema.label), **content(request, asked)}
    return render(request, "console/records/list.html", context)


def folder_page(request: HttpRequest, folder: Folder) -> HttpResponse:
    """Show the rows that lie in a folder, or that a view folder shows."""
    schema = registry.find(folder.model)
    asked = asking_for.read(request, schema, folder=folder)
    frame = explorer.frame(request, folder)
    context = {**frame, "heading": frame["folder_label"], **content(request, asked)}
    context["folder_address"] = _properties(request, folder)
    return render(request, "console/records/in_folder.html", context)


@require_GET
def count(request: HttpRequest, namespace: str, name: str) -> HttpResponse:
    """Count exactly: first the sign that it is being done with the button to stop it, then the number."""
    schema = registry.find(f"{namespace}:{name}")
    asked = asking_for.read(request, schema)
    key = request.GET.get("run", "")
    here = address_of(schema, "count")
    if not key:
        context = {"address": f"{here}{asked.state()}&run={secrets.token_hex(8)}", "schema": schema}
        context["key"] = context["address"].rpartition("=")[2]
        context["stop"] = address_of(schema, "count-stop")
        return render(request, "console/records/counting.html", context)
    asker = Asker(asked.actor, key, asked.zone)
    again = f"{here}{asked.state()}"
    try:
        found = asking.exactly(replace(asked.definition(), order_by=()), asker)
    except Conflict as refusal:
        return render(request, "console/records/total.html", {"problem": str(refusal), "again": again})
    return render(request, "console/records/total.html", {"total": Total(found, exact=True)})


@require_POST
def stop_count(request: HttpRequest, namespace: str, name: str) -> HttpResponse:
    """Stop counting, in whichever process it runs."""
    asking.stop(Asker(actor_of_request(request), request.POST.get("key", "")))
    return HttpResponse(status=204)


def content(request: HttpRequest, asked: Asked) -> dict[str, Any]:
    """Return what a list shows: rows, pages, total, views, columns, filter."""
    with _in_time():
        lines, following, before = page(asked)
        counted = total(asked, lines, following, before)
    schema, actor = asked.schema, asked.actor
    views = saved_views.offered(schema.name, actor=actor)
    use_icons(request, {cell.icon for each in lines for cell in each.cells if cell.icon})
    editable = asked.numbered and bool(writing.writable(schema, actor=actor))
    current = [each.expr for each in asked.columns]
    known = list(columns.offered(schema, actor, registry.current()))
    extra = [each for each in asked.columns if each.expr not in {one.expr for one in known}]
    ordered = sorted(
        [*extra, *known], key=lambda each: current.index(each.expr) if each.expr in current else len(current)
    )
    return {
        "asked": asked,
        "schema": schema,
        "lines": lines,
        "columns": [(each, _sorted(asked, each), _sort_address(asked, each)) for each in asked.columns],
        "next": _page_address(asked, following),
        "previous": _page_address(asked, before, back=True),
        "total": counted,
        "count_address": f"{address_of(schema, 'count')}{asked.state()}",
        "views": [(each, asked.view is not None and asked.view.pk == each.pk) for each in views],
        "filters": [
            (label, asked.address(filter=expr, view=None), asked.filter == expr)
            for label, expr in forms.form_of(schema).filters
        ],
        "ticked_columns": [(each, each.expr in current) for each in ordered],
        "conditions": {"schema": schema.name, "name": "filter", "value": asked.filter, "zone": asked.zone},
        "sentence": conditions.sentence(asked.conditions, schema.name) if asked.conditions else "",
        "editable": editable,
        "deletable": editable,
        "bulk": editable,
        "new": f"{address_of(schema, 'new')}{_in(asked.folder)}"
        if asked.numbered
        and forms.may_create(schema, actor=actor)
        and not (asked.folder and asked.folder.is_view)
        else "",
        "export": actor.has(Right.EXPORT),
        "state": asked.state(),
        "bulk_all": asked.address(all=1, **({"folder": asked.folder.folder_id} if asked.folder else {})),
        "below_address": asked.address(below="0" if asked.below else None),
        "hidden_for_search": _hidden(asked, "q"),
        "hidden_for_filter": _hidden(asked, "filter"),
        "hidden_for_columns": _hidden(asked, "c"),
        "filter_open": False,
        "cell_query": asked.address(filter=None, q=None, sort=None).removeprefix("?"),
        "base": address_of(schema, "list"),
        "has_folders": bool(asked.folder and not asked.folder.is_view and schema.folder is not None),
        "filtered": bool(asked.query or asked.conditions),
        "searched": [translate(schema.attributes[each].label) for each in asking_for.searched(asked)],
    }


def page(asked: Asked) -> tuple[list[Line], tuple[Any, ...] | None, tuple[Any, ...] | None]:
    """Return the rows of a page, where the next begins and before where the previous ends."""
    order = asked.order
    definition = asked.definition(*(expr for expr, _ in order))
    definition = replace(
        definition,
        order_by=tuple(query.Field(expr, descending=descending != asked.back) for expr, descending in order),
        line_count=PAGE + 1,
        # The key stands in the order already; paging adds it once more.
        after=(*asked.after, asked.after[-1]) if asked.after else None,
    )
    found = query.run(definition, actor=asked.actor, zone=asked.zone, keyset=True)
    rows = found.rows[:PAGE]
    more = len(found.rows) > PAGE
    if asked.back:
        rows.reverse()
    may = _edited(asked)
    lines = [_line(asked, row, may) for row in rows]
    wide = 1 + len(asked.columns)
    first = rows[0][wide:] if rows else None
    last = rows[-1][wide:] if rows else None
    following = last if (asked.back or more) else None
    before = first if (more if asked.back else asked.after is not None) else None
    return lines, following, before


def line(asked: Asked, key: int) -> Line | None:
    """Return one row of a list; None when it is not, or no longer, there for the actor."""
    definition = replace(
        asked.definition(), where=(query.Condition(f"{asked.key} = {key}"),), order_by=(), line_count=1
    )
    found = query.run(definition, actor=asked.actor, zone=asked.zone).rows
    return _line(asked, found[0], _edited(asked)) if found else None


def total(
    asked: Asked,
    lines: Sequence[Line],
    following: tuple[Any, ...] | None,
    before: tuple[Any, ...] | None,
) -> Total:
    """Return how many rows a list has: exactly up to `COUNTED`, about beyond."""
    if following is None and before is None:
        return Total(len(lines), exact=True)
    definition = replace(asked.definition(), order_by=())
    about = query.estimate(definition, actor=asked.actor, zone=asked.zone)
    if about <= CHEAP:
        few = replace(definition, line_count=COUNTED + 1)
        found = query.count(few, actor=asked.actor, zone=asked.zone)
        if found <= COUNTED:
            return Total(found, exact=True)
    return Total(max(about, COUNTED), exact=False)


def address_of(schema: Schema, page: str, *more: object) -> str:
    """Return the address of a page of a schema's rows."""
    return reverse(f"console:records-{page}", args=[schema.namespace, schema.local_name, *more])


@contextmanager
def _in_time() -> Generator[None]:
    """Give up a list that takes longer than `SECONDS`: nobody waits for it, and it holds the others up."""
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{SECONDS}s"])
            yield
    except OperationalError as error:
        if not isinstance(error.__cause__, errors.QueryCanceled):
            raise
        raise Conflict(
            _("The list takes longer than %(n)d seconds. Narrow its filter, or sort by another column.")
            % {"n": SECONDS}
        ) from error


def _edited(asked: Asked) -> frozenset[str]:
    """Return the attributes that may be edited in their cells."""
    may = writing.writable(asked.schema, actor=asked.actor) if asked.numbered else {}
    return frozenset(name for name, each in may.items() if forms.edited_in_place(each))


def _line(asked: Asked, row: Sequence[Any], may: frozenset[str]) -> Line:
    key = row[0]
    faces = forms.form_of(asked.schema).faces
    cells = tuple(
        _face(each, faces[each.name](value), value)
        if each.name in faces and value is not None
        else Cell(
            each,
            columns.shown(each.attribute, value),
            each.name if each.name in may else "",
            columns.plain(each.attribute, value),
        )
        for each, value in zip(asked.columns, row[1:], strict=False)
    )
    name = next((each.text for each in cells if each.text), str(key))
    return Line(key, forms.address_of(asked.schema, key) if asked.numbered else "", cells, name)


def _face(column: Column, face: Face, value: Any) -> Cell:
    mark = '<span class="st {}"><svg class="i" aria-hidden="true"><use href="#i-{}"/></svg>{}</span>'
    shown = format_html(mark, face.css, face.icon, face.word)
    return Cell(column, shown, "", columns.plain(column.attribute, value), face.icon)


def _sorted(asked: Asked, column: Column) -> str:
    """Return `aria-sort` of a column; empty for one that the list is not sorted by."""
    expr, descending = asked.order[0]
    return "" if expr != column.expr else "descending" if descending else "ascending"


def _sort_address(asked: Asked, column: Column) -> str:
    if not column.sortable:
        return ""
    turned = f"-{column.expr}" if asked.order[0] == (column.expr, False) else column.expr
    return asked.address(sort=turned)


def _page_address(asked: Asked, place: tuple[Any, ...] | None, *, back: bool = False) -> str:
    if place is None:
        return ""
    values = [each.isoformat() if isinstance(each, (datetime, date)) else each for each in place]
    return asked.address(after=json.dumps(values, ensure_ascii=False), back="1" if back else None)


def _properties(request: HttpRequest, folder: Folder) -> str:
    """Return the address of a folder's own page; empty for one that cannot do anything there."""
    if not folder_pages.may_change(folder, actor_of_request(request)):
        return ""
    return reverse("console:folder-properties", args=[folder.folder_id])


def _hidden(asked: Asked, but: str) -> list[tuple[str, str]]:
    """Return the parameters that a form keeps while it sets one of them."""
    return [(name, value) for name, values in asked.kept() if name != but for value in values]


def _in(folder: Folder | None) -> str:
    return f"?folder={folder.folder_id}" if folder else ""


folder_kinds.generic(FolderKind(folder_page))
