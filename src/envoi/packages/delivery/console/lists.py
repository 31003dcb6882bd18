"""The page of a list: how many are in it, until when it is kept, what is in it."""

from datetime import datetime, time
from typing import Any

from django.contrib import messages
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from envoi.console import explorer, tree
from envoi.console.access import actor_of_request
from envoi.console.administration import trail_of
from envoi.console.navigation import Word, under
from envoi.kernel import folders, registry
from envoi.kernel.errors import Conflict, Invalid, NotAllowed, NotFound
from envoi.kernel.folders import Access
from envoi.kernel.query import Condition, Field, Operation, QueryDef, run
from envoi.kernel.query.scope import quoted
from envoi.kernel.registry import translate
from envoi.kernel.rights import Actor
from envoi.packages.delivery.models import Group, GroupType
from envoi.packages.delivery.services import lists

SHOWN = 50


@under(Word.PROFILES)
@require_http_methods(["GET", "POST"])
def page(request: HttpRequest, number: int) -> HttpResponse:
    """Show one list; `do` names what is done."""
    actor = actor_of_request(request)
    group = _find(number, actor)
    problem = ""
    if request.method == "POST":
        try:
            with transaction.atomic():
                text, address = _do(request, group, actor)
            messages.success(request, text)
            return redirect(address)
        except (Invalid, Conflict, NotFound, NotAllowed) as refusal:
            problem = str(refusal)
    own = GroupType(group.type) is GroupType.LIST
    context = {
        "group": group,
        "own_table": own,
        "dimension": _dimension(group),
        "count": lists.count(group, actor=actor),
        "rows": _rows(group, actor, own),
        "columns": group.columns if own else [],
        "shown": SHOWN,
        "writes": folders.may(actor, group.folder, Access.WRITE),
        "deletes": folders.may(actor, group.folder, Access.DELETE),
        "details": reverse("console:record-page", args=["nms", "group", number]),
        "trail": trail_of(actor, lists.ENTITY, group.name),
        "problem": problem,
        **explorer.frame(request, group.folder),
        "crumbs": explorer.crumbs(request, group.folder, whole=True),
    }
    return render(request, "delivery/list.html", context, status=400 if problem else 200)


def first(request: HttpRequest) -> HttpResponse:
    """Send to the folder of lists."""
    return explorer.first_of(request, "nms:group")


def _find(number: int, actor: Actor) -> Group:
    found = Group.objects.filter(pk=number).first()
    if found is None:
        raise NotFound(_("This list is not there any more."))
    return lists.find(found.name, actor=actor)


def _do(request: HttpRequest, group: Group, actor: Actor) -> tuple[str, str]:
    do = request.POST.get("do", "")
    if do == "expire":
        text = request.POST.get("until", "").strip()
        day = parse_date(text) if text else None
        if text and day is None:
            raise Invalid(_("%(text)s is no date.") % {"text": text})
        end = datetime.combine(day, time.max, timezone.get_current_timezone()) if day else None
        lists.set_expiration(group, end, actor=actor)
        return _("The list is kept as you said."), request.path
    if do == "delete":
        lists.delete(group, actor=actor)
        return _("%(name)s is deleted.") % {"name": group.label}, tree.address_of(group.folder)
    raise Invalid(_("Nothing was chosen that could be done."))


def _dimension(group: Group) -> str:
    if not group.schema:
        return _("rows of a file")
    known = registry.current()
    return translate(known[group.schema].label) if group.schema in known else group.schema


def _rows(group: Group, actor: Actor, own: bool) -> list[tuple[str, str, tuple[Any, ...]]]:
    """Return (address, text, further values) of the first members that the actor may read."""
    chosen = lists.members(group, actor=actor)
    extra = "".join(f", own.{quoted(each['name'])}" for each in group.columns) if own else ""
    joined = f"JOIN {quoted(group.table)} own ON own.id = member.id" if own else ""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT member.id{extra} FROM ({chosen.sql}) AS member {joined} "  # noqa: S608 quoted
            f"ORDER BY member.id LIMIT {SHOWN}",
            chosen.params,
        )
        found = cursor.fetchall()
    known = registry.current()
    if group.schema not in known:
        return [("", str(row[0]), row[1:]) for row in found]
    schema = known[group.schema]
    key = schema.attribute_of(schema.key[0])
    if key is None or not found:
        return []
    keys = ", ".join(str(int(row[0])) for row in found)
    asked = QueryDef(
        schema.name, Operation.SELECT, select=(Field(key.xpath), Field(schema.text)),
        where=(Condition(f"{key.xpath} IN ({keys})"),), line_count=SHOWN,
    )  # fmt: skip
    from envoi.console.records.forms import address_of

    texts = dict(run(asked, actor=actor).rows)
    return [
        (address_of(schema, row[0]), str(texts[row[0]] or row[0]), row[1:])
        for row in found
        if row[0] in texts
    ]
