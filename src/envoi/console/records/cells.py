"""One cell of a list, edited in place."""

import json

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from envoi.console import words
from envoi.console.access import actor_of_request
from envoi.console.records import asked as asking_for
from envoi.console.records import forms, inputs, lists
from envoi.kernel import registry, writing
from envoi.kernel.errors import NotAllowed, Refused
from envoi.kernel.registry import Schema, translate
from envoi.kernel.rights import Actor


@require_http_methods(["GET", "POST"])
def cell(request: HttpRequest, namespace: str, name: str, key: int, attribute: str) -> HttpResponse:
    """Give the input of a cell (GET); keep its value and give the row anew (POST).

    A refusal comes with the input and what was typed in it. The parameters are those of the list, so that the
    row has the list's columns.
    """
    schema = registry.find(f"{namespace}:{name}")
    # The list's parameters are in the address, whatever the method.
    asked = asking_for.of(request.GET, schema, actor_of_request(request))
    values = forms.row(schema, key, asked.actor)
    field = _writable(schema, key, attribute, asked.actor)
    if request.method == "GET":
        entry = forms.input_of(schema, field, values.get(attribute), asked.actor)
        return render(request, "console/records/cell.html", _context(schema, key, entry, values))
    text = inputs.given(request.POST.get("value", ""))
    try:
        seen = json.loads(request.POST.get("seen", "{}"))
        mark = str(seen[attribute][0])
    except (ValueError, KeyError, IndexError, TypeError):
        mark = ""
    confirmed = frozenset({attribute}) if request.POST.get("confirm") else frozenset[str]()
    try:
        normalise = forms.form_of(schema).normalise
        sent = {attribute: text}
        writing.write(
            schema.name,
            normalise(sent, asked.actor) if normalise else sent,
            actor=asked.actor,
            operation="update",
            key=key,
            seen={attribute: mark} if mark else None,
            confirmed=confirmed,
            zone=words.zone_name(),
        )
    except Refused as refusal:
        entry = forms.input_of(schema, field, values.get(attribute), asked.actor)
        context = _context(schema, key, entry, values)
        context |= {"entry": entry, "typed": text, "problem": _said(refusal, attribute)}
        answer = render(request, "console/records/cell.html", context)
        answer["HX-Retarget"], answer["HX-Reswap"] = "[data-editing]", "innerHTML"
        return answer
    line = lists.line(asked, key)
    if line is None:
        return HttpResponse("")
    return render(request, "console/records/row.html", {"line": line, "bulk": True})


def _context(schema: Schema, key: int, entry: inputs.Input, values: dict[str, object]) -> dict[str, object]:
    attribute = schema.attributes[entry.name]
    marks = {entry.name: inputs.mark(attribute, values.get(entry.name), entry.value)}
    return {
        "entry": entry,
        "typed": entry.value,
        "seen": json.dumps(marks),
        "label": translate(attribute.label),
    }


def _writable(schema: Schema, key: int, name: str, actor: Actor):
    may = writing.writable(schema, actor=actor)
    if name not in may or not writing.may_write(schema, key, actor=actor):
        raise NotAllowed(f"@{name} of this row cannot be changed by {actor.name}.")
    return may[name]


def _said(refusal: Refused, name: str) -> str:
    return inputs.problems_of(refusal).get(name) or str(refusal)
