"""The history of a row: who changed what, and when, from which value to which, by the audit trail."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from envoi.console.access import actor_of_request
from envoi.console.administration import written
from envoi.console.navigation import Word, under
from envoi.console.records import columns, forms
from envoi.kernel import registry
from envoi.kernel.errors import Invalid
from envoi.kernel.models import AuditEntry
from envoi.kernel.registry import Schema, translate
from envoi.kernel.rights import Actor
from envoi.kernel.writing import typed

PAGE = 50


@dataclass(frozen=True)
class Change:
    """One attribute's change, as it is shown."""

    label: str
    before: Any
    after: Any


@dataclass(frozen=True)
class Event:
    """One line of the trail."""

    at: datetime
    who: str
    action: str
    changes: tuple[Change, ...]
    detail: str


@under(Word.EXPLORER)
@require_GET
def history(request: HttpRequest, namespace: str, name: str, key: int) -> HttpResponse:
    """Show the changes of a row that the operator may read, the latest first."""
    schema, actor = registry.find(f"{namespace}:{name}"), actor_of_request(request)
    values = forms.row(schema, key, actor)
    found = AuditEntry.objects.filter(entity=schema.name, entity_id=key).order_by("-audit_id")
    before = request.GET.get("before", "")
    if before.isascii() and before.isdigit() and len(before) < 19:
        found = found.filter(audit_id__lt=int(before))
    entries = list(found[: PAGE + 1])
    context = {
        **forms.head(request, schema, key, values, actor, "history"),
        "events": [_event(each, schema, actor) for each in entries[:PAGE]],
        "more": entries[PAGE - 1].audit_id if len(entries) > PAGE else None,
    }
    return render(request, "console/records/history.html", context)


def _event(entry: AuditEntry, schema: Schema, actor: Actor) -> Event:
    may = {each.name: each for each in columns.readable(schema, actor)}
    changes: list[Change] = []
    for name, pair in entry.detail.get("values", {}).items():
        attribute = may.get(name)
        if attribute is None:
            continue

        def shown(value: Any, attribute: registry.Attribute = attribute) -> Any:
            # A long text was cut, or the attribute has another type by now.
            with suppress(Invalid):
                value = typed(attribute, value)
            return columns.shown(attribute, value, cut=False)

        changes.append(Change(translate(attribute.label), shown(pair[0]), shown(pair[1])))
    others = {name: value for name, value in entry.detail.items() if name not in ("values", "part of")}
    return Event(entry.at, entry.operator_name, entry.action, tuple(changes), written(others))
